"""Our statistics against scipy's, or against counting in whole numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evenload.diagnose.statistics import (
    chi2_quantile,
    g_statistic,
    hypergeometric_tail,
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


@st.composite
def draws(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Seen, drawn, marked, total."""
    total = draw(st.integers(1, 400))
    drawn, marked = draw(st.integers(0, total)), draw(st.integers(0, total))
    return draw(st.integers(0, drawn + 1)), drawn, marked, total


@given(draws())
def test_the_chance_of_so_many_failures_is_exact(draw: tuple[int, int, int, int]) -> None:
    """By counting every draw there is: Vandermonde's sum, in whole numbers."""
    seen, drawn, marked, total = draw
    ways = sum(math.comb(marked, count) * math.comb(total - marked, drawn - count) for count in range(seen, drawn + 1))
    exact = float(Fraction(ways, math.comb(total, drawn)))
    assert hypergeometric_tail(*draw) == pytest.approx(exact, rel=1e-9, abs=1e-13 if exact > 0.01 else 0.0)


@pytest.mark.parametrize("draw", [(60, 300, 70, 60_000), (61_000, 200_000, 3_000_000, 10_000_000), (2, 31, 3, 1240)])
def test_the_chance_of_so_many_failures_is_scipys_for_large_counts_too(draw: tuple[int, int, int, int]) -> None:
    seen, drawn, marked, total = draw
    assert hypergeometric_tail(*draw) == pytest.approx(stats.hypergeom.sf(seen - 1, total, marked, drawn), rel=1e-6)


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
