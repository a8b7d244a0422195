"""A Remediation as the engine's Episode, and how its status moves on: pure, so that every move can be tested alone.

The status is the write-ahead record. Nothing here decides anything: states come from the engine's verdicts and from
what `apply` and `restart` saw at the API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
from evenload.errors import InputError
from evenload.model.decision import Decision, Held, Verdict
from evenload.model.diagnosis import Label
from evenload.model.episode import (
    EFFECTIVE_STATES,
    FIELD_MANAGER,
    FINAL_PHASES,
    ApprovalDecision,
    Disruption,
    Episode,
    Phase,
    Step,
    StepState,
    Undoing,
)
from evenload.model.plan import Purpose, RestartPod, Write
from evenload.model.proposal import said
from evenload.model.wording import printable

LEDGER_SECONDS = 24 * 3600.0  # how far back budgets and freezes look
MOST_STEPS = 128  # of the CRD; a law that writes every tick gets there in twenty minutes
MOST_ENTRIES = 64

_NUMBERS = ("error_ratio", "requests_per_second")
_HAPPENED = frozenset(StepState) - {StepState.Planned, StepState.Abandoned}


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
        steps=tuple(step_of(record) for record in status.steps),
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
    written = [step for step in map(step_of, remediation.status.steps) if step.before and step.state in _HAPPENED]
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


def step_of(record: StepRecord) -> Step:
    return Step(**{name: _plain(name, getattr(record, name)) for name in Step.__struct_fields__})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return epoch_seconds(value)
    return from_number(value) if name in _NUMBERS else value


def ledger_of(remediations: Iterable[Remediation], now: float) -> tuple[Disruption, ...]:
    """The disruptions of the last day, oldest first, from open and closed Remediations."""
    found = (entry for remediation in remediations for entry, _ in disruptions_of(remediation))
    return tuple(sorted((entry for entry in found if entry.time > now - LEDGER_SECONDS), key=lambda entry: entry.time))


def disruptions_of(remediation: Remediation) -> Iterator[tuple[Disruption, str | None]]:
    """All that budgets and freezes count of it, with the backend that a restart was of."""
    label = remediation.spec.diagnosis.label
    steps = [step_of(record) for record in remediation.status.steps if record.state in _HAPPENED]
    yield from ((entry, step.backend) for step in steps if (entry := _disruption(step, label)))
    taken = [step for step in steps if step.state is StepState.Overwritten and step.manager != FIELD_MANAGER]
    if len(taken) > 1:
        yield Disruption(time=_when(taken[-1]), kind="Contested", label=label), None
    if remediation.spec.approval.decision is ApprovalDecision.Denied:
        closed = remediation.status.closed_at
        at = epoch_seconds(closed) if closed else _opened_at(remediation)
        yield Disruption(time=at, kind="Denied", label=label), None


def _disruption(step: Step, label: Label) -> Disruption | None:
    if step.action == "RestartPod":
        return Disruption(time=_when(step), kind="Restart", pod=step.pod, workload=step.workload, label=label)
    if step.purpose is Purpose.Revert:
        return Disruption(time=_when(step), kind="Revert", label=label)
    return None


def _when(step: Step) -> float:
    if step.state is StepState.Overwritten and step.judged_at is not None:
        return step.judged_at
    return step.planned_at if step.applied_at is None else step.applied_at


def planned(status: RemediationStatus, action: Write, decision: Decision, at: float) -> StepRecord:
    """The record of a new step, named uniquely: "3-restore" is the third of its Remediation."""
    ordinal = 1 + max((_ordinal(record.name) for record in status.steps), default=0)
    what = "restart" if isinstance(action, RestartPod) else action.purpose.lower()
    details = msgspec.structs.asdict(action)
    return StepRecord(
        name=f"{ordinal}-{what}",
        action=type(action).__name__,  # type: ignore[arg-type]  # the three classes are the three words
        state=StepState.Planned,
        planned_at=moment(at),
        error_ratio=number(decision.error_ratio),
        requests_per_second=number(decision.requests_per_second),
        message=action.because[:4096],
        **{name: value for name, value in details.items() if name not in ("because", "step")},
    )


def _ordinal(name: str) -> int:
    found = re.match(r"\d+", name)
    return int(found.group()) if found else 0


def find_step(status: RemediationStatus, name: str) -> StepRecord | None:
    return next((record for record in status.steps if record.name == name), None)


def with_step(status: RemediationStatus, record: StepRecord) -> RemediationStatus:
    """`status` with `record` in the place of the step of its name, or as the newest."""
    if find_step(status, record.name) is None:
        return msgspec.structs.replace(status, steps=(*_room(status.steps), record))
    steps = tuple(record if known.name == record.name else known for known in status.steps)
    return msgspec.structs.replace(status, steps=steps)


def _room(steps: tuple[StepRecord, ...]) -> tuple[StepRecord, ...]:
    """Where the list is full, the oldest settled weight change makes room; the first stays, its `before` undoes all."""
    if len(steps) < MOST_STEPS:
        return steps
    settled = (StepState.Verified, StepState.Abandoned, StepState.Reverted)
    victim = next((s for s in steps[1:] if s.action == "SetWeights" and s.state in settled), steps[1])
    return tuple(step for step in steps if step is not victim)


def progressed(
    remediation: Remediation, decision: Decision, entries: Iterable[TimelineEntry] = ()
) -> RemediationStatus:
    """Its status after `decision`: verdicts, phase, what is held, what happened. The same if nothing changed."""
    status = remediation.status
    for verdict in decision.verdicts:
        status = _judged(status, verdict, decision.time)
    proposal = proposed(status.proposal, decision.held, decision.time)
    moved = msgspec.structs.replace(
        status,
        observed_generation=remediation.metadata.generation,
        phase=decision.phase or status.phase or Phase.Observed,
        opened_at=status.opened_at or moment(decision.time),
        overloaded_pods=decision.overloaded_pods or status.overloaded_pods,
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


def _judged(status: RemediationStatus, verdict: Verdict, at: float) -> RemediationStatus:
    record = find_step(status, verdict.step)
    if record is None or record.state is verdict.state:
        return status
    when = {"applied_at": record.applied_at or moment(at)} if verdict.state is StepState.Applied else {}
    judged = {} if verdict.state is StepState.Applied else {"judged_at": moment(at)}
    changed = msgspec.structs.replace(
        record,
        state=verdict.state,
        message=verdict.because[:4096] or record.message,
        manager=verdict.manager or record.manager,
        **when,
        **judged,
    )
    return with_step(status, changed)


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
        "Executed": _steps_in(status, _HAPPENED),
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
