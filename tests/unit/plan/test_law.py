"""The weight law alone, on shares computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet, Floats
from evenload.plan.law import Law
from tests.unit.engine.build import snapshot

EVEN = np.full(4, 0.25)


def fleet(weights: dict[str, int], gains: dict[str, float], total: float = 4000.0, cpu: float = 0.08) -> Fleet:
    bent = {name: weights[name] * gains.get(name, 1.0) for name in weights}
    every = sum(bent.values())
    pods = {f"{name}-0": {"requests": round(total * bent[name] / every), "cpu": cpu} for name in weights}
    return Fleet(snapshot(pods, weights=weights))


def watched(known: Fleet, ticks: int = 4, law: Law | None = None, start: float = 0.0) -> Law:
    law = law or Law()
    for tick in range(ticks):
        law.observe(known, start + 5.0 * tick, 15.0, 2.5)
    return law


def test_a_gain_is_found_and_inverted_in_one_step_where_it_is_small() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.6})
    law = watched(known)
    assert law.gains.gain[0] == pytest.approx(math.log(1.6), abs=0.05)
    wanted = law.wanted(known, EVEN, law.gains.gain, drowning=False, correcting=False)
    assert wanted is not None
    assert wanted[0] / wanted[1] == pytest.approx(1 / 1.6, rel=0.08)


def test_a_large_gain_is_approached_by_halves_or_by_sixteenths_where_it_burns() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 36.0})
    law = watched(known)

    def cut(*, drowning: bool) -> float:
        wanted = law.wanted(known, EVEN, law.gains.gain, drowning=drowning, correcting=False)
        assert wanted is not None
        return float(wanted[1] / wanted[0])

    assert cut(drowning=False) <= 2 * 2.1
    assert cut(drowning=True) > cut(drowning=False)


def test_within_the_dead_band_nothing_is_written_and_correcting_stops_at_half_of_it() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.09})
    law = watched(known, 12)
    assert law.wanted(known, EVEN, law.gains.gain, drowning=False, correcting=False) is None
    assert law.wanted(known, EVEN, law.gains.gain, drowning=False, correcting=True) is not None
    finer = fleet(dict.fromkeys("abcd", 100), {"a": 1.04}, total=4e6)
    assert (law := watched(finer, 40)).wanted(finer, EVEN, law.gains.gain, drowning=False, correcting=True) is None


def test_at_rest_a_thousand_noisy_ticks_never_leave_the_dead_band() -> None:
    dice = np.random.default_rng(11)
    law = Law()
    for tick in range(1000):
        counts = dice.poisson(240, size=4)
        known = Fleet(snapshot({f"{n}-0": {"requests": float(c)} for n, c in zip("abcd", counts, strict=True)}))
        law.observe(known, 5.0 * tick, 15.0, 2.5)
        assert law.wanted(known, EVEN, law.gains.certain, drowning=False, correcting=False) is None


def test_a_gain_in_doubt_does_not_bend_what_a_slow_pod_is_given() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.15})
    law = watched(known)
    law.penalise(100.0, np.array([1.0, 3.0, 1.0, 1.0]))
    wanted = law.wanted(known, EVEN, law.gains.certain, drowning=False, correcting=False)
    assert wanted is not None
    assert wanted[0] == pytest.approx(wanted[2])
    assert wanted[1] < 0.6 * wanted[2]


def test_weights_that_just_moved_are_not_taken_for_a_gain() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    moved = fleet({"a": 900, "b": 100, "c": 100, "d": 100}, {})
    still_even = Fleet(snapshot({f"{n}-0": {"requests": 1000.0} for n in "abcd"}, weights={"a": 900}))
    law.observe(still_even, 20.0, 15.0, 2.5)
    assert abs(law.gains.gain[0]) < 0.3
    watched(moved, 10, law, start=25.0)
    assert abs(law.gains.gain[0]) < 0.1


def test_backends_that_changed_start_the_estimates_anew() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {"a": 9.0}))
    other = Fleet(snapshot(backends="abc"))
    assert law.wanted(other, np.full(3, 1 / 3), law.gains.gain, drowning=False, correcting=False) is None
    assert law.leaning(other, np.full(3, 1 / 3)).tolist() == [1 / 3] * 3
    law.observe(other, 30.0, 15.0, 2.5)
    assert law.gains.gain.size == 3


def test_with_one_backend_that_may_be_moved_there_is_nothing_to_lean_against() -> None:
    known = Fleet(snapshot(backends="ab", weights={"b": 0}))
    law = watched(known)
    assert law.wanted(known, np.array([1.0, 0.0]), law.gains.gain, drowning=False, correcting=False) is None
    assert law.gains.gain.tolist() == [0.0, 0.0]


def slowness(value: float) -> Floats:
    return np.array([1.0, value, 1.0, float("nan")])


def test_a_slow_backend_is_cut_by_what_it_is_slower_and_given_back_patiently() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    law.penalise(100.0, slowness(2.4))
    assert law.penalty.tolist() == [1.0, 0.5, 1.0, 1.0]
    assert law.leans
    law.penalise(105.0, slowness(1.0))
    assert law.penalty[1] == 0.5
    law.penalise(161.0, slowness(1.0))
    assert law.penalty[1] == pytest.approx(0.525)
    law.penalise(166.0, slowness(1.4))
    assert law.penalty[1] == pytest.approx(0.525)
    law.penalise(171.0, slowness(1.6))
    law.penalise(171.0 + 119, slowness(1.0))
    assert law.penalty[1] == pytest.approx(0.525 * 0.7)
    law.penalise(171.0 + 121, slowness(1.0))
    assert law.penalty[1] > 0.525 * 0.7


def test_the_penalty_has_a_floor() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    for tick in range(30):
        law.penalise(100.0 * tick, slowness(50.0))
    assert law.penalty[1] == 0.05


def test_targets_lean_with_the_penalties_and_keep_their_sum() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {})
    law = watched(known)
    assert law.leaning(known, EVEN) is EVEN
    law.penalise(100.0, slowness(2.4))
    leaning = law.leaning(known, EVEN)
    assert leaning.sum() == pytest.approx(1.0)
    assert leaning[1] == pytest.approx(leaning[0] / 2)


def test_traffic_that_does_not_follow_is_called_ineffective_after_five_ticks() -> None:
    stuck = {"a-0": {"requests": 1800.0}, **{f"{n}-0": {"requests": 600.0} for n in "bcd"}}
    law, hot = watched(Fleet(snapshot(stuck))), np.array([True, False, False, False])
    assert not law.ineffective(Fleet(snapshot(stuck)), hot, correcting=False)
    cut = Fleet(snapshot(stuck, weights={"a": 25}))
    answers = []
    for tick in range(8):
        law.observe(cut, 25.0 + 5 * tick, 15.0, 2.5)
        answers.append(law.ineffective(cut, hot, correcting=True))
    assert answers == [False] * 4 + [True] * 4


def test_traffic_that_follows_is_not_called_ineffective() -> None:
    law, hot = watched(fleet(dict.fromkeys("abcd", 100), {"a": 8.0})), np.array([True, False, False, False])
    law.ineffective(fleet(dict.fromkeys("abcd", 100), {"a": 8.0}), hot, correcting=False)
    followed = fleet({"a": 25, "b": 100, "c": 100, "d": 100}, {"a": 8.0})
    for tick in range(8):
        law.observe(followed, 25.0 + 5 * tick, 15.0, 2.5)
        assert not law.ineffective(followed, hot, correcting=True)


def test_a_pod_that_missed_its_scrape_says_nothing_of_its_gain() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {})
    law = watched(known)
    silent = Fleet(snapshot({"a-0": {"requests": None}}))
    watched(silent, 4, law, start=20.0)
    assert law.gains.gain.tolist() == pytest.approx([0.0] * 4, abs=0.01)


# --- by the formula


def test_one_tick_moves_a_gain_by_the_share_of_doubt_that_is_not_the_measurements() -> None:
    """Kalman: v / (v + r) of the surprise; v = 1 + 0.03^2, r = 1 / n + 0.02^2."""
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.6})
    law = watched(known, 1)
    trust = 1.0009 / (1.0009 + 1 / known.requests + 0.0004)
    expected = trust * np.log(known.requests / known.requests[1])
    assert law.gains.gain.tolist() == pytest.approx(expected.tolist())
    assert law.gains.variance.tolist() == pytest.approx(((1 - trust) * 1.0009).tolist())


def test_while_weights_move_a_measurement_is_doubted_by_a_quarter_of_the_move() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}), 4)
    doubt = law.gains.variance[0] + 0.0009
    ahead = Fleet(snapshot({f"{n}-0": {"requests": 1000.0} for n in "abcd"}, weights={"a": 200}))
    law.observe(ahead, 20.0, 15.0, 2.5)
    noise = 1 / 1000 + 0.0004 + (0.25 * math.log(0.25 / 0.4)) ** 2
    assert law.gains.variance[0] == pytest.approx(doubt * noise / (doubt + noise))


def test_a_window_that_holds_old_and_new_weights_is_measured_against_their_average() -> None:
    """Ten seconds after a change the window, 2.5 s late, holds it for a half."""
    law = watched(fleet(dict.fromkeys("abcd", 100), {}), 4)
    shares = (EVEN + np.array([400, 100, 100, 100]) / 700) / 2
    pods = {f"{n}-0": {"requests": 4000 * share} for n, share in zip("abcd", shares.tolist(), strict=True)}
    half = Fleet(snapshot(pods, weights={"a": 400}))
    law.observe(Fleet(snapshot(weights={"a": 400})), 20.0, 15.0, 2.5)
    before = law.gains.gain.copy()
    law.observe(half, 30.0, 15.0, 2.5)
    assert np.abs(law.gains.gain - before).max() < 0.001


def test_one_surprise_is_a_missed_scrape_and_a_second_the_same_way_a_gain_that_jumped() -> None:
    calm = fleet(dict.fromkeys("abcd", 100), {})
    jumped, other = fleet(dict.fromkeys("abcd", 100), {"a": 3.0}), fleet(dict.fromkeys("abcd", 100), {"a": 1 / 3})
    law = watched(calm, 30)
    watched(jumped, 1, law, start=150.0)
    once = law.gains.gain[0]
    watched(jumped, 1, law, start=155.0)
    assert once < 0.8
    assert law.gains.gain[0] > 1.0
    swinging = watched(calm, 30)
    watched(jumped, 1, swinging, start=150.0)
    watched(other, 1, swinging, start=155.0)
    assert abs(swinging.gains.gain[0]) < 0.5


def test_a_jump_up_that_the_diagnosis_confirms_needs_no_second_witness() -> None:
    jumped = fleet(dict.fromkeys("abcd", 100), {"a": 3.0})
    told, untold, wrong = (watched(fleet(dict.fromkeys("abcd", 100), {}), 30) for _ in range(3))
    told.observe(jumped, 150.0, 15.0, 2.5, drawing=frozenset("a"))
    untold.observe(jumped, 150.0, 15.0, 2.5)
    wrong.observe(jumped, 150.0, 15.0, 2.5, drawing=frozenset("b"))
    assert told.gains.gain[0] > 0.7
    assert untold.gains.gain[0] == wrong.gains.gain[0] < 0.3


@pytest.mark.parametrize(
    ("gain", "drowning", "cut"),
    [
        (2.4545, True, 2.34),  # 1.8 times its share: halves
        (3.6667, True, 3.67),  # 2.2 times: all it takes, as sixteenths allow it
        (3.6667, False, 2.44),  # nobody drowns
        (36.0, True, 21.1),  # a sixteenth, and the others by what that leaves
    ],
)
def test_only_far_beyond_its_share_and_drowning_may_a_step_be_larger_than_a_half(
    gain: float, drowning: bool, cut: float
) -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": gain}, total=4e5)
    law = watched(known)
    wanted = law.wanted(known, EVEN, np.array([math.log(gain), 0, 0, 0]), drowning=drowning, correcting=False)
    assert wanted is not None
    assert wanted.sum() == pytest.approx(1.0)
    assert wanted[1] / wanted[0] == pytest.approx(cut, rel=0.02)


def test_a_backend_without_weight_is_not_given_any_by_the_law() -> None:
    known = fleet({"a": 100, "b": 100, "c": 100, "d": 0}, {"a": 2.0})
    wanted = watched(known).wanted(known, EVEN, np.array([0.7, 0, 0, 0]), drowning=False, correcting=False)
    assert wanted is not None
    assert wanted[3] == 0.0
    assert wanted[1] == wanted[2] > wanted[0] > 0


@pytest.mark.parametrize(("gain", "total", "certain"), [(1.4, 4e5, True), (1.25, 4e5, False), (1.6, 40.0, False)])
def test_a_gain_is_certain_beyond_a_factor_of_1_3_and_three_sigmas(gain: float, total: float, certain: bool) -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {"a": gain}, total=total), 1)
    assert bool(law.gains.certain[0] == law.gains.gain[0]) is certain
    assert certain or law.gains.certain[0] == 0.0
    assert law.gains.certain[1:].tolist() == [0.0] * 3


@pytest.mark.parametrize("counts", [(300.0, 200.0, 100.0), (500.0, 400.0, 200.0, 100.0, 50.0)])
def test_of_an_odd_number_the_middle_backend_is_the_measure(counts: tuple[float, ...]) -> None:
    names = "abcde"[: len(counts)]
    pods = {f"{n}-0": {"requests": count} for n, count in zip(names, counts, strict=True)}
    law = watched(Fleet(snapshot(pods, backends=names)), 1)
    assert law.gains.gain[len(counts) // 2] == 0.0
    assert law.gains.gain[0] > 0 > law.gains.gain[-1]


def test_of_an_even_number_it_is_between_the_middle_two() -> None:
    pods = {f"{n}-0": {"requests": count} for n, count in zip("abcd", (8e5, 4e5, 2e5, 1e5), strict=True)}
    law = watched(Fleet(snapshot(pods)), 1)
    assert law.gains.gain.tolist() == pytest.approx([k * math.log(2) for k in (1.5, 0.5, -0.5, -1.5)], rel=1e-2)


def test_a_very_slow_backend_is_cut_to_a_quarter_at_once_and_no_further() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    law.penalise(100.0, slowness(10.0))
    assert law.penalty.tolist() == [1.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(("cuts", "patience"), [(1, 60.0), (3, 240.0), (9, 1920.0)])
def test_patience_doubles_with_each_cut_up_to_half_an_hour(cuts: int, patience: float) -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    for _ in range(cuts):
        law.penalise(100.0, slowness(1.6))
    low = float(law.penalty[1])
    law.penalise(100.0 + patience - 1, slowness(1.0))
    assert law.penalty[1] == low
    law.penalise(100.0 + patience, slowness(1.0))
    assert law.penalty[1] > low


def test_weights_that_lean_are_taken_over_as_their_lean_once() -> None:
    leaning = fleet({"a": 50, "b": 100, "c": 100, "d": 100}, {})
    law = Law()
    law.adopt(leaning, EVEN)
    assert law.penalty.tolist() == pytest.approx([0.5, 1.0, 1.0, 1.0])
    law.adopt(fleet({"a": 10, "b": 100, "c": 100, "d": 100}, {}), EVEN)
    assert law.penalty[0] == pytest.approx(0.5)
    unwanted = Law()
    unwanted.adopt(leaning, np.array([1 / 3, 1 / 3, 1 / 3, 0.0]))
    assert unwanted.penalty[3] == 1.0


def test_weights_are_bent_by_the_gains_and_a_backend_unknown_is_not() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {"a": 2.0}, total=4e5))
    bent = law.gains.bent({"a": 100, "new": 70})
    assert bent["a"] == pytest.approx(200, rel=0.02)
    assert bent["new"] == 70


def test_nothing_is_ineffective_before_it_was_seen_to_begin_or_when_it_was_hardly_tried() -> None:
    stuck = {"a-0": {"requests": 1800.0}, **{f"{n}-0": {"requests": 600.0} for n in "bcd"}}
    law, hot = watched(Fleet(snapshot(stuck))), np.array([True, False, False, False])
    assert not law.ineffective(Fleet(snapshot(stuck)), hot, correcting=True)
    hardly = Fleet(snapshot(stuck, weights={"a": 80}))
    for tick in range(8):
        law.observe(hardly, 25.0 + 5 * tick, 15.0, 2.5)
        assert not law.ineffective(hardly, hot, correcting=True)
