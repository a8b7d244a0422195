"""How long nothing is proposed or written again after a denial or an undo, by what budgets count."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from evenload.model.diagnosis import Label
from evenload.model.episode import Disruption

DENIED_SECONDS = 3600.0
FREEZE_SECONDS = 600.0  # after a revert, doubling with each of the last day
MOST_DOUBLINGS = 6


def denial(ledger: Iterable[Disruption], label: Label) -> Disruption | None:
    """The last one that was about this diagnosis; it holds for DENIED_SECONDS."""
    return latest((entry for entry in ledger if entry.label is label), "Denied")


def frozen_until(ledger: Iterable[Disruption]) -> float:
    """When writes may go on after the reverts of the last day, in seconds since the epoch; -inf: there was none."""
    reverts = [entry for entry in ledger if entry.kind == "Revert"]
    if not reverts:
        return -inf
    last = max(reverts, key=lambda entry: entry.time)
    doubled = FREEZE_SECONDS * 2.0 ** min(len(reverts) - 1, MOST_DOUBLINGS)
    return max(last.time + doubled, last.until or last.time)


def latest(ledger: Iterable[Disruption], kind: str) -> Disruption | None:
    """The newest entry of this kind."""
    return max((entry for entry in ledger if entry.kind == kind), key=lambda entry: entry.time, default=None)
