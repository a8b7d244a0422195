"""What a Remediation came to, or has come to so far, in seconds and requests. Pure.

Seconds count from the onset: the foreign write that caused it where the weights were wrong, else the first sign of the
fault. Requests are estimates, rate times the time between ticks. All of it stands in the record while the incident goes
on, so that an operator that takes over counts on from there. What nobody saw is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from evenload.act.episode import episode_of, step_of
from evenload.api.v1alpha1 import FIELD_MANAGER, Outcome, Remediation, RemediationStatus, StepRecord
from evenload.api.values import epoch_seconds, from_number, moment, number
from evenload.episode.disruptions import HAPPENED, restarts
from evenload.model.base import Value
from evenload.model.decision import Decision
from evenload.model.episode import Episode, Phase
from evenload.model.plan import WEIGHT_ACTIONS
from evenload.model.snapshot import RouteWrite

MITIGATED_ERROR_RATIO = 0.01  # below it for good means the errors are gone
LONGEST_GAP_SECONDS = 60.0  # a longer silence between ticks is not filled with the last rate
RECORDED_EVERY_SECONDS = 30.0  # at the latest, while it is open: well within the gap that can be filled
_NOT_MENDED = frozenset({Phase.Denied, Phase.Expired})  # the fault goes on, or it went away by itself: nobody looked


class Tick(Value, frozen=True, kw_only=True):
    """What one tick saw of the whole Balancer: failed share 0..1, requests a second; None where it could not tell."""

    time: float
    error_ratio: float | None = None
    requests_per_second: float | None = None

    @classmethod
    def of(cls, decision: Decision) -> Tick:
        return cls(
            time=decision.time, error_ratio=decision.error_ratio, requests_per_second=decision.requests_per_second
        )


def culprit(opening: Decision, last_write: RouteWrite | None) -> RouteWrite | None:
    """The write of the route that caused what `opening` diagnosed, if it was one by somebody else."""
    if not opening.diagnosis.blames_write or last_write is None:
        return None
    foreign = last_write.manager != FIELD_MANAGER and last_write.time <= opening.time
    return last_write if foreign else None


def onset_of(remediation: Remediation) -> float:
    """When the fault began, as far as the record tells. Seconds since the epoch."""
    diagnosis, opened_at = remediation.spec.diagnosis, remediation.status.opened_at
    written = diagnosis.route_change.time if diagnosis.route_change is not None else None
    began = written or diagnosis.since or opened_at or remediation.metadata.creation_timestamp
    return epoch_seconds(began) if began is not None else 0.0


def outcome_of(
    episode: Episode,
    steps: Sequence[StepRecord],
    onset: float,
    ticks: Sequence[Tick],
    *,
    known: Outcome | None = None,
    closed_at: float | None = None,
) -> Outcome:
    """`ticks` in order of time; where they do not reach back to the opening, it goes on from what is `known`.

    With `closed_at`, and the phase it was closed in, what it came to in the end.
    """
    seen = [tick for tick in ticks if tick.time >= onset and (closed_at is None or tick.time <= closed_at)]
    whole = bool(seen) and seen[0].time <= episode.opened_at
    count = _Count(onset) if whole else _Count.of(known, onset)
    for tick in seen:
        count.add(tick, before=tick.time <= episode.opened_at)
    mended = closed_at is not None and episode.phase is Phase.Succeeded
    return Outcome(
        until=None if count.until is None else moment(count.until),
        time_to_detect_seconds=_since(onset, episode.opened_at),
        time_to_mitigate_seconds=None if episode.phase in _NOT_MENDED else _since(onset, count.mitigated_at),
        time_to_resolve_seconds=_since(onset, closed_at) if mended else None,
        requests=None if count.requests is None else round(count.requests),
        requests_failed=None if count.failed is None else round(count.failed),
        requests_per_second=number(count.rate),
        restarts=restarts(map(step_of, steps)),
        weight_writes=sum(step.action in WEIGHT_ACTIONS and step.state in HAPPENED for step in steps),
        error_percent_before=_percent(count.errors_before),
        error_percent_after=_percent(count.errors),
    )


def measured(
    known: Remediation, status: RemediationStatus, ticks: Sequence[Tick], closed_at: float | None = None
) -> Outcome:
    """The outcome of `known` as of its next `status`."""
    after = replace(known, status=status)
    return outcome_of(
        episode_of(after), status.steps, onset_of(after), ticks, known=known.status.outcome, closed_at=closed_at
    )


def counted_on(known: Remediation, status: RemediationStatus, ticks: Sequence[Tick]) -> RemediationStatus:
    """Its next `status` with what it has come to so far; just `status` where that is not worth a write of its own."""
    outcome = measured(known, status, ticks)
    worth_it = status != known.status or _is_due(known.status.outcome, outcome)
    return replace(status, outcome=outcome) if worth_it else status


def _is_due(known: Outcome | None, now: Outcome) -> bool:
    if known is None or known.until is None or now.until is None:
        return known is None or now.until is not None
    turned = (known.time_to_mitigate_seconds is None) != (now.time_to_mitigate_seconds is None)
    return turned or (now.until - known.until).total_seconds() >= RECORDED_EVERY_SECONDS


def unmended(outcome: Outcome | None) -> Outcome | None:
    """Of an incident that ended without anybody having mended it."""
    if outcome is None:
        return None
    return replace(outcome, time_to_mitigate_seconds=None, time_to_resolve_seconds=None)


@dataclass(slots=True)
class _Count:
    """The running count. `requests` and `failed` are None for good where the beginning was not seen."""

    onset: float
    until: float | None = None
    rate: float | None = None
    errors: float | None = None
    errors_before: float | None = None
    requests: float | None = None
    failed: float | None = None
    mitigated_at: float | None = None
    whole: bool = True

    @classmethod
    def of(cls, known: Outcome | None, onset: float) -> _Count:
        if known is None or known.until is None:
            return cls(onset, whole=False)
        mitigated = known.time_to_mitigate_seconds
        return cls(
            onset=onset,
            until=epoch_seconds(known.until),
            rate=from_number(known.requests_per_second),
            errors=_ratio(known.error_percent_after),
            errors_before=_ratio(known.error_percent_before),
            requests=known.requests,
            failed=known.requests_failed,
            mitigated_at=None if mitigated is None else onset + mitigated,
            whole=known.requests is not None,
        )

    def add(self, tick: Tick, *, before: bool) -> None:
        """One tick later than the last; `before` the opening, or at it."""
        if self.until is not None and tick.time <= self.until:
            return
        if tick.error_ratio is not None:
            self._mitigate(tick.time, tick.error_ratio)
            self.errors_before = tick.error_ratio if before and self.whole else self.errors_before
        if tick.requests_per_second is not None:
            self._integrate(tick.time, tick.requests_per_second, tick.error_ratio)
            self.until, self.rate = tick.time, tick.requests_per_second
        self.errors = self.errors if tick.error_ratio is None else tick.error_ratio

    def _mitigate(self, time: float, errors: float) -> None:
        """The first tick without errors after the last one with some."""
        if errors >= MITIGATED_ERROR_RATIO or not self.whole:
            self.mitigated_at = None
        elif self.mitigated_at is None:
            self.mitigated_at = time

    def _integrate(self, time: float, rate: float, errors: float | None) -> None:
        """Trapezoids between the ticks that could tell."""
        if not self.whole:
            return
        seconds = 0.0 if self.until is None else min(time - self.until, LONGEST_GAP_SECONDS)
        last = rate if self.rate is None else self.rate
        self.requests = (self.requests or 0.0) + seconds * (last + rate) / 2
        now = self.errors if errors is None else errors
        if now is not None:
            failing = now if self.errors is None else self.errors
            self.failed = (self.failed or 0.0) + seconds * (last * failing + rate * now) / 2


def _since(onset: float, at: float | None) -> int | None:
    return None if at is None else max(0, round(at - onset))


def _percent(ratio: float | None) -> str | None:
    return number(None if ratio is None else 100 * ratio, 3)


def _ratio(percent: str | None) -> float | None:
    known = from_number(percent)
    return None if known is None else known / 100
