"""The life of pods behind a Service: when they get requests, and how they leave. Other workloads are not looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import WORKLOADS, Object, World

_SLEEP: Final = re.compile(r"\bsleep\s+(\d+)\b")
GRACE_SECONDS: Final = 30  # of Kubernetes, where terminationGracePeriodSeconds is not set
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc", "exec")


def _containers(workload: Object) -> list[Field]:
    return list(workload.template["spec"]["containers"].each())


def _serves(workload: Object, world: World) -> bool:
    return bool(world.services_of(workload))


def _no_readiness(workload: Object, world: World) -> Iterator[Hit]:
    containers = _containers(workload)
    if _serves(workload, world) and containers and not any(each["readinessProbe"].value for each in containers):
        yield Hit(workload.template["spec"]["containers"], "no container has a readinessProbe")


def _no_pre_stop(workload: Object, world: World) -> Iterator[Hit]:
    containers = _containers(workload)
    if _serves(workload, world) and containers and not any(each["lifecycle"]["preStop"].value for each in containers):
        yield Hit(workload.template["spec"]["containers"], "no container has lifecycle.preStop")


def _short_grace(workload: Object, world: World) -> Iterator[Hit]:
    field = workload.template["spec"]["terminationGracePeriodSeconds"]
    grace = GRACE_SECONDS if field.number is None else field.number
    for each in _containers(workload):
        pre_stop = each["lifecycle"]["preStop"]
        if 0 < grace <= (slept := _slept(pre_stop)):
            yield Hit(pre_stop, f"it waits {slept} s of the {grace} s of terminationGracePeriodSeconds")


def _slept(pre_stop: Field) -> int:
    """Seconds, by the action `sleep` or a command that sleeps; 0 where there is none."""
    seconds = pre_stop["sleep"]["seconds"].number
    if seconds is not None:
        return seconds
    found = _SLEEP.search(" ".join(each.text for each in pre_stop["exec"]["command"].each())[:10_000])
    return int(found[1][:9]) if found else 0


def _same_probe(workload: Object, world: World) -> Iterator[Hit]:
    for each in _containers(workload) if _serves(workload, world) else ():
        live, ready = each["livenessProbe"], each["readinessProbe"]
        if (question := _question(live)) and question == _question(ready) and _patience(live) <= _patience(ready):
            yield Hit(
                live, f"{question}: so asks readiness, too, and liveness gives up no later, in {_patience(live)} s"
            )


def _question(probe: Field) -> str:
    """What a probe asks, as text: "httpGet /healthz 8080"; "" where there is none."""
    http, command = probe["httpGet"], [each.text for each in probe["exec"]["command"].each()]
    port = next((each["port"] for each in (http, probe["tcpSocket"], probe["grpc"]) if each["port"].given), None)
    kind = next((each for each in _HANDLERS if isinstance(probe[each].value, dict)), "")
    parts = [http["path"].text, *command, str(port.number or port.text) if port else "", probe["grpc"]["service"].text]
    return " ".join([kind, *filter(None, parts)]) if kind else ""


def _patience(probe: Field) -> int:
    """Seconds of failures until it says no; the defaults are Kubernetes' own."""
    period, threshold = probe["periodSeconds"].number, probe["failureThreshold"].number
    return (10 if period is None else period) * (3 if threshold is None else threshold)


def _one_replica(workload: Object, world: World) -> Iterator[Hit]:
    field = workload.spec["replicas"]
    replicas = field.number if field.given else 1
    scaled = (workload.kind, workload.namespace, workload.name) in world.scaled
    if workload.kind != "DaemonSet" and replicas == 1 and not scaled and _serves(workload, world):
        yield Hit(field, "there is one replica")


def _all_at_once(workload: Object, world: World) -> Iterator[Hit]:
    if not _serves(workload, world):
        return
    strategy, replicas = workload.spec["strategy"], workload.spec["replicas"].number or 1
    most = strategy["rollingUpdate"]["maxUnavailable"]
    if strategy["type"].text == "Recreate" and replicas > 1:
        yield Hit(strategy["type"], f"a rollout stops all {replicas} pods before the first new one starts")
    elif most.text == "100%" or (replicas > 1 and most.number is not None and most.number >= replicas):
        yield Hit(most, f"a rollout may stop all {replicas} pods at once (maxUnavailable: {most.value})")


RULES = (
    Rule(
        "workload-no-readiness-probe",
        Severity.warning,
        WORKLOADS,
        "Pods behind a Service have no readinessProbe: they get requests as soon as the process starts, and sick ones "
        "keep them.",
        "Add a readinessProbe that fails while the pod cannot serve.",
        _no_readiness,
        needs=("Service",),
    ),
    Rule(
        "workload-no-pre-stop",
        Severity.info,
        WORKLOADS,
        "Pods behind a Service have no preStop hook: one that leaves may still get requests after it closed its port.",
        "Add lifecycle.preStop.sleep of some seconds, or have the program wait after SIGTERM.",
        _no_pre_stop,
        needs=("Service",),
    ),
    Rule(
        "workload-grace-too-short",
        Severity.warning,
        WORKLOADS,
        "The preStop hook uses up the whole grace period: the program is killed in the middle of its requests.",
        "Set terminationGracePeriodSeconds to the sleep plus the longest request.",
        _short_grace,
    ),
    Rule(
        "workload-same-probes",
        Severity.warning,
        WORKLOADS,
        "Liveness and readiness ask the same, and liveness is no more patient: an overloaded pod is killed instead of "
        "getting fewer requests, and the others get its load.",
        "Have liveness ask only whether the process lives, or give it a larger failureThreshold.",
        _same_probe,
        needs=("Service",),
    ),
    Rule(
        "workload-one-replica",
        Severity.info,
        ("Deployment", "StatefulSet", "Rollout"),
        "One replica stands behind a Service: nothing can be balanced, and any restart is an outage.",
        "Run two replicas or more.",
        _one_replica,
        needs=("Service",),
    ),
    Rule(
        "workload-rollout-stops-all",
        Severity.warning,
        ("Deployment",),
        "A rollout may stop all pods behind a Service at once.",
        "Use RollingUpdate with a maxUnavailable below the number of replicas.",
        _all_at_once,
        needs=("Service",),
    ),
)
