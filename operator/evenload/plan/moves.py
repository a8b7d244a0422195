"""What a plan is: writes in order of preference, what to tell, and whether the episode is over."""

from __future__ import annotations

from evenload.model.base import Value
from evenload.model.decision import Held, Verdict
from evenload.model.episode import Phase
from evenload.model.plan import Advise, Freeze, Write


class Plan(Value, frozen=True, kw_only=True):
    """The first write that the governor allows is made; the others are not. `close` ends the episode."""

    writes: tuple[Write, ...] = ()
    tell: tuple[Freeze | Advise, ...] = ()
    held: tuple[Held, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    close: Phase | None = None
    busy: str = ""  # what is being waited for, for the sentence
