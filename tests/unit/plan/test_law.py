"""The weight law alone, on shares computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet, Floats
from evenload.plan.law import LEAST_PENALTY, Law
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
    assert law.gain[0] == pytest.approx(math.log(1.6), abs=0.05)
    wanted = law.wanted(known, EVEN, law.gain, hottest=0.5, correcting=False)
    assert wanted is not None
    assert wanted[0] / wanted[1] == pytest.approx(1 / 1.6, rel=0.08)


def test_a_large_gain_is_approached_by_halves_or_by_quarters_where_it_burns() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 36.0})
    law = watched(known)

    def cut(hottest: float) -> float:
        wanted = law.wanted(known, EVEN, law.gain, hottest=hottest, correcting=False)
        assert wanted is not None
        return float(wanted[1] / wanted[0])

    assert cut(0.5) <= 2 * 2.1
    assert cut(0.95) > cut(0.5)


def test_within_the_dead_band_nothing_is_written_and_correcting_stops_at_half_of_it() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.09})
    law = watched(known, 12)
    assert law.wanted(known, EVEN, law.gain, hottest=0.5, correcting=False) is None
    assert law.wanted(known, EVEN, law.gain, hottest=0.5, correcting=True) is not None
    finer = fleet(dict.fromkeys("abcd", 100), {"a": 1.04}, total=4e6)
    assert (law := watched(finer, 40)).wanted(finer, EVEN, law.gain, hottest=0.5, correcting=True) is None


def test_at_rest_a_thousand_noisy_ticks_never_leave_the_dead_band() -> None:
    dice = np.random.default_rng(11)
    law = Law()
    for tick in range(1000):
        counts = dice.poisson(240, size=4)
        known = Fleet(snapshot({f"{n}-0": {"requests": float(c)} for n, c in zip("abcd", counts, strict=True)}))
        law.observe(known, 5.0 * tick, 15.0, 2.5)
        assert law.wanted(known, EVEN, law.certain, hottest=0.5, correcting=False) is None


def test_a_gain_in_doubt_does_not_bend_what_a_slow_pod_is_given() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {"a": 1.15})
    law = watched(known)
    law.penalise(100.0, np.array([1.0, 3.0, 1.0, 1.0]))
    wanted = law.wanted(known, EVEN, law.certain, hottest=0.5, correcting=False)
    assert wanted is not None
    assert wanted[0] == pytest.approx(wanted[2])
    assert wanted[1] < 0.6 * wanted[2]


def test_weights_that_just_moved_are_not_taken_for_a_gain() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    moved = fleet({"a": 900, "b": 100, "c": 100, "d": 100}, {})
    still_even = Fleet(snapshot({f"{n}-0": {"requests": 1000.0} for n in "abcd"}, weights={"a": 900}))
    law.observe(still_even, 20.0, 15.0, 2.5)
    assert abs(law.gain[0]) < 0.3
    watched(moved, 10, law, start=25.0)
    assert abs(law.gain[0]) < 0.1


def test_backends_that_changed_start_the_estimates_anew() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {"a": 9.0}))
    other = Fleet(snapshot(backends="abc"))
    assert law.wanted(other, np.full(3, 1 / 3), law.gain, hottest=0.5, correcting=False) is None
    assert law.leaning(other, np.full(3, 1 / 3)).tolist() == [1 / 3] * 3
    law.observe(other, 30.0, 15.0, 2.5)
    assert law.gain.size == 3


def test_with_one_backend_that_may_be_moved_there_is_nothing_to_lean_against() -> None:
    known = Fleet(snapshot(backends="ab", weights={"b": 0}))
    law = watched(known)
    assert law.wanted(known, np.array([1.0, 0.0]), law.gain, hottest=0.5, correcting=False) is None
    assert law.gain.tolist() == [0.0, 0.0]


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
    assert law.penalty[1] == LEAST_PENALTY


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
    assert law.gain.tolist() == pytest.approx([0.0] * 4, abs=0.01)
