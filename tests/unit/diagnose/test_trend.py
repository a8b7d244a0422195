"""Leaks told from caches, warm-ups, traffic and noise; the statistics against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evenload.diagnose.bins import BIN_SECONDS, BINS, Bins
from evenload.diagnose.envelope import ROW_BINS
from evenload.diagnose.outlook import Outlook
from evenload.diagnose.statistics import mann_kendall_z, theil_sen
from evenload.diagnose.trend import KEEPING_BINS, LEAST_BINS, Leak, MemoryWatch, judge
from evenload.engine import Engine
from evenload.model.diagnosis import Label
from evenload.model.fleet import Fleet, Floats
from evenload.model.plan import Advise, Drain
from evenload.model.spec import Restart, RestartWhen
from tests.unit.engine.build import NOW, later, snapshot, write_of
from tests.unit.engine.plant import spec

LIMIT = 250e6
STEPS = np.arange(BINS, dtype=float)
QUIET = np.full(BINS, 16.0)


def noisy(values: Floats, seed: int = 0, share: float = 0.004) -> Floats:
    noise: Floats = np.random.default_rng(seed).normal(0, share * LIMIT, size=values.size)
    return values + noise


def rising(percent_a_minute: float, start: float = 0.3) -> Floats:
    line: Floats = LIMIT * (start + percent_a_minute / 100 * STEPS * BIN_SECONDS / 60)
    return line


def test_mann_kendall_orders_as_scipys_tau_does() -> None:
    values = noisy(rising(0.2), 3)
    tau = stats.kendalltau(STEPS, values, method="asymptotic")
    assert mann_kendall_z(values) == pytest.approx(stats.norm.isf(tau.pvalue / 2), rel=0.05)
    assert mann_kendall_z(-values) == pytest.approx(-mann_kendall_z(values))


def test_no_trend_scores_nothing() -> None:
    assert mann_kendall_z(np.array([1.0, 2.0, 2.0, 1.0])) == 0.0


def test_a_steady_rise_scores_by_the_formula() -> None:
    """Six pairs of four rise: (6 - 1) / sqrt(4 x 3 x 13 / 18)."""
    assert mann_kendall_z(np.array([1.0, 2.0, 3.0, 5.0])) == pytest.approx(5 / (156 / 18) ** 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_theil_sen_is_scipys(seed: int) -> None:
    values = noisy(rising(0.5), seed)
    expected = stats.theilslopes(values, STEPS, alpha=0.95)
    slope, low, high = theil_sen(values)
    assert slope == pytest.approx(expected.slope)
    assert low == pytest.approx(expected.low_slope)
    assert high == pytest.approx(expected.high_slope)


@pytest.mark.parametrize("size", [4, 8, 13, 21, 34])
def test_its_bounds_are_scipys_at_any_length_and_the_extremes_where_values_are_few(size: int) -> None:
    for seed in range(10):
        values = np.random.default_rng(seed).normal(size=size)
        expected = stats.theilslopes(values, np.arange(size), alpha=0.95)
        assert theil_sen(values)[1:] == pytest.approx((expected.low_slope, expected.high_slope))


def test_one_percent_a_minute_is_found_and_its_end_foretold() -> None:
    found = 0
    for seed in range(50):
        leak = judge(noisy(rising(1.0), seed), QUIET, LIMIT)
        if leak is not None:
            found += 1
            assert leak.seconds == pytest.approx(60 * (100 - 30 - 14.5), rel=0.15)
            assert leak.soonest <= leak.seconds <= leak.latest
    assert found >= 49


def test_twenty_bins_are_enough_to_tell() -> None:
    assert judge(rising(1.0)[:20], QUIET[:20], LIMIT) is not None


@pytest.mark.parametrize("seed", range(3))
def test_the_end_is_where_the_median_slope_and_its_bounds_reach_the_limit(seed: int) -> None:
    memory = noisy(rising(1.0), seed)
    leak, expected = judge(memory, QUIET, LIMIT), stats.theilslopes(memory, STEPS, alpha=0.95)
    assert leak is not None
    room = LIMIT - memory[-1]
    assert leak.seconds == pytest.approx(room / expected.slope * 30)
    assert leak.soonest == pytest.approx(room / expected.high_slope * 30)
    assert leak.latest == pytest.approx(room / expected.low_slope * 30)
    assert leak.slope == pytest.approx(expected.slope / 30)


@pytest.mark.parametrize(("later", "leaks"), [(0.75, False), (0.85, True)])
def test_a_leak_goes_on_rising_four_fifths_as_fast(later: float, leaks: bool) -> None:
    half = STEPS[:15] * 0.005 * LIMIT
    memory = np.concatenate([half, half[-1] + (1 + STEPS[:15]) * later * 0.005 * LIMIT]) + 0.3 * LIMIT
    jitter = 0.002 * LIMIT * np.tile([1.0, -1.0], 15)
    assert (judge(memory, QUIET, LIMIT) is not None) is leaks
    assert (judge(memory + jitter, QUIET, LIMIT) is not None) is leaks


def test_nothing_else_is_called_a_leak() -> None:
    dice = np.random.default_rng(5)
    day = 0.3 + 0.1 * np.sin(STEPS / 9)
    walks = np.cumsum(dice.normal(0, 0.0005, size=(60, BINS)), axis=1)
    alarms = 0
    for seed in range(60):
        filling = LIMIT * (0.2 + 0.4 * (1 - np.exp(-STEPS / 5)))
        warming = LIMIT * np.where(STEPS < 8, 0.2 + 0.03 * STEPS, 0.44)
        flat = np.full(BINS, 0.4 * LIMIT)
        load = 16 * (1 + 0.5 * np.sin(STEPS / 9))
        loaded = LIMIT * (day + 0.01)
        alarms += judge(noisy(filling, seed), QUIET, LIMIT) is not None
        alarms += judge(noisy(warming, seed), QUIET, LIMIT) is not None
        alarms += judge(noisy(flat, seed), QUIET, LIMIT) is not None
        alarms += judge(noisy(loaded, seed), load, LIMIT) is not None
        alarms += judge(LIMIT * (0.4 + walks[seed]), QUIET, LIMIT) is not None
    assert alarms <= 5


def test_a_step_between_two_level_halves_is_no_leak() -> None:
    half = np.array([0.0] * 11 + [1.0] * 4)
    assert judge(1e8 + 1e6 * np.concatenate([half, half + 5]), QUIET, LIMIT) is None


def test_memory_that_follows_rising_traffic_is_no_leak() -> None:
    load = 10 + STEPS + np.random.default_rng(1).normal(0, 3, size=BINS)
    assert judge(noisy(LIMIT * (0.1 + 0.01 * load), 1, 0.0005), load, LIMIT) is None


@pytest.mark.parametrize(
    ("memory", "limit"),
    [
        (rising(1.0)[: LEAST_BINS - 1], LIMIT),  # too short
        (rising(1.0), float("nan")),  # no limit, never full
        (rising(-1.0, 0.6), LIMIT),
        (rising(0.2), LIMIT),  # five hours away
    ],
)
def test_what_is_too_short_without_limit_falling_or_far_away_is_not_told(memory: Floats, limit: float) -> None:
    assert judge(memory, np.full(memory.size, 16.0), limit) is None


def test_a_pod_already_full_has_no_time_left() -> None:
    leak = judge(rising(2.0, 0.8), QUIET, LIMIT)
    assert leak is not None
    assert leak.seconds == 0.0


def watched(
    minutes: float, percent_a_minute: float, watch: Outlook, uid: str = "uid-a-0", start: float = 0.0
) -> Outlook:
    for tick in range(int(minutes * 6)):
        memory = LIMIT * (0.3 + percent_a_minute / 100 * tick / 6)
        saw = 0.05 * LIMIT * (tick % 3)
        sight = later(snapshot({"a-0": {"memory": memory + saw, "uid": uid}}), start + 10 * tick)
        watch.observe(sight.time, 15.0, Fleet(sight), 0.85)
    return watch


def test_a_saw_tooth_on_a_leak_is_seen_through() -> None:
    leaks = watched(16, 1.0, Outlook()).leaks
    assert set(leaks) == {"uid-a-0"}
    assert isinstance(leaks["uid-a-0"], Leak)
    assert leaks["uid-a-0"].slope == pytest.approx(LIMIT / 6000, rel=0.1)


def test_a_saw_tooth_alone_is_no_leak() -> None:
    assert watched(16, 0.0, Outlook()).leaks == {}


def test_a_pod_in_its_first_forty_minutes_fills_its_caches() -> None:
    watch = Outlook()
    for tick in range(100):
        sight = later(snapshot({"a-0": {"memory": LIMIT * (0.3 + tick / 600), "age": 700.0 + 10 * tick}}), 10.0 * tick)
        watch.observe(sight.time, 15.0, Fleet(sight), 0.85)
    assert watch.leaks == {}


def test_a_new_pod_of_the_name_starts_anew_and_the_old_one_is_forgotten() -> None:
    watch = watched(16, 1.0, Outlook())
    watched(1, 0.0, watch, uid="uid-new", start=960.0)
    assert watch.leaks == {}


def test_a_pod_whose_memory_is_not_told_has_no_trend() -> None:
    watch = Outlook()
    for tick in range(100):
        sight = later(snapshot({"a-0": {"memory": None if tick % 40 else 8e7, "requests": None}}), 10.0 * tick)
        watch.observe(sight.time, 15.0, Fleet(sight), 0.85)
    assert watch.leaks == {}


def leaking(engine: Engine, minutes: int) -> list[object]:
    writes: list[object] = []
    for tick in range(6 * minutes):
        memory = LIMIT * (0.3 + 0.01 * tick / 6)
        decision = engine.step(later(snapshot({"b-0": {"memory": memory}}), 10.0 * tick))
        writes.append(write_of(decision) or decision)
    return writes


def test_a_leak_is_told_with_its_end_and_restarted_gently_when_that_is_near() -> None:
    writes = leaking(Engine(spec()), 45)
    first = next(i for i, write in enumerate(writes) if isinstance(write, Drain))
    write = writes[first]
    assert isinstance(write, Drain)
    assert write.pod == "b-0"
    assert "full in" in write.because
    assert first / 6 == pytest.approx(40, abs=3)  # minutes: half an hour before the end


def test_without_leave_to_restart_it_is_only_told_and_traffic_stays_balanced() -> None:
    last = leaking(Engine(spec(restart=Restart(when=RestartWhen.OnlyAfterOverload))), 45)[-1]
    assert last.diagnosis.label is Label.MemoryLeak  # type: ignore[attr-defined]
    assert last.balanced is True  # type: ignore[attr-defined]
    assert [a.topic for a in last.actions if isinstance(a, Advise)] == ["MemoryLeak"]  # type: ignore[attr-defined]
    assert last.diagnosis.evidence[0].metric == "out_of_memory_seconds"  # type: ignore[attr-defined]
    assert last.time > NOW  # type: ignore[attr-defined]


def bins_of(*columns: Floats) -> Bins:
    """Memory of pods side by side; requests that tell nothing of it."""
    bins = Bins()
    memory = np.array(columns).T
    bins._rows = np.stack([memory, np.full(memory.shape, 16.0), np.full(memory.shape, 0.3), memory])
    return bins


def test_a_leak_is_told_on_its_sixth_bin_and_kept_for_half_an_hour_without_a_sign_of_it() -> None:
    watch, fleet, level = MemoryWatch(), Fleet(snapshot()), np.full(BINS, rising(1.0)[-1])
    seen = []
    for leaks in [True] * 6 + [False] * (KEEPING_BINS + 1):
        watch.close(bins_of(rising(1.0) if leaks else level, level, level, level), fleet)
        seen.append(sorted(watch.leaks))
    assert seen == [[]] * 5 + [["uid-a-0"]] * (KEEPING_BINS + 1) + [[]]


def test_a_leak_that_is_kept_is_counted_down() -> None:
    watch, fleet, level = MemoryWatch(), Fleet(snapshot()), np.full(BINS, rising(1.0)[-1])
    for _ in range(6):
        watch.close(bins_of(rising(1.0), level, level, level), fleet)
    told = watch.leaks["uid-a-0"]
    for _ in range(2):
        watch.close(bins_of(level, level, level, level), fleet)
    assert watch.leaks["uid-a-0"].seconds == pytest.approx(told.seconds - 2 * BIN_SECONDS)
    assert watch.leaks["uid-a-0"].slope == told.slope


def test_a_leak_whose_memory_was_given_back_is_over() -> None:
    watch, fleet, level = MemoryWatch(), Fleet(snapshot()), np.full(BINS, 0.3 * LIMIT)
    for leaks in [True] * 6 + [False] * ROW_BINS:
        watch.close(bins_of(rising(1.0) if leaks else level, level, level, level), fleet)
    for _ in range(ROW_BINS):
        watch.close(bins_of(level, level, level, level), fleet)
    assert watch.leaks == {}


def test_a_leak_is_full_when_its_line_meets_the_limit() -> None:
    found = judge(rising(1.0), QUIET, LIMIT)
    assert found is not None
    room = LIMIT - float(rising(1.0)[-1])
    assert found.slope == pytest.approx(LIMIT / 100 / 60)
    assert found.seconds == pytest.approx(room / found.slope)
    assert found.soonest == pytest.approx(found.latest)


@pytest.mark.parametrize(("age", "told"), [(2400.0, True), (2399.0, False)])
def test_a_pod_is_judged_once_it_had_forty_minutes_to_fill_its_caches(age: float, told: bool) -> None:
    watch, level = MemoryWatch(), np.full(BINS, 8e7)
    fleet = Fleet(snapshot({"a-0": {"age": age}}))
    for _ in range(6):
        watch.close(bins_of(rising(1.0), level, level, level), fleet)
    assert bool(watch.leaks) is told


def test_what_follows_traffic_is_taken_out_and_what_goes_against_it_is_not() -> None:
    wave = np.sin(STEPS)
    busy, rest = 16.0 + 4.0 * wave, rising(1.0)
    along, against = judge(rest + 4e6 * wave, busy, LIMIT), judge(rest - 4e6 * wave, busy, LIMIT)
    assert along is not None
    assert against is not None
    assert along.latest - along.soonest < 1.0
    assert against.latest - against.soonest > 10.0


@pytest.mark.parametrize(("minutes", "told"), [(88.0, True), (92.0, False)])
def test_an_end_is_told_within_six_windows_of_a_quarter_of_an_hour(minutes: float, told: bool) -> None:
    """Memory that rises by 1% of the limit a minute, from where the last bin is so far from it."""
    start = 1.0 - (minutes + (BINS - 1) * BIN_SECONDS / 60) / 100
    assert (judge(rising(1.0, start), QUIET, LIMIT) is not None) is told


@pytest.mark.parametrize(("swapped", "told"), [(3, True), (4, False)])
def test_a_trend_is_beyond_three_sigmas(swapped: int, told: bool) -> None:
    """Twenty bins of which the last come first: (pairs in order - pairs not - 1) / sqrt(n (n - 1) (2 n + 5) / 18)."""
    memory = rising(1.0)[:LEAST_BINS]
    memory = np.concatenate([memory[-swapped:], memory[:-swapped]])
    memory[-1] = memory.max() + 1e5
    assert bool(mann_kendall_z(memory) > 3.0) is told
    assert (judge(memory, np.full(LEAST_BINS, 16.0), LIMIT) is not None) is told


def test_twenty_bins_of_a_pod_are_enough_and_nineteen_are_not() -> None:
    fleet, level = Fleet(snapshot()), np.full(BINS, 8e7)
    for told, leaks in ((LEAST_BINS, ["uid-a-0"]), (LEAST_BINS - 1, [])):
        watch = MemoryWatch()
        young = np.where(BINS - told > STEPS, np.nan, rising(1.0))
        for _ in range(6):
            watch.close(bins_of(young, level, level, level), fleet)
        assert sorted(watch.leaks) == leaks
