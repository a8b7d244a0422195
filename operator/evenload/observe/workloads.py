"""What else is going on with a workload: a rollout, or an autoscaler that has not got what it wants yet.

Under way and stuck are told apart by the object's own conditions; where it has none, by how long nothing has moved
(cluster.py). What is under way is waited for, what is stuck is only told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from evenload.kube.resources import ARGO_ROLLOUTS, CLONESETS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource
from evenload.observe.pods import Condition, Meta, Partial
from evenload.observe.selectors import Selector


class _OwnedSpec(Partial):
    selector: Selector | None = None


class Owned(Partial):
    metadata: Meta
    spec: _OwnedSpec = msgspec.field(default_factory=_OwnedSpec)


class _RollingUpdate(Partial):
    partition: Any = 0  # a CloneSet's may be "20%"


class _UpdateStrategy(Partial):
    type: str = "RollingUpdate"
    rolling_update: _RollingUpdate | None = None
    partition: Any = 0  # a CloneSet's
    paused: bool = False


class _WorkloadSpec(Partial):
    replicas: int | None = 1
    paused: bool = False
    selector: Selector | None = None
    update_strategy: _UpdateStrategy = msgspec.field(default_factory=_UpdateStrategy)  # Deployments have none


class _WorkloadStatus(Partial):
    observed_generation: Any = 0  # an Argo Rollout's is a text
    replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    desired_number_scheduled: int = 0  # a DaemonSet's
    updated_number_scheduled: int = 0
    phase: str = ""  # an Argo Rollout's
    message: str = ""
    conditions: tuple[Condition, ...] = ()


class Workload(Partial):
    metadata: Meta
    spec: _WorkloadSpec = msgspec.field(default_factory=_WorkloadSpec)
    status: _WorkloadStatus = msgspec.field(default_factory=_WorkloadStatus)

    def reason(self, condition: str) -> str:
        return next((each.reason for each in self.status.conditions if each.type == condition), "")

    @property
    def unseen(self) -> bool:
        """Whether its controller has not looked at its newest spec yet."""
        observed = self.status.observed_generation
        return isinstance(observed, int) and observed < self.metadata.generation


_ROLLING = frozenset({"NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated"})
_UNSEEN = "its newest spec has not been looked at yet"


def deployment_rollout(deployment: Workload) -> str:
    """What is going on, or "". A pod that is merely being replaced is no rollout: our own restarts would hold us up."""
    status = deployment.status
    if deployment.unseen:
        return _UNSEEN
    if status.replicas != status.updated_replicas:
        return f"{status.updated_replicas} of {status.replicas} pods are of the newest version"
    wanted = deployment.spec.replicas or 0
    if status.updated_replicas < wanted and deployment.reason("Progressing") in _ROLLING:
        return f"{status.updated_replicas} of {wanted} pods exist"
    return ""


def deployment_stuck(deployment: Workload) -> str:
    """Why its rollout does not go on by itself, or ""."""
    if deployment.spec.paused:
        return "it is paused"
    if deployment.reason("Progressing") == "ProgressDeadlineExceeded":
        return "it has exceeded its progress deadline"
    return ""


def stateful_set_rollout(stateful_set: Workload) -> str:
    """What is going on, or "". A partition holds pods back on purpose; OnDelete waits for people."""
    status, strategy = stateful_set.status, stateful_set.spec.update_strategy
    if stateful_set.unseen:
        return _UNSEEN
    if strategy.type != "RollingUpdate" or status.current_revision == status.update_revision:
        return ""
    held_back = strategy.rolling_update.partition if strategy.rolling_update else 0
    return _updated(stateful_set, held_back)


def _updated(workload: Workload, held_back: Any) -> str:
    """Of pods that are to be of the newest version: all but those that a partition (a number) holds back."""
    wanted = max(0, (workload.spec.replicas or 0) - (held_back if isinstance(held_back, int) else 0))
    updated = workload.status.updated_replicas
    return "" if updated >= wanted else f"{updated} of {wanted} pods are updated"


def daemon_set_rollout(daemon_set: Workload) -> str:
    """What is going on, or ""."""
    status = daemon_set.status
    if daemon_set.unseen:
        return _UNSEEN
    if daemon_set.spec.update_strategy.type != "RollingUpdate":
        return ""
    updated, wanted = status.updated_number_scheduled, status.desired_number_scheduled
    return "" if updated >= wanted else f"{updated} of {wanted} pods are updated"


def clone_set_rollout(clone_set: Workload) -> str:
    """What is going on, or "". One that is held at a partition, in percent too, is in the middle of a canary.

    Old versions of its controller tell no revisions: then the counts alone do.
    """
    status, strategy = clone_set.status, clone_set.spec.update_strategy
    if clone_set.unseen:
        return _UNSEEN
    one_version = bool(status.update_revision) and status.current_revision == status.update_revision
    if status.updated_replicas >= status.replicas or one_version:
        return ""
    return f"{status.updated_replicas} of {status.replicas} pods are updated" + (
        ", held back by its partition" if strategy.partition else ""
    )


def clone_set_stuck(clone_set: Workload) -> str:
    return "it is paused" if clone_set.spec.update_strategy.paused else ""


def argo_rollout(rollout: Workload) -> str:
    """What is going on, or "". Between two steps of a canary it is Paused, and its pods are of two versions."""
    status = rollout.status
    if status.phase in ("Progressing", "Paused"):
        return f"the Rollout is {status.phase}{f' ({status.message})' if status.message else ''}"
    return ""


def never(workload: Workload) -> str:
    """It has no mark of its own for that."""
    return ""


class Kind(NamedTuple):
    """How one kind of workload tells what it does."""

    resource: Resource
    rollout: Callable[[Workload], str]
    stuck: Callable[[Workload], str] = never
    canary: bool = False  # it may stand between two versions for as long as people mean it to


KINDS: dict[str, Kind] = {
    "Deployment": Kind(DEPLOYMENTS, deployment_rollout, deployment_stuck),
    "StatefulSet": Kind(STATEFULSETS, stateful_set_rollout),
    "DaemonSet": Kind(DAEMONSETS, daemon_set_rollout),
    "Rollout": Kind(ARGO_ROLLOUTS, argo_rollout, canary=True),
    "CloneSet": Kind(CLONESETS, clone_set_rollout, clone_set_stuck, canary=True),
}
"""By the kind that pods, or their ReplicaSets, name as their controller."""
ADOPTING = frozenset({"DaemonSet", "StatefulSet", "CloneSet"})
"""Kinds, beside ReplicaSets, that may adopt a pod without a controller that they select."""


class _ScaleTarget(Partial):
    kind: str
    name: str


class _HpaSpec(Partial):
    scale_target_ref: _ScaleTarget


class _HpaStatus(Partial):
    current_replicas: int = 0
    desired_replicas: int = 0
    conditions: tuple[Condition, ...] | None = ()


class Hpa(Partial):
    metadata: Meta
    spec: _HpaSpec
    status: _HpaStatus = msgspec.field(default_factory=_HpaStatus)

    @property
    def off(self) -> bool:
        """Switched off by people: its target stands at 0 pods."""
        return any(each.reason == "ScalingDisabled" for each in self.status.conditions or ())

    @property
    def stuck(self) -> str:
        """Why it scales nothing, by its own conditions, or ""."""
        if not self.status.conditions and not self.status.desired_replicas:
            return "it has never computed a number of pods"
        for each in self.status.conditions or ():
            if each.type in ("ScalingActive", "AbleToScale") and each.status == "False":
                return f"{each.type} is False, {each.reason}"
        return ""


class _RouteName(Partial):
    name: str = ""


class _ArgoPlugin(Partial):
    http_route: str = ""
    http_routes: tuple[_RouteName, ...] = ()
    grpc_route: str = ""
    grpc_routes: tuple[_RouteName, ...] = ()
    namespace: str = ""


class _ArgoPlugins(Partial):
    gateway_api: _ArgoPlugin | None = msgspec.field(name="argoproj-labs/gatewayAPI", default=None)


class _ArgoTraefik(Partial):
    weighted_traefik_service_name: str = ""


class _ArgoRouting(Partial):
    plugins: _ArgoPlugins = msgspec.field(default_factory=_ArgoPlugins)
    traefik: _ArgoTraefik = msgspec.field(default_factory=_ArgoTraefik)


class _ArgoCanary(Partial):
    traffic_routing: _ArgoRouting | None = None


class _ArgoStrategy(Partial):
    canary: _ArgoCanary | None = None


class _ArgoSpec(_WorkloadSpec):
    strategy: _ArgoStrategy = msgspec.field(default_factory=_ArgoStrategy)


class ArgoRollout(Workload):
    """A workload that may set the weights of a route as well."""

    spec: _ArgoSpec = msgspec.field(default_factory=_ArgoSpec)

    @property
    def balancers(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of what it sets the weights of, in its own namespace."""
        routing = self.spec.strategy.canary and self.spec.strategy.canary.traffic_routing
        if routing and routing.traefik.weighted_traefik_service_name:
            return (("TraefikService", routing.traefik.weighted_traefik_service_name),)
        plugin = routing.plugins.gateway_api if routing else None
        if plugin is None or plugin.namespace not in ("", self.metadata.namespace):
            return ()
        http = (plugin.http_route, *(each.name for each in plugin.http_routes))
        grpc = (plugin.grpc_route, *(each.name for each in plugin.grpc_routes))
        found = (*(("HTTPRoute", name) for name in http), *(("GRPCRoute", name) for name in grpc))
        return tuple((kind, name) for kind, name in found if name)


class _KruiseGateway(Partial):
    http_route_name: str | None = None


class _KruiseRouting(Partial):
    gateway: _KruiseGateway | None = None


class _KruiseCanary(Partial):
    traffic_routings: tuple[_KruiseRouting, ...] = ()


class _KruiseStrategy(Partial):
    canary: _KruiseCanary | None = None
    blue_green: _KruiseCanary | None = None


class _KruiseSpec(Partial):
    strategy: _KruiseStrategy = msgspec.field(default_factory=_KruiseStrategy)


class _Phase(Partial):
    phase: str = ""


class KruiseRollout(Partial):
    """OpenKruise's, beside the workload: while it is under way, the route's weights are its own."""

    metadata: Meta
    spec: _KruiseSpec = msgspec.field(default_factory=_KruiseSpec)
    status: _Phase = msgspec.field(default_factory=_Phase)

    @property
    def balancers(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of what it sets the weights of just now, in its own namespace."""
        if self.status.phase not in ("Progressing", "Terminating", "Disabling"):
            return ()
        strategies = (each for each in (self.spec.strategy.canary, self.spec.strategy.blue_green) if each)
        gateways = (each.gateway for strategy in strategies for each in strategy.traffic_routings if each.gateway)
        return tuple(("HTTPRoute", gateway.http_route_name) for gateway in gateways if gateway.http_route_name)
