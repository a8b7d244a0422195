"""What a person would want to know of a status that changes, as Events: findings of the audit, overrides of the guard.

The status is the memory: what stands there already was reported. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from evenload.api.v1alpha1 import BalancerStatus, Condition, ConditionStatus, ConditionType
from evenload.api.values import epoch_seconds
from evenload.record.audited import ERRORS
from evenload.record.events import Happening, Reason


def notices(known: BalancerStatus, now: BalancerStatus, time: float) -> Iterator[Happening]:
    """`known`: the status as reported before. `time`: seconds since the epoch."""
    yield from _found(known, now, time)
    yield from _overridden(known, now)


def _found(known: BalancerStatus, now: BalancerStatus, time: float) -> Iterator[Happening]:
    """A new set of findings. One that comes again after the next change of the balancer is reported again."""
    before, found = _audit_of(known), _audit_of(now)
    if found is None or found.status is not ConditionStatus.FALSE or (before and before.message == found.message):
        return
    changed = now.changes[0].time if now.changes else ""
    yield Happening(
        time=time,
        reason=Reason.AuditErrors if found.reason == ERRORS else Reason.AuditWarnings,
        note=found.message,
        key=f"audit/{changed}/{found.message}",
    )


def _audit_of(status: BalancerStatus) -> Condition | None:
    return next((each for each in status.conditions if each.type == ConditionType.Audited), None)


def _overridden(known: BalancerStatus, now: BalancerStatus) -> Iterator[Happening]:
    reported = {(each.manager, each.time) for each in known.changes if each.override}
    for each in now.changes:
        if each.override and (each.manager, each.time) not in reported:
            yield Happening(
                time=epoch_seconds(each.time),
                reason=Reason.GuardOverridden,
                note=f"{each.manager} changed the balancer with a reason to override the guard: {each.override}",
                key=f"override/{each.manager}/{each.time}",
            )
