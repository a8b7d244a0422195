"""What came of the probation of each update by another writer, as it stands beside it in the changelog. Pure."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from evenload.api.v1alpha1 import FIELD_MANAGER, ProbationState, RouteChange
from evenload.api.values import epoch_seconds
from evenload.model.decision import Decision, HeldReason
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.snapshot import Snapshot

_PATIENCE_SECONDS: Final = 60.0  # after its end, for signals that do not tell just then


def judged(
    changes: tuple[RouteChange, ...],
    snapshot: Snapshot,
    decision: Decision,
    *,
    probation_seconds: float,
    remediation: str | None,
) -> tuple[RouteChange, ...]:
    """`changes`, newest first, with what this tick says of those on probation. `remediation`: the open one."""
    if not changes or probation_seconds <= 0:
        return changes
    last = next((index for index, each in enumerate(changes) if each.manager != FIELD_MANAGER), None)
    if last is None:
        return changes
    known = [_replaced(each) if index > last else each for index, each in enumerate(changes)]
    known[last] = _last(known[last], snapshot, decision, probation_seconds, remediation)
    return tuple(known)


def _replaced(change: RouteChange) -> RouteChange:
    running = change.probation is ProbationState.Running
    return replace(change, probation=ProbationState.Replaced) if running else change


def _last(
    change: RouteChange, snapshot: Snapshot, decision: Decision, probation_seconds: float, remediation: str | None
) -> RouteChange:
    """The last update that was not ours."""
    age = snapshot.time - epoch_seconds(change.time)
    if change.probation is None:
        delivered = any(hold.reason == HeldReason.ProgressiveDelivery for hold in snapshot.holds)
        if delivered or age > probation_seconds:
            return change
        change = replace(change, probation=ProbationState.Running)
    if change.probation is not ProbationState.Running:
        return change
    if _blamed(change, snapshot, decision.diagnosis):
        return replace(change, probation=ProbationState.Failed, remediation=remediation)
    if age <= probation_seconds:
        return change
    if decision.diagnosis.label is not Label.NoData:
        return replace(change, probation=ProbationState.Passed)
    unknown = age > probation_seconds + _PATIENCE_SECONDS
    return replace(change, probation=ProbationState.Unknown) if unknown else change


def _blamed(change: RouteChange, snapshot: Snapshot, diagnosis: Diagnosis) -> bool:
    write = snapshot.last_write
    if write is None or write.manager[:128] != change.manager or write.time != epoch_seconds(change.time):
        return False
    return diagnosis.blames_write
