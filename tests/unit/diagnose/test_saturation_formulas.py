"""Time to saturation, by its formulas: each worked out here a second time, on lines with noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evenload.diagnose.bins import BINS, TOTAL_BINS
from evenload.diagnose.saturation import (
    LEAST_BINS,
    MOST_IDLE,
    Growth,
    Room,
    foretell,
    growing,
    idle_ratio,
    room_left,
)
from evenload.model.fleet import Floats

STEPS = np.arange(TOTAL_BINS, dtype=float)
LIMIT = 0.85
SHARES = np.array([0.4, 0.35, 0.25])


def line(seed: int = 0, slope: float = 2.0, noise: float = 6.0, size: int = TOTAL_BINS) -> Floats:
    dice = np.random.default_rng(seed)
    values: Floats = 200.0 + slope * np.arange(size) + dice.normal(0, noise, size)
    return values


def grown(total: Floats) -> Growth:
    growth = growing(total)
    assert growth is not None
    return growth


def rest_of(total: Floats) -> Floats:
    steps = np.arange(total.size)
    rest: Floats = total - stats.theilslopes(total, steps).slope * steps
    return rest


def expected_stretch(rest: Floats) -> float:
    """sqrt((1 + r) / (1 - r)) of the correlation with the neighbour, from 0 to 0.8."""
    away = rest - np.median(rest)
    likeness = min(max(float((away[1:] * away[:-1]).sum() / (away**2).sum()), 0.0), 0.8)
    return math.sqrt((1 + likeness) / (1 - likeness))


def expected_bounds(total: Floats, stretch: float) -> tuple[float, float]:
    """Sen's: the slopes of the ranks that lie 1.96 sigmas of Kendall's score about the middle one, stretched."""
    size = total.size
    slopes = sorted((total[j] - total[i]) / (j - i) for i in range(size) for j in range(i + 1, size))
    reach = stretch * 1.96 * math.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    low, high = round((len(slopes) - reach) / 2) - 1, round((len(slopes) + reach) / 2)
    return slopes[max(0, low)], slopes[min(len(slopes) - 1, high)]


@pytest.mark.parametrize("seed", range(5))
def test_traffic_grows_at_the_median_slope_from_where_the_later_half_says_it_is(seed: int) -> None:
    total = line(seed)
    growth, slope, rest = grown(total), stats.theilslopes(total, STEPS).slope, rest_of(total)
    assert growth.slope == pytest.approx(slope)
    assert growth.level == pytest.approx(np.median(rest[25:]) + slope * 49)


@pytest.mark.parametrize("seed", range(5))
def test_its_level_is_in_doubt_by_twice_an_interval_of_the_mean(seed: int) -> None:
    total = line(seed)
    rest = rest_of(total)
    sigma = 1.4826 * np.median(np.abs(rest - np.median(rest)))
    assert grown(total).doubt == pytest.approx(2 * 1.96 * expected_stretch(rest) * sigma / math.sqrt(50))


@pytest.mark.parametrize("seed", range(5))
def test_its_slope_lies_between_sens_bounds_or_as_steep_as_the_later_half_may_be(seed: int) -> None:
    total = line(seed)
    low, high = expected_bounds(total, expected_stretch(rest_of(total)))
    _, steepest = expected_bounds(total[25:], 1.0)
    assert grown(total).low == pytest.approx(low)
    assert grown(total).high == pytest.approx(max(high, steepest))


def moods(likeness: float) -> Floats:
    """Noise that resembles the bin before; about a line."""
    dice, noise = np.random.default_rng(3), np.zeros(TOTAL_BINS)
    for bin_ in range(1, TOTAL_BINS):
        noise[bin_] = likeness * noise[bin_ - 1] + dice.normal(0, 3.0)
    return noise


@pytest.mark.parametrize(
    ("noise", "least", "most"),
    [(moods(-0.6), 1.0, 1.0), (moods(0.5), 1.2, 2.5), (8 * np.sin(STEPS / 3), 3.0, 3.0)],
    ids=["swinging", "moody", "waves"],
)
def test_what_resembles_its_neighbour_is_worth_less_down_to_a_third(noise: Floats, least: float, most: float) -> None:
    total = 200.0 + 6.0 * STEPS + noise
    stretch = expected_stretch(rest_of(total))
    assert least <= round(stretch, 9) <= most
    low, high = expected_bounds(total, stretch)
    _, steepest = expected_bounds(total[25:], 1.0)
    assert grown(total).low == pytest.approx(low)
    assert grown(total).high == pytest.approx(max(high, steepest))


def test_without_any_noise_the_line_is_its_own_bound() -> None:
    growth = grown(200.0 + 2.0 * STEPS)
    assert (growth.slope, growth.low, growth.high, growth.doubt) == pytest.approx((2.0, 2.0, 2.0, 0.0), abs=1e-9)
    assert growth.level == pytest.approx(298.0)


@pytest.mark.parametrize(("bins", "known"), [(LEAST_BINS, True), (LEAST_BINS - 1, False)])
def test_eight_minutes_make_a_trend(bins: int, known: bool) -> None:
    total = np.where(TOTAL_BINS - bins <= STEPS, 200.0 + 2.0 * STEPS, np.nan)
    assert (growing(total) is not None) is known


def test_bins_that_nobody_saw_keep_their_place_on_the_line() -> None:
    total = np.where((STEPS > 10) & (STEPS < 30), np.nan, 200.0 + 2.0 * STEPS)
    assert grown(total).slope == pytest.approx(2.0)
    assert grown(total).level == pytest.approx(298.0)


@pytest.mark.parametrize(("later", "rises"), [(0.20, False), (0.22, True)])
def test_it_rises_on_in_its_later_half_more_than_a_third_as_fast_as_over_all(later: float, rises: bool) -> None:
    """A line of slope 2, then of `later` x 2: over all the median is about 0.6 x 2."""
    half = 2.0 * np.arange(25)
    total = 200.0 + np.concatenate([half, half[-1] + later * 2.0 * np.arange(1, 26)])
    whole = stats.theilslopes(total, STEPS).slope
    assert bool(2.0 * later > 0.35 * whole) is rises
    assert (growing(total) is not None) is rises


# --- how much more the pods can bear


def used(total: Floats, idle: Floats, cost: Floats, bins: int = BINS) -> tuple[Floats, Floats]:
    rps = total[-bins:, None] * SHARES
    return rps, idle + cost * rps


def room_of(total: Floats, rps: Floats, use: Floats, limit: float = LIMIT) -> Room:
    room = room_left(total, rps, use, limit)
    assert room is not None
    return room


IDLE, COST = np.array([0.02, 0.10, 0.04]), np.array([0.002, 0.0028, 0.0034])


@pytest.mark.parametrize("seed", range(3))
def test_a_pod_is_full_when_the_part_of_its_use_that_is_the_requests_has_grown_so_far(seed: int) -> None:
    """What is left of the limit over what requests use now, times requests over share: means of the last ten bins."""
    total = line(seed)[-BINS:]
    rps, use = used(total, IDLE, COST)
    idle = idle_ratio(rps, use)
    load, now = rps[-10:].mean(axis=0), use[-10:].mean(axis=0)
    share = load / total[-10:].mean()

    def full(part: float) -> Floats:
        rooms: Floats = load * ((LIMIT / now - part) / (1 - part)) / share
        return rooms

    room = room_of(total, rps, use)
    assert room.column == int(np.argmin(full(idle)))
    assert room.likely == pytest.approx(full(idle).min())
    assert room.least == pytest.approx(0.97 * full(0.0).min())
    assert room.most == pytest.approx(1.03 * full(1.5 * idle + 0.03).min())


def test_what_costs_a_pod_to_be_there_is_at_most_three_fifths_of_its_use() -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, use = used(total, np.full(3, 0.35), np.full(3, 0.0005))
    load, now = rps[-10:].mean(axis=0), use[-10:].mean(axis=0)
    share = load / total[-10:].mean()
    room = room_of(total, rps, use)
    at_most = load * (LIMIT / now - MOST_IDLE) / (1 - MOST_IDLE) / share
    assert idle_ratio(rps, use) == MOST_IDLE
    assert room.likely == pytest.approx(at_most.min())
    assert room.most == pytest.approx(1.03 * at_most.min())


def test_of_lines_without_noise_the_idle_part_is_the_median_pods() -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, use = used(total, IDLE, COST)
    parts = IDLE / use[-10:].mean(axis=0)
    assert idle_ratio(rps, use) == pytest.approx(np.median(parts))


def test_an_idle_part_is_never_less_than_nothing() -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, _ = used(total, IDLE, COST)
    assert idle_ratio(rps, 1e-5 * rps**2) == 0.0  # the more requests, the more each costs


@pytest.mark.parametrize(("slope", "told"), [(0.50, False), (0.60, True)])
def test_a_twentieth_more_requests_tell_what_one_costs(slope: float, told: bool) -> None:
    """Over the twenty bins between the first and the last third they grow by 20 slopes, of 200 + 24.5 slopes."""
    total = 200.0 + slope * STEPS[:BINS]
    rps, use = used(total, np.full(3, 0.1), COST)
    assert (20 * slope > 0.05 * (200 + 24.5 * slope)) is told
    assert (idle_ratio(rps, use) > 0) is told


@pytest.mark.parametrize(("told", "judged"), [(LEAST_BINS, True), (LEAST_BINS - 1, False)])
def test_a_pod_is_judged_from_sixteen_bins_on(told: int, judged: bool) -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, use = used(total, np.zeros(3), np.array([0.004, 0.001, 0.001]))
    use[: BINS - told, 0] = np.nan
    assert (room_of(total, rps, use).column == 0) is judged


@pytest.mark.parametrize("what", ["rps", "use"])
@pytest.mark.parametrize(("bin_", "judged"), [(-10, False), (-11, True)])
def test_a_pod_is_judged_by_ten_bins_all_of_which_are_told(what: str, bin_: int, judged: bool) -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, use = used(total, np.zeros(3), np.array([0.004, 0.001, 0.001]))
    {"rps": rps, "use": use}[what][bin_, 0] = 0.0
    assert (room_of(total, rps, use).column == 0) is judged


def test_bins_whose_total_is_not_known_are_left_out() -> None:
    total = 200.0 + 2.0 * STEPS[:BINS]
    rps, use = used(total, IDLE, COST)
    silent = total.copy()
    silent[-3] = np.nan
    use[-3] = 5.0
    known = ~np.isnan(silent)
    assert room_of(silent, rps, use) == room_of(total[known], rps[known], use[known])


# --- together


@pytest.mark.parametrize("seed", range(5))
def test_the_end_is_what_is_left_over_the_slope_and_its_bounds_over_theirs(seed: int) -> None:
    total = line(seed, slope=6.0)
    rps, use = used(total, IDLE, np.full(3, 0.0028))
    found, growth, room = foretell(total, rps, use, LIMIT), grown(total), room_of(total[-BINS:], rps, use)
    assert found is not None
    assert found.column == room.column
    assert found.seconds == pytest.approx(30 * (room.likely - growth.level) / growth.slope)
    soonest = 30 * (room.least - growth.level - growth.doubt) / growth.high
    assert found.soonest == pytest.approx(max(soonest, 0.0))
    assert found.latest == pytest.approx(30 * (room.most - growth.level + growth.doubt) / growth.low)


@pytest.mark.parametrize(("minutes", "told"), [(29.9, True), (30.1, False)])
def test_half_an_hour_is_as_far_as_it_looks(minutes: float, told: bool) -> None:
    total = 200.0 + 2.0 * STEPS
    full = total[-1] + 2.0 * minutes * 2  # two bins a minute
    rps, use = used(total, np.zeros(3), np.full(3, LIMIT / full / SHARES[0]))
    found = foretell(total, rps, use, LIMIT)
    assert (found is not None) is told
    assert found is None or found.seconds == pytest.approx(60 * minutes)
