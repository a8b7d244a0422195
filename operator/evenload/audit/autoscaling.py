"""HorizontalPodAutoscalers: whether more load brings more pods."""

from __future__ import annotations

from collections.abc import Iterator

from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.status import current, holds, reason_of
from evenload.audit.world import WORKLOADS, Object, World, target_of

KIND = ("HorizontalPodAutoscaler",)


def _target(hpa: Object, world: World) -> Object | None:
    key = target_of(hpa)
    return world.get(*key) if key else None


def _missing(hpa: Object, world: World) -> Iterator[Hit]:
    key = target_of(hpa)
    if key and world.lacks(*key):
        yield Hit(hpa.spec["scaleTargetRef"], f"there is no {key[0]} {key[1]}/{key[2]}")


def _twice(hpa: Object, world: World) -> Iterator[Hit]:
    key = target_of(hpa)
    others = [each.name for each in world.scaled.get(key, ()) if each.name != hpa.name] if key else []
    if key and others:
        yield Hit(hpa.spec["scaleTargetRef"], f"{', '.join(others)} scales {key[0]} {key[2]}, too")


def _fixed(hpa: Object, world: World) -> Iterator[Hit]:
    least, most = hpa.spec["minReplicas"].number, hpa.spec["maxReplicas"].number
    least = 1 if least is None else least
    if least == most:
        yield Hit(hpa.spec["maxReplicas"], f"minReplicas and maxReplicas are {most}")


def _reversed(hpa: Object, world: World) -> Iterator[Hit]:
    least, most = hpa.spec["minReplicas"].number, hpa.spec["maxReplicas"].number
    if least is not None and most is not None and least > most:
        yield Hit(hpa.spec["minReplicas"], f"minReplicas {least} is more than maxReplicas {most}")


def _replicas(hpa: Object, world: World) -> Iterator[Hit]:
    target = _target(hpa, world)
    if target is not None and not target.applied and target.spec["replicas"].number is not None:
        count = target.spec["replicas"].number
        yield Hit(hpa.spec["scaleTargetRef"], f"the file of {target.kind} {target.name} sets spec.replicas to {count}")


def _no_request(hpa: Object, world: World) -> Iterator[Hit]:
    target = _target(hpa, world)
    if target is None:
        return
    for metric in hpa.spec["metrics"].each():
        name = metric["resource"]["name"].text
        if metric["type"].text != "Resource" or metric["resource"]["target"]["type"].text != "Utilization":
            continue
        whole = target.template["spec"]["resources"]["requests"][name].given  # of the pod
        lacking = (
            []
            if whole
            else [
                each["name"].text
                for each in target.template["spec"]["containers"].each()
                if not any(each["resources"][part][name].given for part in ("requests", "limits"))
            ]
        )
        if name and lacking:
            yield Hit(metric, f"container {lacking[0]} has no {name} request, and utilisation is in per cent of it")


def _stuck(hpa: Object, world: World) -> Iterator[Hit]:
    for condition in current(hpa, hpa.root["status"]):
        off = condition["reason"].text == "ScalingDisabled"  # its target is scaled to 0: somebody's choice
        if not off and (holds(condition, "ScalingActive", "False") or holds(condition, "AbleToScale", "False")):
            yield Hit(condition, f"{condition['type'].text}=False, {reason_of(condition)}")


def _at_most(hpa: Object, world: World) -> Iterator[Hit]:
    for condition in current(hpa, hpa.root["status"]):
        if holds(condition, "ScalingLimited", "True") and condition["reason"].text == "TooManyReplicas":
            yield Hit(condition, f"it would have more than maxReplicas {hpa.spec['maxReplicas'].number}")


RULES = (
    Rule(
        "hpa-target-missing",
        Severity.error,
        KIND,
        "The autoscaler names a workload that does not exist.",
        "Correct spec.scaleTargetRef, or delete the autoscaler.",
        _missing,
        needs=WORKLOADS,
    ),
    Rule(
        "hpa-target-twice",
        Severity.error,
        KIND,
        "Two autoscalers scale one workload: neither acts (AmbiguousSelector), or they work against each other.",
        "Delete one of them; one autoscaler takes several metrics.",
        _twice,
    ),
    Rule(
        "hpa-min-above-max",
        Severity.error,
        KIND,
        "minReplicas is more than maxReplicas, which the API refuses.",
        "Exchange them.",
        _reversed,
    ),
    Rule(
        "hpa-fixed",
        Severity.warning,
        KIND,
        "minReplicas and maxReplicas are equal: more load brings no more pods.",
        "Raise maxReplicas, or delete the autoscaler.",
        _fixed,
    ),
    Rule(
        "hpa-replicas-in-file",
        Severity.warning,
        KIND,
        "The file of an autoscaled workload sets replicas: each time it is applied, the number of pods jumps back.",
        "Remove spec.replicas from the workload's file.",
        _replicas,
        needs=WORKLOADS,
    ),
    Rule(
        "hpa-no-request",
        Severity.warning,
        KIND,
        "The autoscaler wants a utilisation, and a container has no such request: it cannot compute it (unless a "
        "LimitRange gives one).",
        "Set resources.requests of every container.",
        _no_request,
        needs=WORKLOADS,
    ),
    Rule(
        "hpa-cannot-scale",
        Severity.error,
        KIND,
        "The autoscaler cannot compute or set the number of pods (conditions ScalingActive, AbleToScale).",
        "Do as the condition's message says: are the metrics served?",
        _stuck,
    ),
    Rule(
        "hpa-at-maximum",
        Severity.warning,
        KIND,
        "The autoscaler would have more pods than maxReplicas allows.",
        "Raise maxReplicas, or find out why the load is so high.",
        _at_most,
    ),
)
