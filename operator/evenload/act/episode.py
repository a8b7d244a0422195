"""A Remediation as the engine's Episode, and how its status moves on: pure, so that every move can be tested alone.

The status is the write-ahead record. Nothing here decides anything: states come from the engine's verdicts and from
what `apply` and `restart` saw at the API server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from evenload.act.proposal import proposed
from evenload.api.v1alpha1 import (
    UNDO_ANNOTATION,
    Condition,
    ConditionStatus,
    Outcome,
    Remediation,
    RemediationStatus,
    StepRecord,
    TimelineEntry,
    Trigger,
)
from evenload.api.values import epoch_seconds, from_number, moment, number
from evenload.episode.disruptions import HAPPENED, Entry, counted
from evenload.episode.steps import progressed as episode_progressed
from evenload.episode.steps import put
from evenload.errors import InputError
from evenload.model.decision import Decision, EpisodeMove, Held
from evenload.model.episode import (
    EFFECTIVE_STATES,
    FINAL_PHASES,
    ApprovalDecision,
    Episode,
    Phase,
    Step,
    StepState,
    Undoing,
)
from evenload.model.plan import Purpose
from evenload.model.proposal import said
from evenload.model.wording import printable

LEDGER_SECONDS = 24 * 3600.0  # how far back budgets and freezes look
MOST_ENTRIES = 64

_NUMBERS = ("error_ratio", "requests_per_second")
_TIMES = ("planned_at", "applied_at", "judged_at", "refused_since")


def decode(manifest: Mapping[str, Any]) -> Remediation:
    """The typed Remediation. Raises InputError naming it where a version we do not know has written it."""
    try:
        return msgspec.convert(manifest, Remediation)
    except msgspec.ValidationError as error:
        name = manifest.get("metadata", {}).get("name", "?")
        raise InputError(f'Remediation "{name}" cannot be read: {error}; did a newer Evenload write it?') from error


def is_open(manifest: Mapping[str, Any]) -> bool:
    """Whether it is not in a final phase: also true right after its creation, when it has no status yet."""
    status = manifest.get("status")
    return not isinstance(status, Mapping) or status.get("phase", "") not in tuple(FINAL_PHASES)


def episode_of(remediation: Remediation, others: Iterable[Remediation] = ()) -> Episode:
    """What the engine needs of it. `others` of its Balancer: one of them it may have been made to undo."""
    status = remediation.status
    return Episode(
        name=remediation.metadata.name,
        opened_at=_opened_at(remediation),
        label=remediation.spec.diagnosis.label,
        phase=status.phase or Phase.Observed,
        steps=steps_of(status),
        approval=remediation.spec.approval.decision,
        undo_requested=status.undo_requested or _asks_undo(remediation),
        undoes=_undoing(remediation, others),
        overloaded_pods=status.overloaded_pods,
    )


def _undoing(remediation: Remediation, others: Iterable[Remediation]) -> Undoing | None:
    name = remediation.spec.undoes
    if remediation.spec.trigger is not Trigger.Undo or name is None:
        return None
    undone = next((other for other in others if other.metadata.name == name), None)
    if undone is None:
        return Undoing(of=name, refusal="this Balancer has no such Remediation any more")
    return undoing(undone)


def undoing(remediation: Remediation) -> Undoing:
    """What taking back a closed Remediation comes to: the first weight change of it that stands has the inverse of all.

    Its own undoing counts for nothing, unless it was an undo altogether: then taking it back does what it undid anew.
    """
    name = remediation.metadata.name
    if remediation.status.phase not in FINAL_PHASES:
        return Undoing(of=name, refusal="it is still open")
    written = [step for step in steps_of(remediation.status) if step.before and step.state in HAPPENED]
    redo = remediation.spec.trigger is Trigger.Undo
    standing = [s for s in written if s.state in EFFECTIVE_STATES and (redo or s.purpose is not Purpose.Revert)]
    if not standing:
        return Undoing(of=name, refusal="no weight change of it stands")
    if written[-1].state not in EFFECTIVE_STATES:
        return Undoing(of=name, refusal=f"the weights are another's since: {written[-1].message}")
    found, left = standing[0].before or {}, written[-1].after or {}
    if found.keys() != left.keys():
        return Undoing(of=name, refusal="the route had other backends when it began")
    return Undoing(of=name, left=left, found=found)


def _asks_undo(remediation: Remediation) -> bool:
    return bool(remediation.metadata.annotations.get(UNDO_ANNOTATION))


def _opened_at(remediation: Remediation) -> float:
    """A crash between its creation and its first status leaves only the creation time, whole seconds."""
    at = remediation.status.opened_at or remediation.metadata.creation_timestamp
    return 0.0 if at is None else epoch_seconds(at)


def _first_seen(remediation: Remediation, decision: Decision) -> float:
    """Who opened it knows best; who finds it without a status knows only when it was created."""
    return decision.time if decision.episode is EpisodeMove.Open else _opened_at(remediation) or decision.time


def steps_of(status: RemediationStatus) -> tuple[Step, ...]:
    return tuple(map(step_of, status.steps))


def step_of(record: StepRecord) -> Step:
    return Step(**{name: _plain(name, getattr(record, name)) for name in Step.__struct_fields__})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return epoch_seconds(value)
    return from_number(value) if name in _NUMBERS else value


def record_of(step: Step) -> StepRecord:
    """The inverse of `step_of`, as far as the API has room."""
    return StepRecord(**{name: _written(name, getattr(step, name)) for name in Step.__struct_fields__})


def _written(name: str, value: Any) -> Any:
    if value is not None and name in _TIMES:
        return moment(value)
    if name in _NUMBERS:
        return number(value)
    return value[:4096] if name == "message" else value


def counted_of(remediation: Remediation) -> tuple[Entry, ...]:
    """All of it that budgets count, or may have to."""
    closed_at = remediation.status.closed_at
    return tuple(counted(episode_of(remediation), epoch_seconds(closed_at) if closed_at else None))


def find_step(status: RemediationStatus, name: str) -> StepRecord | None:
    return next((record for record in status.steps if record.name == name), None)


def with_step(status: RemediationStatus, step: Step) -> RemediationStatus:
    """`status` with `step` in the place of the one of its name, or as the newest."""
    return _with_steps(status, put(steps_of(status), step))


def _with_steps(status: RemediationStatus, steps: tuple[Step, ...]) -> RemediationStatus:
    """What did not change stays as it is written, to the letter."""
    known = {record.name: record for record in status.steps}
    return msgspec.structs.replace(status, steps=tuple(_rewritten(known.get(step.name), step) for step in steps))


def _rewritten(known: StepRecord | None, step: Step) -> StepRecord:
    return known if known is not None and step_of(known) == step else record_of(step)


def progressed(
    remediation: Remediation, decision: Decision, entries: Iterable[TimelineEntry] = ()
) -> RemediationStatus:
    """Its status after `decision`: verdicts, phase, what is held, what happened. The same if nothing changed."""
    status = remediation.status
    after = episode_progressed(episode_of(remediation), decision)
    proposal = proposed(status.proposal, decision.held, decision.time)
    moved = msgspec.structs.replace(
        _with_steps(status, after.steps),
        observed_generation=remediation.metadata.generation,
        phase=after.phase,
        opened_at=status.opened_at or moment(_first_seen(remediation, decision)),
        overloaded_pods=after.overloaded_pods,
        undo_requested=status.undo_requested or _asks_undo(remediation),
        held=_held(status.held, decision.held, same=proposal == status.proposal),
        proposal=proposal,
        timeline=_timeline(status.timeline, entries),
    )
    return msgspec.structs.replace(moved, conditions=_conditions(remediation, moved, decision.time))


def closed(
    remediation: Remediation,
    decision: Decision,
    outcome: Outcome,
    recording: str = "",
    entries: Iterable[TimelineEntry] = (),
) -> RemediationStatus:
    """Its status at the end: what it came to, and the flight recording."""
    ended = progressed(remediation, decision, entries)
    return msgspec.structs.replace(
        ended,
        closed_at=ended.closed_at or moment(decision.time),
        outcome=outcome,
        recording=recording,
        held="",
        proposal=None,
    )


def _held(known: str, held: tuple[Held, ...], *, same: bool) -> str:
    """A sentence a held action. The old words stay while reasons and proposal do: their numbers move every tick."""
    if same and [line.partition(":")[0] for line in known.splitlines()] == [one.reason.value for one in held]:
        return known
    return "\n".join(printable(f"{one.reason.value}: {said(one)}") for one in held)[:4096]


def _timeline(known: tuple[TimelineEntry, ...], entries: Iterable[TimelineEntry]) -> tuple[TimelineEntry, ...]:
    """How it began and how it goes are both kept; a long middle is not."""
    timeline = (*known, *entries)
    half = MOST_ENTRIES // 2
    return timeline if len(timeline) <= MOST_ENTRIES else (*timeline[:half], *timeline[-half:])


def _conditions(remediation: Remediation, status: RemediationStatus, at: float) -> tuple[Condition, ...]:
    known = {condition.type: condition for condition in status.conditions}
    approval = remediation.spec.approval.decision
    facts = {
        "Approved": (approval is ApprovalDecision.Approved, approval.value if approval else "NoDecision", ""),
        "Executed": _steps_in(status, HAPPENED),
        "Verified": _steps_in(status, frozenset({StepState.Verified})),
        "RolledBack": _steps_in(status, frozenset({StepState.Reverted})),
    }
    return tuple(_condition(known.get(kind), kind, *fact, at) for kind, fact in facts.items())


def _steps_in(status: RemediationStatus, states: frozenset[StepState]) -> tuple[bool, str, str]:
    names = ", ".join(record.name for record in status.steps if record.state in states)
    return bool(names), "Steps" if names else "NoStep", names[:4096]


def _condition(known: Condition | None, kind: str, true: bool, reason: str, message: str, at: float) -> Condition:
    status = ConditionStatus.TRUE if true else ConditionStatus.FALSE
    since = known.last_transition_time if known and known.status is status else moment(at)
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=since)
