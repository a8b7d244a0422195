"""What is usual."""

from __future__ import annotations

import math

import pytest

from evenload.diagnose.baseline import Baseline


def filled(rates: list[float], step: float = 15.0) -> Baseline:
    baseline = Baseline()
    for number, rate in enumerate(rates):
        baseline.learn_traffic(step * number, rate)
    return baseline


def test_nothing_is_usual_before_two_old_ticks_were_seen() -> None:
    assert filled([50.0]).traffic(10_000.0) is None
    assert filled([50.0] * 4).traffic(45.0) is None


def test_the_usual_is_the_median_of_what_is_older_than_a_minute() -> None:
    baseline = filled([50.0] * 10 + [500.0] * 4)
    assert baseline.traffic(15.0 * 13) == 50.0


def test_what_is_older_than_a_quarter_of_an_hour_is_forgotten() -> None:
    assert filled([50.0] * 10).traffic(5_000.0) is None


def test_a_minute_and_a_quarter_of_an_hour_are_both_within() -> None:
    baseline = filled([50.0, 50.0])
    assert baseline.traffic(75.0) == 50.0
    assert baseline.traffic(74.0) is None
    assert baseline.traffic(900.0) == 50.0
    assert baseline.traffic(901.0) is None


def test_the_median_is_the_middle_one_in_order() -> None:
    assert filled([10.0, 30.0, 20.0]).traffic(120.0) == 20.0


def test_ticks_within_a_bin_add_nothing() -> None:
    baseline = filled([50.0, 900.0, 900.0], step=1.0)
    baseline.learn_traffic(15.0, 50.0)
    assert baseline.traffic(100.0) == 50.0


def test_errors_and_latency_move_slowly_and_ignore_what_is_unknown() -> None:
    baseline = Baseline()
    baseline.learn_health(0.01, 0.020)
    baseline.learn_health(0.11, None)
    baseline.learn_health(None, float("nan"))
    assert baseline.error_ratio == pytest.approx(0.02)
    assert baseline.latency == 0.020


def test_bursts_are_the_robust_spread_of_what_is_older_than_a_minute() -> None:
    assert Baseline().spread(1_000.0) == 0.0
    assert filled([0.0] * 10).spread(200.0) == 0.0
    mood = [50.0, 50.0 * math.exp(0.2), 50.0 * math.exp(-0.2)] * 3
    assert filled([*mood, *[5_000.0] * 4]).spread(15.0 * 12) == pytest.approx(1.4826 * 0.2)
