"""What else is going on with a workload: a rollout, or an autoscaler that has not got what it wants yet."""

from __future__ import annotations

import msgspec

from evenload.observe.pods import Condition, Meta, Partial


class Owned(Partial):
    metadata: Meta


class _RollingUpdate(Partial):
    partition: int = 0


class _UpdateStrategy(Partial):
    type: str = "RollingUpdate"
    rolling_update: _RollingUpdate | None = None


class _WorkloadSpec(Partial):
    replicas: int = 1
    update_strategy: _UpdateStrategy = msgspec.field(default_factory=_UpdateStrategy)  # StatefulSets have it


class _WorkloadStatus(Partial):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()


class Workload(Partial):
    metadata: Meta
    spec: _WorkloadSpec = msgspec.field(default_factory=_WorkloadSpec)
    status: _WorkloadStatus = msgspec.field(default_factory=_WorkloadStatus)


_ROLLING = frozenset({"NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated"})


def deployment_rollout(deployment: Workload) -> str:
    """What is going on, or "". A pod that is merely being replaced is no rollout: our own restarts would hold us up."""
    status = deployment.status
    if status.observed_generation < deployment.metadata.generation:
        return "its newest spec has not been looked at yet"
    if status.replicas != status.updated_replicas:
        return f"{status.updated_replicas} of {status.replicas} pods are of the newest version"
    progressing = next((each.reason for each in status.conditions if each.type == "Progressing"), "")
    if status.updated_replicas < deployment.spec.replicas and progressing in _ROLLING:
        return f"{status.updated_replicas} of {deployment.spec.replicas} pods exist"
    return ""


def stateful_set_rollout(stateful_set: Workload) -> str:
    """What is going on, or "". A partition holds pods back on purpose; OnDelete waits for people."""
    status, strategy = stateful_set.status, stateful_set.spec.update_strategy
    if status.observed_generation < stateful_set.metadata.generation:
        return "its newest spec has not been looked at yet"
    if strategy.type != "RollingUpdate" or status.current_revision == status.update_revision:
        return ""
    held_back = strategy.rolling_update.partition if strategy.rolling_update else 0
    wanted = max(0, stateful_set.spec.replicas - held_back)
    return "" if status.updated_replicas >= wanted else f"{status.updated_replicas} of {wanted} pods are updated"


class _ScaleTarget(Partial):
    kind: str
    name: str


class _HpaSpec(Partial):
    scale_target_ref: _ScaleTarget


class _HpaStatus(Partial):
    current_replicas: int = 0
    desired_replicas: int = 0


class Hpa(Partial):
    metadata: Meta
    spec: _HpaSpec
    status: _HpaStatus = msgspec.field(default_factory=_HpaStatus)
