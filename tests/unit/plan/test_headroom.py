"""CPU use predicted for weights nobody has written yet."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.fleet import Fleet
from evenload.model.snapshot import Backend, Snapshot
from evenload.plan.headroom import Cost, worst_use
from tests.unit.engine.build import NOW, pod, snapshot


def test_use_grows_with_the_share() -> None:
    predicted = Cost().predicted(Fleet(snapshot()), 15.0, np.array([0.5, 0.5, 0.0, 0.0]), clean=False)
    assert predicted.tolist() == pytest.approx([0.64, 0.64, 0.0, 0.0])


def test_from_hardly_any_traffic_nothing_can_be_told() -> None:
    idle = {f"{n}-0": {"requests": 10.0, "cpu": 0.02} for n in "bcd"}
    fleet = Fleet(snapshot({"a-0": {"requests": 930.0}, **idle}))
    assert np.isnan(Cost().predicted(fleet, 15.0, np.full(4, 0.25), clean=False)).tolist() == [False, True, True, True]


@pytest.mark.parametrize(("requests", "told"), [(60.0, True), (59.0, False)])
def test_up_to_four_times_its_traffic_can_be_told(requests: float, told: bool) -> None:
    fleet = Fleet(snapshot({"a-0": {"requests": requests, "cpu": 0.05}, "b-0": {"requests": 480.0 - requests}}))
    predicted = Cost().predicted(fleet, 15.0, np.array([0.25, 0.25, 0.25, 0.25]), clean=False)
    assert bool(np.isfinite(predicted[0])) is told


def test_a_backend_without_traffic_tells_nothing() -> None:
    fleet = Fleet(snapshot({"a-0": {"requests": 0.0, "cpu": 0.0}}))
    assert np.isnan(Cost().predicted(fleet, 15.0, np.full(4, 0.25), clean=False)[0])


def test_the_last_calm_tick_tells_what_a_fair_share_costs() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot()), 15.0)
    idle = {f"{n}-0": {"requests": 10.0, "cpu": 0.02} for n in "bcd"}
    skewed = Fleet(snapshot({"a-0": {"requests": 930.0, "cpu": 0.25}, **idle}))
    assert cost.predicted(skewed, 15.0, np.full(4, 0.25), clean=False).tolist() == pytest.approx([0.32] * 4)


def test_one_window_without_a_scrape_hardly_changes_what_was_learnt() -> None:
    cost = Cost()
    for _ in range(20):
        cost.learn(Fleet(snapshot()), 15.0)
    cost.learn(Fleet(snapshot({"b-0": {"requests": 130.0}})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.array([0.0, 1 / 3, 1 / 3, 1 / 3]), clean=False)
    assert predicted[1] == pytest.approx(0.32 * 4 / 3, rel=0.12)


def test_what_becomes_known_later_is_taken_as_it_is() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    cost.learn(Fleet(snapshot()), 15.0)
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    busy = Fleet(snapshot({"b-0": {"cpu": 0.25}}))
    assert cost.predicted(busy, 15.0, np.full(4, 0.25), clean=False)[1] == pytest.approx(0.32)


def test_a_backend_unknown_then_is_predicted_from_now() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    assert cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25), clean=False).tolist() == pytest.approx([0.32] * 4)


def test_other_backends_than_learnt_are_predicted_from_now() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot(backends="ab")), 15.0)
    assert cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25), clean=False).tolist() == pytest.approx([0.32] * 4)


def test_without_a_cpu_signal_nothing_is_learnt_or_predicted() -> None:
    blind = Fleet(snapshot({f"{n}-0": {"cpu": None} for n in "abcd"}))
    cost = Cost()
    cost.learn(blind, 15.0)
    assert np.isnan(cost.predicted(blind, 15.0, np.full(4, 0.25), clean=False)).all()


def test_the_busiest_pod_speaks_for_its_backend() -> None:
    pods = {"a-0": pod("a-0", cpu=0.05), "a-1": pod("a-1", cpu=0.2), "a-2": pod("a-2", cpu=0.25, ready=False)}
    fleet = Fleet(Snapshot(time=NOW, window=15.0, backends={"a": Backend(weight=1, pods=pods)}))
    assert worst_use(fleet).tolist() == [0.8]


@pytest.mark.parametrize(("age", "share_costs"), [(29.0, 0.32), (30.0, 0.8)])
def test_what_a_process_burns_while_it_starts_is_not_what_its_requests_cost(age: float, share_costs: float) -> None:
    """Two windows of a pod's life: learnt after them, until then as it looks now."""
    cost = Cost()
    cost.learn(Fleet(snapshot({f"{n}-0": {"age": age, "cpu": 0.2} for n in "abcd"})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25), clean=False)
    assert predicted.tolist() == pytest.approx([share_costs] * 4)


def test_the_first_ticks_count_all_the_same_or_one_noisy_start_would_hold_a_drain() -> None:
    cost = Cost()
    for cpu in (0.2, 0.08, 0.08, 0.08):
        cost.learn(Fleet(snapshot({"b-0": {"cpu": cpu}})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25), clean=False)
    assert predicted[1] == pytest.approx((0.8 + 3 * 0.32) / 4)


def test_later_a_fifth_of_what_is_new_is_learnt() -> None:
    cost = Cost()
    for _ in range(20):
        cost.learn(Fleet(snapshot()), 15.0)
    cost.learn(Fleet(snapshot({"b-0": {"cpu": 0.2}})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25), clean=False)
    assert predicted[1] == pytest.approx(0.32 + 0.2 * (0.8 - 0.32))


def a_drain(b_requests: float, b_cpu: float, *, clean: bool) -> float:
    """The cost of a quarter is learnt; what `b` would use with a third, given what it uses now."""
    cost = Cost()
    cost.learn(Fleet(snapshot()), 15.0)
    others = (960.0 - b_requests) / 3
    now = {f"{n}-0": {"requests": others} for n in "acd"} | {"b-0": {"requests": b_requests, "cpu": b_cpu}}
    third = np.array([0.0, 1 / 3, 1 / 3, 1 / 3])
    return float(cost.predicted(Fleet(snapshot(now)), 15.0, third, clean=clean)[1])


def test_what_is_measured_now_counts_where_less_of_it_has_to_be_guessed() -> None:
    assert a_drain(300.0, 0.08, clean=True) == pytest.approx(0.32 * 320 / 300)
    assert a_drain(200.0, 0.08, clean=True) == pytest.approx(0.32 * 320 / 240)  # farther from a third than learnt


def test_a_window_that_was_not_clean_tells_nothing_of_now() -> None:
    assert a_drain(300.0, 0.08, clean=False) == pytest.approx(0.32 * 320 / 240)


def test_what_is_nearer_now_but_tells_no_cpu_leaves_what_was_learnt() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot()), 15.0)
    now = Fleet(snapshot({"b-0": {"requests": 300.0, "cpu": None}}))
    share = 320.0 / now.total_requests
    rest = (1 - share) / 3
    predicted = cost.predicted(now, 15.0, np.array([rest, share, rest, rest]), clean=True)
    assert predicted[1] == pytest.approx(0.32 * 320 / 240)
