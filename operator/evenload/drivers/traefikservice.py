"""TraefikService of Traefik: the weights of `spec.weighted.services`, changed by JSON Patch.

What stands below `spec` is atomic (the CRD declares no list types), so each write first tests resourceVersion and every
whole service at its index, as for routes (gateway.py). The object has no status: nobody says whether Traefik took it.

What it refuses, and why:
- mirroring, failover and highestRandomWeight: they are no split by weights;
- another TraefikService with weight: its pods are not its own, and our writes would change its share. With weight 0 it
  is left as it is;
- one Service twice: both weights lead to the same pods;
- a Service of another namespace: no ReferenceGrant speaks for Traefik's kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from evenload.drivers.base import (
    GATEWAY,
    BalancerView,
    Beside,
    Handle,
    JsonPatchOp,
    Limits,
    Manifest,
    Place,
    Problem,
    RouteProblem,
    RulePlace,
    Split,
    as_shares,
    patch_of,
    references,
    set_weight,
)
from evenload.drivers.metadata import Metadata, PartialObject, Reference, view_of
from evenload.kube.resources import DNS_LABEL, TRAEFIKSERVICES, Resource
from evenload.model.spec import TargetRef

STICKY = (
    "clients with Traefik's sticky cookie stay with their server while it has weight: only new ones follow the weights"
)


_SPLIT = Split(references=("spec", "weighted", "services"))
_RULES = (RulePlace(index=0),)


class _Service(Reference):
    kind: str = "Service"


class _Weighted(PartialObject):
    services: list[_Service] = msgspec.field(default_factory=list)
    sticky: dict[str, Any] | None = None


class _Spec(PartialObject):
    weighted: _Weighted | None = None
    mirroring: dict[str, Any] | None = None
    failover: dict[str, Any] | None = None
    highest_random_weight: dict[str, Any] | None = None


class _TraefikService(PartialObject):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class TraefikServiceDriver:
    """Driver of `traefik.io/v1alpha1` TraefikService (see the module)."""

    kind = TRAEFIKSERVICES.kind
    resource = TRAEFIKSERVICES
    beside: tuple[Resource, ...] = ()
    grants: tuple[Resource, ...] = ()
    plane = GATEWAY
    limits = Limits(largest_weight=1_000_000)  # Traefik names none: as large as a Balancer may ask for
    handles = (Handle.Weights, Handle.Isolate, Handle.Restart)
    split = _SPLIT
    about = "TraefikServices with spec.weighted."
    to_install = "Traefik's CRDs (traefik.io/v1alpha1)"

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route)
        weights = _weights(parsed, _split(parsed, target))
        namespace = parsed.metadata.namespace
        return view_of(
            self.kind,
            parsed.metadata,
            "weighted",
            weights=weights,
            services={name: Place(namespace=namespace, name=name) for name in weights},
            rules=_RULES,
            notes=(STICKY,) if parsed.spec.weighted and parsed.spec.weighted.sticky else (),
        )

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """As it is: a Service leads to its pods by itself."""
        return view

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """Raises RouteProblem."""
        self.backends(route, target)
        return tuple(f"{path}/weight" for path, _, _ in _references(route))

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Raises RouteProblem."""
        return patch_of(self.backends(route, target), weights, self.limits, _operations(route, weights))


def _parse(manifest: Manifest) -> _TraefikService:
    try:
        return msgspec.convert(manifest, _TraefikService)
    except msgspec.ValidationError as error:
        raise RouteProblem(
            Problem.Unreadable, f"this is not a TraefikService as its API describes it: {error}"
        ) from error


def _split(parsed: _TraefikService, target: TargetRef) -> list[_Service]:
    """The services that share the traffic by weight."""
    if target.rule_name is not None:
        raise RouteProblem(Problem.RuleNotFound, "spec.targetRef.ruleName: a TraefikService has no rules; leave it out")
    spec = parsed.spec
    others = {"mirroring": spec.mirroring, "failover": spec.failover, "highestRandomWeight": spec.highest_random_weight}
    if found := [name for name, value in others.items() if value is not None]:
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"{_of(parsed)} has spec.{found[0]}, which does not split by weights; use one with spec.weighted alone",
        )
    services = spec.weighted.services if spec.weighted else []
    if not any(each.kind == "Service" for each in services):
        raise RouteProblem(
            Problem.NothingToBalance, f"{_of(parsed)} leads to no Service; add one to spec.weighted.services"
        )
    return services


def _weights(parsed: _TraefikService, services: list[_Service]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for each in services:
        if each.kind != "Service":
            if each.effective_weight:
                raise RouteProblem(
                    Problem.BackendUnsupported,
                    f"{_of(parsed)} gives {each.kind} {each.name} a share, which is no Service; set its weight to 0 or "
                    "balance over Services alone",
                )
            continue
        _check(parsed, each)
        if each.name in weights:
            raise RouteProblem(
                Problem.BackendRepeated, f"{_of(parsed)} names Service {each.name} twice; name each Service once"
            )
        weights[each.name] = each.effective_weight
    return as_shares(weights)


def _check(parsed: _TraefikService, service: _Service) -> None:
    if not DNS_LABEL.fullmatch(service.name):
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"{_of(parsed)}: services[].name {service.name!r} is no name that a Service can have; correct it",
        )
    if service.namespace not in (None, "", parsed.metadata.namespace):
        raise RouteProblem(
            Problem.ForeignBackend,
            f"{_of(parsed)} names Service {service.namespace}/{service.name}, which is in another namespace; move it "
            "into the Balancer's own namespace",
        )


def _operations(manifest: Manifest, weights: Mapping[str, int]) -> Iterator[JsonPatchOp]:
    for path, service, parsed in _references(manifest):
        yield from set_weight(path, service, parsed.effective_weight, weights[parsed.name])


def _references(manifest: Manifest) -> Iterator[tuple[str, Manifest, _Service]]:
    """Each Service with a weight of ours: where it stands, as it stands there, and as it is read."""
    for place, service in references(_SPLIT, manifest, _RULES):
        parsed = msgspec.convert(service, _Service)
        if parsed.kind == "Service":
            yield place, service, parsed


def _of(parsed: _TraefikService) -> str:
    return f"TraefikService {parsed.metadata.namespace}/{parsed.metadata.name}"
