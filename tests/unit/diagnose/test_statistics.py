"""Our statistics against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evenload.diagnose.statistics import (
    against_median_z,
    chi2_quantile,
    g_statistic,
    leave_one_out_z,
    log_outlier_z,
    normal_quantile,
    robust_sigma,
    share_spread,
    theil_sen,
)


@pytest.mark.parametrize("probability", [0.001, 0.5, 0.9, 0.999, 1 - 1e-3 / 500])
def test_normal_quantiles_are_scipys(probability: float) -> None:
    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("degrees", "tolerance"), [(1, 0.06), (2, 0.06), (3, 0.02), (9, 0.01), (39, 0.002), (499, 0.001)]
)
def test_chi_squared_quantiles_are_close_to_scipys(degrees: int, tolerance: float) -> None:
    assert chi2_quantile(0.999, degrees) == pytest.approx(stats.chi2.ppf(0.999, degrees), rel=tolerance)


def test_g_is_scipys_likelihood_ratio() -> None:
    counts, shares = np.array([240.0, 260.0, 100.0, 400.0]), np.array([0.25, 0.25, 0.1, 0.4])
    expected = stats.power_divergence(counts, counts.sum() * shares, lambda_="log-likelihood").statistic
    assert g_statistic(counts, shares) == pytest.approx(expected)


def test_a_pod_without_requests_adds_nothing_to_g_but_is_missed_in_the_others() -> None:
    assert g_statistic(np.array([0.0, 200.0]), np.array([0.5, 0.5])) == pytest.approx(400 * math.log(2))


def test_under_chance_alone_g_passes_its_limit_as_rarely_as_it_should() -> None:
    dice = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    beyond = sum(
        g_statistic(dice.multinomial(3000, shares).astype(float), shares) > chi2_quantile(0.999, 9) for _ in range(4000)
    )
    assert beyond <= 12


def test_the_robust_sigma_ignores_a_wild_minority() -> None:
    values = np.concatenate([np.random.default_rng(3).normal(0, 2, size=2000), np.full(100, 1e6)])
    assert robust_sigma(values) == pytest.approx(2.0, rel=0.1)


def test_counting_noise_is_not_taken_for_spread() -> None:
    dice = np.random.default_rng(5)
    counts = dice.poisson(100, size=200).astype(float)
    assert share_spread(counts / 100, counts) < 0.06
    spread = counts * np.exp(dice.normal(0, 0.3, size=200))
    assert share_spread(spread / 100, spread) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(("count", "spread"), [(1e12, 0.07413), (400.0, 0.05473), (100.0, 0.0)])
def test_spread_is_the_robust_sigma_of_the_logs_less_the_variance_of_counting(count: float, spread: float) -> None:
    """Of logs 0, 0, 0.1, -0.1 the MAD is 0.05, hence sigma 0.07413; counting adds 1 / n to its square."""
    ratios = np.exp([0.0, 0.0, 0.1, -0.1])
    assert share_spread(ratios, np.full(4, count)) == pytest.approx(spread, abs=2e-5)


def test_a_pod_without_requests_is_far_off_and_not_infinitely() -> None:
    assert share_spread(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 9.0])) == 0.0
    assert math.isfinite(share_spread(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 100.0, 200.0, 300.0])))


def test_leave_one_out_is_the_pooled_two_proportion_test() -> None:
    errors, requests = np.array([30.0, 2.0, 3.0, 1.0]), np.array([100.0, 100.0, 120.0, 80.0])
    rest_errors, rest = 6.0, 300.0
    pooled = 36 / 400
    expected = (0.3 - rest_errors / rest) / math.sqrt(pooled * (1 - pooled) * (1 / 100 + 1 / rest))
    assert leave_one_out_z(errors, requests)[0] == pytest.approx(expected)


def test_against_the_median_pod_is_the_two_proportion_test_at_the_ratio_between() -> None:
    z = against_median_z(np.array([0.3, 0.1, 0.1]), np.full(3, 200.0))
    assert z.tolist() == pytest.approx([0.2 / math.sqrt(0.2 * 0.8 / 200), 0.0, 0.0])


@pytest.mark.parametrize("errors", [0.0, 100.0])
def test_where_no_request_or_every_one_fails_nobody_is_unlike_the_others(errors: float) -> None:
    assert leave_one_out_z(np.full(3, errors), np.full(3, 100.0)).tolist() == [0.0] * 3


def test_where_nobody_fails_nobody_stands_out() -> None:
    assert against_median_z(np.zeros(3), np.full(3, 100.0)).tolist() == [0.0] * 3


def test_a_third_of_the_pods_failing_alike_hides_nobody_from_either_test() -> None:
    errors, requests = np.array([60.0, 60.0, 60.0, *[0.0] * 7]), np.full(10, 200.0)
    seen = (leave_one_out_z(errors, requests) > 4) | (against_median_z(errors / requests, requests) > 6)
    assert seen.tolist() == [True] * 3 + [False] * 7


def test_latency_outliers_are_measured_in_logs_with_a_floor() -> None:
    z = log_outlier_z(np.array([0.020, 0.020, 0.020, 0.040]), 0.1)
    assert z[3] == pytest.approx(math.log(2) / 0.1)


def test_latency_that_spreads_more_than_the_floor_sets_its_own_measure() -> None:
    z = log_outlier_z(np.exp([-0.2, 0.0, 0.2, 1.0]), 0.1)
    assert z[3] == pytest.approx(0.9 / (1.4826 * 0.2))


@pytest.mark.parametrize("size", [2, 3, 8, 29, 30])
def test_a_slope_is_the_median_over_all_pairs(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    slopes = [(values[j] - values[i]) / (j - i) for i in range(size) for j in range(i + 1, size)]
    assert theil_sen(values)[0] == np.median(slopes)
