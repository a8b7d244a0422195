"""What happened, in order: the moments of an incident, numbered where the plots mark them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from msgspec.structs import replace

from evenload.model.base import Value
from evenload.model.episode import Phase, Step, StepState
from evenload.model.plan import POD_ACTIONS, Purpose
from evenload.report.client import ClientRecord
from evenload.report.incident import Incident
from evenload.report.wording import duration, weights_changed


class Kind(StrEnum):
    """Whose doing a moment is; the plots colour by it."""

    Cause = "Cause"  # somebody changed the balancer
    Impact = "Impact"  # callers began or ceased to suffer
    Detection = "Detection"
    Action = "Action"  # Evenload or a person wrote something
    Verdict = "Verdict"  # what came of it
    End = "End"
    Note = "Note"  # the operator's own log line


class Moment(Value, frozen=True, kw_only=True):
    """One line of the timeline. `number` is its mark in the plots; 0 has none."""

    time: float
    kind: Kind
    title: str
    detail: str = ""
    number: int = 0


class WeightChange(Value, frozen=True, kw_only=True):
    """Which field manager changed which weights, and when it is known to have done so."""

    manager: str
    time: float | None = None
    before: dict[str, int] | None = None
    after: dict[str, int] | None = None


_MARKED = frozenset({Kind.Cause, Kind.Impact, Kind.Detection, Kind.Action, Kind.End})

_PURPOSES = {
    Purpose.Restore: "Weights restored",
    Purpose.Rollback: "Update rolled back",
    Purpose.Rebalance: "Weights rebalanced",
    Purpose.Eject: "Backend ejected",
    Purpose.Drain: "Backend drained",
    Purpose.Ramp: "Weight ramped up",
    Purpose.Revert: "Weights put back",
}

_VERDICTS = {
    StepState.Verified: "verified: traffic did what was predicted",
    StepState.Ineffective: "had no effect: traffic did not move",
    StepState.Reverted: "made things worse and was undone",
    StepState.Overwritten: "was overwritten by another writer",
    StepState.Abandoned: "was given up before it was written",
}

_ENDINGS = {
    Phase.Succeeded: "Resolved",
    Phase.RolledBack: "Closed: rolled back",
    Phase.Failed: "Closed: not mended by Evenload",
    Phase.Denied: "Closed: denied",
    Phase.Expired: "Closed: expired",
}


_NOT_IN_STEPS = frozenset({"RouteChanged", "Held", "ApprovalNeeded", "Contested", "RestartRefused", "WriteFailed"})
"""Of the operator's log: the rest is told by the steps, with more detail."""


def moments(incident: Incident, change: WeightChange | None, client: ClientRecord | None) -> tuple[Moment, ...]:
    """All moments in order of time, those that the plots mark numbered from 1."""
    found = [
        *_cause(change),
        *_impact(client),
        *_detection(incident),
        *_steps(incident),
        *_notes(incident, change),
        *_end(incident),
    ]
    return _numbered(sorted(found, key=lambda moment: moment.time))


def step_title(step: Step) -> str:
    """ "Weights restored", "Pod shop-a-x evicted"."""
    if step.action == "Isolate":
        return f"Pod {step.pod} isolated"
    if step.action == "RestartPod":
        return f"Pod {step.pod} evicted"
    if step.action == "Drain":
        return f"Backend {step.backend} drained"
    return _PURPOSES[step.purpose] if step.purpose else "Weights written"


def verdict_text(step: Step) -> str:
    """What came of it, in words; "" while nobody knows."""
    if step.state is StepState.Verified and step.action in POD_ACTIONS:
        return "verified: the replacement is ready"
    if step.state is StepState.Overwritten and step.manager:
        return f"was overwritten by {step.manager}"
    return _VERDICTS.get(step.state, "")


def _cause(change: WeightChange | None) -> Iterator[Moment]:
    if change is not None and change.time is not None:
        yield Moment(
            time=change.time,
            kind=Kind.Cause,
            title=f"{change.manager} changed the weights",
            detail=weights_changed(change.before, change.after),
        )


def _impact(client: ClientRecord | None) -> Iterator[Moment]:
    if client is None or client.onset is None:
        return
    yield Moment(time=client.onset, kind=Kind.Impact, title="Callers' requests begin to fail")
    if client.time_to_mitigate_seconds is not None:
        yield Moment(
            time=client.onset + client.time_to_mitigate_seconds,
            kind=Kind.Impact,
            title="Callers are served again",
            detail="fewer than 1% of requests fail from here on",
        )


def _detection(incident: Incident) -> Iterator[Moment]:
    diagnosis = incident.diagnosis
    yield Moment(
        time=incident.opened_at, kind=Kind.Detection, title=f"Diagnosed: {diagnosis.label}", detail=diagnosis.sentence
    )


def _steps(incident: Incident) -> Iterator[Moment]:
    for step in incident.steps:
        if step.applied_at is not None:
            yield Moment(time=step.applied_at, kind=Kind.Action, title=step_title(step), detail=_step_detail(step))
        if step.judged_at is not None and verdict_text(step):
            yield Moment(
                time=step.judged_at,
                kind=Kind.Verdict,
                title=f"{step_title(step)}: {verdict_text(step)}",
                detail=step.message,
            )


def _step_detail(step: Step) -> str:
    if step.action == "Isolate":
        return f"no Service sends it a new request, and {step.workload} brings the replacement"
    if step.action == "RestartPod":
        return f"{step.workload} brings the replacement" if step.workload and not step.label else ""
    return weights_changed(step.before, step.after)


def _end(incident: Incident) -> Iterator[Moment]:
    if incident.closed_at is not None and incident.phase in _ENDINGS:
        yield Moment(
            time=incident.closed_at,
            kind=Kind.End,
            title=_ENDINGS[incident.phase],
            detail=f"{duration(incident.closed_at - incident.opened_at)} after the diagnosis",
        )


def _notes(incident: Incident, change: WeightChange | None) -> Iterator[Moment]:
    """What the operator logged and no step tells: other writers, and why it waited."""
    known = change.time if change is not None else None
    for entry in incident.timeline:
        is_the_cause = entry.event == "RouteChanged" and known is not None and abs(entry.at - known) < 1
        if entry.event in _NOT_IN_STEPS and not is_the_cause:
            yield Moment(time=entry.at, kind=Kind.Note, title=_spaced(entry.event), detail=entry.detail)


def _spaced(word: str) -> str:
    """ "ApprovalNeeded" as "Approval needed"."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found.group().lower()}", word)


def _numbered(ordered: list[Moment]) -> tuple[Moment, ...]:
    numbered: list[Moment] = []
    marks = 0
    for moment in ordered:
        marks += moment.kind in _MARKED
        numbered.append(replace(moment, number=marks) if moment.kind in _MARKED else moment)
    return tuple(numbered)
