"""Traefik's own kinds, and its annotations on Services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.split import Share, Splits, owner_of, split_of
from evenload.audit.world import Object, World

KINDS: Final = ("TraefikService", "IngressRoute")
ANNOTATION: Final = "traefik.ingress.kubernetes.io/service."
_CROSS_PROVIDER: Final = "@"  # "shop@file": of another provider, and no object of Kubernetes


def _splits(object_: Object) -> Iterator[Field]:
    """The lists of services that share traffic."""
    yield object_.spec["weighted"]["services"]
    yield object_.spec["highestRandomWeight"]["services"]
    for route in object_.spec["routes"].each():
        yield route["services"]


def _weighed(object_: Object) -> Iterator[Field]:
    """Those of them whose weights count: a route with a single service leads to it, whatever its weight."""
    for services in _splits(object_):
        if object_.kind != "IngressRoute" or len(list(services.each())) > 1:
            yield services


def _services(object_: Object) -> Iterator[Field]:
    """All services that are named, with their settings."""
    for services in _splits(object_):
        yield from services.each()
    mirroring, failover = object_.spec["mirroring"], object_.spec["failover"]
    if mirroring.given:
        yield mirroring
    yield from mirroring["mirrors"].each()
    yield from (each for each in (failover["service"], failover["fallback"]) if each.given)


def _shares(services: Field) -> list[Share] | None:
    return split_of(
        Share(each["name"].text or "?", each["weight"].number if each["weight"].given else 1, each)
        for each in services.each()
    )


def _owner(object_: Object, world: World) -> str | None:
    return owner_of(world, object_, "weighted" if object_.kind == "TraefikService" else "routes")


_SPLITS = Splits(_weighed, _shares, _owner)


def _canary(object_: Object, world: World) -> Iterator[Hit]:
    if owner := _owner(object_, world):
        yield Hit(object_.spec, f"{owner} sets its weights")


def _sticky(object_: Object, world: World) -> Iterator[Hit]:
    for each in (object_.spec["weighted"], *_services(object_)):
        if isinstance(each["sticky"].value, dict):
            yield Hit(each["sticky"], "clients with Traefik's cookie stay with their server")


def _hashed(object_: Object, world: World) -> Iterator[Hit]:
    if isinstance(object_.spec["highestRandomWeight"].value, dict):
        yield Hit(object_.spec["highestRandomWeight"], "a client's address decides which service it gets")
    for each in _services(object_):
        if each["strategy"].text == "hrw":
            yield Hit(each["strategy"], "a client's address decides which pod it gets (strategy: hrw)")


def _native(object_: Object, world: World) -> Iterator[Hit]:
    for each in _services(object_):
        if each["nativeLB"].true:
            yield Hit(each["nativeLB"], f"Traefik sends to the address of {each['name'].text}, and not to its pods")


def _missing(object_: Object, world: World) -> Iterator[Hit]:
    for each in _services(object_):
        kind, name = each["kind"].text or "Service", each["name"].text
        namespace = each["namespace"].text or object_.namespace
        if name and _CROSS_PROVIDER not in name and world.lacks(kind, namespace, name):
            yield Hit(each["name"], f"there is no {kind} {namespace}/{name}")


def _wrong_port(object_: Object, world: World) -> Iterator[Hit]:
    for each in _services(object_):
        namespace, port = each["namespace"].text or object_.namespace, each["port"].number or each["port"].text
        service = world.get("Service", namespace, each["name"].text)
        if service is None or each["kind"].text not in ("", "Service") or not port:
            continue
        ports = list(service.spec["ports"].each())
        known = [str(each["port"].number) for each in ports] + [each["name"].text for each in ports]
        if str(port) not in known:
            has = ", ".join(filter(None, known)) or "none"
            yield Hit(each["port"], f"Service {namespace}/{service.name} has no port {port}; it has {has}")


def _sticky_annotation(service: Object, world: World) -> Iterator[Hit]:
    field = service.annotations[f"{ANNOTATION}sticky.cookie"]
    if field.text == "true":
        yield Hit(field, "clients with Traefik's cookie stay with their pod")


def _native_annotation(service: Object, world: World) -> Iterator[Hit]:
    field = service.annotations[f"{ANNOTATION}nativelb"]
    if field.text == "true":
        yield Hit(field, "Traefik sends to the Service's address, and not to its pods")


RULES = (
    Rule(
        "traefik-no-weight",
        Severity.error,
        KINDS,
        "Every service of a split has weight 0: each request fails.",
        "Give at least one service a weight above 0.",
        _SPLITS.all_zero,
    ),
    Rule(
        "traefik-all-weight-on-one",
        Severity.warning,
        KINDS,
        "A split names several services, and one has all of the weight. Not where a canary controller sets them.",
        "Give the others weight, or remove them.",
        _SPLITS.all_on_one,
    ),
    Rule(
        "traefik-weight-concentrated",
        Severity.warning,
        KINDS,
        "Of three services or more with weight, one has over 80% of it. Not where a canary controller sets them.",
        "Set weights as the services' capacities are; was a digit mistyped?",
        _SPLITS.concentrated,
    ),
    Rule(
        "traefik-owned-by-canary",
        Severity.info,
        KINDS,
        "A canary controller sets the weights: uneven ones are its work, and Evenload never writes them.",
        "Nothing to do.",
        _canary,
    ),
    Rule(
        "traefik-sticky",
        Severity.warning,
        KINDS,
        "Clients with a cookie stay with their server: only new ones follow the weights.",
        "Remove sticky, or give the cookie a short maxAge.",
        _sticky,
    ),
    Rule(
        "traefik-hash",
        Severity.warning,
        KINDS,
        "The client's address decides who serves it (highestRandomWeight, strategy hrw): few busy clients, or many "
        "behind one address, load one server.",
        "Use weighted, and the strategy wrr, p2c or leasttime.",
        _hashed,
    ),
    Rule(
        "traefik-native-lb",
        Severity.warning,
        KINDS,
        "Traefik sends to the Service's address (nativeLB): connections are spread, not requests, and neither a "
        "strategy nor sticky works by pod.",
        "Remove nativeLB.",
        _native,
    ),
    Rule(
        "traefik-service-missing",
        Severity.error,
        KINDS,
        "A Service or TraefikService that is named does not exist.",
        "Correct the name or the namespace, or remove it.",
        _missing,
        needs=("Service", "TraefikService"),
    ),
    Rule(
        "traefik-port-missing",
        Severity.error,
        KINDS,
        "The Service does not have the port that is named.",
        "Use one of the Service's ports, by number or name.",
        _wrong_port,
        needs=("Service",),
    ),
    Rule(
        "service-traefik-sticky",
        Severity.warning,
        ("Service",),
        "An annotation makes Traefik keep clients with their pod.",
        "Remove the annotation, or give the cookie a short maxage.",
        _sticky_annotation,
    ),
    Rule(
        "service-traefik-native-lb",
        Severity.warning,
        ("Service",),
        "An annotation makes Traefik send to the Service's address: connections are spread, not requests.",
        "Remove the annotation.",
        _native_annotation,
    ),
)
