"""IngressRoute of Traefik: the weights of `spec.routes[].services[]`, changed by JSON Patch.

Its routes are called rules here, as those of the other kinds are. Which of them: see rules.py; they have no names.
What stands below `spec` is atomic (the CRD declares no list types), so each write first tests resourceVersion and every
whole service at its index, as for routes (gateway.py). The object has no status: nobody says whether Traefik took it.

Traefik reads the weights of a route with several services as those of a TraefikService; the one of a single service
counts for nothing. A cookie (`services[].sticky`) keeps a client with its pod inside a Service, not with a Service.

What it refuses, and why:
- a route to a TraefikService alone, where no other splits: the weights stand there, and it can be the target itself;
- a TraefikService with weight beside Services: its pods are not its own, and our writes would change its share. With
  weight 0 it is left as it is;
- one Service twice in a route: both weights lead to the same pods;
- a Service of another namespace: no ReferenceGrant speaks for Traefik's kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

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
from evenload.drivers.rules import Rules
from evenload.drivers.traefik import LIMITS, Service, operations, weights_at, weights_of
from evenload.kube.resources import INGRESSROUTES, Resource
from evenload.model.spec import TargetRef

STICKY = "inside a Service, clients with Traefik's sticky cookie stay with their pod: weights only choose the Service"
_SPLIT = Split(rules=("spec", "routes"), references=("services",), named=False, alone=False)
_OTHER_PROVIDER = "@"  # "api@internal": what Traefik has from elsewhere, and no object of Kubernetes


class _Route(PartialObject):
    all: list[Service] = msgspec.field(name="services", default_factory=list)

    @property
    def name(self) -> None:
        return None

    @property
    def services(self) -> list[Service]:
        return [each for each in self.all if each.is_service]


class _Spec(PartialObject):
    routes: list[_Route] = msgspec.field(default_factory=list)


class _IngressRoute(PartialObject):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class IngressRouteDriver:
    """Driver of `traefik.io/v1alpha1` IngressRoute (see the module)."""

    kind = INGRESSROUTES.kind
    resource = INGRESSROUTES
    beside: tuple[Resource, ...] = ()
    grants: tuple[Resource, ...] = ()
    plane = GATEWAY
    limits = LIMITS
    handles = (Handle.Weights, Handle.Isolate, Handle.Restart)
    split = _SPLIT
    about = "IngressRoutes of Traefik, with the services of their routes."
    tried = Tried.Proxy
    to_install = "Traefik's CRDs (traefik.io/v1alpha1)"

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route)
        namespace = parsed.metadata.namespace
        all_rules = _rules(parsed)
        _refuse_elsewhere(parsed, all_rules.of, target)
        rules = all_rules.chosen(target)
        weights = all_rules.common(rules, partial(_weights, parsed))
        sticky = any(each.sticky for _, rule in rules for each in rule.services)
        return view_of(
            self.kind,
            parsed.metadata,
            "routes",
            weights=weights,
            services={name: Place(namespace=namespace, name=name) for name in weights},
            rules=tuple(RulePlace(index=index) for index, _ in rules),
            notes=(STICKY,) if sticky else (),
        )

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """As it is: a Service leads to its pods by itself."""
        return view

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """Raises RouteProblem."""
        return weights_at(_SPLIT, route, self.backends(route, target).rules)

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Raises RouteProblem."""
        view = self.backends(route, target)
        return patch_of(view, weights, self.limits, operations(_SPLIT, route, view.rules, weights))


def _parse(manifest: Manifest) -> _IngressRoute:
    return read_as(_IngressRoute, manifest, "an IngressRoute")


def _rules(parsed: _IngressRoute) -> Rules[_Route]:
    need = "leads to a Service; give one of spec.routes a service that is one"
    return Rules(of=_of(parsed), field="spec.routes", need=need, all=parsed.spec.routes, named=_SPLIT.named)


def _refuse_elsewhere(parsed: _IngressRoute, of: str, target: TargetRef) -> None:
    """Where the weights stand in another object."""
    routes = parsed.spec.routes
    if target.rule_name is not None or any(route.services for route in routes):
        return
    others = (each for route in routes for each in route.all if _OTHER_PROVIDER not in each.name)
    if other := next(others, None):
        place = f"{other.namespace or parsed.metadata.namespace}/{other.name}"
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"{of} leads to {other.kind} {place}, where the weights stand; name that one in spec.targetRef",
        )


def _weights(parsed: _IngressRoute, index: int, rule: _Route) -> dict[str, int]:
    weights = weights_of(f"rule {index} of {_of(parsed)}", parsed.metadata.namespace, rule.all)
    return dict.fromkeys(weights, 1) if len(rule.all) == 1 else weights


def _of(parsed: _IngressRoute) -> str:
    return f"IngressRoute {parsed.metadata.namespace}/{parsed.metadata.name}"
