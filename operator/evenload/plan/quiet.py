"""When to do what can wait a little: at the quietest time before it cannot wait any longer."""

from __future__ import annotations

from collections.abc import Callable

PART_SECONDS = 900.0  # how finely the day is known: diagnose/day.py
WORTH_RATIO = 0.9  # of what is usual now: for less than a tenth nobody should wait, and nothing should be at risk

Usual = Callable[[float], float | None]
"""Requests a second that are usual at a time (seconds since the epoch); None where nobody knows."""


def quietest(now: float, until: float, usual: Usual) -> float | None:
    """When it is quietest from `now` on, but before `until`: `now`, or the start of a later quarter of an hour.

    Days are compared with days, not with this very moment: a lull of seconds is no quiet hour, and a busier day than
    usual is busier all day. `now` too where nothing can wait any longer. None: what is usual is not known.
    """
    if until <= now:
        return now
    here = usual(now)
    first = (now // PART_SECONDS + 1) * PART_SECONDS
    later = [first + PART_SECONDS * part for part in range(int(max(0.0, until - first) // PART_SECONDS) + 1)]
    told = [(usual(moment), moment) for moment in later if moment < until]
    if here is None or any(rps is None for rps, _ in told):
        return None
    known = [(rps, moment) for rps, moment in told if rps is not None]
    least, when = min(known, default=(here, now))
    return when if least < WORTH_RATIO * here else now
