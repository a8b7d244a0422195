"""What backends can bear, learnt from use: slowly, from enough, and never from failure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet
from evenload.plan.capacity import Capacity
from tests.unit.engine.build import snapshot

TOLERANCE = 1.3


def fleet(weights: dict[str, int] | None = None, **cpu: float) -> Fleet:
    """Even requests; `cpu` by backend what they cost, 0.08 cores of 0.25 elsewhere."""
    pods = {f"{name}-0": {"cpu": cpu.get(name, 0.08)} for name in "abcd"}
    return Fleet(snapshot(pods, weights=weights))


def taught(known: Fleet, windows: int, capacity: Capacity | None = None, start: float = 0.0) -> Capacity:
    capacity = capacity or Capacity()
    for window in range(windows):
        capacity.learn(known, start + 15.0 * window, 15.0, TOLERANCE)
    return capacity


def test_a_backend_whose_requests_cost_twice_the_cpu_can_bear_half() -> None:
    known = fleet(a=0.16)
    assert taught(known, 20).factors(known) == pytest.approx([0.5, 1.0, 1.0, 1.0], abs=0.03)


def test_it_is_told_only_after_five_windows_that_agree() -> None:
    known = fleet(a=0.16)
    assert taught(known, 4).factors(known).tolist() == [1.0] * 4
    assert taught(known, 5).factors(known)[0] < 0.6


def test_a_window_that_shows_otherwise_starts_the_count_anew() -> None:
    capacity = taught(fleet(a=0.16), 4)
    taught(fleet({"a": 0}, a=0.16), 1, capacity, start=200.0)  # without it nothing is off
    known = fleet(a=0.16)
    taught(known, 4, capacity, start=300.0)
    assert capacity.factors(known).tolist() == [1.0] * 4


def test_windows_that_overlap_teach_once() -> None:
    known, capacity = fleet(a=0.16), Capacity()
    for tick in range(10):
        capacity.learn(known, 5.0 * tick, 15.0, TOLERANCE)
    assert capacity.factors(known).tolist() == [1.0] * 4


def test_a_difference_within_the_tolerance_is_left_alone() -> None:
    known = fleet(a=0.1)
    assert taught(known, 100).factors(known).tolist() == [1.0] * 4


def test_one_step_is_a_factor_of_two_at_most() -> None:
    known = fleet(a=0.02, b=0.2, c=0.2, d=0.2)
    capacity = taught(known, 5)
    assert capacity.factors(known)[0] == pytest.approx(2.0)
    taught(known, 30, capacity, start=900.0)
    assert capacity.factors(known)[0] > 4.0


def test_noise_as_wide_as_a_quarter_moves_nothing_in_a_thousand_windows() -> None:
    dice, capacity = np.random.default_rng(5), Capacity()
    for window in range(1000):
        a, b, c, d = (0.08 * np.exp(dice.normal(0, 0.25, 4))).tolist()
        known = fleet(a=a, b=b, c=c, d=d)
        capacity.learn(known, 15.0 * window, 15.0, TOLERANCE)
        assert capacity.factors(known).tolist() == [1.0] * 4


def test_what_fails_fast_at_no_cost_does_not_look_capable() -> None:
    pods = {"a-0": {"cpu": 0.02, "errors": 220.0}}
    known = Fleet(snapshot(pods))
    assert taught(known, 30).factors(known)[0] < 0.6


def test_an_idle_fleet_teaches_nothing() -> None:
    known = fleet(a=0.01, b=0.004, c=0.004, d=0.004)
    assert taught(known, 100).factors(known).tolist() == [1.0] * 4


@pytest.mark.parametrize("lacks", ["cpu", "cpu_limit", "errors", "requests"])
def test_a_backend_that_lacks_a_number_keeps_what_its_limit_promises(lacks: str) -> None:
    known = Fleet(snapshot({"a-0": {"cpu": 0.02, lacks: None}, "b-0": {"cpu": 0.16}}))
    factors = taught(known, 20).factors(known)
    assert factors[0] == 1.0
    assert factors[1] == pytest.approx(0.5, abs=0.03)


def test_of_one_backend_alone_there_is_nothing_to_compare() -> None:
    known = Fleet(snapshot({f"{name}-0": {"cpu": None} for name in "bcd"}))
    assert taught(known, 20).factors(known).tolist() == [1.0] * 4


def test_what_is_known_stays_with_its_name_when_backends_come_and_go() -> None:
    capacity = taught(fleet(c=0.16), 20)
    fewer = Fleet(snapshot({"c-0": {"cpu": 0.16}}, backends="bce"))
    assert capacity.factors(fewer) == pytest.approx([1.0, 0.5, 1.0], abs=0.03)
    taught(fewer, 1, capacity, start=900.0)
    assert capacity.factors(fewer) == pytest.approx([1.0, 0.5, 1.0], abs=0.03)


def test_whoever_takes_over_reads_it_from_the_weights_that_it_led_to() -> None:
    known, capacity = fleet(), Capacity()
    assert capacity.unknown
    capacity.adopt(known, {"a": 500, "b": 1000, "c": 1000, "d": 1050})
    assert not capacity.unknown
    assert capacity.factors(known) == pytest.approx([0.5, 1.0, 1.0, 1.0])


def test_weights_of_one_backend_tell_no_capacity() -> None:
    known, capacity = fleet(), Capacity()
    capacity.adopt(known, {"a": 500})
    assert capacity.factors(known).tolist() == [1.0] * 4


def test_absurd_weights_are_no_capacity() -> None:
    known, capacity = fleet(), Capacity()
    capacity.adopt(known, {"a": 1, "b": 100_000, "c": 100_000, "d": 100_000})
    assert capacity.factors(known)[0] == pytest.approx(math.exp(-2))


# --- by the formula


def test_one_window_moves_an_estimate_by_the_share_of_doubt_that_is_not_the_measurements() -> None:
    """ln[ok / (use + error ratio)] a core; noise 1 / n + 0.05^2 against a doubt of 1 + 0.01^2."""
    known = Fleet(snapshot({"a-0": {"cpu": 0.05, "errors": 24.0, "requests": 200.0}}))
    capacity = taught(known, 1)
    usual = math.log(240 / (0.08 / 0.25) / 0.25)
    measured = math.log(176 / (0.05 / 0.25 + 24 / 200) / 0.25) - usual
    trust = 1.0001 / (1.0001 + 1 / 200 + 0.05**2)
    assert capacity.estimate.tolist() == pytest.approx([trust * measured, 0.0, 0.0, 0.0])
    assert capacity.variance[0] == pytest.approx((1 - trust) * 1.0001)


def test_two_backends_are_enough_to_compare() -> None:
    known = Fleet(snapshot({"a-0": {"cpu": 0.16}}, backends="ab"))
    assert taught(known, 20).factors(known)[0] < taught(known, 20).factors(known)[1]


def test_it_is_known_once_every_backend_was_measured() -> None:
    assert not Capacity().known
    assert not taught(Fleet(snapshot({"a-0": {"cpu": None}})), 20).known
    assert taught(fleet(), 1).known


def test_a_pod_that_is_not_ready_promises_and_teaches_nothing() -> None:
    known = Fleet(snapshot({"a-0": {"cpu": 0.16, "ready": False}}))
    assert taught(known, 20).factors(known).tolist() == [1.0] * 4


def test_a_backend_that_is_new_starts_from_what_its_limit_promises() -> None:
    capacity = taught(fleet(a=0.16), 20)
    more = Fleet(snapshot({"a-0": {"cpu": 0.16}}, backends="abcde"))
    capacity.learn(more, 9000.0, 15.0, TOLERANCE)
    assert capacity.factors(more)[4] == 1.0
    assert capacity.estimate[4] == pytest.approx(0.0, abs=0.01)


def test_after_a_step_the_count_begins_anew() -> None:
    known = fleet(a=0.02, b=0.2, c=0.2, d=0.2)
    capacity = taught(known, 9)
    assert capacity.factors(known)[0] == pytest.approx(2.0)
    taught(known, 1, capacity, start=900.0)
    assert capacity.factors(known)[0] == pytest.approx(4.0)


def test_who_jumps_about_is_believed_the_less_the_more_he_did() -> None:
    """Once all are known, a tenth of the median squared surprise over 0.455 is learnt as the noise there really is."""
    ratios = np.array([1.5, 0.75, 1.375, 0.875])  # of the usual cost, and one over it in the next window
    capacity = taught(fleet(), 1)
    variance, estimate, scatter = capacity.variance.copy(), np.zeros(4), 0.0
    for window in range(1, 4):
        cost = ratios if window % 2 else 1 / ratios
        a, b, c, d = (0.08 * cost).tolist()
        taught(fleet(a=a, b=b, c=c, d=d), 1, capacity, start=15.0 * window)
        measured = -np.log(cost)
        surprise, doubt = measured - np.median(measured) - estimate, variance + 0.01**2
        trust = doubt / (doubt + max(1 / 240 + 0.05**2, scatter))
        scatter += 0.1 * (float(np.median(surprise**2)) / 0.455 - scatter)
        estimate, variance = estimate + trust * surprise, (1 - trust) * doubt
    assert scatter > 1 / 240 + 0.05**2
    assert capacity.estimate.tolist() == pytest.approx(estimate.tolist())
    assert capacity.variance.tolist() == pytest.approx(variance.tolist())


def test_an_estimate_is_told_once_it_is_known_to_a_tenth() -> None:
    """Idle backends are measured with a variance of 4 besides: of those a hundred windows make 0.2."""
    known = Fleet(
        snapshot({"a-0": {"cpu": 0.0124}, "b-0": {"cpu": 0.0062}, "c-0": {"cpu": 0.0062}, "d-0": {"cpu": 0.0062}})
    )
    capacity = taught(known, 100)
    assert not capacity.known
    assert capacity.variance[0] == pytest.approx(1 / (1 + 100 / 4.0067), rel=0.15)
    assert capacity.factors(known).tolist() == [1.0] * 4


def test_two_backends_weights_are_enough_to_take_over() -> None:
    known, capacity = Fleet(snapshot(backends="ab")), Capacity()
    capacity.adopt(known, {"a": 500, "b": 1000})
    factors = capacity.factors(known)
    assert factors[1] / factors[0] == pytest.approx(2.0)


def test_what_limits_promise_is_no_news() -> None:
    pods = {"a-0": {"cpu_limit": 0.5}, **{f"{n}-0": {"cpu_limit": 0.25} for n in "bcd"}}
    known, capacity = Fleet(snapshot(pods)), Capacity()
    capacity.adopt(known, {"a": 200, "b": 100, "c": 100, "d": 50})
    assert capacity.factors(known).tolist() == pytest.approx([1.0, 1.0, 1.0, 0.5])


def test_a_backend_without_a_ready_pod_is_not_taken_over() -> None:
    known, capacity = Fleet(snapshot({"a-0": {"ready": False}})), Capacity()
    capacity.adopt(known, {"a": 500, "b": 1000, "c": 1000, "d": 1000})
    assert capacity.factors(known).tolist() == [1.0] * 4
