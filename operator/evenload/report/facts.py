"""Everything a report says, as typed facts: the HTML page, the Markdown postmortem and the JSON are views of these.

Pure: the same Remediation, recording and client record give the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from evenload.model.base import Value
from evenload.model.diagnosis import Evidence, RuledOut
from evenload.model.episode import ApprovalDecision, Phase, Step, StepState
from evenload.model.plan import POD_ACTIONS, WEIGHT_ACTIONS
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.spec import GuardMode
from evenload.report.changes import Change, Guarded, balancer_of, changes_about, guarded
from evenload.report.client import ClientRecord
from evenload.report.followups import followups
from evenload.report.incident import Incident
from evenload.report.series import Recording, failed_requests
from evenload.report.timeline import Moment, WeightChange, moments, step_title, verdict_text
from evenload.report.wording import count, duration, listed, percent, weights_changed

OURSELVES = "evenload"
"""Our field manager: what it wrote was the cure, not the cause."""
ROUNDING_SECONDS = 0.001
"""The API server keeps times to the microsecond, a recording keeps them as they were."""


class Done(Value, frozen=True, kw_only=True):
    """One write, by whom, and what came of it."""

    name: str
    action: str
    title: str
    detail: str
    by: str
    state: str
    result: str
    time: float | None
    pod: str = ""  # its UID, where a pod is taken away


class Impact(Value, frozen=True, kw_only=True):
    """How many requests failed, and who counted. Absent is unknown."""

    requests: int | None = None
    failed: float | None = None
    failed_ratio: float | None = None
    worst_ratio: float | None = None
    counted_by: str = ""


class Delays(Value, frozen=True, kw_only=True):
    """Seconds: from the cause to the diagnosis, until callers were served again, and until all was verified well."""

    detect: float | None = None
    mitigate: float | None = None
    resolve: float | None = None


class Arm(Value, frozen=True, kw_only=True):
    """One column of the comparison: the same incident with Evenload, or left alone."""

    title: str
    requests: int
    failed: int
    failed_ratio: float | None
    worst_ratio: float | None
    seconds: float
    mitigate: float | None


class Facts(Value, frozen=True, kw_only=True):
    """Times in seconds since the epoch, ratios from 0 to 1."""

    name: str
    namespace: str
    balancer: str
    phase: Phase
    label: str
    sentence: str
    headline: str
    opened_at: float
    closed_at: float | None
    trigger: str
    impact: Impact
    delays: Delays
    change: WeightChange | None
    cause: str
    moments: tuple[Moment, ...]
    evidence: tuple[Evidence, ...]
    ruled_out: tuple[RuledOut, ...]
    done: tuple[Done, ...]
    followups: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    guarded: Guarded | None = None
    tried: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    named_backends: tuple[str, ...] = ()
    named_pods: tuple[str, ...] = ()
    approval: str = ""
    notes: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        return self.closed_at is not None

    @property
    def restarts(self) -> int:
        """Pods isolated or evicted; a step that was never written, or was taken back, does not count."""
        taken = (step for step in self.done if step.action in POD_ACTIONS and step.time is not None)
        return len({step.pod for step in taken if step.state != StepState.Reverted})

    @property
    def weight_writes(self) -> int:
        return sum(step.action in WEIGHT_ACTIONS and step.time is not None for step in self.done)

    @property
    def impact_sentence(self) -> str:
        return _impact_sentence(self.impact)

    @property
    def detection_sentence(self) -> str:
        return _detection_sentence(self)

    @property
    def guard_sentence(self) -> str:
        """Whether the guard refuses the update that caused it; empty where it has nothing against it."""
        return _guard_sentence(self.guarded) if self.guarded is not None else ""

    @property
    def ok(self) -> bool:
        """Mended, and nothing had to be taken back."""
        return self.phase is Phase.Succeeded


class Sources(NamedTuple):
    """What a report is made from; only the incident is always there."""

    incident: Incident
    recording: Recording = ()
    client: ClientRecord | None = None
    alone: ClientRecord | None = None
    balancer: Mapping[str, Any] | None = None  # its manifest as it is now
    tried: tuple[str, ...] = ()  # since, to prevent another, in sentences


def facts(sources: Sources) -> Facts:
    """All of it. Raises InputError where the Balancer cannot be read."""
    incident, balancer = sources.incident, sources.balancer
    change = weight_change(sources)
    guard = guarded(balancer, change) if balancer is not None else None
    impact = _impact(sources)
    delays = _delays(sources, change)
    return Facts(
        name=incident.name,
        namespace=incident.namespace,
        balancer=incident.balancer,
        phase=incident.phase,
        label=incident.diagnosis.label,
        sentence=_ended(incident.diagnosis.sentence),
        headline=_headline(incident, impact, delays),
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        trigger=incident.trigger,
        impact=impact,
        delays=delays,
        change=change,
        cause=_cause(incident, change),
        moments=moments(incident, change, sources.client),
        evidence=incident.diagnosis.evidence,
        ruled_out=incident.diagnosis.ruled_out,
        done=tuple(_done(incident)),
        followups=followups(incident, guard),
        changes=changes_about(balancer_of(balancer), incident) if balancer is not None else (),
        guarded=guard,
        tried=sources.tried,
        arms=tuple(_arms(sources)),
        named_backends=incident.diagnosis.backends,
        named_pods=incident.diagnosis.pods,
        approval=_approval(incident),
        notes=tuple(_notes(sources)),
    )


def weight_change(sources: Sources) -> WeightChange | None:
    """Who wrote the wrong weights, when, and what they were before; None where no writer is to be named.

    The recording knows best (it saw the write), then the record; the first stored step knows the weights that the write
    left behind.
    """
    manager = sources.incident.diagnosis.manager
    if manager is None:
        return None
    seen = _write_seen(sources.recording, manager, sources.incident.opened_at)
    first = next((step for step in sources.incident.steps if step.before), None)
    left_behind = first.before if first else None
    known = sources.incident.route_change
    before = known.before if known is not None else None
    if seen is None:
        time = known.time if known is not None else None
        return WeightChange(manager=manager, time=time, before=before, after=left_behind)
    snapshot, write = seen
    after = {name: backend.weight for name, backend in snapshot.backends.items()}
    return WeightChange(manager=manager, time=write.time, before=write.before or before, after=after)


def _write_seen(recording: Recording, manager: str, opened_at: float) -> tuple[Snapshot, RouteWrite] | None:
    """The manager's last one before the diagnosis: earlier ones by the same pipeline were fine."""
    writes = [
        (snapshot, snapshot.last_write)
        for snapshot, _ in recording
        if snapshot.last_write is not None
        and snapshot.last_write.manager == manager
        and snapshot.time <= opened_at + ROUNDING_SECONDS
    ]
    return max(writes, key=lambda seen: seen[1].time, default=None)


def _impact(sources: Sources) -> Impact:
    client, outcome = sources.client, sources.incident.outcome
    if client is not None and client.bins:
        return Impact(
            requests=client.requests,
            failed=client.failed,
            failed_ratio=client.failed_ratio,
            worst_ratio=client.worst_ratio,
            counted_by=client.source or "the callers",
        )
    if outcome.requests_failed is not None:
        return Impact(failed=outcome.requests_failed, counted_by="the operator, from the servers' counters")
    failed = failed_requests(sources.recording)
    return Impact(
        failed=failed, counted_by="the servers' counters in the flight recording" if failed is not None else ""
    )


def _delays(sources: Sources, change: WeightChange | None) -> Delays:
    """The operator's own figures where it has them; the callers' word on mitigation wins over it.

    What nobody mended was not resolved, whenever it was closed.
    """
    incident, client = sources.incident, sources.client
    start, so_far = _start(sources, change), not incident.over and not incident.outcome.requests_failed
    mitigate = None if so_far else incident.outcome.time_to_mitigate_seconds
    mended = incident.phase is Phase.Succeeded
    if client is not None and client.onset is not None:
        mitigate = client.time_to_mitigate_seconds
    return Delays(
        detect=_or(incident.outcome.time_to_detect_seconds, _since(start, incident.opened_at)),
        mitigate=mitigate,
        resolve=_or(incident.outcome.time_to_resolve_seconds, _since(start, incident.closed_at)) if mended else None,
    )


def _start(sources: Sources, change: WeightChange | None) -> float | None:
    if change is not None and change.time is not None:
        return change.time
    if sources.client is not None and sources.client.onset is not None:
        return sources.client.onset
    return sources.incident.diagnosis.since


def _since(start: float | None, end: float | None) -> float | None:
    return end - start if start is not None and end is not None and end >= start else None


def _or(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _headline(incident: Incident, impact: Impact, delays: Delays) -> str:
    """One sentence for the top of the page."""
    who = listed(incident.diagnosis.backends or incident.diagnosis.pods)
    what = f"{incident.diagnosis.label} of {who}" if who else str(incident.diagnosis.label)
    parts = [f"{what} behind Balancer {incident.balancer}"]
    if delays.detect is not None:
        parts.append(f"diagnosed after {duration(delays.detect)}")
    if delays.mitigate is not None:
        parts.append(f"callers served again after {duration(delays.mitigate)}")
    if impact.failed is not None:
        share = f" ({percent(impact.failed_ratio)})" if impact.failed_ratio is not None else ""
        parts.append(f"{count(impact.failed)} requests failed{share}")
    return f"{'; '.join(parts)}."


def _cause(incident: Incident, change: WeightChange | None) -> str:
    told = incident.diagnosis.sentence
    if change is None:
        return _ended(told) or "The recording does not tell; see the evidence."
    weights = weights_changed(change.before, change.after)
    who = "" if change.manager in told else f'The field manager "{change.manager}" wrote the weights.'
    return " ".join(part for part in (_ended(told), who, weights and f"In all: {weights}.") if part)


def _ended(sentence: str) -> str:
    """With a full stop, unless it has an end of its own."""
    return f"{sentence}." if sentence and sentence[-1] not in ".!?" else sentence


def _done(incident: Incident) -> Iterator[Done]:
    for step in incident.steps:
        yield Done(
            name=step.name,
            action=step.action,
            title=step_title(step),
            detail=_done_detail(step),
            by=_by(incident),
            state=step.state,
            result=" ".join(part for part in (verdict_text(step), step.message and f"({step.message})") if part),
            time=step.applied_at,
            pod=step.uid or "",
        )


def _done_detail(step: Step) -> str:
    return f"its workload {step.workload} replaces it" if step.workload else weights_changed(step.before, step.after)


def _by(incident: Incident) -> str:
    approved = incident.approval.decision is ApprovalDecision.Approved
    return f"Evenload, approved by {incident.approval.by}" if approved else "Evenload"


def _approval(incident: Incident) -> str:
    approval = incident.approval
    if approval.decision is not None:
        note = f': "{approval.note}"' if approval.note else ""
        return f"{approval.decision} by {approval.by or 'an unknown user'}{note}"
    return "Approval was required and has not been given." if approval.required else ""


def _impact_sentence(impact: Impact) -> str:
    if impact.failed is None:
        return "Nobody counted failed requests, so the impact is unknown."
    failed = f"{count(impact.failed)} requests failed"
    if impact.requests is not None:
        failed = f"{count(impact.failed)} of {count(impact.requests)} requests failed ({percent(impact.failed_ratio)})"
    worst = f", {percent(impact.worst_ratio)} in the worst ten seconds" if impact.worst_ratio is not None else ""
    return f"{failed}{worst}; counted by {impact.counted_by}."


def _detection_sentence(facts: Facts) -> str:
    if facts.delays.detect is None:
        return "Since when the fault was there is unknown, so the detection delay is too."
    first = facts.change.manager if facts.change is not None and facts.change.time is not None else None
    since = f"the weights were changed by {first}" if first else "the first sign"
    return (
        f"The diagnosis {facts.label} stood {duration(facts.delays.detect)} after {since}. "
        "No person had to notice or call."
    )


def _guard_sentence(guard: Guarded) -> str:
    when = "refuses" if guard.mode is GuardMode.Deny else "would refuse, with spec.guard.mode Deny,"
    return f"The guard of Balancer {guard.balancer} {when} this very update: it {guard.sentence}."


def _arms(sources: Sources) -> Iterator[Arm]:
    if sources.client is None or sources.alone is None:
        return
    yield _arm("With Evenload", sources.client)
    yield _arm("Left alone", sources.alone)


def _arm(title: str, client: ClientRecord) -> Arm:
    return Arm(
        title=title,
        requests=client.requests,
        failed=client.failed,
        failed_ratio=client.failed_ratio,
        worst_ratio=client.worst_ratio,
        seconds=client.seconds,
        mitigate=client.time_to_mitigate_seconds,
    )


def _notes(sources: Sources) -> Iterator[str]:
    """What the reader should know about what this report could not know."""
    if not sources.recording:
        yield "There is no flight recording of this episode, so there are no plots of what the servers saw."
    if sources.client is None:
        yield "No client-side record was given: what never reached a server is not counted."
    if sources.balancer is None:
        yield "The Balancer is not there any more, or was not read: its changelog and its guard are not in here."
    if not sources.incident.over:
        yield f"The episode is still open (phase {sources.incident.phase}): this is an interim report."
