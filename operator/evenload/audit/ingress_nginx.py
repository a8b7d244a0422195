"""Ingresses, and what ingress-nginx reads from their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import Object, World

KIND: Final = ("Ingress",)
PREFIX: Final = "nginx.ingress.kubernetes.io/"
WEIGHT_TOTAL: Final = 100  # canary-weight-total, where it is not set


def _annotation(ingress: Object, name: str) -> Field:
    return ingress.annotations[PREFIX + name]


def _backends(ingress: Object) -> Iterator[Field]:
    yield ingress.spec["defaultBackend"]["service"]
    for rule in ingress.spec["rules"].each():
        for path in rule["http"]["paths"].each():
            yield path["backend"]["service"]


def _missing(ingress: Object, world: World) -> Iterator[Hit]:
    for each in _backends(ingress):
        if each["name"].text and world.lacks("Service", ingress.namespace, each["name"].text):
            yield Hit(each["name"], f"there is no Service {ingress.namespace}/{each['name'].text}")


def _wrong_port(ingress: Object, world: World) -> Iterator[Hit]:
    for each in _backends(ingress):
        service = world.get("Service", ingress.namespace, each["name"].text)
        number, name = each["port"]["number"], each["port"]["name"]
        if service is None or not (number.given or name.given):
            continue
        ports = list(service.spec["ports"].each())
        field = name if name.given else number
        known = [port["name"].text if name.given else port["port"].number for port in ports]
        if (name.text if name.given else number.number) not in known:
            has = ", ".join(str(port["port"].number) for port in ports) or "none"
            yield Hit(field, f"Service {service.name} has no port {name.text or number.number}; its ports: {has}")


def _affinity(ingress: Object, world: World) -> Iterator[Hit]:
    field = _annotation(ingress, "affinity")
    if field.text == "cookie":
        mode = _annotation(ingress, "affinity-mode").text or "balanced"
        yield Hit(field, f"clients with a cookie stay with their pod (affinity-mode {mode})")


def _hash(ingress: Object, world: World) -> Iterator[Hit]:
    field = _annotation(ingress, "upstream-hash-by")
    if field.text:
        yield Hit(field, f"a hash of {field.text} decides which pod a request gets")


def _service_upstream(ingress: Object, world: World) -> Iterator[Hit]:
    field = _annotation(ingress, "service-upstream")
    if field.text == "true":
        yield Hit(field, "nginx sends to the Service's address, and not to its pods")


def _canary(ingress: Object, world: World) -> Iterator[Hit]:
    field, total = _annotation(ingress, "canary-weight"), _whole(_annotation(ingress, "canary-weight-total").text)
    weight = _whole(field.text)
    if _annotation(ingress, "canary").text == "true" and weight is not None:
        total = total or WEIGHT_TOTAL
        yield Hit(field, f"the canary gets {weight} of {total}, beside an Ingress with the same hosts and paths")


def _canary_takes_all(ingress: Object, world: World) -> Iterator[Hit]:
    field, total = _annotation(ingress, "canary-weight"), _whole(_annotation(ingress, "canary-weight-total").text)
    weight = _whole(field.text)
    if _annotation(ingress, "canary").text == "true" and weight is not None and weight >= (total or WEIGHT_TOTAL):
        yield Hit(field, f"the canary gets {weight} of {total or WEIGHT_TOTAL}, and the main Ingress nothing")


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


RULES = (
    Rule(
        "ingress-backend-missing",
        Severity.error,
        KIND,
        "An Ingress names a Service that does not exist: its requests get 503.",
        "Correct the name, or remove the path.",
        _missing,
        needs=("Service",),
    ),
    Rule(
        "ingress-port-missing",
        Severity.error,
        KIND,
        "An Ingress names a port that the Service does not have.",
        "Use one of the Service's ports, by number or name.",
        _wrong_port,
        needs=("Service",),
    ),
    Rule(
        "ingress-nginx-affinity",
        Severity.warning,
        KIND,
        "ingress-nginx keeps clients with their pod (affinity: cookie): only new ones are shared out; with "
        "affinity-mode persistent, new pods get only new clients.",
        "Remove the annotation, or give the cookie a short session-cookie-max-age.",
        _affinity,
    ),
    Rule(
        "ingress-nginx-hash",
        Severity.warning,
        KIND,
        "ingress-nginx shares out by a hash (upstream-hash-by): few busy keys load one pod.",
        "Remove the annotation, or hash by something that is spread well.",
        _hash,
    ),
    Rule(
        "ingress-nginx-service-upstream",
        Severity.warning,
        KIND,
        "ingress-nginx sends to the Service's address (service-upstream): connections are spread, not requests.",
        "Remove the annotation.",
        _service_upstream,
    ),
    Rule(
        "ingress-nginx-canary-weight",
        Severity.info,
        KIND,
        "A part of the requests goes to another Service by canary-weight.",
        "If load is uneven, set the weight by the canary's share of the pods.",
        _canary,
    ),
    Rule(
        "ingress-nginx-canary-takes-all",
        Severity.warning,
        KIND,
        "The canary gets everything: canary-weight is not below the total.",
        "Lower canary-weight, or make the canary the main Ingress.",
        _canary_takes_all,
    ),
)
