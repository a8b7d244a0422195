"""What executing an action needs, and what can become of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from evenload.act.retries import Retries
from evenload.api.v1alpha1 import StepRecord
from evenload.drivers.base import Driver
from evenload.errors import Conflict, DisruptionRefused, KubeError, Refused, Unknown
from evenload.kube.resources import Manifest, Resource
from evenload.kube.verbs import Sink
from evenload.model.spec import TargetRef


class Cluster(Sink, Protocol):
    """What is asked of the API server: evenload.kube.client.Client, or something that stands between us and it."""

    async def patch_json(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, object]]
    ) -> Manifest: ...

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None) -> None: ...

    async def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> None: ...


ATTEMPTS = 4  # gateways and kubelets write the object's status often, and each time our version is outdated

Veto = Callable[[], Awaitable[str | None]]
"""Asked right before every write: None means go on; a sentence says why not (paused, changed, no longer the leader).
Raises KubeError where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything an execution works with, for one Balancer."""

    cluster: Cluster
    driver: Driver
    target: TargetRef
    namespace: str  # the Balancer's own, which is the route's; nothing is written in another
    veto: Veto
    now: Callable[[], float]
    retries: Retries = field(default_factory=Retries)


class Result(StrEnum):
    """What became of an action. A stable word: metrics use it."""

    Applied = "Applied"  # it stands in the cluster
    Vetoed = "Vetoed"  # paused, or no longer the leader: nothing more was written
    Overtaken = "Overtaken"  # the route holds weights that are neither `before` nor `after`: not ours to overwrite
    Outrun = "Outrun"  # someone else changed the Remediation first: look again next tick
    Gone = "Gone"  # the route, or the pod, was deleted
    Refused = "Refused"  # the API server, or our own last check, says no
    DisruptionRefused = "DisruptionRefused"  # a PodDisruptionBudget says no for now
    Unavailable = "Unavailable"  # nothing was changed; the next tick tries again
    Unclear = "Unclear"  # it may or may not have landed; the next tick looks
    Waiting = "Waiting"  # it failed, and it is too early to try again


FAILED = frozenset({Result.Refused, Result.Unavailable, Result.Unclear})
"""What is tried again later and later. A PodDisruptionBudget's no is none of it: it may be over any time."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one write came to, before it is recorded."""

    result: Result
    detail: str = ""
    manager: str | None = None  # who overtook us


def failed(error: KubeError) -> Attempt:
    """Of an error that says that nothing was written."""
    match error:
        case DisruptionRefused():
            result = Result.DisruptionRefused
        case Refused():
            result = Result.Refused
        case _:
            result = Result.Unavailable
    return Attempt(result=result, detail=str(error))


async def persistently(once: Callable[[], Awaitable[Attempt]]) -> Attempt:
    """Look and write again where somebody changed the object (Conflict), or it may have landed (Unknown).

    Either way the object itself tells. What the server fails twice it will hardly do a moment later: that waits for
    another tick.
    """
    attempt, lost = Attempt(result=Result.Unclear), False
    for _ in range(ATTEMPTS):
        try:
            return await once()
        except (Conflict, Unknown) as error:
            attempt = Attempt(result=Result.Unclear, detail=str(error))
            if lost and isinstance(error, Unknown):
                break
            lost = lost or isinstance(error, Unknown)
    return attempt


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The end of `execute`: the result, the step it is about, and the Remediation as last known."""

    result: Result
    remediation: Manifest
    step: StepRecord | None = None
    detail: str = ""
    manager: str | None = None
    trouble: str = ""  # why it fails again and again
