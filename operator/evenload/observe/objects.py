"""As much of Services, EndpointSlices and ReferenceGrants as a Balancer needs."""

from __future__ import annotations

from typing import Final

import msgspec

from evenload.audit import suppression
from evenload.kube.resources import Resource
from evenload.model.snapshot import Steering, Steers
from evenload.observe.pods import Meta, Partial

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
AUDIT_IGNORE: Final = suppression.ANNOTATION
TOPOLOGY_MODE: Final = "service.kubernetes.io/topology-mode"


class _ServicePort(Partial):
    port: int = 0
    name: str = ""


class _ServiceSpec(Partial):
    selector: dict[str, str] | None = None
    ports: list[_ServicePort] | None = None  # no tuple: as JSON has it, for the audit
    type: str = ""
    external_name: str = ""
    session_affinity: str = ""
    internal_traffic_policy: str = ""
    external_traffic_policy: str = ""
    traffic_distribution: str = ""


class _ServiceAnnotations(Partial):
    audit_ignore: str = msgspec.field(name=AUDIT_IGNORE, default="")
    topology_mode: str = msgspec.field(name=TOPOLOGY_MODE, default="")


class _ServiceMeta(Meta):
    resource_version: str = ""
    annotations: _ServiceAnnotations = msgspec.field(default_factory=_ServiceAnnotations)


class Service(Partial):
    metadata: _ServiceMeta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)

    @property
    def steering(self) -> tuple[Steering, ...]:
        """What is set that keeps requests from spreading over all of its pods."""
        spec, mode = self.spec, self.metadata.annotations.topology_mode
        outside = spec.type in ("NodePort", "LoadBalancer")
        found = (
            (Steers.Client, spec.session_affinity == "ClientIP", "spec.sessionAffinity: ClientIP"),
            (Steers.Node, spec.internal_traffic_policy == "Local", "spec.internalTrafficPolicy: Local"),
            (Steers.Node, outside and spec.external_traffic_policy == "Local", "spec.externalTrafficPolicy: Local"),
            (
                Steers.Node if spec.traffic_distribution == "PreferSameNode" else Steers.Zone,
                bool(spec.traffic_distribution),
                f"spec.trafficDistribution: {spec.traffic_distribution}",
            ),
            (Steers.Zone, mode.lower() == "auto", f"the annotation {TOPOLOGY_MODE}: {mode}"),
        )
        return tuple(Steering(by=by, setting=setting) for by, is_set, setting in found if is_set)


class _SliceLabels(Partial):
    service: str = msgspec.field(name=SERVICE_NAME_LABEL, default="")


class _SliceMeta(Meta):
    labels: _SliceLabels = msgspec.field(default_factory=_SliceLabels)


class TargetRef(Partial):
    kind: str = ""
    name: str = ""
    uid: str = ""


class _EndpointConditions(Partial):
    ready: bool | None = None


class _Endpoint(Partial):
    target_ref: TargetRef | None = None
    conditions: _EndpointConditions = msgspec.field(default_factory=_EndpointConditions)


class Slice(Partial):
    metadata: _SliceMeta
    endpoints: tuple[_Endpoint, ...] | None = None


class _Granted(Partial):
    group: str = ""
    kind: str = ""
    namespace: str = ""  # of those who refer
    name: str | None = None  # of what is referred to; None: any


class _GrantSpec(Partial):
    sources: tuple[_Granted, ...] = msgspec.field(name="from", default=())
    targets: tuple[_Granted, ...] = msgspec.field(name="to", default=())


class Grant(Partial):
    metadata: Meta
    spec: _GrantSpec = msgspec.field(default_factory=_GrantSpec)

    def allows(self, kind: Resource, namespace: str, service: str) -> bool:
        """Whether objects of that `kind` of `namespace` may name `service` of the grant's own namespace."""
        source = (kind.group, kind.kind, namespace)
        return any((each.group, each.kind, each.namespace) == source for each in self.spec.sources) and any(
            (each.group, each.kind) == ("", "Service") and each.name in (None, "", service)
            for each in self.spec.targets
        )
