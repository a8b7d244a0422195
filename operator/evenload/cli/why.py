"""`why`: what Evenload thinks of a Balancer, with the numbers it used, what it ruled out, and what would change it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from evenload import clock
from evenload.act.episode import LEDGER_SECONDS, counted_of
from evenload.api.v1alpha1 import (
    Balancer,
    Condition,
    ConditionStatus,
    ConditionType,
    Evidence,
    ForecastKind,
    RecordedDiagnosis,
    Remediation,
    StepRecord,
    Upcoming,
)
from evenload.api.values import moment
from evenload.cli.advice import on_held
from evenload.cli.attendance import REASON as OPERATOR_DOWN
from evenload.cli.attendance import as_attended
from evenload.cli.changes import described
from evenload.cli.cluster import Cluster
from evenload.cli.commands import evenload, kubectl
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.get import mode
from evenload.cli.objects import Item, balancers, belonging, condition, is_open, of_balancer, remediations, status_of
from evenload.cli.printing import note, say
from evenload.cli.proposal import answer, held, listed, proposed
from evenload.cli.text import age, local_time, other_clock
from evenload.episode.pauses import DENIED_SECONDS, frozen_until
from evenload.model.base import Value
from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import StepState
from evenload.model.plan import POD_ACTIONS
from evenload.model.wording import duration, listing, reweighting


class WhyOutput(StrEnum):
    text = "text"
    json = "json"


class Section(Value, frozen=True, kw_only=True):
    """A heading and its sentences."""

    title: str
    lines: tuple[str, ...]


def why(
    cluster: Cluster,
    balancer: Annotated[str, typer.Argument(help="Name of the Balancer.", autocompletion=balancer_names)],
    output: Annotated[WhyOutput, typer.Option("-o", "--output", help="Output format.")] = WhyOutput.text,
) -> ExitCode:
    """Say why: the diagnosis, its evidence and thresholds, what was ruled out, what is held back and until when."""
    [found] = as_attended(cluster, balancers(cluster, [balancer]), note)
    sections = explanation(found, of_balancer(remediations(cluster, selector=belonging(found)), found))
    if output is WhyOutput.json:
        print(json.dumps({"balancer": found.name, "sections": msgspec.to_builtins(sections)}, indent=2))
    else:
        for section in sections:
            for line in (section.title, *(f"  {line}" for line in section.lines), ""):
                say(line)
    return health(found.object)


def health(balancer: Balancer) -> ExitCode:
    """Balanced and Ready, or not, or nobody knows."""
    known = {status_of(balancer, ConditionType.Balanced), status_of(balancer, ConditionType.Ready)}
    if ConditionStatus.FALSE in known:
        return ExitCode.Findings
    return ExitCode.CouldNotTell if ConditionStatus.UNKNOWN in known else ExitCode.Fine


def explanation(item: Item[Balancer], history: Sequence[Item[Remediation]]) -> list[Section]:
    """Everything worth saying, in the order a person asks. `history`: the Balancer's Remediations, newest first."""
    newest = history[0] if history else None
    current = newest if newest is not None and is_open(newest.object) else None
    found = [
        Section(title=_headline(item), lines=tuple(_verdict(item.object))),
        *_evidence(current.object if current is not None else None),
        Section(title="What Evenload does about it", lines=tuple(_doing(item, current))),
        Section(title=_asking(item), lines=tuple(proposed(current) if current is not None else ())),
        Section(title="What would change that", lines=tuple(_way_out(item, current))),
        Section(title="Until when it keeps still", lines=tuple(keeping_still(history) if current is None else ())),
        Section(title="Limits it keeps", lines=tuple(_limits(item.object))),
        Section(title="Before", lines=(*_before(item, newest), *other_clock())),
    ]
    return [section for section in found if section.lines]


def _headline(item: Item[Balancer]) -> str:
    balanced = condition(item.object, ConditionType.Balanced)
    if balanced is None:
        return f"{item.namespace}/{item.name}: not looked at yet"
    word = {"True": "balanced", "False": "NOT balanced", "Unknown": "cannot tell"}[balanced.status]
    since = f"since {local_time(balanced.last_transition_time)}, {age(balanced.last_transition_time)} ago"
    return f"{item.namespace}/{item.name}: {word} ({balanced.reason}), {since}"


def _verdict(balancer: Balancer) -> Iterator[str]:
    status = balancer.status
    balanced = condition(balancer, ConditionType.Balanced)
    if balanced is not None and balanced.reason == OPERATOR_DOWN:
        yield f"{balanced.reason}: {balanced.message}. All that follows is from before."
    if status.diagnosis is not None and status.diagnosis.sentence:
        yield f"{status.diagnosis.label}: {status.diagnosis.sentence}"
    elif balanced is not None:
        if balanced.reason != OPERATOR_DOWN:
            yield f"{balanced.reason}: {balanced.message}"
    else:
        yield (
            "The operator has written no status. Is it running, and does it watch this namespace? "
            f"Run: {evenload('check')}"
        )
    for kind in (ConditionType.Ready, ConditionType.SignalsFresh):
        yield from _if_bad(condition(balancer, kind))
    yield from _if_good(condition(balancer, ConditionType.Contested))
    yield from audited(balancer)
    if status.summary is not None:
        yield _numbers(balancer)
    yield from (coming(each) for each in status.forecasts)


def audited(balancer: Balancer) -> Iterator[str]:
    """What the audit finds in the balancer's object, in one line."""
    found = condition(balancer, ConditionType.Audited)
    if found is not None and found.status is ConditionStatus.FALSE:
        details = evenload("audit", namespace=balancer.metadata.namespace)
        yield f"The audit finds {found.message} More: {details}"


def _if_bad(found: Condition | None) -> Iterator[str]:
    if found is not None and found.status is not ConditionStatus.TRUE and found.reason != OPERATOR_DOWN:
        yield f"{found.type} is {found.status} ({found.reason}): {found.message}"


def _if_good(found: Condition | None) -> Iterator[str]:
    if found is not None and found.status is ConditionStatus.TRUE:
        yield f"{found.type} ({found.reason}): {found.message}"


def _numbers(balancer: Balancer) -> str:
    summary = balancer.status.summary
    assert summary is not None
    parts = [
        f"{summary.requests_per_second} requests a second" if summary.requests_per_second else "",
        f"{summary.error_percent}% of them fail" if summary.error_percent else "",
        f"the busiest backend gets {summary.worst_share_ratio} times its share" if summary.worst_share_ratio else "",
        f"{summary.pods} pods are ready" if summary.pods else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"Last written: {told}. They are written anew only when they change much; live numbers are metrics."


def coming(forecast: Upcoming) -> str:
    """ "If traffic grows on like this, shop-a-x has no CPU left within 15 min."."""
    within = f"within {duration(forecast.within_seconds)}"
    if forecast.kind is ForecastKind.Saturation:
        return f"If traffic grows on like this, {forecast.pod} has no CPU left {within}."
    quiet = f" The quietest time before is at {local_time(forecast.quietest_at)}." if forecast.quietest_at else ""
    return f"If its memory grows on like this, {forecast.pod} is at its limit {within}.{quiet}"


def _evidence(remediation: Remediation | None) -> Iterator[Section]:
    if remediation is None:
        return
    diagnosis = remediation.spec.diagnosis
    yield Section(title=f"Evidence, when {remediation.metadata.name} was opened", lines=tuple(_observed(diagnosis)))
    ruled_out = tuple(f"{each.label}: {each.because}" for each in diagnosis.ruled_out)
    yield Section(title="Ruled out", lines=ruled_out)


def _observed(diagnosis: RecordedDiagnosis) -> Iterator[str]:
    for each in diagnosis.evidence:
        yield _measured(each)
    if diagnosis.manager and diagnosis.label is not Label.BadUpdate:
        yield f'The weights were last written by the field manager "{diagnosis.manager}".'


def _measured(evidence: Evidence) -> str:
    """ "share of shop-a: 0.97 (expected 0.25, threshold 0.325). shop-a takes 97% ..."."""
    of = f" of {evidence.subject}" if evidence.subject else ""
    limits = [
        f"{word} {value}"
        for word, value in (("expected", evidence.expected), ("threshold", evidence.threshold))
        if value is not None
    ]
    observed = "unknown" if evidence.observed is None else evidence.observed
    compared = f" ({', '.join(limits)})" if limits else ""
    return f"{evidence.metric}{of}: {observed}{compared}. {evidence.sentence}".strip()


def _asking(item: Item[Balancer]) -> str:
    return {"Observe": "What it would do", "Approve": "What it wants to do"}.get(mode(item.object), "What it does next")


def _doing(item: Item[Balancer], current: Item[Remediation] | None) -> Iterator[str]:
    yield f"Mode {mode(item.object)}: {_MODES[mode(item.object)]}"
    paused = pause_of(item.object)
    if paused is not None:
        yield f"Paused: {paused.message}"
    if current is None:
        yield "No Remediation is open."
        return
    remediation = current.object
    yield f"Remediation {current.name} is {remediation.status.phase or 'being opened'}."
    yield from (step_line(step) for step in remediation.status.steps)
    yield from answer(remediation)
    yield from (f"Held back: {line}" for line in held(remediation))


def pause_of(balancer: Balancer) -> Condition | None:
    """The condition that says by whom and since when; None while it is not paused."""
    paused = condition(balancer, ConditionType.Paused)
    return paused if paused is not None and paused.status is ConditionStatus.TRUE else None


_MODES = {
    "Observe": "it looks and says what it would do; it writes nothing.",
    "Approve": "it asks before it writes.",
    "Auto": "it acts by itself.",
}


def step_line(step: StepRecord) -> str:
    """ "10:05:02 SetWeights (Restore): Verified, shop-a 970 to 250"."""
    purpose = f" ({step.purpose})" if step.purpose else ""
    weights = reweighting(step.before or {}, step.after or {})
    about = _about_pod(step) if step.action in POD_ACTIONS else weights
    manager = f" by {step.manager}" if step.state is StepState.Overwritten and step.manager else ""
    return f"{local_time(step.applied_at or step.planned_at)} {step.action}{purpose}: {step.state}{manager}, {about}"


def _about_pod(step: StepRecord) -> str:
    if step.action == "Isolate":
        return (
            f"isolate {step.pod}: label {step.label} is taken off, so Service {step.backend} sends it nothing; it is "
            "evicted when nothing is in flight"
        )
    return f"pod {step.pod}"


def _way_out(item: Item[Balancer], current: Item[Remediation] | None) -> Iterator[str]:
    paused = [HeldReason.Paused] if pause_of(item.object) is not None else []
    reasons = [*paused, *(held(current.object) if current is not None else ())]
    names = {"balancer": item.name, "namespace": item.namespace, "remediation": current.name if current else ""}
    advice = (on_held(line, **names) for line in reasons)
    yield from dict.fromkeys(line for line in advice if line)
    if current is None:
        return
    yield from _update_back(current.object.spec.diagnosis)
    if not paused:
        yield f"To stop it: {evenload('pause', item.name, namespace=item.namespace)}"
    if any(step.before for step in current.object.status.steps):
        yield f"To have its weight changes undone: {evenload('undo', current.name, namespace=item.namespace)}"


def _update_back(diagnosis: RecordedDiagnosis) -> Iterator[str]:
    """How to take back what an update changed besides weights."""
    update = diagnosis.route_change
    if diagnosis.label is not Label.BadUpdate or update is None or not update.elsewhere:
        return
    yield f"Suspect the update by {update.manager} at {_moment(update.time)}: it changed {listing(update.elsewhere)}."
    where = "Take it back where it was made, or a GitOps tool makes it again"
    yield f"{where}. By hand: {update.undo}" if update.undo else f"{where}."


def keeping_still(history: Sequence[Item[Remediation]]) -> Iterator[str]:
    """After a denial or an undo: why nothing is proposed, until when, and how to have it sooner."""
    now = clock.now()
    entries = [(item, each.what) for item in history for each in counted_of(item.object) if not each.planned]
    recent = [(item, what) for item, what in entries if what.time > now - LEDGER_SECONDS]
    for item, what in recent:
        if what.kind == "Denied" and now < (until := what.time + DENIED_SECONDS):
            by = item.object.spec.approval.by or "somebody"
            yield f"{what.label}: {by} denied {item.name}; nothing is proposed until {local_time(moment(until))}."
            yield f"To be asked again at once: {_forget(item)}"
    until = frozen_until(what for _, what in recent)
    if now < until:
        item, _ = max(((i, w) for i, w in recent if w.kind == "Revert"), key=lambda each: each[1].time)
        yield f"A change was undone ({item.name}); nothing is written until {local_time(moment(until))}."
        yield f"To go on at once: {_forget(item)}"


def _forget(item: Item[Remediation]) -> str:
    command = kubectl("delete", "remediation", item.name, namespace=item.namespace)
    return f"{command} (no budget counts it any more then)"


def _limits(balancer: Balancer) -> Iterator[str]:
    spec = balancer.spec
    tolerance = 1 + spec.desired.tolerance_percent / 100
    yield (
        f"A backend is off balance above {tolerance:g} times its share (spec.desired.tolerancePercent: "
        f"{spec.desired.tolerance_percent}), and only if chance does not explain it."
    )
    yield (
        f"Numbers older than {spec.signals.max_age}, or fewer than {spec.signals.min_requests_per_pod} requests a pod "
        "in the window, decide nothing (spec.signals)."
    )
    yield f"No receiver is planned above {spec.guardrails.max_utilization_percent}% of its capacity (spec.guardrails)."
    for budget in balancer.status.budgets:
        until = f" until {local_time(budget.until)}" if budget.until is not None and not budget.remaining else ""
        yield f"{budget.action}: {budget.remaining} left this hour{until}."


def _before(item: Item[Balancer], newest: Item[Remediation] | None) -> Iterator[str]:
    status = item.object.status
    if status.changes:
        change = status.changes[0]
        yield f"The route was last changed by {change.manager} at {_moment(change.time)}: {described(change)}."
    if status.known_good is not None:
        yield f"Traffic was last seen balanced under: {listed(status.known_good.weights)}."
    if newest is not None and not is_open(newest.object):
        last = newest.object
        closed = last.status.closed_at
        yield (
            f"Last Remediation: {newest.name}, {last.spec.diagnosis.label}, {last.status.phase}, {age(closed)} ago. "
            f"See: {evenload('report', newest.name, namespace=newest.namespace)}"
        )


def _moment(time: datetime) -> str:
    return f"{local_time(time)}, {age(time)} ago"
