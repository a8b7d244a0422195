"""Thin traffic and many pods: runs that went wrong once, and what those trials are made of."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from evenload.model.diagnosis import Label
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import Score, play, score
from evenload.simulate.servers import Trouble, new_servers, serve
from evenload.simulate.trials_thin import few_hot
from evenload.simulate.world import START, World


def judged(name: str, size: int, seed: int) -> Score:
    return score(BY_NAME[name], size, seed)


@pytest.mark.parametrize(
    ("name", "size", "seed"), [("thin-healthy", 10, 1), ("thin-healthy", 40, 1), ("thin-unequal", 40, 0)]
)
def test_a_healthy_fleet_with_few_requests_is_left_alone(name: str, size: int, seed: int) -> None:
    told = judged(name, size, seed)
    assert (told.false_labels, told.forbidden) == (0, ())


def test_a_pod_that_fails_is_found_among_few_requests() -> None:
    assert judged("thin-failing", 10, 1).in_time


def test_who_is_scraped_first_in_a_common_outage_is_not_blamed() -> None:
    run = play(BY_NAME["outage-in-turns"].trial(10, 4))
    labels = {label for _, label in run.labels()}
    assert Label.Dependency in labels
    assert Label.Failing not in labels
    assert run.writes == []


@pytest.mark.parametrize(
    ("seconds", "skew", "owed"),
    [
        (250, 1.4, ["not even 240 s after the fault: one pod has 1.40 times its share"]),
        (250, 1.3, []),
        (230, 1.4, []),
    ],
)
def test_a_fleet_that_stays_uneven_is_told(seconds: float, skew: float, owed: list[str]) -> None:
    world = World(np.random.default_rng(3), 8)
    trial = few_hot(world)
    tick = SimpleNamespace(time=START + world.onset + seconds, skew=skew)
    assert list(trial.owed(SimpleNamespace(ticks=[tick]))) == owed  # type: ignore[arg-type]


def mean_latencies(spread: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of a thousand servers that answered fifty requests each."""
    servers = new_servers(1000, capacity=100.0, latency=0.1, time_spread=spread)
    serve(servers, np.full(1000, 50.0), 1000.0, 1.0, np.random.default_rng(5), Trouble())
    means: np.ndarray[tuple[int], np.dtype[np.float64]] = servers["latency_sum"] / servers["requests"]
    return means


def test_single_requests_take_times_of_their_own() -> None:
    """The mean stays; of fifty exponential times it is off by a seventh."""
    alike, apart = mean_latencies(0.0), mean_latencies(1.0)
    assert apart.mean() == pytest.approx(alike.mean(), rel=0.03)
    assert float(np.std(apart / alike.mean())) == pytest.approx(50**-0.5, rel=0.15)
