"""The write that a Remediation would make next, in its record: what whoever approves it has to see. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from evenload.api.v1alpha1 import Proposal
from evenload.api.values import moment
from evenload.model.decision import Held, HeldReason
from evenload.model.plan import Write
from evenload.model.proposal import effect

SAME_SHARE = 0.05  # weights that differ by less of the whole are the same proposal: live numbers move them every tick

_ASKED = (HeldReason.AwaitingApproval, HeldReason.ObserveMode)  # first what a person alone can let go
_TOLD = ("action", "purpose", "backend", "pod", "uid", "workload", "label", "before")


def proposed(known: Proposal | None, held: tuple[Held, ...], at: float) -> Proposal | None:
    """The first write that is held back; `known` again where it is about the same. None where no write is wanted."""
    wanted = next(_writes(held), None)
    if wanted is None:
        return None
    found = _proposal(wanted, at)
    return known if known is not None and _same(known, found) else found


def write_of(proposal: Proposal) -> Write:
    """The write itself. Raises msgspec.ValidationError where the record lacks something of it."""
    fields = {name: value for name, value in msgspec.structs.asdict(proposal).items() if value is not None}
    fields = {name: value for name, value in fields.items() if name not in ("effect", "computed_at")}
    write: Write = msgspec.convert(fields, Write)
    return write


def _writes(held: tuple[Held, ...]) -> Iterator[Write]:
    asked = sorted(held, key=lambda one: one.reason not in _ASKED)
    return (one.action for one in asked if isinstance(one.action, Write))


def _proposal(write: Write, at: float) -> Proposal:
    fields: dict[str, Any] = {name: getattr(write, name, None) for name in _TOLD if name != "action"}
    return Proposal(
        action=type(write).__name__,  # type: ignore[arg-type]  # the classes are the words
        after=getattr(write, "after", None),
        because=write.because[:4096],
        effect=effect(write),
        computed_at=moment(at),
        **fields,
    )


def _same(known: Proposal, found: Proposal) -> bool:
    if any(getattr(known, name) != getattr(found, name) for name in _TOLD):
        return False
    before, after = _shares(known.after), _shares(found.after)
    return before.keys() == after.keys() and all(abs(before[name] - after[name]) < SAME_SHARE for name in after)


def _shares(weights: dict[str, int] | None) -> dict[str, float]:
    total = max(1, sum((weights or {}).values()))
    return {name: weight / total for name, weight in (weights or {}).items()}
