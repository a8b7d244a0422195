"""What budgets and freezes count of an episode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evenload.model.base import Value
from evenload.model.diagnosis import Label
from evenload.model.episode import FIELD_MANAGER, ApprovalDecision, Disruption, Episode, Step, StepState
from evenload.model.plan import POD_ACTIONS, PodAction, Purpose, RestartPod, Write

OVERWRITES_TO_CONTEST = 2
HAPPENED = frozenset(StepState) - {StepState.Planned, StepState.Abandoned}
"""Something was written, or was overwritten before it was."""


class Entry(Value, frozen=True, kw_only=True):
    """One disruption, with the backend that a restart was of. `planned`: it was stored and may have been done, nobody
    has said yet."""

    what: Disruption
    backend: str | None = None
    planned: bool = False


def disruptions(episode: Episode, closed_at: float | None = None) -> Iterator[Disruption]:
    """All that happened; a denial counts from when the episode was closed."""
    return (entry.what for entry in counted(episode, closed_at) if not entry.planned)


def counted(episode: Episode, closed_at: float | None = None) -> Iterator[Entry]:
    """All of it that budgets count, or may have to: also a restart that was stored and of which nobody knows more."""
    for step in episode.steps:
        if (what := _disruption(step, episode.label)) is not None:
            planned = step.state is StepState.Planned
            if step.state in HAPPENED or (planned and step.action in POD_ACTIONS):
                yield Entry(what=what, backend=step.backend, planned=planned)
    taken = overwritten_by_others(episode.steps)
    if len(taken) >= OVERWRITES_TO_CONTEST:
        yield Entry(what=Disruption(time=_when(taken[-1]), kind="Contested", label=episode.label))
    if episode.approval is ApprovalDecision.Denied:
        at = episode.opened_at if closed_at is None else closed_at
        yield Entry(what=Disruption(time=at, kind="Denied", label=episode.label))


def restarting(write: PodAction, at: float, label: Label | None = None) -> Disruption:
    """What a restart that is made now will count for."""
    return Disruption(time=at, kind="Restart", pod=write.pod, workload=write.workload, label=label)


def finishes_isolation(step: Step | Write) -> bool:
    """Whether it evicts a pod that was isolated: what that disrupts was counted when it was isolated."""
    if isinstance(step, Step):
        return step.action == "RestartPod" and step.label is not None
    return isinstance(step, RestartPod) and step.label is not None


def restarts(steps: Iterable[Step]) -> int:
    """How many pods were taken away; one that was given back was not."""
    gone = (step for step in steps if step.action in POD_ACTIONS and step.state in HAPPENED - {StepState.Reverted})
    return len({step.uid for step in gone})


def overwritten_by_others(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Steps that another writer, or another Evenload, put something else in the place of."""
    return tuple(step for step in steps if step.state is StepState.Overwritten and step.manager != FIELD_MANAGER)


def _disruption(step: Step, label: Label) -> Disruption | None:
    if step.action in POD_ACTIONS:
        if finishes_isolation(step):
            return None
        return Disruption(time=_when(step), kind="Restart", pod=step.pod, workload=step.workload, label=label)
    if step.purpose is Purpose.Revert:
        return Disruption(time=_when(step), kind="Revert", label=label)
    return None


def _when(step: Step) -> float:
    if step.state is StepState.Overwritten and step.judged_at is not None:
        return step.judged_at
    return step.planned_at if step.applied_at is None else step.applied_at
