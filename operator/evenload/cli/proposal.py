"""What a Remediation would write next, as whoever approves it has to see it, from its record alone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from evenload.act.proposal import write_of
from evenload.api.v1alpha1 import Remediation
from evenload.cli.commands import evenload, kubectl
from evenload.cli.objects import Item
from evenload.cli.text import local_time
from evenload.model.decision import HeldReason
from evenload.model.episode import Phase
from evenload.model.plan import Isolate, RestartPod, Write
from evenload.model.proposal import wanted, would


def proposed(item: Item[Remediation]) -> Iterator[str]:
    """The write, why, what it should bring, how to undo it, and from when its numbers are; nothing if there is none."""
    proposal, write = item.object.status.proposal, _write(item.object)
    if proposal is None or write is None:
        return
    whole = wanted(write)
    yield f"{whole[:1].upper()}{whole[1:]}"
    if proposal.because:
        yield f"Why: {proposal.because}"
    yield f"It should bring: {proposal.effect}"
    if isinstance(write, Isolate):
        undo = kubectl("label", "pod", write.pod, write.label, namespace=item.namespace)
        yield f"To undo it by hand before it is evicted: {undo}"
    elif not isinstance(write, RestartPod):
        undo = evenload("undo", item.name, namespace=item.namespace)
        yield f"To undo it afterwards: {undo} (weights back to {listed(write.before)})"
    yield f"Worked out at {local_time(proposal.computed_at)}; the numbers are worked out anew right before the write."


def held(remediation: Remediation) -> Iterator[str]:
    """Why the next write is held back, a line each, without what `proposed` tells.

    What a person has decided is not asked for again, though the operator has not seen the answer yet.
    """
    write, decided = _write(remediation), remediation.spec.approval.decision is not None
    told = f"{would(write)}: " if write is not None else ""
    for line in remediation.status.held.splitlines():
        reason, _, detail = line.partition(": ")
        if not (decided and reason == HeldReason.AwaitingApproval):
            yield f"{reason}: {detail.removeprefix(told)}"


def answer(remediation: Remediation) -> Iterator[str]:
    """What a person has decided and the operator has not seen yet: the record still waits for it."""
    approval = remediation.spec.approval
    if approval.decision is not None and remediation.status.phase is Phase.AwaitingApproval:
        yield f"{approval.decision} by {approval.by}; Evenload has not taken it up yet, which takes seconds."


def listed(weights: dict[str, int]) -> str:
    """ "a 250, b 10"."""
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items()))


def _write(remediation: Remediation) -> Write | None:
    """None where none is recorded, or it is not as this version of the CLI knows it."""
    try:
        return write_of(remediation.status.proposal) if remediation.status.proposal is not None else None
    except msgspec.ValidationError:
        return None
