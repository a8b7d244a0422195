"""What a plan is: writes in order of preference, what to tell, and whether the episode is over."""

from __future__ import annotations

from evenload.model.base import Value
from evenload.model.decision import Held, Verdict
from evenload.model.episode import Phase, Step, StepState
from evenload.model.plan import Advise, Freeze, Write


def ended_well(steps: tuple[Step, ...]) -> tuple[Verdict, ...]:
    """What an incident that ended in calm says of the steps it stands on."""
    because = "traffic is even and calm under it"
    return tuple(Verdict(step=step.name, state=StepState.Verified, because=because) for step in steps)


class Plan(Value, frozen=True, kw_only=True):
    """The first write that the governor allows is made; the others are not. `close` ends the episode."""

    writes: tuple[Write, ...] = ()
    tell: tuple[Freeze | Advise, ...] = ()
    held: tuple[Held, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    close: Phase | None = None
    busy: str = ""  # what is being waited for, for the sentence
