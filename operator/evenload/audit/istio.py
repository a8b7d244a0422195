"""Istio: VirtualServices split over subsets, DestinationRules say what a subset is and how its pods share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evenload.audit.endpoints import ready_endpoints
from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.split import Share, Splits, owner_of, split_of
from evenload.audit.world import Object, Selector, World, host_of, host_service
from evenload.model.wording import listing, number

RULE: Final = ("DestinationRule",)
ROUTE: Final = ("VirtualService",)


# DestinationRules.


def _policies(rule: Object) -> Iterator[Field]:
    """All traffic policies: its own, by port, of subsets."""
    yield from _with_ports(rule.spec["trafficPolicy"])
    for subset in rule.spec["subsets"].each():
        yield from _with_ports(subset["trafficPolicy"])


def _with_ports(policy: Field) -> Iterator[Field]:
    yield policy
    yield from policy["portLevelSettings"].each()


def _hash(rule: Object, world: World) -> Iterator[Hit]:
    for policy in _policies(rule):
        field = policy["loadBalancer"]["consistentHash"]
        if isinstance(field.value, dict):
            by = listing(sorted(key for key, _ in field.entries() if key not in ("ringHash", "maglev")))
            yield Hit(field, f"a hash decides which pod a request gets, by {by or 'nothing'}")


def _passthrough(rule: Object, world: World) -> Iterator[Hit]:
    for policy in _policies(rule):
        field = policy["loadBalancer"]["simple"]
        if field.text == "PASSTHROUGH":
            yield Hit(field, "requests go to the address that the client asked for, without any balancing")


def _localities(rule: Object) -> Iterator[Field]:
    for policy in _policies(rule):
        yield from policy["loadBalancer"]["localityLbSetting"]["distribute"].each()


def _sum(rule: Object, world: World) -> Iterator[Hit]:
    for each in _localities(rule):
        numbers = [weight.number for _, weight in each["to"].entries()]
        if numbers and None not in numbers and (total := sum(filter(None, numbers))) != 100:
            yield Hit(each["to"], f"the weights for {each['from'].text} come to {total}, and not to 100")


def _omitted(rule: Object, world: World) -> Iterator[Hit]:
    key = host_service(rule.spec["host"].text, rule.namespace)
    service = world.get("Service", *key) if key else None
    if service is None:
        return
    zones = {each["zone"].text for each in ready_endpoints(world, service)} - {""}
    for each in _localities(rule):
        named = [_zone(locality) for locality, _ in each["to"].entries()]
        missing = sorted(zones - {zone for zone in named if zone})
        if missing and named and None not in named:
            yield Hit(each["to"], f"ready pods in {listing(missing)} get nothing from {each['from'].text or '*'}")


def _zone(locality: str) -> str | None:
    """Of "region/zone/*"; None where all zones are meant."""
    parts = locality.split("/")
    return parts[1] if len(parts) > 1 and parts[1] not in ("", "*") else None


def _no_outliers(rule: Object, world: World) -> Iterator[Hit]:
    for policy in (rule.spec["trafficPolicy"], *(each["trafficPolicy"] for each in rule.spec["subsets"].each())):
        setting = policy["loadBalancer"]["localityLbSetting"]
        wanted = setting["failover"].value or setting["failoverPriority"].value
        inherited = rule.spec["trafficPolicy"]["outlierDetection"]
        if wanted and not isinstance(policy["outlierDetection"].value, dict) and not inherited.given:
            yield Hit(setting, "failover is set, and outlierDetection is not")


def _ejects_all(rule: Object, world: World) -> Iterator[Hit]:
    for policy in _policies(rule):
        detection = policy["outlierDetection"]
        most, least = detection["maxEjectionPercent"], detection["minHealthPercent"].number or 0
        if (most.number or 0) >= 100 and not least:
            yield Hit(most, "every pod may be ejected at once (maxEjectionPercent: 100, no minHealthPercent)")


def _subset_pods(rule: Object, world: World) -> Iterator[tuple[Field, list[Object], list[Object]]]:
    """Each subset with its pods and all pods of the host, where those are known."""
    key = host_service(rule.spec["host"].text, rule.namespace)
    service = world.get("Service", *key) if key else None
    selector = world.selector(service) if service else None
    if service is None or selector is None or not world.complete("Pod", service.namespace):
        return
    pods = world.pods(service.namespace, selector)
    for subset in rule.spec["subsets"].each():
        wanted = Selector(subset["labels"].texts())
        yield subset, [each for each in pods if wanted.matches(each.labels)], pods


def _empty_subset(rule: Object, world: World) -> Iterator[Hit]:
    for subset, chosen, pods in _subset_pods(rule, world):
        if pods and not chosen:
            yield Hit(subset["labels"], f"subset {subset['name'].text} selects none of {len(pods)} pods")


def _one_pod(rule: Object, world: World) -> Iterator[Hit]:
    for subset, chosen, pods in _subset_pods(rule, world):
        if len(chosen) == 1 and len(pods) > 2:
            yield Hit(subset["labels"], f"subset {subset['name'].text} selects one of {len(pods)} pods")


# VirtualServices.


def _rules(route: Object) -> Iterator[Field]:
    for protocol in ("http", "tcp", "tls"):
        yield from route.spec[protocol].each()


def _destinations(route: Object) -> Iterator[Field]:
    for rule in _rules(route):
        for each in rule["route"].each():
            yield each["destination"]


def _name(destination: Field) -> str:
    return "/".join(filter(None, (destination["host"].text, destination["subset"].text))) or "?"


def _shares(route: Field) -> list[Share] | None:
    refs = list(route.each())
    alone = len(refs) == 1  # has everything, whatever its weight
    return split_of(
        Share(_name(each["destination"]), 1 if alone else each["weight"].number if each["weight"].given else 0, each)
        for each in refs
    )


def _owner(route: Object, world: World) -> str | None:
    return owner_of(world, route, "http")


_SPLITS = Splits(lambda route: (rule["route"] for rule in _rules(route)), _shares, _owner)


def _canary(route: Object, world: World) -> Iterator[Hit]:
    if owner := _owner(route, world):
        yield Hit(route.spec["http"], f"{owner} sets its weights")


def _one_subset(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        refs = list(rule["route"].each())
        if len(refs) != 1 or rule["match"].value or _owner(route, world):
            continue
        destination = refs[0]["destination"]
        known = _known(destination, route, world)
        if destination["subset"].text in known and len(known) > 1:
            others = sorted(known - {destination["subset"].text})
            yield Hit(
                destination,
                f"all of it goes to {_name(destination)}; {listing(others)} {number(others, 'gets', 'get')} nothing",
            )


def _known(destination: Field, route: Object, world: World) -> frozenset[str]:
    """The subsets of a host, by the DestinationRules that are known."""
    return world.subsets(host_of(destination["host"].text, route.namespace))


def _unknown_subset(route: Object, world: World) -> Iterator[Hit]:
    for destination in _destinations(route):
        subset = destination["subset"].text
        if subset and world.complete_everywhere("DestinationRule") and subset not in _known(destination, route, world):
            yield Hit(destination["subset"], f"no DestinationRule of {destination['host'].text} has a subset {subset}")


def _missing(route: Object, world: World) -> Iterator[Hit]:
    for destination in _destinations(route):
        key = host_service(destination["host"].text, route.namespace)
        if key and world.lacks("Service", *key):
            yield Hit(destination["host"], f"there is no Service {key[0]}/{key[1]}")


def _unreachable(route: Object, world: World) -> Iterator[Hit]:
    rules = list(route.spec["http"].each())
    first = next(
        (index for index, rule in enumerate(rules) if isinstance(rule.value, dict) and not rule["match"].value), None
    )
    if first is not None and first < len(rules) - 1:
        count = len(rules) - 1 - first
        yield Hit(rules[first], f"it matches everything, so {count} behind it get no request")


def _fault(route: Object, world: World) -> Iterator[Hit]:
    for rule in route.spec["http"].each():
        if isinstance(rule["fault"].value, dict) and rule["fault"].value:
            kinds = listing(sorted(key for key, _ in rule["fault"].entries()))
            yield Hit(rule["fault"], f"faults are injected: {kinds}")


RULES = (
    Rule(
        "istio-no-weight",
        Severity.error,
        ROUTE,
        "Of several destinations none has weight (it is 0 where it is not set): each request fails.",
        "Give at least one destination a weight above 0.",
        _SPLITS.all_zero,
    ),
    Rule(
        "istio-all-weight-on-one",
        Severity.warning,
        ROUTE,
        "A route names several destinations, and one has all of the weight. Not where a canary controller sets the "
        "weights.",
        "Give the others weight, or remove them.",
        _SPLITS.all_on_one,
    ),
    Rule(
        "istio-weight-concentrated",
        Severity.warning,
        ROUTE,
        "Of three destinations or more with weight, one has over 80% of it. Not where a canary controller sets the "
        "weights.",
        "Set weights as the destinations' capacities are; was a digit mistyped?",
        _SPLITS.concentrated,
    ),
    Rule(
        "istio-owned-by-canary",
        Severity.info,
        ROUTE,
        "A canary controller sets the weights: uneven ones are its work, and Evenload never writes them.",
        "Nothing to do.",
        _canary,
    ),
    Rule(
        "istio-one-subset",
        Severity.info,
        ROUTE,
        "All traffic goes to one subset of a host that has several.",
        "If that is not meant, split over the subsets by weight.",
        _one_subset,
        needs=RULE,
    ),
    Rule(
        "istio-subset-unknown",
        Severity.error,
        ROUTE,
        "A destination names a subset that no DestinationRule of its host has: its share gets 503.",
        "Add the subset to the DestinationRule, or correct its name.",
        _unknown_subset,
        needs=RULE,
    ),
    Rule(
        "istio-host-missing",
        Severity.error,
        ROUTE,
        "A destination names a Service that does not exist. A short host is looked for in the VirtualService's own "
        "namespace.",
        "Correct the host, or write it in full: name.namespace.svc.cluster.local.",
        _missing,
        needs=("Service",),
    ),
    Rule(
        "istio-rule-unreachable",
        Severity.warning,
        ROUTE,
        "An HTTP route without a match stands before others, which get no request.",
        "Move it to the end.",
        _unreachable,
    ),
    Rule(
        "istio-fault-injection",
        Severity.warning,
        ROUTE,
        "Requests are delayed or failed on purpose.",
        "Remove fault when the experiment is over.",
        _fault,
    ),
    Rule(
        "istio-consistent-hash",
        Severity.warning,
        RULE,
        "A hash decides which pod a request gets: few busy keys load one pod.",
        "Use loadBalancer.simple: LEAST_REQUEST, or hash by something that is spread well.",
        _hash,
    ),
    Rule(
        "istio-passthrough",
        Severity.warning,
        RULE,
        "loadBalancer.simple: PASSTHROUGH does no balancing at all.",
        "Use LEAST_REQUEST or ROUND_ROBIN.",
        _passthrough,
    ),
    Rule(
        "istio-distribute-sum",
        Severity.error,
        RULE,
        "Weights of localityLbSetting.distribute must come to 100 for each origin.",
        "Correct the weights.",
        _sum,
    ),
    Rule(
        "istio-distribute-omits-zone",
        Severity.warning,
        RULE,
        "localityLbSetting.distribute does not name a zone that has ready pods: they get nothing from there.",
        "Name every zone, or use region/*.",
        _omitted,
        needs=("Service", "EndpointSlice"),
    ),
    Rule(
        "istio-failover-without-outlier-detection",
        Severity.warning,
        RULE,
        "Failover between localities is set without outlierDetection, without which Istio does not fail over.",
        "Add outlierDetection to the same policy.",
        _no_outliers,
    ),
    Rule(
        "istio-ejects-all",
        Severity.warning,
        RULE,
        "Outlier detection may eject every pod at once, for instance when a database that all need is down.",
        "Set maxEjectionPercent to 50 or less, or minHealthPercent.",
        _ejects_all,
    ),
    Rule(
        "istio-subset-empty",
        Severity.error,
        RULE,
        "A subset selects none of the host's pods: what is routed to it gets 503.",
        "Correct its labels, or remove it.",
        _empty_subset,
        needs=("Service", "Pod"),
    ),
    Rule(
        "istio-subset-of-one-pod",
        Severity.info,
        RULE,
        "A subset selects one pod of several: its share of the traffic is that of a single pod.",
        "Weigh it accordingly, or select by a label that more pods have.",
        _one_pod,
        needs=("Service", "Pod"),
    ),
)
