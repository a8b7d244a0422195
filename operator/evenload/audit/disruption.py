"""PodDisruptionBudgets: whether a pod can ever be taken away in an orderly way."""

from __future__ import annotations

from collections.abc import Iterator

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import WORKLOADS, Object, World, selector_of
from evenload.model.wording import listing, number

KIND = ("PodDisruptionBudget",)


def _never(pdb: Object, world: World) -> Iterator[Hit]:
    least, most = pdb.spec["minAvailable"], pdb.spec["maxUnavailable"]
    if most.value in (0, "0", "0%") and most.value is not False:
        yield Hit(most, f"maxUnavailable is {most.value}")
    elif least.text == "100%":
        yield Hit(least, "minAvailable is 100%")
    elif least.number:
        yield from _as_many(pdb, world, least)


def _as_many(pdb: Object, world: World, least: Field) -> Iterator[Hit]:
    chosen = world.workloads(pdb.namespace, selector_of(pdb.spec["selector"]))
    if not chosen or any((each.kind, each.namespace, each.name) in world.scaled for each in chosen):
        return
    if any(each.kind == "DaemonSet" for each in chosen):
        return
    replicas = sum(each.spec["replicas"].number if each.spec["replicas"].number is not None else 1 for each in chosen)
    if 0 < replicas <= (least.number or 0):
        names = listing([str(each) for each in chosen])
        yield Hit(
            least, f"minAvailable is {least.number}, and {names} {number(chosen, 'has', 'have')} {replicas} replicas"
        )


def _exhausted(pdb: Object, world: World) -> Iterator[Hit]:
    status = pdb.root["status"]
    expected, healthy = status["expectedPods"].number or 0, status["currentHealthy"].number
    if status["disruptionsAllowed"].number == 0 and expected and not any(_never(pdb, world)):
        yield Hit(status["disruptionsAllowed"], f"{healthy} of {expected} pods are healthy, and none may leave now")


def _overlap(pdb: Object, world: World) -> Iterator[Hit]:
    selector = selector_of(pdb.spec["selector"])
    pods = world.pods(pdb.namespace, selector) or world.workloads(pdb.namespace, selector)
    others = {other.name for pod in pods for other in world.budgets_of(pod)} - {pdb.name}
    if others:
        yield Hit(pdb.spec["selector"], f"{listing(sorted(others))} selects pods of it, too")


def _nothing(pdb: Object, world: World) -> Iterator[Hit]:
    selector = selector_of(pdb.spec["selector"])
    if world.complete("Pod", pdb.namespace) and not world.pods(pdb.namespace, selector):
        yield Hit(pdb.spec["selector"], "it selects no pod")


def _unhealthy(pdb: Object, world: World) -> Iterator[Hit]:
    field = pdb.spec["unhealthyPodEvictionPolicy"]
    if field.text in ("", "IfHealthyBudget") and isinstance(pdb.spec.value, dict):
        yield Hit(field, "unhealthyPodEvictionPolicy is IfHealthyBudget")


RULES = (
    Rule(
        "pdb-never-allows",
        Severity.warning,
        KIND,
        "The budget never allows an eviction: nodes cannot be drained, and no sick pod can be replaced gently.",
        "Use maxUnavailable: 1, or run more replicas than minAvailable.",
        _never,
    ),
    Rule(
        "pdb-exhausted",
        Severity.info,
        KIND,
        "The budget allows no eviction now.",
        "Look at the pods that are not healthy.",
        _exhausted,
    ),
    Rule(
        "pdb-overlap",
        Severity.error,
        KIND,
        "Two budgets select the same pods: the API server refuses each eviction of them with 500.",
        "Let one budget alone select a pod.",
        _overlap,
        needs=("Pod", *WORKLOADS),
    ),
    Rule(
        "pdb-selects-nothing",
        Severity.warning,
        KIND,
        "The budget selects no pod, and protects nothing.",
        "Correct its selector, or delete it.",
        _nothing,
        needs=("Pod",),
    ),
    Rule(
        "pdb-keeps-unhealthy-pods",
        Severity.info,
        KIND,
        "While too few pods are healthy, not even the sick ones can be evicted.",
        "Set unhealthyPodEvictionPolicy: AlwaysAllow.",
        _unhealthy,
    ),
)
