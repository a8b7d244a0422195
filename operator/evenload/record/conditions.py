"""A Balancer's status, from what one tick found. Pure.

The API server and everyone who watches pay for each change, so noise must not be one: while all is well nothing here
holds a live number, and where numbers are told they stay until something material happened: another reason, other
names, or a figure that moved by half. Live numbers are metrics.

Ready means that Evenload works, Balanced that traffic is fine. An imbalance never makes Ready False, or GitOps tools
would block the very fix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from evenload.api.v1alpha1 import (
    BalancerStatus,
    BudgetState,
    Condition,
    ConditionStatus,
    ConditionType,
    CurrentDiagnosis,
    KnownGood,
    Outlier,
    OutlierVerdict,
    Resolved,
    RouteChange,
    Summary,
)
from evenload.api.values import from_number, moment
from evenload.model.base import Value
from evenload.model.decision import Decision, HeldReason
from evenload.model.diagnosis import INSIDE, Diagnosis, Label, SkewCause
from evenload.model.guard import thousandths
from evenload.model.policy import Policy
from evenload.model.snapshot import SIGNALS, Signal, SignalName, SignalState, Snapshot
from evenload.model.spec import Mode
from evenload.record.audited import Audited
from evenload.record.changelog import changelog
from evenload.record.horizon import upcoming
from evenload.record.probation import judged

MATERIAL_RATIO = 1.5  # a told figure is told anew when it moved by this factor
RATE_RATIO = 3.0  # requests a second follow the day, and come in bursts: their order of magnitude is told
LEAST_ERROR_PERCENT = 1.0  # below it errors are told as none
LEAST_RATE = 1.0
LEAST_SHARE = 0.1  # of the share it should have
OUTLIERS = 20
HOUR_SECONDS = 3600.0
NOT_AUDITED = "the balancer's object is not known here, or too large to be looked at each time; run evenload audit"
NEEDED_SIGNALS: tuple[SignalName, ...] = (
    "requests",
    "errors",
)  # without them there is no diagnosis; the others only sharpen it


class Trouble(Value, frozen=True, kw_only=True):
    """Why a Balancer cannot be looked after, as a condition's reason and a sentence that says what to do."""

    reason: str
    message: str


class Facts(Value, frozen=True, kw_only=True):
    """What one tick found of one Balancer. With a trouble there is no snapshot and no decision."""

    time: float
    generation: int
    mode: Mode
    subject: str  # "HTTPRoute shop"
    trouble: Trouble | None = None
    snapshot: Snapshot | None = None
    decision: Decision | None = None
    policy: Policy | None = None
    resolved: Resolved | None = None
    changes: tuple[RouteChange, ...] = ()  # the newest of the balancer, the last one last
    remediation: str | None = None  # the open one
    paused: Trouble | None = None  # by what, as reason and sentence
    limits: tuple[str, ...] = ()  # what Evenload cannot do or does not wait for, a sentence each
    unrecorded: str = ""  # why the Remediation cannot be written
    unwritten: str = ""  # why what was decided cannot be written
    audited: Audited | None = None  # what the audit finds in the balancer's object, where that is known


class Finding(Value, frozen=True, kw_only=True):
    """One condition, before it is compared with what was told."""

    status: ConditionStatus
    reason: str
    message: str = ""


TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def status_of(known: BalancerStatus, facts: Facts) -> BalancerStatus:
    """The status after this tick; equal to `known` if there is nothing to tell."""
    summary, outliers = _summary(known.summary, facts), _outliers(known.outliers, facts)
    moved = (summary, outliers) != (known.summary, known.outliers)
    conditions = {kind: _condition(known, kind, found, facts) for kind, found in findings(facts).items()}
    balanced = conditions[ConditionType.Balanced]
    return BalancerStatus(
        observed_generation=facts.generation,
        mode=facts.mode,
        conditions=tuple((conditions | {ConditionType.Balanced: _steady(known, balanced, moved=moved)}).values()),
        diagnosis=None if facts.trouble else _diagnosis(known.diagnosis, facts.decision, moved=moved),
        summary=summary,
        resolved=facts.resolved or known.resolved,
        outliers=outliers,
        forecasts=() if facts.trouble else upcoming(known.forecasts, facts.decision),
        active_remediation=facts.remediation,
        budgets=budgets(facts) or known.budgets,
        known_good=_known_good(known.known_good, facts),
        target_shares=_target_shares(known.target_shares, facts.decision),
        changes=_changes(known.changes, facts),
    )


def _changes(known: tuple[RouteChange, ...], facts: Facts) -> tuple[RouteChange, ...]:
    changes = changelog(known, facts.changes, facts.remediation)
    if facts.snapshot is None or facts.decision is None or facts.policy is None:
        return changes
    seconds = facts.policy.probation_seconds
    return judged(changes, facts.snapshot, facts.decision, probation_seconds=seconds, remediation=facts.remediation)


def _condition(known: BalancerStatus, kind: ConditionType, found: Finding, facts: Facts) -> Condition:
    before = _told(known, kind.value)
    since = before.last_transition_time if before and before.status is found.status else moment(facts.time)
    return Condition(
        type=kind.value,
        status=found.status,
        reason=found.reason,
        message=found.message[:4096],
        last_transition_time=since,
        observed_generation=facts.generation,
    )


def _steady(known: BalancerStatus, now: Condition, *, moved: bool) -> Condition:
    """`now` with the message told before, if it is about the same and the figures have not moved."""
    before = _told(known, now.type)
    if before is None or moved or (before.status, before.reason) != (now.status, now.reason):
        return now
    return msgspec.structs.replace(now, message=before.message)


def _told(known: BalancerStatus, kind: str) -> Condition | None:
    return next((condition for condition in known.conditions if condition.type == kind), None)


def findings(facts: Facts) -> dict[ConditionType, Finding]:
    """Every condition as this tick finds it."""
    return {
        ConditionType.Ready: _ready(facts),
        ConditionType.Balanced: _balanced(facts),
        ConditionType.SignalsFresh: _signals_fresh(facts),
        ConditionType.Remediating: _remediating(facts),
        ConditionType.Paused: _paused(facts),
        ConditionType.Contested: _contested(facts),
        ConditionType.Audited: _audited(facts),
    }


def _ready(facts: Facts) -> Finding:
    if facts.trouble:
        return Finding(status=FALSE, reason=facts.trouble.reason, message=facts.trouble.message)
    message = f"Evenload looks after {facts.subject}"
    if facts.limits:
        return Finding(status=TRUE, reason="Limited", message="; ".join((message, *facts.limits)))
    return Finding(status=TRUE, reason="Watching", message=message)


def _balanced(facts: Facts) -> Finding:
    decision = facts.decision
    if decision is None:
        return Finding(status=UNKNOWN, reason="NotWatching", message="see the condition Ready")
    label = decision.diagnosis.label
    if label is Label.Healthy:
        return Finding(status=TRUE, reason=label.value, message="every backend gets its share of the traffic")
    if label is Label.NoData:
        reason = "TooEarly" if decision.diagnosis.early else label.value
        return Finding(status=UNKNOWN, reason=reason, message=decision.diagnosis.sentence)
    status = {True: TRUE, False: FALSE, None: UNKNOWN}[decision.balanced]
    return Finding(status=status, reason=label.value, message=decision.diagnosis.sentence)


def _signals_fresh(facts: Facts) -> Finding:
    if facts.snapshot is None:
        return Finding(status=UNKNOWN, reason="NotWatching", message="see the condition Ready")
    signals = {name: facts.snapshot.signals.get(name, _UNTOLD) for name in SIGNALS}
    bad = {name: signals[name] for name in NEEDED_SIGNALS if signals[name].state is not SignalState.Fresh}
    if not bad:
        message = "; ".join(["requests and errors are measured for every ready pod", *_without(signals)])
        return Finding(status=TRUE, reason="Fresh", message=message)
    names: dict[str, list[str]] = {}  # by what is to be done: often one cause has both
    for name, signal in bad.items():
        names.setdefault(_signal_advice(signal), []).append(name)
    message = "; ".join(f"{' and '.join(several)}: {advice}" for advice, several in names.items())
    return Finding(status=FALSE, reason=next(iter(bad.values())).state.value, message=message)


_UNTOLD = Signal(state=SignalState.Missing)


def _signal_advice(signal: Signal) -> str:
    """What to correct. A detail tells ages and counts, which change each tick, unless it names a field of the spec."""
    return signal.detail if "spec.signals." in signal.detail else _SIGNAL_ADVICE[signal.state]


_SIGNAL_ADVICE = {
    SignalState.Fresh: "",
    SignalState.Missing: "Prometheus does not answer, or has no series of these pods; check its address, that it is "
    "up and scrapes the pods, and spec.signals (preset, labels, queries)",
    SignalState.Stale: "the newest sample is older than spec.signals.maxAge; check that Prometheus still scrapes "
    "the pods",
    SignalState.NaN: "Prometheus answers with something that is not a number; check spec.signals.queries",
    SignalState.Partial: "some ready pods have no series; check that Prometheus scrapes them all",
}


def _without(signals: Mapping[SignalName, Signal]) -> Iterator[str]:
    """What a signal that only sharpens the diagnosis would be needed for."""
    for name, what in _NEEDED_FOR.items():
        if signals[name].state in (SignalState.Missing, SignalState.Stale, SignalState.NaN):
            yield f"{name} is {signals[name].state}, so {what}"


_NEEDED_FOR: dict[SignalName, str] = {
    "latency": "slow pods are not found",
    "cpu": "headroom is not checked and saturation is not forecast",
    "memory": "memory leaks are not found",
    "inFlight": "a drain is judged by the requests that still arrive",
}


def _remediating(facts: Facts) -> Finding:
    see = f"see Remediation {facts.remediation}"
    if facts.unrecorded:
        message = f"nothing is done, because the Remediation cannot be written: {facts.unrecorded}"
        return Finding(status=FALSE, reason="NotRecorded", message=message)
    if facts.remediation is None:
        return Finding(status=FALSE, reason="NoRemediation")
    if facts.unwritten:
        message = f"a write fails and is tried again, once a minute at least: {facts.unwritten}; {see}"
        return Finding(status=FALSE, reason="WriteFailed", message=message)
    phase = facts.decision.phase if facts.decision else None
    return Finding(status=TRUE, reason=phase.value if phase else "Open", message=see)


def _paused(facts: Facts) -> Finding:
    if facts.paused is None:
        return Finding(status=FALSE, reason="NotPaused")
    return Finding(status=TRUE, reason=facts.paused.reason, message=facts.paused.message)


def _contested(facts: Facts) -> Finding:
    held = facts.decision.held if facts.decision else ()
    contested = next((one for one in held if one.reason is HeldReason.Contested), None)
    if contested is None:
        return Finding(status=FALSE, reason="NotContested")
    return Finding(
        status=TRUE,
        reason="RivalWriter",
        message=contested.detail
        or "another field manager keeps putting its own weights back; Evenload stopped writing",
    )


def _audited(facts: Facts) -> Finding:
    if facts.audited is None:
        return Finding(status=UNKNOWN, reason="NotAudited", message=NOT_AUDITED)
    passed, reason, message = facts.audited.verdict
    return Finding(status=TRUE if passed else FALSE, reason=reason, message=message)


def _summary(known: Summary | None, facts: Facts) -> Summary | None:
    if facts.snapshot is None or facts.decision is None:
        return None if facts.trouble else known
    was = known or Summary()
    decision, window = facts.decision, facts.snapshot.window
    pods = [pod for backend in facts.snapshot.backends.values() for pod in backend.pods.values()]
    rate, errors = decision.requests_per_second, decision.error_ratio
    percent = None if errors is None else 100 * errors
    return Summary(
        pods=f"{sum(pod.ready for pod in pods)}/{len(pods)}",
        requests_per_second=_sticky(
            was.requests_per_second, rate, RATE_RATIO * _noise((rate or 0.0) * window), LEAST_RATE
        ),
        worst_share_ratio=(
            _sticky(was.worst_share_ratio, decision.worst_ratio, MATERIAL_RATIO) if decision.balanced is False else None
        ),
        error_percent=_sticky(
            was.error_percent,
            percent,
            MATERIAL_RATIO * _noise((errors or 0.0) * (rate or 0.0) * window),
            LEAST_ERROR_PERCENT,
        ),
    )


def _noise(count: float) -> float:
    """How far `count` random arrivals swing by themselves, as a factor: three standard deviations (Poisson)."""
    return 1 + 3 / math.sqrt(max(count, 1.0))


def _sticky(known: str | None, now: float | None, ratio: float, least: float = 0.0) -> str | None:
    """`now` in two digits, or what was told before while they are within `ratio`. Below `least` all is told as 0."""
    if now is None or not math.isfinite(now):
        return None
    before = from_number(known)
    if before is not None:
        low, high = sorted((max(before, least), max(now, least)))
        if low * ratio >= high:
            return known
    return f"{float(f'{now:.2g}'):g}" if now >= least else "0"


def _diagnosis(known: CurrentDiagnosis | None, decision: Decision | None, *, moved: bool) -> CurrentDiagnosis | None:
    if decision is None:
        return known
    diagnosis = decision.diagnosis
    same = known is not None and known.label is diagnosis.label
    if known is not None and same and (not moved or diagnosis.label is Label.Healthy):
        return known
    since = known.since if known is not None and same else _since(diagnosis, decision.time)
    sentence = "" if diagnosis.label is Label.Healthy else diagnosis.sentence[:4096]
    return CurrentDiagnosis(label=diagnosis.label, sentence=sentence, since=since)


def _since(diagnosis: Diagnosis, time: float) -> datetime:
    return moment(time if diagnosis.since is None else diagnosis.since)


def _outliers(known: tuple[Outlier, ...], facts: Facts) -> tuple[Outlier, ...]:
    decision = facts.decision
    if decision is None or decision.diagnosis.label in (Label.Healthy, Label.NoData):
        return ()
    tolerance = facts.policy.tolerance_ratio if facts.policy else MATERIAL_RATIO
    told = {outlier.name: outlier for outlier in known}
    requests = (decision.requests_per_second or 0.0) * (facts.snapshot.window if facts.snapshot else 0.0)
    found = {
        outlier.name: outlier
        for outlier in (*_skewed(decision, requests, told, tolerance), *_sick(decision, facts.snapshot))
    }
    worst_first = sorted(found.values(), key=_distance, reverse=True)[:OUTLIERS]
    return tuple(sorted(worst_first, key=lambda outlier: outlier.name))


def _skewed(decision: Decision, requests: float, told: Mapping[str, Outlier], tolerance: float) -> Iterator[Outlier]:
    """`requests`: of the whole window."""
    if Label.LoadBalancerSkew not in (decision.diagnosis.label, *decision.diagnosis.also):
        return  # uneven by chance is not worth a name
    if decision.diagnosis.cause is SkewCause.NotReached:  # who carries its share is not to blame
        yield from _by_evidence(decision, told, OutlierVerdict.Cold)
        return
    if decision.diagnosis.cause in INSIDE:  # of one backend, which has all: its pods are what stands out
        yield from _by_evidence(decision, told, OutlierVerdict.Hot)
        return
    for name, target in decision.targets.items():
        known = told.get(name)
        ratio = decision.shares.get(name, 0.0) / target if target > 0 else 1.0
        # Half-way back (of the logarithm) it is still told, or one at the limit would come and go.
        limit = tolerance if known is None else math.sqrt(tolerance)
        if ratio > limit or ratio < 1 / limit:
            before = known.share_ratio if known is not None else None
            verdict = OutlierVerdict.Hot if ratio > 1 else OutlierVerdict.Cold
            yield Outlier(name=name, verdict=verdict, share_ratio=_sticky(before, ratio, MATERIAL_RATIO, LEAST_SHARE))


def _by_evidence(decision: Decision, told: Mapping[str, Outlier], verdict: OutlierVerdict) -> Iterator[Outlier]:
    """The pods whose share the diagnosis rests on."""
    for each in decision.diagnosis.evidence:
        if each.metric == "share" and each.observed is not None and each.expected:
            before = told[each.subject].share_ratio if each.subject in told else None
            ratio = _sticky(before, each.observed / each.expected, MATERIAL_RATIO, LEAST_SHARE)
            yield Outlier(name=each.subject, verdict=verdict, share_ratio=ratio)


def _sick(decision: Decision, snapshot: Snapshot | None) -> Iterator[Outlier]:
    """The pods, or the backends that are counted as one."""
    verdict = {Label.Failing: OutlierVerdict.Failing, Label.Slow: OutlierVerdict.Slow}.get(decision.diagnosis.label)
    if verdict:
        whole = {name for name, each in snapshot.backends.items() if each.by_service} if snapshot is not None else set()
        named = decision.diagnosis.pods or tuple(each for each in decision.diagnosis.backends if each in whole)
        yield from (Outlier(name=name, verdict=verdict) for name in named)


def _distance(outlier: Outlier) -> float:
    """How far from its share; a pod that is sick counts most."""
    ratio = from_number(outlier.share_ratio)
    if ratio is None:
        return math.inf
    return abs(math.log(ratio)) if ratio > 0 else math.inf


def budgets(facts: Facts) -> tuple[BudgetState, ...]:
    """What is left of each; empty where this tick could not tell."""
    if facts.policy is None or facts.snapshot is None:
        return ()
    restarts = sorted(
        entry.time
        for entry in facts.snapshot.ledger
        if entry.kind == "Restart" and entry.time > facts.time - HOUR_SECONDS
    )
    limit = facts.policy.restarts_per_hour
    remaining = max(0, limit - len(restarts))
    # The one whose end brings the count below the limit again.
    frees = restarts[len(restarts) - limit] if restarts and 0 < limit <= len(restarts) else None
    until = moment(frees + HOUR_SECONDS) if frees is not None else None
    return (BudgetState(action="Restart", remaining=remaining, until=until),)


def _known_good(known: KnownGood | None, facts: Facts) -> KnownGood | None:
    if facts.decision is None or facts.snapshot is None or not facts.decision.settled:
        return known
    weights = {name: backend.weight for name, backend in facts.snapshot.backends.items()}
    if known is not None and known.weights == weights:
        return known
    return KnownGood(weights=weights, at=moment(facts.decision.time))


def _target_shares(known: dict[str, int] | None, decision: Decision | None) -> dict[str, int] | None:
    """What is known, unless a share has moved by more than its twentieth: the guard needs no better."""
    shares = {} if decision is None else thousandths(decision.targets)
    if not any(shares.values()):
        return known
    if known is not None and known.keys() == shares.keys():
        pairs = ((known[name], share) for name, share in shares.items())
        if all(abs(before - now) * 20 <= max(before, now) for before, now in pairs):
            return known
    return shares
