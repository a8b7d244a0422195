"""What can become of a step. The state machine is a table, and all of it is there.

Whatever is not in the table does not happen: a step moves rightwards only (in the order of StepState), and a verdict
that comes late, from an operator that had not seen the last one, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec.structs import replace

from evenload.model.decision import Verdict
from evenload.model.episode import Step, StepState
from evenload.model.plan import POD_ACTIONS


class Event(StrEnum):
    """What can happen to a step that is stored."""

    Landed = "Landed"  # its write stands in the cluster
    Refused = "Refused"  # the API server, or a last check, says no for now
    Followed = "Followed"  # traffic did what was predicted
    Unmoved = "Unmoved"  # traffic did not move
    Undone = "Undone"
    Overwritten = "Overwritten"  # another writer put something else there
    Dropped = "Dropped"  # never written, and no longer wanted


TRANSITIONS: Mapping[StepState, Mapping[Event, StepState]] = MappingProxyType(
    {
        StepState.Planned: {
            Event.Landed: StepState.Applied,
            Event.Refused: StepState.Planned,
            Event.Overwritten: StepState.Overwritten,
            Event.Dropped: StepState.Abandoned,
        },
        StepState.Applied: {
            Event.Followed: StepState.Verified,
            Event.Unmoved: StepState.Ineffective,
            Event.Undone: StepState.Reverted,
            Event.Overwritten: StepState.Overwritten,
        },
        StepState.Verified: {
            Event.Unmoved: StepState.Ineffective,  # the law of weights knows after many ticks only
            Event.Undone: StepState.Reverted,
            Event.Overwritten: StepState.Overwritten,
        },
        StepState.Ineffective: {
            Event.Undone: StepState.Reverted,
            Event.Overwritten: StepState.Overwritten,
        },
        StepState.Reverted: {},
        StepState.Overwritten: {},
        StepState.Abandoned: {},
    }
)

_SAID: Mapping[StepState, Event] = MappingProxyType(
    {
        StepState.Applied: Event.Landed,
        StepState.Verified: Event.Followed,
        StepState.Ineffective: Event.Unmoved,
        StepState.Reverted: Event.Undone,
        StepState.Overwritten: Event.Overwritten,
        StepState.Abandoned: Event.Dropped,
    }
)
"""What a verdict says happened, by the state it names. None says Planned."""


def moved(step: Step, event: Event, at: float, because: str = "", manager: str | None = None) -> Step:
    """The step after `event`, seen `at` (seconds since the epoch); the very same where the table has no such move."""
    state = TRANSITIONS[step.state].get(event)
    if state is None:
        return step
    known = replace(step, state=state, message=because or step.message, manager=manager or step.manager)
    match event:
        case Event.Landed:
            return replace(known, applied_at=at if step.applied_at is None else step.applied_at)
        case Event.Refused if step.action in POD_ACTIONS:
            # The engine waits until a deadline counted from here, then gives up.
            return replace(known, refused_since=at if step.refused_since is None else step.refused_since)
        case Event.Refused:
            return known
        case _:
            return replace(known, judged_at=at)


def judged(step: Step, verdict: Verdict, at: float) -> Step:
    """The step after what the engine said of it."""
    event = _SAID.get(verdict.state)
    return step if event is None else moved(step, event, at, verdict.because, verdict.manager)
