"""What the governor knows when it is asked about a write."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evenload.episode.disruptions import finishes_isolation
from evenload.model.base import Value
from evenload.model.diagnosis import Diagnosis
from evenload.model.episode import Episode, Step
from evenload.model.fleet import Fleet, Floats
from evenload.model.plan import Drain, PodAction, Purpose, SetWeights, Write, lowered
from evenload.model.policy import Policy
from evenload.model.snapshot import Pod, Snapshot

Predict = Callable[[Mapping[str, float]], Floats]
"""CPU over limit by backend under these weights; NaN where unknown."""


class Case(Value, frozen=True, kw_only=True):
    """One tick's circumstances; `bad_ratio` is the share of ready pods over the error limit, 0..1."""

    snapshot: Snapshot
    fleet: Fleet
    policy: Policy
    diagnosis: Diagnosis
    episode: Episode | None
    predict: Predict
    bad_ratio: float
    contested_by: str | None
    waiting: bool
    targets: dict[str, float]  # backend -> the share it should have now

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of the open episode."""
        return self.episode.steps if self.episode is not None else ()

    def pod(self, uid: str) -> Pod | None:
        """The very pod, if it is still there."""
        return next((pod for pod in self.fleet.pods if pod.uid == uid), None)


def disrupts(write: Write) -> bool:
    """Whether it is part of taking a pod away."""
    return isinstance(write, Drain | PodAction)


def takes_away(write: Write) -> bool:
    """Whether it begins to take a pod away: the eviction of an isolated one takes nothing from anybody any more."""
    return disrupts(write) and not finishes_isolation(write)


def withdraws(write: Write) -> bool:
    """Whether it takes traffic away from a backend that still has it."""
    return isinstance(write, Drain) or (_ejects(write) and not _gives_back(write))


def finishes(write: Write) -> bool:
    """Whether it puts back what was taken: half-done work is worse than done or undone work."""
    if isinstance(write, PodAction):
        return False
    return write.purpose in (Purpose.Ramp, Purpose.Revert) or (_ejects(write) and _gives_back(write))


def _ejects(write: Write) -> bool:
    return isinstance(write, SetWeights) and write.purpose is Purpose.Eject


def _gives_back(write: Write) -> bool:
    """A drained backend gets a probe's worth again: nobody's share is cut for it."""
    return not isinstance(write, PodAction) and not lowered(write.before, write.after)
