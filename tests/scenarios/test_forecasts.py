"""Forecasts in the simulator: growing traffic against the truth, and traffic that grows into nothing."""

from __future__ import annotations

import functools

import pytest

from evenload.api.v1alpha1 import BalancerStatus
from evenload.model.forecast import Forecast
from evenload.model.policy import Policy
from evenload.model.spec import Mode
from evenload.record.conditions import Facts, status_of
from evenload.simulate.loop import Run
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import play
from evenload.simulate.world import START, Trial

SEEDS = range(6)
SIZE = 4
MINUTE = 60.0


@functools.cache
def grown(seed: int) -> tuple[Trial, Run]:
    trial = BY_NAME["growth"].trial(SIZE, seed)
    return trial, play(trial, keep_snapshots=True)


def foretold(seed: int) -> list[tuple[float, Forecast | None]]:
    """Seconds that remained until the first server was full, and what was foretold then."""
    trial, run = grown(seed)
    return [(START + trial.duration - tick.time, tick.decision.saturation) for tick in run.ticks]


def changes(seed: int) -> int:
    """How often the status would be written for its forecasts."""
    trial, run = grown(seed)
    status, writes = BalancerStatus(), 0
    for snapshot, tick in zip(run.snapshots, run.ticks, strict=True):
        facts = Facts(
            time=snapshot.time,
            generation=1,
            mode=Mode.Auto,
            subject="HTTPRoute shop",
            snapshot=snapshot,
            decision=tick.decision,
            policy=Policy.of(trial.spec),
        )
        now = status_of(status, facts)
        writes += now.forecasts != status.forecasts
        status = now
    return writes


@pytest.mark.timeout(600)  # six runs of about half an hour each
def test_growth_is_foretold_in_time_with_the_truth_between_its_bounds() -> None:
    runs = [foretold(seed) for seed in SEEDS]
    near = [one for run in runs for one in run if 3 * MINUTE <= one[0] < 15 * MINUTE]
    told = [(remained, forecast) for remained, forecast in near if forecast is not None]
    held = [one for one in told if one[1].soonest <= one[0] and (one[1].latest is None or one[0] <= one[1].latest)]
    assert len(told) >= 0.4 * len(near)
    assert len(held) >= 0.9 * len(told)
    warned = [any(forecast is not None and remained > 2 * MINUTE for remained, forecast in run) for run in runs]
    assert sum(warned) >= len(SEEDS) - 1
    # What it costs: nobody is restarted for it, and the status is written a handful of times.
    assert not any(grown(seed)[1].restarts() for seed in SEEDS)
    assert max(changes(seed) for seed in SEEDS) <= 8


@pytest.mark.parametrize("scenario", ["healthy", "healthy-bursty", "healthy-unequal", "canary"])
@pytest.mark.parametrize("seed", range(3))
def test_traffic_that_only_wobbles_has_no_forecast(scenario: str, seed: int) -> None:
    run = play(BY_NAME[scenario].trial(4, seed))
    assert [tick.decision.saturation for tick in run.ticks if tick.decision.saturation is not None] == []
