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

from collections.abc import Mapping
from typing import Any

import msgspec

from evenload.drivers.base import (
    GATEWAY,
    BalancerView,
    Beside,
    Handle,
    JsonPatchOp,
    Manifest,
    Place,
    Problem,
    RouteProblem,
    RulePlace,
    Split,
    Tried,
    patch_of,
)
from evenload.drivers.metadata import Metadata, PartialObject, read_as, view_of
from evenload.drivers.traefik import LIMITS, Service, operations, weights_at, weights_of
from evenload.kube.resources import TRAEFIKSERVICES, Resource
from evenload.model.spec import TargetRef

STICKY = (
    "clients with Traefik's sticky cookie stay with their server while it has weight: only new ones follow the weights"
)


_SPLIT = Split(references=("spec", "weighted", "services"))
_RULES = (RulePlace(index=0),)


class _Weighted(PartialObject):
    services: list[Service] = msgspec.field(default_factory=list)
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
    limits = LIMITS
    handles = (Handle.Weights, Handle.Isolate, Handle.Restart)
    split = _SPLIT
    about = "TraefikServices with spec.weighted."
    tried = Tried.Proxy
    to_install = "Traefik's CRDs (traefik.io/v1alpha1)"

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route)
        namespace = parsed.metadata.namespace
        weights = weights_of(_of(parsed), namespace, _split(parsed, target))
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
        return weights_at(_SPLIT, route, _RULES)

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Raises RouteProblem."""
        view = self.backends(route, target)
        return patch_of(view, weights, self.limits, operations(_SPLIT, route, _RULES, weights))


def _parse(manifest: Manifest) -> _TraefikService:
    return read_as(_TraefikService, manifest, "a TraefikService")


def _split(parsed: _TraefikService, target: TargetRef) -> list[Service]:
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
    if not any(each.is_service for each in services):
        raise RouteProblem(
            Problem.NothingToBalance, f"{_of(parsed)} leads to no Service; add one to spec.weighted.services"
        )
    return services


def _of(parsed: _TraefikService) -> str:
    return f"TraefikService {parsed.metadata.namespace}/{parsed.metadata.name}"
