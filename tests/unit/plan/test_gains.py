"""What a balancer makes of weights, on shares computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet
from evenload.plan.gains import STRADDLING_VARIANCE, Gains
from tests.unit.engine.build import snapshot
from tests.unit.plan.bending import fleet, watched

EVEN = np.full(4, 0.25)


def test_weights_that_just_moved_are_not_taken_for_a_gain() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}))
    moved = fleet({"a": 900, "b": 100, "c": 100, "d": 100}, {})
    still_even = Fleet(snapshot({f"{n}-0": {"requests": 1000.0} for n in "abcd"}, weights={"a": 900}))
    law.observe(still_even, 20.0, 15.0, 2.5)
    assert abs(law.gains.gain[0]) < 0.3
    watched(moved, 10, law, start=25.0)
    assert abs(law.gains.gain[0]) < 0.1


def test_a_pod_that_missed_its_scrape_says_nothing_of_its_gain() -> None:
    known = fleet(dict.fromkeys("abcd", 100), {})
    law = watched(known)
    silent = Fleet(snapshot({"a-0": {"requests": None}}))
    watched(silent, 4, law, start=20.0)
    assert law.gains.gain.tolist() == pytest.approx([0.0] * 4, abs=0.01)


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


def test_weights_are_bent_by_the_gains_and_a_backend_unknown_is_not() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {"a": 2.0}, total=4e5))
    bent = law.gains.bent({"a": 100, "new": 70})
    assert bent["a"] == pytest.approx(200, rel=0.02)
    assert bent["new"] == 70


def test_a_window_that_straddles_a_jump_and_its_end_are_each_worth_what_they_are() -> None:
    """A third of the window holds three times the share: its end alone tells so, the whole of it tells 1.5 times."""
    law = watched(fleet(dict.fromkeys("abcd", 100), {}, total=4e5), 30)
    known = law.gains.variance[0] + 0.03**2
    pods = {"a-0": {"requests": 4e5 / 3}, **{f"{n}-0": {"requests": 8e5 / 9} for n in "bcd"}}
    law.observe(Fleet(snapshot(pods)), 150.0, 15.0, 2.5, drawing=frozenset("a"))
    whole, doubt = math.log(1.5), 1 / (4e5 / 3) + 0.02**2 + 0.5**2
    new, others = 4e5 / 3 - 2e5 / 3, 3 * (8e5 / 9 - 2e5 / 3)
    end = (4e5 / 3 + 1e5) / new**2 + 3 * (8e5 / 9 + 1e5) / others**2 + 0.02**2
    measured = (whole / doubt + math.log(3.0) / end) / (1 / doubt + 1 / end)
    noise, jumped = 1 / (1 / doubt + 1 / end), known + measured**2 / 2
    assert law.gains.gain[0] == pytest.approx(measured * jumped / (jumped + noise))
    assert law.gains.variance[0] == pytest.approx(0.3**2)


def test_a_lone_surprise_counts_for_three_sigmas() -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}, total=4e5), 30)
    known = law.gains.variance[0] + 0.03**2
    jumped = fleet(dict.fromkeys("abcd", 100), {"a": 3.0}, total=4e5)
    law.observe(jumped, 150.0, 15.0, 2.5)
    noise = 1 / jumped.requests[0] + 0.02**2
    assert law.gains.gain[0] == pytest.approx(known / (known + noise) * 3 * math.sqrt(known + noise))


@pytest.mark.parametrize(("sigma", "certain"), [(0.166, True), (0.167, False)])
def test_three_sigmas_make_a_gain_certain(sigma: float, certain: bool) -> None:
    gains = watched(fleet(dict.fromkeys("abcd", 100), {})).gains
    gains.gain, gains.variance = np.array([0.5, 0, 0, 0]), np.full(4, sigma**2)
    assert bool(gains.certain[0]) is certain


def test_the_upper_bound_is_of_gains_that_are_certain_and_draw_traffic() -> None:
    gains = watched(fleet(dict.fromkeys("abcd", 100), {})).gains
    gains.gain, gains.variance = np.array([0.5, -0.6, 0.2, 0.0]), np.full(4, 0.1**2)
    assert gains.certain_at_most.tolist() == pytest.approx([0.64, -0.6, 0.0, 0.0])


@pytest.mark.parametrize(("requests", "jumps"), [(11.0, True), (9.0, False)])
def test_a_handful_of_requests_is_no_jump(requests: float, jumps: bool) -> None:
    law = watched(fleet(dict.fromkeys("abcd", 100), {}, total=4e5), 30)
    few = {"a-0": {"requests": requests}, **{f"{n}-0": {"requests": 1.0} for n in "bcd"}}
    law.observe(Fleet(snapshot(few)), 150.0, 15.0, 2.5, drawing=frozenset("a"))
    assert bool(law.gains.variance[0] >= 0.3**2) is jumps


def test_what_came_since_the_last_tick_says_nothing_after_a_gap_or_a_missed_scrape() -> None:
    calm, jumped = fleet(dict.fromkeys("abcd", 100), {}), fleet(dict.fromkeys("abcd", 100), {"a": 3.0})
    whole, known = math.log(jumped.requests[0] / jumped.requests[1]), 0.03**2
    trust = (known + whole**2 / 2) / (known + whole**2 / 2 + STRADDLING_VARIANCE)
    late = watched(calm, 30)
    late.observe(jumped, 165.0, 15.0, 2.5, drawing=frozenset("a"))
    assert late.gains.gain[0] == pytest.approx(trust * whole, abs=0.01)
    missed = watched(calm, 29)
    missed.observe(Fleet(snapshot({"d-0": {"requests": None}})), 145.0, 15.0, 2.5)
    missed.observe(jumped, 150.0, 15.0, 2.5, drawing=frozenset("a"))
    assert missed.gains.gain[0] == pytest.approx(late.gains.gain[0], abs=0.01)


@pytest.mark.parametrize(("gain", "certain"), [(0.4, True), (-0.4, False), (-0.42, True)])
def test_to_give_more_than_its_share_takes_more_certainty_than_to_give_less(gain: float, certain: bool) -> None:
    """Three sigmas of 0.05 are 0.15; who is given more has to draw too little by a factor of 1.3 beyond them."""
    gains = Gains()
    gains.gain, gains.variance = np.array([gain, 0.0, 0.0, 0.0]), np.full(4, 0.05**2)
    assert bool(gains.certain[0]) is certain


@pytest.mark.parametrize(("backends", "certain"), [(4, True), (200, False)])
def test_among_more_backends_the_same_gain_says_less(backends: int, certain: bool) -> None:
    """3.5 sigmas: 1 in 4,300 each."""
    gains = Gains()
    gains.gain, gains.variance = np.zeros(backends), np.full(backends, 0.1**2)
    gains.gain[0] = 0.35
    assert bool(gains.certain[0]) is certain
