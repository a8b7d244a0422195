"""A plain Service with its pods: no weights, so nothing is ever written to it; its pods can be restarted.

Who stands behind it is read from its EndpointSlices, as for the Services of routes. A headless Service is taken too:
its clients choose among the same pods by themselves.

What it refuses, and why:
- ExternalName: it is another name for a host, and has no pods.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from evenload.drivers.base import (
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
    Tried,
    patch_of,
)
from evenload.drivers.metadata import Metadata, PartialObject, read_as
from evenload.kube.resources import SERVICES, Resource
from evenload.model.spec import TargetRef


class _Spec(PartialObject):
    type: str = "ClusterIP"
    external_name: str = ""


class _Service(PartialObject):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class ServiceDriver:
    """Driver of `v1` Service (see the module)."""

    kind = SERVICES.kind
    resource = SERVICES
    beside: tuple[Resource, ...] = ()
    grants: tuple[Resource, ...] = ()
    plane = "Service"
    limits = Limits(largest_weight=1)
    handles = (Handle.Isolate, Handle.Restart)
    split = None
    about = "Services as they are, without a route: their pods are looked after, and nothing is written to them."
    tried = Tried.Server
    to_install = "a Kubernetes API server, which serves it"

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route)
        meta = parsed.metadata
        if target.rule_name is not None:
            raise RouteProblem(Problem.RuleNotFound, "spec.targetRef.ruleName: a Service has no rules; leave it out")
        if parsed.spec.type == "ExternalName":
            raise RouteProblem(
                Problem.BackendUnsupported,
                f"Service {meta.namespace}/{meta.name} is an ExternalName ({parsed.spec.external_name}): it has no "
                "pods to look after; name a Service with a selector in spec.targetRef",
            )
        return BalancerView(  # without a writer or a canary controller: there are no weights that they could own
            kind=self.kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            weights={meta.name: 1},
            services={meta.name: Place(namespace=meta.namespace, name=meta.name)},
            rules=(RulePlace(index=0),),
        )

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """As it is: a Service leads to its pods by itself."""
        return view

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """Always empty: nothing is written to a Service."""
        return ()

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Always empty. Raises RouteProblem for any weights but those that stand."""
        return patch_of(self.backends(route, target), weights, self.limits, ())


def _parse(manifest: Manifest) -> _Service:
    return read_as(_Service, manifest, "a Service")
