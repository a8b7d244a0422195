"""What a Remediation came to, in seconds and requests, computed once at its end. Pure.

Seconds count from the onset: the foreign write that caused it where the weights were wrong, else the first sign of the
fault. Requests are estimates, rate times the time between ticks. What the operator did not see itself (it was started
in the middle) is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from evenload.api.v1alpha1 import FIELD_MANAGER, Outcome, StepRecord
from evenload.api.values import number
from evenload.model.base import Value
from evenload.model.decision import Decision
from evenload.model.diagnosis import SkewCause
from evenload.model.episode import Episode, StepState
from evenload.model.snapshot import RouteWrite

MITIGATED_ERROR_RATIO = 0.01  # below it for good means the errors are gone
LONGEST_GAP_SECONDS = 60.0  # a longer silence between ticks is not filled with the last rate
_DONE = frozenset(StepState) - {StepState.Planned, StepState.Abandoned}


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


def onset_of(opening: Decision, last_write: RouteWrite | None) -> float:
    """When the fault began, as far as the Decision that opened the episode can tell. Seconds since the epoch."""
    began = opening.time if opening.diagnosis.since is None else opening.diagnosis.since
    if opening.diagnosis.cause is SkewCause.WeightsWrong and last_write is not None:
        foreign = last_write.manager != FIELD_MANAGER and last_write.time <= opening.time
        return last_write.time if foreign else began
    return began


def outcome_of(
    episode: Episode, steps: Sequence[StepRecord], onset: float, closed_at: float, ticks: Sequence[Tick]
) -> Outcome:
    """`ticks` in order of time, from before the opening until the end, as far as they are known."""
    seen = [tick for tick in ticks if onset <= tick.time <= closed_at]
    whole = bool(seen) and seen[0].time <= episode.opened_at
    failed = _integral([(tick.time, _failed_rate(tick)) for tick in seen]) if whole else None
    requests = _integral([(tick.time, tick.requests_per_second) for tick in seen]) if whole else None
    errors = [tick.error_ratio for tick in seen if tick.error_ratio is not None]
    return Outcome(
        time_to_detect_seconds=_since(onset, episode.opened_at),
        time_to_mitigate_seconds=_since(onset, _mitigated_at(seen)) if whole else None,
        time_to_resolve_seconds=_since(onset, closed_at),
        requests=requests,
        requests_failed=failed,
        restarts=sum(step.action == "RestartPod" and step.state in _DONE for step in steps),
        weight_writes=sum(step.action != "RestartPod" and step.state in _DONE for step in steps),
        error_percent_before=_percent(_at_opening(seen, episode.opened_at)) if whole else None,
        error_percent_after=_percent(errors[-1]) if errors else None,
    )


def _since(onset: float, at: float | None) -> int | None:
    return None if at is None else max(0, round(at - onset))


def _at_opening(ticks: Sequence[Tick], opened_at: float) -> float | None:
    told = [tick.error_ratio for tick in ticks if tick.error_ratio is not None and tick.time <= opened_at]
    return told[-1] if told else None


def _mitigated_at(ticks: Sequence[Tick]) -> float | None:
    """The tick after the last one with errors; None if the last one has errors, or none could tell."""
    told = [tick for tick in ticks if tick.error_ratio is not None]
    bad = [at for at, tick in enumerate(told) if (tick.error_ratio or 0.0) >= MITIGATED_ERROR_RATIO]
    if not told or (bad and bad[-1] == len(told) - 1):
        return None
    return told[bad[-1] + 1].time if bad else told[0].time


def _failed_rate(tick: Tick) -> float | None:
    if tick.error_ratio is None or tick.requests_per_second is None:
        return None
    return tick.error_ratio * tick.requests_per_second


def _integral(rates: Sequence[tuple[float, float | None]]) -> int | None:
    """Trapezoids between the ticks that could tell; None if fewer than two could."""
    known = [(time, rate) for time, rate in rates if rate is not None]
    if len(known) < 2:
        return None
    areas = (min(b - a, LONGEST_GAP_SECONDS) * (before + after) / 2 for (a, before), (b, after) in pairwise(known))
    return round(sum(areas))


def _percent(ratio: float | None) -> str | None:
    return number(None if ratio is None else 100 * ratio, 3)
