"""The weight law alone, on shares computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet, Floats
from evenload.plan.law import Law
from tests.unit.engine.build import snapshot
from tests.unit.plan.bending import fleet, watched

EVEN = np.full(4, 0.25)


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


def test_who_draws_more_than_sixteen_times_its_share_may_be_cut_by_as_much_at_once() -> None:
    names = [f"s{n:02d}" for n in range(100)]
    pods = {f"{name}-0": {"requests": 800_000.0 if name == "s00" else 2_020.0} for name in names}
    known = Fleet(snapshot(pods, backends=names))
    law = watched(known)
    gains = np.zeros(100)
    gains[0] = math.log(396.0)
    wanted = law.wanted(known, np.full(100, 0.01), gains, drowning=True, correcting=False)
    assert wanted is not None
    assert wanted[1] / wanted[0] == pytest.approx(80.0, rel=0.03)


def test_a_backend_without_weight_is_not_given_any_by_the_law() -> None:
    known = fleet({"a": 100, "b": 100, "c": 100, "d": 0}, {"a": 2.0})
    wanted = watched(known).wanted(known, EVEN, np.array([0.7, 0, 0, 0]), drowning=False, correcting=False)
    assert wanted is not None
    assert wanted[3] == 0.0
    assert wanted[1] == wanted[2] > wanted[0] > 0


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


def test_a_jump_that_was_seen_in_part_when_correcting_began_is_followed_from_its_height() -> None:
    """Odds of 1 to 1 at first, 3 to 1 in full, and back at 1 to 1: all that was asked for."""
    others = {f"{n}-0": {"requests": 1000.0} for n in "bcd"}
    begun, full = ({"a-0": {"requests": count}, **others} for count in (3000.0, 9000.0))
    law, hot = watched(Fleet(snapshot(begun))), np.array([True, False, False, False])
    law.ineffective(Fleet(snapshot(begun)), hot, correcting=False)
    for tick in range(8):
        now = Fleet(snapshot(full if tick < 2 else begun, weights={"a": 33}))
        law.observe(now, 25.0 + 5 * tick, 15.0, 2.5)
        assert not law.ineffective(now, hot, correcting=True)


def test_nothing_is_ineffective_before_it_was_seen_to_begin_or_when_it_was_hardly_tried() -> None:
    stuck = {"a-0": {"requests": 1800.0}, **{f"{n}-0": {"requests": 600.0} for n in "bcd"}}
    law, hot = watched(Fleet(snapshot(stuck))), np.array([True, False, False, False])
    assert not law.ineffective(Fleet(snapshot(stuck)), hot, correcting=True)
    hardly = Fleet(snapshot(stuck, weights={"a": 80}))
    for tick in range(8):
        law.observe(hardly, 25.0 + 5 * tick, 15.0, 2.5)
        assert not law.ineffective(hardly, hot, correcting=True)


@pytest.mark.parametrize(("sigma", "band"), [(0.09, True), (0.07, False)])
def test_the_dead_band_is_two_and_a_half_sigmas_of_the_gain_in_most_doubt(sigma: float, band: bool) -> None:
    """A gain of 1.24 is a gap of 0.2 at most."""
    known = fleet(dict.fromkeys("abcd", 100), {})
    law = watched(known)
    law.gains.variance = np.array([0.0, sigma**2, 0.0, 0.0])
    wanted = law.wanted(known, EVEN, np.array([0.26, 0, 0, 0]), drowning=False, correcting=False)
    assert (wanted is None) is band


def test_a_move_of_two_thirds_is_enough_to_call_traffic_that_stays_stuck() -> None:
    stuck = {"a-0": {"requests": 1800.0}, **{f"{n}-0": {"requests": 600.0} for n in "bcd"}}
    law, hot = watched(Fleet(snapshot(stuck))), np.array([True, False, False, False])
    law.ineffective(Fleet(snapshot(stuck)), hot, correcting=False)
    cut, answers = Fleet(snapshot(stuck, weights={"a": 60})), []
    for tick in range(8):
        law.observe(cut, 25.0 + 5 * tick, 15.0, 2.5)
        answers.append(law.ineffective(cut, hot, correcting=True))
    assert answers[-1]
