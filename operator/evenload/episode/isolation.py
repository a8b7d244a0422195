"""Which isolated pods are given back: those that nothing holds any more, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from evenload.episode.transitions import Event, moved
from evenload.model.episode import EFFECTIVE_STATES, Step, StepState
from evenload.model.wording import duration

_HOLDING = frozenset({StepState.Planned, StepState.Applied})


def returned(step: Step, steps: Iterable[Step], *, stopped: str, most_seconds: float, now: float) -> str:
    """Why the pod that `step` isolated is given back; "" while it is not.

    `steps`: of its episode. `stopped`: why nothing may be done to it any more: the episode is closed, writes are
    stopped ...; "" while there is no such reason. `most_seconds`: so long it may wait for its eviction.
    """
    evictions = [each for each in steps if each.action == "RestartPod" and each.uid == step.uid]
    if step.state is StepState.Verified or any(each.state in EFFECTIVE_STATES for each in evictions):
        return ""  # it is kept for inspection, or it ends
    if stopped:
        return stopped
    if step.state not in _HOLDING:
        return f"it is not wanted any more: {step.message}"
    given_up = next((each for each in evictions if each.state is StepState.Abandoned), None)
    if given_up is not None:
        return f"its eviction was given up: {given_up.message}"
    isolated_at = step.planned_at if step.applied_at is None else step.applied_at
    if not evictions and now - isolated_at > most_seconds:
        return f"it was not evicted within {duration(most_seconds)}"
    return ""


def taken_back(step: Step, at: float, because: str) -> Step:
    """The step once its pod has its label again."""
    return moved(moved(step, Event.Landed, at), Event.Undone, at, because)
