"""Who fails, who is slow."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.outliers import explained_use, failing, slow

NAN = float("nan")


def test_a_pod_that_fails_far_more_than_its_peers_is_an_outlier() -> None:
    assert failing(np.array([60.0, 1, 0, 2]), np.full(4, 200.0)).tolist() == [True, False, False, False]


def test_all_failing_alike_makes_no_outlier() -> None:
    assert not failing(np.full(6, 80.0), np.full(6, 200.0)).any()


@pytest.mark.parametrize(
    ("bad", "errors", "good", "found"),
    [
        (1, 13.0, 3, True),  # 4.4 against the others, 4.1 against the median pod
        (4, 18.0, 6, False),  # 3.6 and 5.2
        (4, 23.0, 5, True),  # 3.8 and 6.1
        (4, 22.0, 5, False),  # 3.7 and 5.95
    ],
)
def test_four_standard_errors_from_the_others_or_six_from_the_median_pod(
    bad: int, errors: float, good: int, found: bool
) -> None:
    pods = np.array([errors] * bad + [2.0] * good)
    assert failing(pods, np.full(bad + good, 200.0)).tolist() == [found] * bad + [False] * good


def test_less_than_five_points_is_left_alone_however_significant() -> None:
    assert not failing(np.array([4_000.0, 100, 100, 100]), np.full(4, 100_000.0)).any()


@pytest.mark.parametrize("requests", [19.0, 0.0, NAN])
def test_too_few_or_unknown_requests_judge_nobody(requests: float) -> None:
    assert not failing(np.array([requests, 0.0, 0.0]), np.array([requests, 200.0, 200.0]))[0]


def test_twenty_requests_are_enough_to_be_judged() -> None:
    assert failing(np.array([20.0, 0, 0]), np.array([20.0, 200, 200])).tolist() == [True, False, False]
    assert slow(np.array([0.06, 0.02, 0.02]), np.array([20.0, 200, 200]), np.full(3, NAN)).tolist() == [
        True,
        False,
        False,
    ]


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


IDLE = np.full(4, NAN)


def test_a_pod_three_times_slower_is_an_outlier() -> None:
    assert slow(np.array([0.06, 0.02, 0.021, 0.019]), np.full(4, 100.0), IDLE).tolist() == [True, False, False, False]


def test_forty_percent_slower_is_not() -> None:
    assert not slow(np.array([0.028, 0.02, 0.02, 0.02]), np.full(4, 100.0), IDLE).any()


def test_twice_as_slow_is() -> None:
    assert slow(np.array([0.04, 0.02, 0.02]), np.full(3, 100.0), np.full(3, NAN)).tolist() == [True, False, False]


@pytest.mark.parametrize(("log_ratio", "found"), [(0.62, False), (0.78, True)])
def test_where_latencies_differ_it_takes_three_and_a_half_of_their_sigmas(log_ratio: float, found: bool) -> None:
    """The MAD of these logs is 0.135, so their sigma 0.2."""
    latency = 0.02 * np.exp([-0.27, -0.135, -0.135, 0.0, 0.135, 0.135, log_ratio])
    assert slow(latency, np.full(7, 100.0), np.full(7, NAN)).tolist() == [False] * 6 + [found]


def test_of_two_pods_nobody_knows_which_is_the_slow_one() -> None:
    assert not slow(np.array([0.5, 0.02]), np.full(2, 100.0), IDLE[:2]).any()


def test_unknown_latency_is_not_judged() -> None:
    assert not slow(np.array([NAN, 0.02, 0.02, 0.02]), np.full(4, 100.0), IDLE).any()


def test_the_queue_of_a_busier_pod_is_not_its_slowness() -> None:
    latency, requests = np.array([0.28, 0.14, 0.14, 0.139]), np.full(4, 400.0)
    assert slow(latency, requests, np.full(4, 0.8))[0]
    assert not slow(latency, requests, np.array([0.92, 0.8, 0.8, 0.81])).any()


def test_a_pod_whose_requests_cost_twice_the_cpu_is_slow_for_all_its_use() -> None:
    use = np.array([0.8, 0.4, 0.4, 0.41])
    assert slow(0.02 * np.array([2.0, 1.0, 1.0, 1.0]) / (1 - use), np.full(4, 400.0), use).tolist()[0]


def test_use_that_more_requests_do_not_explain_is_no_excuse() -> None:
    """As many requests as the others, and nearly all of its CPU: what makes it slow makes it busy, too."""
    requests, use = np.full(4, 400.0), np.array([0.9, 0.4, 0.4, 0.41])
    assert explained_use(requests, use).tolist() == pytest.approx([0.50625, 0.4, 0.4, 0.41])
    assert slow(np.array([0.06, 0.02, 0.02, 0.021]), requests, use).tolist() == [True, False, False, False]


def test_unknown_use_explains_nothing_and_no_use_explains_all() -> None:
    assert explained_use(np.array([400.0, 100.0]), np.array([NAN, 0.2])).tolist() == [0.0, pytest.approx(0.125)]
    assert explained_use(np.array([400.0, 400.0]), np.array([2.0, 2.0])).tolist() == [0.95, 0.95]
