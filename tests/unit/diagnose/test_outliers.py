"""Who fails, who is slow."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.outliers import failing, slow

NAN = float("nan")


def test_a_pod_that_fails_far_more_than_its_peers_is_an_outlier() -> None:
    assert failing(np.array([60.0, 1, 0, 2]), np.full(4, 200.0)).tolist() == [True, False, False, False]


def test_all_failing_alike_makes_no_outlier() -> None:
    assert not failing(np.full(6, 80.0), np.full(6, 200.0)).any()


def test_less_than_five_points_is_left_alone_however_significant() -> None:
    assert not failing(np.array([4_000.0, 100, 100, 100]), np.full(4, 100_000.0)).any()


@pytest.mark.parametrize("requests", [19.0, 0.0, NAN])
def test_too_few_or_unknown_requests_judge_nobody(requests: float) -> None:
    assert not failing(np.array([requests, 0.0, 0.0]), np.array([requests, 200.0, 200.0]))[0]


def test_unknown_errors_are_not_judged_and_do_not_disturb_the_others() -> None:
    assert failing(np.array([NAN, 100.0, 0.0, 0.0]), np.full(4, 200.0)).tolist() == [False, True, False, False]


def test_one_pod_alone_has_no_peers_to_stand_out_from() -> None:
    assert not failing(np.array([100.0]), np.array([200.0])).any()


@pytest.mark.parametrize("bad", [1, 2, 3, 4])
def test_up_to_four_of_ten_failing_pods_are_all_found_and_nobody_else(bad: int) -> None:
    dice = np.random.default_rng(bad)
    for _ in range(100):
        requests = dice.poisson(150, size=10).astype(float)
        ratios = np.where(np.arange(10) < bad, 0.35, 0.01)
        errors = dice.binomial(requests.astype(int), ratios).astype(float)
        assert failing(errors, requests).tolist() == [True] * bad + [False] * (10 - bad)


def test_a_pod_three_times_slower_is_an_outlier() -> None:
    assert slow(np.array([0.06, 0.02, 0.021, 0.019]), np.full(4, 100.0)).tolist() == [True, False, False, False]


def test_forty_percent_slower_is_not() -> None:
    assert not slow(np.array([0.028, 0.02, 0.02, 0.02]), np.full(4, 100.0)).any()


def test_of_two_pods_nobody_knows_which_is_the_slow_one() -> None:
    assert not slow(np.array([0.5, 0.02]), np.full(2, 100.0)).any()


def test_unknown_latency_is_not_judged() -> None:
    assert not slow(np.array([NAN, 0.02, 0.02, 0.02]), np.full(4, 100.0)).any()
