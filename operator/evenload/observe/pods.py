"""What is kept of a pod: 16 facts of its 5 KB, made as it arrives. 50,000 of them fit into tens of megabytes."""

from __future__ import annotations

import functools
import re
from typing import Final

import msgspec

from evenload.api.v1alpha1 import (
    CAPACITY_ANNOTATION,
    DO_NOT_DISRUPT_ANNOTATION,
    ISOLATED_ANNOTATION,
    KARPENTER_ANNOTATION,
    PROTECTING,
    SAFE_TO_EVICT_ANNOTATION,
)
from evenload.clock import from_rfc3339

ZONE_LABEL: Final = "topology.kubernetes.io/zone"

_SLEEP = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)")


_MOST_ISOLATED: Final = 1024  # characters of that annotation: ours has less

Labels = tuple[tuple[str, str], ...]


class Partial(msgspec.Struct, rename="camel", gc=False):
    """As much of an API object as is read here."""


class Owner(Partial):
    kind: str
    name: str
    controller: bool = False


class Meta(Partial):
    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    owner_references: tuple[Owner, ...] = ()

    def controller(self) -> Owner | None:
        return next((owner for owner in self.owner_references if owner.controller), None)


class _PodAnnotations(Partial):
    capacity: str = msgspec.field(name=CAPACITY_ANNOTATION, default="")
    do_not_disrupt: str = msgspec.field(name=DO_NOT_DISRUPT_ANNOTATION, default="")
    karpenter: str = msgspec.field(name=KARPENTER_ANNOTATION, default="")
    safe_to_evict: str = msgspec.field(name=SAFE_TO_EVICT_ANNOTATION, default="")
    isolated: str = msgspec.field(name=ISOLATED_ANNOTATION, default="")


class _PodMeta(Meta):
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: _PodAnnotations = msgspec.field(default_factory=_PodAnnotations)
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


class _Limits(Partial):
    cpu: str | int | float | None = None
    memory: str | int | float | None = None


class _Resources(Partial):
    limits: _Limits = msgspec.field(default_factory=_Limits)


class _Sleep(Partial):
    seconds: float = 0


class _Exec(Partial):
    command: tuple[str, ...] = ()


class _Hook(Partial):
    sleep: _Sleep | None = None
    exec: _Exec | None = None

    def seconds(self) -> float:
        """Of a `sleep` hook, or of a `sleep N` in a command."""
        found = _SLEEP.search(" ".join(self.exec.command)) if self.exec else None
        return self.sleep.seconds if self.sleep else float(found[1]) if found else 0.0


class _Lifecycle(Partial):
    pre_stop: _Hook | None = None


class _Container(Partial):
    resources: _Resources = msgspec.field(default_factory=_Resources)
    lifecycle: _Lifecycle = msgspec.field(default_factory=_Lifecycle)
    restart_policy: str = ""  # "Always" on an init container makes it a sidecar


class _PodSpec(Partial):
    node_name: str | None = None
    host_network: bool = False
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] = ()
    resources: _Resources = msgspec.field(default_factory=_Resources)

    def running(self) -> list[_Container]:
        """The containers that run beside each other: sidecars included, finished init containers not."""
        return [*self.containers, *(each for each in self.init_containers if each.restart_policy == "Always")]


class Condition(Partial):
    type: str
    status: str
    reason: str = ""


class _Running(Partial):
    started_at: str | None = None  # null where a kubelet tells `running: {}`


class _State(Partial):
    running: _Running | None = None


class _ContainerStatus(Partial):
    state: _State = msgspec.field(default_factory=_State)


class _PodAddress(Partial):
    ip: str = ""


class _PodStatus(Partial):
    pod_ips: tuple[_PodAddress, ...] = msgspec.field(name="podIPs", default=())
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _Pod(Partial):
    metadata: _PodMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


_decode = msgspec.json.Decoder(_Pod).decode


class PodFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pod as it is known from the API server alone. Seconds since the epoch, cores, bytes."""

    namespace: str
    name: str
    uid: str
    ready: bool
    terminating: bool
    gone_by: float | None = None  # the end of its grace period, if it is terminating
    created_at: float | None = None
    started_at: float | None  # its newest container; the pod itself before that
    node: str | None
    zone: str | None
    labels: Labels = ()
    addresses: tuple[str, ...] = ()  # of its own: none where it shares its node's
    owner: Owner | None  # its controller; None: nobody would replace it
    protected: bool
    isolated: str = ""  # what our annotation of an isolated pod says; anybody may have written it
    pre_stop_seconds: float | None
    capacity: float | None
    cpu_limit: float | None
    memory_limit: float | None

    @classmethod
    def decode(cls, text: msgspec.Raw) -> PodFacts:
        """Of a Pod's JSON."""
        return cls.of(_decode(text))

    @classmethod
    def of(cls, pod: _Pod) -> PodFacts:
        meta, spec = pod.metadata, pod.spec
        return cls(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            ready=any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions),
            terminating=meta.deletion_timestamp is not None,
            gone_by=from_rfc3339(meta.deletion_timestamp) if meta.deletion_timestamp else None,
            created_at=_created_at(meta),
            started_at=_started_at(pod),
            node=spec.node_name,
            zone=meta.labels.get(ZONE_LABEL),
            labels=_shared(tuple(sorted(meta.labels.items()))),
            addresses=() if spec.host_network else tuple(each.ip for each in pod.status.pod_ips if each.ip),
            owner=_owner(meta),
            protected=_protected(meta.annotations),
            isolated=meta.annotations.isolated[:_MOST_ISOLATED],
            pre_stop_seconds=_pre_stop_seconds(spec),
            capacity=_positive(meta.annotations.capacity),
            cpu_limit=_limit(spec, "cpu"),
            memory_limit=_limit(spec, "memory"),
        )


@functools.lru_cache(maxsize=10_000)
def _shared(labels: Labels) -> Labels:
    """The pods of a workload mostly have the same: one copy of them is kept."""
    return labels


def _owner(meta: Meta) -> Owner | None:
    owner = meta.controller()
    return None if owner is None or owner.kind == "Node" else owner  # a Node "owns" its static pods; it replaces none


def _protected(annotations: _PodAnnotations) -> bool:
    found = {
        DO_NOT_DISRUPT_ANNOTATION: annotations.do_not_disrupt,
        KARPENTER_ANNOTATION: annotations.karpenter,
        SAFE_TO_EVICT_ANNOTATION: annotations.safe_to_evict,
    }
    return bool(found.items() & PROTECTING.items())


def _started_at(pod: _Pod) -> float | None:
    running = (status.state.running for status in pod.status.container_statuses)
    newest = max((state.started_at or "" for state in running if state), default="")
    return from_rfc3339(newest) if newest else _created_at(pod.metadata)


def _created_at(meta: _PodMeta) -> float | None:
    return from_rfc3339(meta.creation_timestamp) if meta.creation_timestamp else None


def _pre_stop_seconds(spec: _PodSpec) -> float | None:
    hooks = (container.lifecycle.pre_stop for container in spec.running())
    return max((hook.seconds() for hook in hooks if hook), default=0.0) or None


def _limit(spec: _PodSpec, name: str) -> float | None:
    """The pod's own limit, else the sum of its containers'; None if one of them has none."""
    whole = getattr(spec.resources.limits, name)
    if whole is not None:
        return quantity(whole)
    limits = [getattr(container.resources.limits, name) for container in spec.running()]
    return None if None in limits or not limits else sum(map(quantity, limits))


@functools.lru_cache(4096)
def quantity(text: str | float) -> float:
    """Kubernetes' quantity ("500m", "128Mi") as a plain number of cores or bytes."""
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(text))  # type: ignore[no-untyped-call]


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
