"""Gateway API: routes, what they lead to, what the gateways say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evenload.audit.endpoints import ready_endpoints
from evenload.audit.field import Field
from evenload.audit.finding import Check, Hit, Rule, Severity
from evenload.audit.split import Share, Splits, owner_of, split_of
from evenload.audit.status import current, holds, reason_of, stale
from evenload.audit.world import Object, World

ROUTES = ("HTTPRoute", "GRPCRoute")
_ANSWERS = frozenset({"RequestRedirect", "ExtensionRef", "DirectResponse"})  # filters that may answer by themselves
_DURATION = re.compile(r"(\d{1,5})(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _rules(route: Object) -> Iterator[Field]:
    return route.spec["rules"].each()


def _refs(rule: Field) -> Iterator[Field]:
    """All that a rule sends to, mirrors included."""
    yield from rule["backendRefs"].each()
    for each in rule["filters"].each():
        if (mirror := each["requestMirror"]["backendRef"]).given:
            yield mirror


def _services(route: Object) -> Iterator[tuple[Field, str, str]]:
    """References to Services, with namespace and name."""
    for rule in _rules(route):
        for ref in _refs(rule):
            if ref["group"].text == "" and ref["kind"].text in ("", "Service") and ref["name"].text:
                yield ref, ref["namespace"].text or route.namespace, ref["name"].text


def _split(refs: Field) -> list[Share] | None:
    return split_of(
        Share(ref["name"].text or "?", ref["weight"].number if ref["weight"].given else 1, ref) for ref in refs.each()
    )


def _owner(route: Object, world: World) -> str | None:
    return owner_of(world, route, "rules")


_SPLITS = Splits(lambda route: (rule["backendRefs"] for rule in _rules(route)), _split, _owner)


def _canary(route: Object, world: World) -> Iterator[Hit]:
    if owner := _owner(route, world):
        yield Hit(route.spec["rules"], f"{owner} sets the weights of this route")


def _no_backend(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        answered = any(each["type"].text in _ANSWERS for each in rule["filters"].each())
        if isinstance(rule.value, dict) and not rule["backendRefs"].value and not answered:
            yield Hit(rule, "it names no backend, and has no filter that answers by itself")


def _twice(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        seen: set[tuple[str, ...]] = set()
        for ref in rule["backendRefs"].each():
            kind = ref["kind"].text or "Service"
            key = (ref["group"].text, kind, ref["namespace"].text or route.namespace, ref["name"].text)
            if key in seen and key[3]:
                yield Hit(ref, f"{kind} {key[2]}/{key[3]} stands in this rule before")
            seen.add(key)


def _missing(route: Object, world: World) -> Iterator[Hit]:
    for ref, namespace, name in _services(route):
        if world.lacks("Service", namespace, name):
            yield Hit(ref["name"], f"there is no Service {namespace}/{name}")


def _no_port(route: Object, world: World) -> Iterator[Hit]:
    for ref, namespace, name in _services(route):
        if not ref["port"].given:
            yield Hit(ref, f"the reference to Service {namespace}/{name} has no port")


def _wrong_port(route: Object, world: World) -> Iterator[Hit]:
    for ref, namespace, name in _services(route):
        service, port = world.get("Service", namespace, name), ref["port"].number
        if service is None or port is None:
            continue
        ports = [each["port"].number for each in service.spec["ports"].each()]
        if port not in ports:
            has = ", ".join(str(each) for each in ports) or "none"
            yield Hit(ref["port"], f"Service {namespace}/{name} has no port {port}; its ports: {has}")


def _empty_service(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        for ref in rule["backendRefs"].each():
            namespace, name = ref["namespace"].text or route.namespace, ref["name"].text
            service = world.get("Service", namespace, name)
            if service is None or ref["kind"].text not in ("", "Service") or ref["weight"].value == 0:
                continue
            known = world.complete("EndpointSlice", namespace) and service.spec["type"].text != "ExternalName"
            if known and not ready_endpoints(world, service):
                yield Hit(ref, f"Service {namespace}/{name} has no ready endpoint, and gets a share of the requests")


def _not_granted(route: Object, world: World) -> Iterator[Hit]:
    for ref, namespace, name in _services(route):
        if namespace == route.namespace or not world.complete("ReferenceGrant", namespace):
            continue
        if not world.grants(namespace, name, route):
            yield Hit(ref, f"no ReferenceGrant in namespace {namespace} lets this route use Service {name}")


def _parent_missing(route: Object, world: World) -> Iterator[Hit]:
    for ref, gateway in _parents(route):
        if world.lacks("Gateway", *gateway):
            yield Hit(ref["name"], f"there is no Gateway {gateway[0]}/{gateway[1]}")


def _listener_missing(route: Object, world: World) -> Iterator[Hit]:
    for ref, key in _parents(route):
        gateway, section = world.get("Gateway", *key), ref["sectionName"].text
        if gateway is None or not section:
            continue
        names = [each["name"].text for each in gateway.spec["listeners"].each()]
        if section not in names:
            has = ", ".join(names) or "none"
            yield Hit(ref["sectionName"], f"Gateway {key[0]}/{key[1]} has no listener {section}; its listeners: {has}")


def _parents(route: Object) -> Iterator[tuple[Field, tuple[str, str]]]:
    for ref in route.spec["parentRefs"].each():
        group, kind = ref["group"].text or "gateway.networking.k8s.io", ref["kind"].text or "Gateway"
        if (group, kind) == ("gateway.networking.k8s.io", "Gateway") and ref["name"].text:
            yield ref, (ref["namespace"].text or route.namespace, ref["name"].text)


def _parents_say(type_: str, status: str) -> Check:
    """What the gateways say of the route as it is now."""

    def check(route: Object, world: World) -> Iterator[Hit]:
        for parent in route.root["status"]["parents"].each():
            for condition in current(route, parent):
                if holds(condition, type_, status):
                    gateway = parent["parentRef"]["name"].text or "unnamed"
                    yield Hit(condition, f"Gateway {gateway} says {type_}={status}, {reason_of(condition)}")

    return check


def _route_stale(route: Object, world: World) -> Iterator[Hit]:
    for parent in route.root["status"]["parents"].each():
        yield from stale(route, parent)


def _no_parent(route: Object, world: World) -> Iterator[Hit]:
    wanted, taken = route.spec["parentRefs"], route.root["status"]["parents"]
    if route.applied and wanted.value and not taken.value:
        yield Hit(wanted, "no gateway has said anything of this route")


# Which rule a request meets.


def _matches(rule: Field) -> list[Field]:
    """Those of the rule; the rule itself stands for the match of everything that is meant where there are none."""
    return list(rule["matches"].each()) or [Field({}, rule, "matches")]


def _place(match: Field) -> tuple[str, ...]:
    """Path (or the method of GRPC) and method: what headers and parameters only narrow."""
    path, method = match["path"], match["method"]
    grpc = [method[key].text for key in ("type", "service", "method")]
    return (path["type"].text or "PathPrefix", path["value"].text or "/", method.text, *grpc)


def _narrowing(match: Field) -> frozenset[tuple[str, str, str, str]]:
    """Conditions on headers and query parameters."""
    return frozenset(
        (kind, each["name"].text.lower(), each["type"].text or "Exact", each["value"].text)
        for kind in ("headers", "queryParams")
        for each in match[kind].each()
    )


def _unreachable(route: Object, world: World) -> Iterator[Hit]:
    seen: set[tuple[tuple[str, ...], frozenset[tuple[str, str, str, str]]]] = set()
    for rule in _rules(route):
        keys = {(_place(match), _narrowing(match)) for match in _matches(rule)}
        if keys <= seen:
            yield Hit(rule, "rules before it have the same matches, so it gets no request")
        seen |= keys


def _shadowed(route: Object, world: World) -> Iterator[Hit]:
    splits: dict[tuple[str, ...], set[str]] = {}
    for rule in _rules(route):
        names = _bearing(rule)
        if len(names) > 1:
            splits |= {_place(match): names for match in _matches(rule) if not _narrowing(match)}
    for rule in _rules(route) if splits else ():
        names = _bearing(rule)
        for match in _matches(rule):
            narrow, split_ = _narrowing(match), splits.get(_place(match), set())
            if narrow and len(names) == 1 and names <= split_:
                by = ", ".join(sorted(f"{kind[:-1]} {name}" for kind, name, _, _ in narrow))
                yield Hit(
                    match, f"requests with {by} go to {next(iter(names))} alone, past the split over {len(split_)}"
                )


def _bearing(rule: Field) -> set[str]:
    return {share.name for share in _split(rule["backendRefs"]) or () if share.weight}


def _persistence(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        if isinstance(rule["sessionPersistence"].value, dict):
            kind = rule["sessionPersistence"]["type"].text or "Cookie"
            yield Hit(rule["sessionPersistence"], f"sessions stay with one pod, by {kind.lower()}")


def _policy_persistence(policy: Object, world: World) -> Iterator[Hit]:
    field = policy.spec["sessionPersistence"]
    if isinstance(field.value, dict):
        yield Hit(field, f"sessions stay with one pod, by {(field['type'].text or 'Cookie').lower()}")


def _timeouts(route: Object, world: World) -> Iterator[Hit]:
    for rule in _rules(route):
        whole, each = rule["timeouts"]["request"], rule["timeouts"]["backendRequest"]
        if 0 < _seconds(whole.text) < _seconds(each.text):
            yield Hit(each, f"backendRequest {each.text} is longer than request {whole.text}")


def _seconds(text: str) -> float:
    """A duration as GEP-2257 has it; 0 where it is none (and where it says that there is no limit)."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


# Gateways.


def _gateway_says(type_: str, status: str) -> Check:
    def check(gateway: Object, world: World) -> Iterator[Hit]:
        for condition in current(gateway, gateway.root["status"]):
            if holds(condition, type_, status):
                yield Hit(condition, f"{type_}={status}, {reason_of(condition)}")

    return check


def _listener_says(type_: str, status: str) -> Check:
    def check(gateway: Object, world: World) -> Iterator[Hit]:
        for listener in gateway.root["status"]["listeners"].each():
            for condition in current(gateway, listener):
                if holds(condition, type_, status):
                    name = listener["name"].text
                    yield Hit(condition, f"listener {name} says {type_}={status}, {reason_of(condition)}")

    return check


def _gateway_stale(gateway: Object, world: World) -> Iterator[Hit]:
    yield from stale(gateway, gateway.root["status"])


def _unused_listener(gateway: Object, world: World) -> Iterator[Hit]:
    for listener in gateway.root["status"]["listeners"].each():
        if listener["attachedRoutes"].number == 0:
            yield Hit(listener["attachedRoutes"], f"no route is attached to listener {listener['name'].text}")


def _same_listener(gateway: Object, world: World) -> Iterator[Hit]:
    seen: dict[tuple[int | None, str, str], str] = {}
    for listener in gateway.spec["listeners"].each():
        key = (listener["port"].number, listener["protocol"].text, listener["hostname"].text)
        if key in seen and key[0] is not None:
            host = key[2] or "every host"
            yield Hit(listener, f"listener {seen[key]} has port {key[0]}, protocol {key[1]} and {host}, too")
        seen.setdefault(key, listener["name"].text)


RULES = (
    Rule(
        "route-no-weight",
        Severity.error,
        ROUTES,
        "Every backend of a rule has weight 0: each of its requests fails.",
        "Give at least one backend a weight above 0.",
        _SPLITS.all_zero,
    ),
    Rule(
        "route-no-backend",
        Severity.error,
        ROUTES,
        "A rule has neither a backend nor a filter that answers by itself: the gateway answers with an error.",
        "Add backendRefs, or a RequestRedirect filter.",
        _no_backend,
    ),
    Rule(
        "route-all-weight-on-one",
        Severity.warning,
        ROUTES,
        "A rule names several backends, and one has all of the weight. Not where a canary controller sets the weights.",
        "Give the others weight, or remove them from the rule.",
        _SPLITS.all_on_one,
    ),
    Rule(
        "route-weight-concentrated",
        Severity.warning,
        ROUTES,
        "Of three backends or more with weight, one has over 80% of it. Not where a canary controller sets them.",
        "Set weights as the backends' capacities are; was a digit mistyped?",
        _SPLITS.concentrated,
    ),
    Rule(
        "route-backend-twice",
        Severity.warning,
        ROUTES,
        "A rule names one backend twice: both weights lead to the same pods, and neither says what they get.",
        "Name each backend once, with the sum of the weights.",
        _twice,
    ),
    Rule(
        "route-backend-missing",
        Severity.error,
        ROUTES,
        "A rule names a Service that does not exist: its share of the requests gets 500.",
        "Correct the name or the namespace, or remove the reference.",
        _missing,
        needs=("Service",),
    ),
    Rule(
        "route-backend-without-port",
        Severity.error,
        ROUTES,
        "A reference to a Service has no port, which it must have.",
        "Set the port of the Service that is meant.",
        _no_port,
    ),
    Rule(
        "route-backend-port-missing",
        Severity.error,
        ROUTES,
        "A rule names a port that the Service does not have (its port, not its targetPort).",
        "Use one of the Service's spec.ports[].port.",
        _wrong_port,
        needs=("Service",),
    ),
    Rule(
        "route-weight-on-empty-service",
        Severity.error,
        ROUTES,
        "A Service without a ready endpoint gets weight: most gateways answer its share with 503.",
        "Bring its pods back, or set its weight to 0.",
        _empty_service,
        needs=("Service", "EndpointSlice"),
    ),
    Rule(
        "route-backend-not-granted",
        Severity.error,
        ROUTES,
        "A rule names a Service of another namespace, and no ReferenceGrant there allows it.",
        "Create a ReferenceGrant in the Service's namespace, from this kind and namespace to Service.",
        _not_granted,
        needs=("ReferenceGrant",),
    ),
    Rule(
        "route-gateway-missing",
        Severity.error,
        ROUTES,
        "A route names a Gateway that does not exist.",
        "Correct spec.parentRefs, or create the Gateway.",
        _parent_missing,
        needs=("Gateway",),
    ),
    Rule(
        "route-listener-missing",
        Severity.error,
        ROUTES,
        "A route names a listener that its Gateway does not have.",
        "Use the name of a listener in sectionName, or leave it out.",
        _listener_missing,
        needs=("Gateway",),
    ),
    Rule(
        "route-not-accepted",
        Severity.error,
        ROUTES,
        "A gateway does not accept the route (condition Accepted).",
        "Do as the condition's message says.",
        _parents_say("Accepted", "False"),
    ),
    Rule(
        "route-refs-not-resolved",
        Severity.error,
        ROUTES,
        "A gateway cannot resolve all references of the route (condition ResolvedRefs): their share gets 500.",
        "Correct the reference that the condition's message names.",
        _parents_say("ResolvedRefs", "False"),
    ),
    Rule(
        "route-partially-invalid",
        Severity.error,
        ROUTES,
        "A gateway left out rules of the route, or serves older ones (condition PartiallyInvalid).",
        "Correct the rule that the condition's message names.",
        _parents_say("PartiallyInvalid", "True"),
    ),
    Rule(
        "route-status-stale",
        Severity.warning,
        ROUTES,
        "A gateway's status is of an older generation of the route: what it serves may be older, too.",
        "Wait a moment; if it stays so, look whether the gateway's controller runs.",
        _route_stale,
        passing=True,
    ),
    Rule(
        "route-not-attached",
        Severity.warning,
        ROUTES,
        "The route is applied, and no gateway has said anything of it.",
        "Look whether spec.parentRefs names the gateway that is meant, and whether its controller runs.",
        _no_parent,
        passing=True,
    ),
    Rule(
        "route-rule-unreachable",
        Severity.warning,
        ROUTES,
        "The same matches stand in rules before it: the first one gets all requests.",
        "Remove the rule, or change its matches.",
        _unreachable,
    ),
    Rule(
        "route-match-past-split",
        Severity.info,
        ROUTES,
        "A rule with narrower matches (headers, query parameters) sends to one backend of a split: its requests do not "
        "follow the weights.",
        "If uneven load is not meant, remove the narrower rule; else count its requests apart.",
        _shadowed,
    ),
    Rule(
        "route-session-persistence",
        Severity.warning,
        ROUTES,
        "Sessions stay with one pod: only new ones follow weights, and busy sessions pile up.",
        "Remove sessionPersistence, or give it a short absoluteTimeout.",
        _persistence,
    ),
    Rule(
        "route-timeouts-contradict",
        Severity.error,
        ROUTES,
        "timeouts.backendRequest is longer than timeouts.request, which the API refuses.",
        "Make backendRequest no longer than request.",
        _timeouts,
    ),
    Rule(
        "route-owned-by-canary",
        Severity.info,
        ROUTES,
        "A canary controller (Flagger, Argo Rollouts, OpenKruise) sets the weights: uneven ones are its work, and "
        "Evenload never writes them.",
        "Nothing to do.",
        _canary,
    ),
    Rule(
        "backend-policy-session-persistence",
        Severity.warning,
        ("XBackendTrafficPolicy",),
        "Sessions stay with one pod of the Services this policy is about: only new ones follow weights.",
        "Remove sessionPersistence, or give it a short absoluteTimeout.",
        _policy_persistence,
    ),
    Rule(
        "gateway-not-accepted",
        Severity.error,
        ("Gateway",),
        "The controller does not accept the Gateway (condition Accepted).",
        "Do as the condition's message says.",
        _gateway_says("Accepted", "False"),
    ),
    Rule(
        "gateway-not-programmed",
        Severity.error,
        ("Gateway",),
        "The Gateway as it is now is not served (condition Programmed).",
        "Do as the condition's message says; AddressNotAssigned: is there a load balancer for its Service?",
        _gateway_says("Programmed", "False"),
    ),
    Rule(
        "gateway-status-stale",
        Severity.warning,
        ("Gateway",),
        "The status is of an older generation of the Gateway.",
        "Wait a moment; if it stays so, look whether the gateway's controller runs.",
        _gateway_stale,
        passing=True,
    ),
    Rule(
        "gateway-listener-conflict",
        Severity.error,
        ("Gateway",),
        "Listeners exclude each other (condition Conflicted): one of them is not served.",
        "Give them different ports or host names.",
        _listener_says("Conflicted", "True"),
    ),
    Rule(
        "gateway-listener-refs-not-resolved",
        Severity.error,
        ("Gateway",),
        "A listener names something that cannot be used, such as a certificate (condition ResolvedRefs).",
        "Correct the reference that the condition's message names.",
        _listener_says("ResolvedRefs", "False"),
    ),
    Rule(
        "gateway-listener-repeated",
        Severity.error,
        ("Gateway",),
        "Two listeners have the same port, protocol and host name, which the API refuses.",
        "Change or remove one of them.",
        _same_listener,
    ),
    Rule(
        "gateway-listener-unused",
        Severity.info,
        ("Gateway",),
        "No route is attached to a listener.",
        "If routes should be, look at allowedRoutes and the routes' parentRefs; else remove the listener.",
        _unused_listener,
    ),
)
