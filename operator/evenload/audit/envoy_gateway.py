"""Envoy Gateway's BackendTrafficPolicy: how Envoy shares among the pods of a Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.status import current, holds, reason_of, stale
from evenload.audit.world import GROUPS, Object, World

KIND: Final = ("BackendTrafficPolicy",)
PANIC_PERCENT: Final = 50  # Envoy's default


def _hash(policy: Object, world: World) -> Iterator[Hit]:
    balancer = policy.spec["loadBalancer"]
    if balancer["type"].text == "ConsistentHash":
        by = balancer["consistentHash"]["type"].text or "nothing"
        yield Hit(balancer["type"], f"a hash decides which pod a request gets, by {by}")


def _override(policy: Object, world: World) -> Iterator[Hit]:
    field = policy.spec["loadBalancer"]["endpointOverride"]
    if isinstance(field.value, dict):
        headers = [each["header"].text for each in field["extractFrom"].each() if each["header"].text]
        yield Hit(field, f"a client may name the pod it gets, by {', '.join(headers) or 'its request'}")


def _zones(policy: Object, world: World) -> Iterator[Hit]:
    zones = policy.spec["loadBalancer"]["zoneAware"]
    if isinstance(zones["preferLocal"].value, dict):
        how = "stay" if zones["preferLocal"]["force"].given else "stay where the shares allow it"
        yield Hit(zones["preferLocal"], f"requests {how} in the zone of the Envoy that gets them")
    if zones["weightedZones"].value:
        names = ", ".join(f"{each['zone'].text} {each['weight'].number}" for each in zones["weightedZones"].each())
        yield Hit(zones["weightedZones"], f"zones have weights: {names}")


def _no_panic(policy: Object, world: World) -> Iterator[Hit]:
    field = policy.spec["healthCheck"]["panicThreshold"]
    if field.number == 0:
        yield Hit(field, "panicThreshold is 0: the last healthy pod gets everything, and none means 503 for all")


def _early_panic(policy: Object, world: World) -> Iterator[Hit]:
    field = policy.spec["healthCheck"]["panicThreshold"]
    if (field.number or 0) > PANIC_PERCENT:
        yield Hit(field, f"with fewer than {field.number}% healthy pods, the sick ones get requests again")


def _fault(policy: Object, world: World) -> Iterator[Hit]:
    field = policy.spec["faultInjection"]
    if isinstance(field.value, dict) and field.value:
        yield Hit(field, "requests are delayed or failed on purpose")


def _not_accepted(policy: Object, world: World) -> Iterator[Hit]:
    for ancestor in policy.root["status"]["ancestors"].each():
        for condition in current(policy, ancestor):
            if holds(condition, "Accepted", "False"):
                yield Hit(condition, f"Accepted=False, {reason_of(condition)}")


def _stale(policy: Object, world: World) -> Iterator[Hit]:
    for ancestor in policy.root["status"]["ancestors"].each():
        yield from stale(policy, ancestor)


def _targets(policy: Object) -> Iterator[Field]:
    if policy.spec["targetRef"].given:
        yield policy.spec["targetRef"]
    yield from policy.spec["targetRefs"].each()


def _missing(policy: Object, world: World) -> Iterator[Hit]:
    for ref in _targets(policy):
        kind, name = ref["kind"].text, ref["name"].text
        if name and GROUPS.get(kind) == ref["group"].text and world.lacks(kind, policy.namespace, name):
            yield Hit(ref["name"], f"there is no {kind} {policy.namespace}/{name}")


RULES = (
    Rule(
        "envoy-consistent-hash",
        Severity.warning,
        KIND,
        "A hash decides which pod a request gets: few busy keys load one pod.",
        "Use LeastRequest, or hash by something that is spread well.",
        _hash,
    ),
    Rule(
        "envoy-endpoint-override",
        Severity.warning,
        KIND,
        "A request may name the pod that serves it (endpointOverride): those do not follow weights.",
        "Remove it, or make sure that only your own programs can set the header.",
        _override,
    ),
    Rule(
        "envoy-zone-aware",
        Severity.info,
        KIND,
        "Zones decide who serves a request (zoneAware): load follows where clients and Envoys are.",
        "Spread pods and Envoys evenly over the zones, or remove it.",
        _zones,
    ),
    Rule(
        "envoy-panic-off",
        Severity.warning,
        KIND,
        "Panic mode is off: when most pods fail their health check, the few others get everything.",
        "Leave panicThreshold at 50.",
        _no_panic,
    ),
    Rule(
        "envoy-panic-early",
        Severity.warning,
        KIND,
        "Panic mode begins while most pods are healthy: health checks are disregarded early.",
        "Leave panicThreshold at 50, or lower it.",
        _early_panic,
    ),
    Rule(
        "envoy-fault-injection",
        Severity.warning,
        KIND,
        "Requests are delayed or failed on purpose.",
        "Remove faultInjection when the experiment is over.",
        _fault,
    ),
    Rule(
        "envoy-policy-not-accepted",
        Severity.error,
        KIND,
        "Envoy Gateway does not accept the policy (condition Accepted): nothing of it holds.",
        "Do as the condition's message says.",
        _not_accepted,
    ),
    Rule(
        "envoy-policy-status-stale",
        Severity.warning,
        KIND,
        "The status is of an older generation of the policy.",
        "Wait a moment; if it stays so, look whether Envoy Gateway runs.",
        _stale,
    ),
    Rule(
        "envoy-policy-target-missing",
        Severity.error,
        KIND,
        "The policy is about a Gateway or route that does not exist.",
        "Correct targetRefs, or delete the policy.",
        _missing,
        needs=("Gateway", "HTTPRoute", "GRPCRoute"),
    ),
)
