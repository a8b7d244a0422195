"""What the Balancer knows about an incident: how its route was changed around it, and what its guard says of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from evenload.api.v1alpha1 import Balancer, RouteChange
from evenload.errors import InputError
from evenload.guard.verdict import expected
from evenload.model.base import Value
from evenload.model.guard import Reference, mistakes
from evenload.model.spec import GuardMode
from evenload.model.wording import changed
from evenload.report.incident import Incident
from evenload.report.timeline import WeightChange

BEFORE_SECONDS = 3600.0  # a change so long before the onset belongs to another story


class Change(Value, frozen=True, kw_only=True):
    """One entry of the changelog. `time` in seconds since the epoch."""

    time: float
    manager: str
    what: str
    why: str = ""
    probation: str = ""


class Guarded(Value, frozen=True, kw_only=True):
    """What the guard finds wrong with the weights that caused the incident, as Balancer and guard stand now."""

    balancer: str
    mode: GuardMode
    sentence: str  # ends "this update ..."


def balancer_of(manifest: Mapping[str, Any]) -> Balancer:
    """Raises InputError naming the field that is missing or wrong."""
    try:
        return msgspec.convert(manifest, Balancer)
    except msgspec.ValidationError as error:
        raise InputError(f"the Balancer cannot be read: {error}") from error


def changes_about(balancer: Balancer, incident: Incident) -> tuple[Change, ...]:
    """From an hour before the onset to the end, oldest first; to this day where it has not ended."""
    begin = (incident.diagnosis.since or incident.opened_at) - BEFORE_SECONDS
    found = (_change(entry) for entry in balancer.status.changes)
    known = (
        each for each in found if begin <= each.time and (incident.closed_at is None or each.time <= incident.closed_at)
    )
    return tuple(sorted(known, key=lambda each: each.time))


def _change(entry: RouteChange) -> Change:
    ours = entry.remediation is not None and entry.probation is None
    return Change(
        time=entry.time.timestamp(),
        manager=entry.manager,
        what="; ".join(changed(entry.before, entry.after, entry.elsewhere)),
        why=f"Remediation {entry.remediation}" if ours else entry.cause,
        probation=entry.probation or "",
    )


def guarded(manifest: Mapping[str, Any], change: WeightChange | None) -> Guarded | None:
    """None where no change of weights caused it, or where the guard sees nothing wrong in them.

    Several rules of a route are taken as one: the incident knows the weights of backends.
    """
    if change is None or change.after is None:
        return None
    before, after = (
        [Reference(*each) for each in sorted((weights or {}).items())] for weights in (change.before, change.after)
    )
    found = mistakes([before], [after], expected(manifest))
    if not found:
        return None
    mode = GuardMode(manifest["spec"].get("guard", {}).get("mode", GuardMode.Warn))
    return Guarded(balancer=manifest["metadata"]["name"], mode=mode, sentence="; ".join(found.values()))
