"""What Traefik's kinds share: lists of services with weights, and what is refused in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from evenload.drivers.base import (
    JsonPatchOp,
    Limits,
    Manifest,
    Problem,
    RouteProblem,
    RulePlace,
    Split,
    as_shares,
    references,
    set_weight,
)
from evenload.drivers.metadata import Reference
from evenload.kube.resources import DNS_LABEL

LIMITS = Limits(largest_weight=1_000_000)  # Traefik names none: as large as a Balancer may ask for


class Service(Reference):
    """One of a list. Another kind than Service is a TraefikService, whose pods are not its own."""

    kind: str = "Service"
    sticky: dict[str, Any] | None = None

    @property
    def is_service(self) -> bool:
        return self.kind == "Service"


def weights_of(of: str, namespace: str, services: Iterable[Service]) -> dict[str, int]:
    """By Service name. `of`: the list, for messages; `namespace`: of its object. Raises RouteProblem."""
    weights: dict[str, int] = {}
    for each in services:
        if not each.is_service:
            if each.effective_weight:
                raise RouteProblem(
                    Problem.BackendUnsupported,
                    f"{of} gives {each.kind} {each.name} a share, which is no Service; set its weight to 0 or "
                    "balance over Services alone",
                )
            continue
        _check(of, namespace, each)
        if each.name in weights:
            raise RouteProblem(Problem.BackendRepeated, f"{of} names Service {each.name} twice; name each Service once")
        weights[each.name] = each.effective_weight
    return as_shares(weights)


def _check(of: str, namespace: str, service: Service) -> None:
    if not DNS_LABEL.fullmatch(service.name):
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"{of}: services[].name {service.name!r} is no name that a Service can have; correct it",
        )
    if service.namespace not in (None, "", namespace):
        raise RouteProblem(
            Problem.ForeignBackend,
            f"{of} names Service {service.namespace}/{service.name}, which is in another namespace; move it "
            "into the Balancer's own namespace",
        )


def weights_at(split: Split, manifest: Manifest, rules: Iterable[RulePlace]) -> tuple[str, ...]:
    """As of a driver."""
    return tuple(f"{path}/weight" for path, _, _ in _weighed(split, manifest, rules))


def operations(
    split: Split, manifest: Manifest, rules: Iterable[RulePlace], weights: Mapping[str, int]
) -> Iterator[JsonPatchOp]:
    """What gives the Services in these rules those weights."""
    for path, service, parsed in _weighed(split, manifest, rules):
        yield from set_weight(path, service, parsed.effective_weight, weights[parsed.name])


def _weighed(split: Split, manifest: Manifest, rules: Iterable[RulePlace]) -> Iterator[tuple[str, Manifest, Service]]:
    """Each Service with a weight of ours: where it stands, as it stands there, and as it is read."""
    for place, service in references(split, manifest, rules):
        parsed = msgspec.convert(service, Service)
        if parsed.is_service:
            yield place, service, parsed
