"""Who fails, who is slow."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.outliers import FAMILY_ERROR, explained_use, failing_chance, slow
from evenload.diagnose.statistics import hypergeometric_tail
from evenload.model.fleet import Bools, Floats

NAN = float("nan")


def failing(errors: Floats, requests: Floats) -> Bools:
    found: Bools = failing_chance(errors, requests) < FAMILY_ERROR
    return found


def test_a_pod_that_fails_far_more_than_its_peers_is_an_outlier() -> None:
    assert failing(np.array([60.0, 1, 0, 2]), np.full(4, 200.0)).tolist() == [True, False, False, False]


def test_all_failing_alike_makes_no_outlier() -> None:
    assert not failing(np.full(6, 80.0), np.full(6, 200.0)).any()


def test_the_chance_is_that_of_any_pod_by_fishers_test_against_those_that_do_not_stand_out() -> None:
    errors, requests = np.array([14.0, 20.0, 2.0, 2.0, 0.0]), np.array([200.0, 150.0, 200.0, 220.0, 180.0])
    alone = hypergeometric_tail(14, 200, 14 + 4, 200 + 600)
    assert failing_chance(errors, requests)[0] == pytest.approx(5 * alone)
    assert failing_chance(errors, requests)[2:].tolist() == [1.0] * 3


def test_two_failures_of_thirty_one_are_chance_among_forty() -> None:
    errors, requests = np.zeros(40), np.full(40, 31.0)
    errors[0], errors[1:4] = 2, 1
    assert failing_chance(errors, requests)[0] > 0.1


def test_pods_that_fail_alike_are_named_as_rarely_as_is_said() -> None:
    """A thousand windows of forty pods with half a request a second, of which one in two hundred fails."""
    dice = np.random.default_rng(11)
    seen = 0
    for _ in range(1000):
        requests = dice.poisson(31, size=40).astype(float)
        seen += bool((failing_chance(dice.binomial(requests.astype(int), 0.005).astype(float), requests) < 0.02).any())
    assert seen <= 20


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


@pytest.mark.parametrize(("requests", "found"), [(90.0, True), (30.0, False)])
def test_the_mean_of_few_requests_is_as_uncertain_as_they_differ(requests: float, found: bool) -> None:
    """1.6 times the median: 4.5 standard errors of 90 exponential times, 2.6 of 30."""
    assert slow(np.array([0.032, 0.02, 0.02, 0.02]), np.full(4, requests), IDLE)[0] is np.bool_(found)


def test_among_more_pods_the_same_latency_says_less() -> None:
    """3.9 sigmas: 1 in 20,000, which among two hundred is 1 in 100."""
    for size, found in ((4, True), (200, False)):
        latency = np.full(size, 0.02)
        latency[0] *= np.exp(0.41)
        requests = np.full(size, (3.9 / 0.41) ** 2)
        assert slow(latency, requests, np.full(size, NAN))[0] is np.bool_(found)


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


def test_a_request_takes_more_of_a_smaller_limit_and_that_is_no_slowness() -> None:
    """Half the limit and half the requests: as busy as the others, for the same cores a request."""
    requests, use, limits = np.array([200.0, 400.0, 400.0, 400.0]), np.full(4, 0.8), np.array([0.5, 1.0, 1.0, 1.0])
    assert explained_use(requests, use, limits).tolist() == pytest.approx([0.8] * 4)
    late = np.array([0.9, 0.8, 0.8, 0.8])
    latency = 0.02 * np.array([1.0, 1.01, 0.99, 1.0]) / (1 - late)
    assert not slow(latency, requests, late, limits).any()
    assert slow(latency, requests, late)[0]
