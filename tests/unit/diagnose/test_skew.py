"""The skew test: three conditions at once."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.skew import Skew, learned, measure
from evenload.diagnose.statistics import chi2_quantile


def judged(counts: list[float], targets: list[float] | None = None, **changes: object) -> Skew:
    shares = np.array(targets) if targets is not None else np.full(len(counts), 1 / len(counts))
    options: dict[str, object] = {
        "asked": shares,
        "tolerance_ratio": 1.3,
        "spread": None,
        "explained": False,
        **changes,
    }
    return measure(np.array(counts), shares, **options)  # type: ignore[arg-type]


def test_one_pod_with_nearly_everything_is_seen() -> None:
    skew = judged([970, 10, 10, 10])
    assert skew.seen
    assert skew.hot.tolist() == [True, False, False, False]
    assert skew.ratio[0] == pytest.approx(3.88)


def test_even_traffic_is_not_skewed() -> None:
    assert not judged([250, 248, 251, 251]).seen


def test_much_traffic_makes_a_small_spread_significant_but_not_a_skew() -> None:
    skew = judged([110_000, 100_000, 95_000, 95_000])
    assert skew.g > skew.g_limit
    assert not skew.seen


def test_little_traffic_makes_a_large_ratio_chance() -> None:
    assert not judged([8, 4, 4, 4]).seen


def test_capacity_shares_are_what_traffic_is_measured_against() -> None:
    assert not judged([600, 200, 200], [0.6, 0.2, 0.2]).seen
    assert judged([600, 200, 200], [0.2, 0.4, 0.4]).seen


def test_half_the_pods_hot_is_skew_though_the_spread_is_as_wide() -> None:
    assert judged([490, 490, 10, 10], explained=True).hot.tolist() == [True, True, False, False]


def test_weights_that_explain_the_skew_excuse_no_spread() -> None:
    counts = [330.0, 330.0, 330.0, 10.0]
    assert not judged(counts).seen
    assert judged(counts, explained=True).seen


def test_pods_without_count_or_target_are_not_judged() -> None:
    skew = judged([250, float("nan"), 250, 250], [0.25, 0.25, 0.25, 0.0])
    assert np.isnan(skew.ratio[[1, 3]]).all()
    assert skew.ratio[0] == pytest.approx(1.0)


@pytest.mark.parametrize("counts", [[100.0], [0.0, 0.0], [float("nan"), 5.0]])
def test_fewer_than_two_pods_or_no_requests_show_nothing(counts: list[float]) -> None:
    assert not judged(counts).seen


def test_a_spread_learnt_from_calm_ticks_raises_the_bar() -> None:
    counts = [320.0, *[200.0] * 9]
    assert judged(counts, spread=0.02).seen
    assert not judged(counts, spread=0.12).seen


@pytest.mark.parametrize(("total", "hot"), [(860, True), (800, False)])
def test_what_comes_near_the_tolerance_has_to_be_surely_beyond_it(total: float, hot: bool) -> None:
    """1.45 times a share of a quarter: more than 2 sigmas of its count over 1.3 from 300 requests of it on."""
    counts = [0.3625 * total, *[0.2125 * total] * 3]
    assert judged(counts).hot.tolist() == [hot, False, False, False]
    assert judged(counts, explained=True).hot[0]


def test_the_usual_spread_widens_the_limits_as_far_as_it_may() -> None:
    """At 210 requests a pod, 12% of spread disperse counts by 1 + 210 x 0.0144, and excuse e^0.48 times a share."""
    skew = judged([300.0, *[200.0] * 9], spread=0.12)
    assert skew.threshold == pytest.approx(1.616, abs=1e-3)
    assert skew.g_limit == pytest.approx(chi2_quantile(0.999, 9) * 4.024)
    assert judged([300.0, *[200.0] * 9], spread=0.5).threshold == 2.5
    assert judged([300.0, *[200.0] * 9], spread=0.5, explained=True).threshold == 1.3


@pytest.mark.parametrize(
    ("total", "spread", "hot"), [(240, None, True), (215, None, False), (600, 0.1, True), (500, 0.1, False)]
)
def test_a_hot_pod_is_beyond_chance_for_the_whole_fleet(total: float, spread: float | None, hot: bool) -> None:
    """1.4 times a share of a quarter is 0.231 sqrt(n / phi) sigmas; one pod in 4,000 is beyond 3.48 by chance."""
    counts = [0.35 * total, *[0.65 * total / 3] * 3]
    assert judged(counts, spread=spread, explained=True).hot.tolist() == [hot, False, False, False]


def test_before_anything_is_learnt_the_windows_own_spread_excuses() -> None:
    skew = judged([500.0, 400.0, 300.0, 200.0])
    assert skew.threshold == pytest.approx(min(np.exp(4 * skew.spread), 2.5))
    assert skew.threshold > 1.3
    assert skew.g_limit == pytest.approx(chi2_quantile(0.999, 3))


def test_the_worst_ratio_is_told_of_the_judged_pods() -> None:
    assert judged([300, 100]).worst == pytest.approx(1.5)
    assert judged([100.0]).worst is None


def test_a_hot_pod_among_four_is_no_excuse_for_itself_once_the_usual_spread_is_known() -> None:
    counts = [640.0, 350.0, 290.0, 330.0]
    assert judged(counts, spread=0.08).seen


def test_the_usual_spread_is_learnt_slowly_and_never_becomes_wide() -> None:
    assert learned(None, 0.1) == 0.1
    assert learned(0.1, 0.2) == pytest.approx(0.11)
    assert learned(None, 3.0) == 0.25


@pytest.mark.parametrize("pods", [4, 10, 100])
def test_a_benign_spread_of_five_percent_is_almost_never_called_skew(pods: int) -> None:
    dice = np.random.default_rng(pods)
    false, spread = 0, None
    for number in range(450):
        rates = 300 * np.exp(dice.normal(0, 0.05, size=pods))
        skew = judged(dice.poisson(rates).astype(float).tolist(), spread=spread)
        spread = learned(spread, skew.spread)
        false += skew.seen and number >= 50
    assert false <= 2


@pytest.mark.parametrize("pods", [10, 40])
def test_twice_its_share_is_found_at_a_hundred_requests_a_pod(pods: int) -> None:
    dice = np.random.default_rng(pods)
    rates = np.full(pods, 100.0)
    rates[0] = 200
    found = sum(judged(dice.poisson(rates).astype(float).tolist()).hot[0] for _ in range(200))
    assert found >= 190
