"""Time to saturation: against the truth where it is known in closed form, and unknown where nothing can be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.diagnose.bins import BIN_SECONDS, BINS, TOTAL_BINS, Bins
from evenload.diagnose.saturation import (
    CONFIRMING_BINS,
    HORIZON_SECONDS,
    KEEPING_BINS,
    LEAST_BINS,
    Saturation,
    SaturationWatch,
    foretell,
    idle_ratio,
)
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.fleet import Fleet, Floats
from evenload.model.snapshot import Snapshot
from tests.unit.engine.build import later, snapshot
from tests.unit.engine.plant import spec

LIMIT = 0.85
STEPS = np.arange(TOTAL_BINS, dtype=float)


def rising(start: float = 100.0, slope: float = 2.0) -> Floats:
    """Requests a second, by bin."""
    line: Floats = start + slope * STEPS
    return line


def pods(total: Floats, shares: tuple[float, ...], idle: float = 0.05, cost: float = 0.01) -> tuple[Floats, Floats]:
    """Requests a second and CPU use of pods that get these shares, for as long as bins of pods go back."""
    rps = total[-BINS:, None] * np.array(shares)
    return rps, idle + cost * rps


def told(total: Floats, shares: tuple[float, ...] = (0.5, 0.5), **costs: float) -> Saturation | None:
    return foretell(total, *pods(total, shares, **costs), LIMIT)


def noisy(values: Floats, seed: int, ratio: float = 0.03) -> Floats:
    found: Floats = values * np.random.default_rng(seed).normal(1.0, ratio, values.shape)
    return found


@pytest.mark.parametrize("idle", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.55, 0.45), (0.3, 0.3, 0.4)])
def test_a_line_without_noise_is_foretold_exactly(shares: tuple[float, ...], idle: float) -> None:
    total = rising(start=60.0)
    cost = 1 / 300
    at = (LIMIT - idle) / cost / max(shares)  # the total that fills the first pod
    expected = BIN_SECONDS * (at - total[-1]) / 2.0
    found = told(total, shares, idle=idle, cost=cost)
    if expected > HORIZON_SECONDS:
        assert found is None
        return
    assert found is not None
    assert found.seconds == pytest.approx(max(expected, 0.0), rel=1e-6)
    assert found.soonest <= found.seconds <= found.latest
    assert shares[found.column] == max(shares)


def test_the_whole_fleet_is_never_full_before_its_first_pod() -> None:
    total, shares = rising(), (0.55, 0.25, 0.2)
    found = told(total, shares, idle=0.05, cost=1 / 180)
    assert found is not None
    whole = sum((LIMIT - 0.05) * 180 for _ in shares)
    assert found.seconds <= BIN_SECONDS * (whole - total[-1]) / 2.0


def test_a_pod_that_is_full_already_has_no_time_left() -> None:
    found = told(rising(), cost=1 / 50)
    assert found is not None
    assert (found.seconds, found.soonest) == (0.0, 0.0)


def test_the_interval_covers_the_truth() -> None:
    covered = 0
    for seed in range(60):
        total = noisy(rising(), seed)
        rps, use = pods(total, (0.5, 0.5), cost=1 / 150)
        found = foretell(total, noisy(rps, seed + 100, 0.02), noisy(use, seed + 200, 0.02), LIMIT)
        truth = BIN_SECONDS * (0.8 * 150 / 0.5 - rising()[-1]) / 2.0
        covered += found is not None and found.soonest <= truth <= found.latest
    assert covered >= 57


def test_what_a_pod_uses_while_idle_is_learnt_through_noise() -> None:
    loads, uses = pods(rising(), (0.25,) * 4, idle=0.1, cost=0.01)
    found = [idle_ratio(noisy(loads, seed), noisy(uses, seed + 50)) for seed in range(40)]
    truth = 0.1 / float(uses[-BINS // 3 :].mean())
    assert np.median(found) == pytest.approx(truth, abs=0.05)
    assert np.std(found) < 0.1


@pytest.mark.parametrize(
    ("total", "why"),
    [
        (np.full(TOTAL_BINS, 150.0), "level"),
        (rising(slope=-1.0, start=200.0), "falls"),
        (np.where(STEPS < TOTAL_BINS - LEAST_BINS + 1, np.nan, rising()), "too short"),
        (np.where(STEPS < 30, 100.0, 170.0), "a step up, long enough ago"),
        (np.full(TOTAL_BINS, np.nan), "nothing told"),
        (rising(slope=0.02), "too far away"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_a_steep_steady_rise_is_unknown(total: Floats, why: str) -> None:
    assert told(total, cost=1 / 150) is None


@pytest.mark.parametrize("gone", ["cpu", "requests"])
def test_without_cpu_limit_or_requests_it_is_unknown(gone: str) -> None:
    total = rising()
    rps, use = pods(total, (0.5, 0.5), cost=1 / 150)
    blind = np.full(rps.shape, np.nan)
    assert foretell(total, rps if gone == "cpu" else blind, blind if gone == "cpu" else use, LIMIT) is None
    assert foretell(total, rps, use, LIMIT) is not None


def test_pods_that_tell_nothing_are_left_out_and_the_others_judged() -> None:
    total = rising()
    rps, use = pods(total, (0.5, 0.5), cost=1 / 150)
    use[:, 0] = np.nan
    found = foretell(total, rps, use, LIMIT)
    assert found is not None
    assert found.column == 1


def test_noise_around_a_level_is_no_rise() -> None:
    alarms = 0
    for seed in range(200):
        total = noisy(np.full(TOTAL_BINS, 150.0), seed, 0.08)
        alarms += told(total, cost=1 / 130) is not None  # at two thirds
    assert alarms <= 4


@settings(max_examples=150, deadline=None)
@given(
    total=st.lists(st.floats(0, 1e4) | st.just(math.nan), min_size=TOTAL_BINS, max_size=TOTAL_BINS),
    use=st.lists(st.floats(0, 2) | st.just(math.nan), min_size=3 * BINS, max_size=3 * BINS),
    slope=st.floats(0, 50),
)
def test_it_is_never_negative_never_crashes_and_its_bounds_are_in_order(
    total: list[float], use: list[float], slope: float
) -> None:
    values = np.array(total) + slope * STEPS
    rps = values[-BINS:, None] * np.array([0.2, 0.3, 0.5])
    found = foretell(values, rps, np.array(use).reshape(BINS, 3), LIMIT)
    if found is not None:
        assert 0 <= found.soonest <= found.seconds <= found.latest
        assert found.seconds <= HORIZON_SECONDS


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(range(5)),
    weights=st.lists(st.floats(0.5, 2.0), min_size=5, max_size=5, unique=True),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_pods_changes_nothing(order: list[int], weights: list[float], seed: int) -> None:
    shares = tuple(weight / sum(weights) for weight in weights)
    total = rising()
    rps, use = pods(total, shares, cost=1 / 70)
    rps, use = noisy(rps, seed, 0.01), noisy(use, seed + 1, 0.01)
    one, other = foretell(total, rps, use, LIMIT), foretell(total, rps[:, order], use[:, order], LIMIT)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert order[other.column] == one.column
        assert (other.seconds, other.soonest, other.latest) == pytest.approx((one.seconds, one.soonest, one.latest))


@settings(max_examples=60, deadline=None)
@given(idlers=st.integers(1, 4), seed=st.integers(0, 99))
def test_pods_without_requests_never_bring_the_end_nearer(idlers: int, seed: int) -> None:
    total = noisy(rising(), seed, 0.02)
    rps, use = pods(total, (0.6, 0.4), cost=1 / 150)
    before = foretell(total, rps, use, LIMIT)
    more = np.zeros((BINS, idlers))
    after = foretell(total, np.hstack([rps, more]), np.hstack([use, more + 0.05]), LIMIT)
    assert before is not None
    assert after is not None
    assert after.seconds >= before.seconds - 1e-9


def growing(minute: float, requests: float) -> Snapshot:
    """Four pods of 0.25 cores, each with these requests in its window of 15 s."""
    change = {"requests": requests, "cpu": 0.01 + requests / 15 * 0.005}
    return later(snapshot({f"{name}-0": change for name in "abcd"}), 60 * minute)


def lived(engine: Engine, rates: list[float], start: float = 0.0) -> list[Decision]:
    """A decision every ten seconds."""
    return [engine.step(growing(start + tick / 6, rate)) for tick, rate in enumerate(rates)]


def test_the_engine_tells_it_counts_it_down_and_takes_it_back() -> None:
    engine = Engine(spec())
    decisions = lived(engine, [300.0 + tick for tick in range(160)])
    known = [decision.saturation for decision in decisions]
    first = next(index for index, forecast in enumerate(known) if forecast is not None)
    assert first >= 3 * (LEAST_BINS + CONFIRMING_BINS - 1)
    last, before = known[-1], known[-2]
    assert last is not None
    assert before is not None
    full = (0.85 * 0.25 - 0.01) / 0.005 * 15  # requests in a window
    assert last.seconds == pytest.approx((full - 459) * 10, rel=0.1)
    assert before.seconds - last.seconds == pytest.approx(10, abs=15)
    assert last.subject == "a-0"
    level = lived(engine, [460.0] * 160, start=160 / 6)
    kept = [decision.saturation for decision in level]
    gone = next(index for index, forecast in enumerate(kept) if forecast is None)
    assert gone >= 3 * KEEPING_BINS - 3
    assert kept[-1] is None


def test_a_pod_that_is_gone_is_not_the_one_that_is_named() -> None:
    engine = Engine(spec())
    decisions = lived(engine, [300.0 + tick for tick in range(160)])
    assert decisions[-1].saturation is not None
    gone = growing(160 / 6, 460.0)
    pods_left = {name: backend for name, backend in gone.backends.items() if name != "a"}
    after = engine.step(Snapshot(time=gone.time, window=15.0, backends=pods_left)).saturation
    assert after is None or after.subject != "a-0"


def test_bad_data_has_no_forecast() -> None:
    engine = Engine(spec())
    assert lived(engine, [300.0 + tick for tick in range(160)])[-1].saturation is not None
    assert engine.step(Snapshot(time=growing(27, 1).time, window=15.0, backends={})).saturation is None


def bins_of(total: Floats) -> Bins:
    """Of four even pods, full at 0.8 x 150 requests a second each."""
    bins = Bins()
    rps, use = pods(total, (0.25,) * 4, cost=1 / 150)
    bins.total, bins._rows = total, np.stack([use, rps, use])
    return bins


def test_it_is_told_from_the_third_bin_on_and_taken_back_after_four_without() -> None:
    watch, fleet = SaturationWatch(), Fleet(snapshot())
    seen = []
    for number, total in enumerate([rising(300.0)] * 3 + [np.full(TOTAL_BINS, 300.0)] * 4 + [rising(300.0)] * 3):
        watch.close(30.0 * number, bins_of(total), fleet, LIMIT)
        seen.append(watch.first is not None)
    assert seen == [False] * 2 + [True] * 4 + [False] + [False] * 2 + [True]


def test_a_gap_starts_the_count_anew_and_a_sighting_keeps_it() -> None:
    watch, fleet = SaturationWatch(), Fleet(snapshot())
    for number, rises in enumerate([True, True, False, True, True]):
        total = rising(300.0) if rises else np.full(TOTAL_BINS, 300.0)
        watch.close(30.0 * number, bins_of(total), fleet, LIMIT)
        assert watch.first is None
    watch.close(150.0, bins_of(rising(300.0)), fleet, LIMIT)
    assert (watch.uid, watch.made_at) == ("uid-a-0", 150.0)
    for number, rises in enumerate([False, False, False, True, False, False, False]):
        total = rising(300.0) if rises else np.full(TOTAL_BINS, 300.0)
        watch.close(180.0 + 30.0 * number, bins_of(total), fleet, LIMIT)
        assert watch.first is not None


def test_a_pod_that_is_not_ready_is_not_foretold() -> None:
    watch, fleet = SaturationWatch(), Fleet(snapshot({"a-0": {"ready": False}}))
    for number in range(3):
        watch.close(30.0 * number, bins_of(rising(300.0)), fleet, LIMIT)
    assert watch.uid == "uid-b-0"
