"""CPU use predicted for weights nobody has written yet."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.fleet import Fleet
from evenload.model.snapshot import Backend, Snapshot
from evenload.plan.headroom import Cost, worst_use
from tests.unit.engine.build import NOW, pod, snapshot


def test_use_grows_with_the_share() -> None:
    predicted = Cost().predicted(Fleet(snapshot()), 15.0, np.array([0.5, 0.5, 0.0, 0.0]))
    assert predicted.tolist() == pytest.approx([0.64, 0.64, 0.0, 0.0])


def test_from_hardly_any_traffic_nothing_can_be_told() -> None:
    idle = {f"{n}-0": {"requests": 10.0, "cpu": 0.02} for n in "bcd"}
    fleet = Fleet(snapshot({"a-0": {"requests": 930.0}, **idle}))
    assert np.isnan(Cost().predicted(fleet, 15.0, np.full(4, 0.25))).tolist() == [False, True, True, True]


@pytest.mark.parametrize(("requests", "told"), [(60.0, True), (59.0, False)])
def test_up_to_four_times_its_traffic_can_be_told(requests: float, told: bool) -> None:
    fleet = Fleet(snapshot({"a-0": {"requests": requests, "cpu": 0.05}, "b-0": {"requests": 480.0 - requests}}))
    predicted = Cost().predicted(fleet, 15.0, np.array([0.25, 0.25, 0.25, 0.25]))
    assert bool(np.isfinite(predicted[0])) is told


def test_a_backend_without_traffic_tells_nothing() -> None:
    fleet = Fleet(snapshot({"a-0": {"requests": 0.0, "cpu": 0.0}}))
    assert np.isnan(Cost().predicted(fleet, 15.0, np.full(4, 0.25))[0])


def test_the_last_calm_tick_tells_what_a_fair_share_costs() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot()), 15.0)
    idle = {f"{n}-0": {"requests": 10.0, "cpu": 0.02} for n in "bcd"}
    skewed = Fleet(snapshot({"a-0": {"requests": 930.0, "cpu": 0.25}, **idle}))
    assert cost.predicted(skewed, 15.0, np.full(4, 0.25)).tolist() == pytest.approx([0.32] * 4)


def test_one_window_without_a_scrape_hardly_changes_what_was_learnt() -> None:
    cost = Cost()
    for _ in range(20):
        cost.learn(Fleet(snapshot()), 15.0)
    cost.learn(Fleet(snapshot({"b-0": {"requests": 130.0}})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.array([0.0, 1 / 3, 1 / 3, 1 / 3]))
    assert predicted[1] == pytest.approx(0.32 * 4 / 3, rel=0.12)


def test_what_becomes_known_later_is_taken_as_it_is() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    cost.learn(Fleet(snapshot()), 15.0)
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    busy = Fleet(snapshot({"b-0": {"cpu": 0.25}}))
    assert cost.predicted(busy, 15.0, np.full(4, 0.25))[1] == pytest.approx(0.32)


def test_a_backend_unknown_then_is_predicted_from_now() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot({"b-0": {"cpu": None}})), 15.0)
    assert cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25)).tolist() == pytest.approx([0.32] * 4)


def test_other_backends_than_learnt_are_predicted_from_now() -> None:
    cost = Cost()
    cost.learn(Fleet(snapshot(backends="ab")), 15.0)
    assert cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25)).tolist() == pytest.approx([0.32] * 4)


def test_without_a_cpu_signal_nothing_is_learnt_or_predicted() -> None:
    blind = Fleet(snapshot({f"{n}-0": {"cpu": None} for n in "abcd"}))
    cost = Cost()
    cost.learn(blind, 15.0)
    assert np.isnan(cost.predicted(blind, 15.0, np.full(4, 0.25))).all()


def test_the_busiest_pod_speaks_for_its_backend() -> None:
    pods = {"a-0": pod("a-0", cpu=0.05), "a-1": pod("a-1", cpu=0.2), "a-2": pod("a-2", cpu=0.25, ready=False)}
    fleet = Fleet(Snapshot(time=NOW, window=15.0, backends={"a": Backend(weight=1, pods=pods)}))
    assert worst_use(fleet).tolist() == [0.8]


@pytest.mark.parametrize(("age", "share_costs"), [(29.0, 0.32), (30.0, 0.8)])
def test_what_a_process_burns_while_it_starts_is_not_what_its_requests_cost(age: float, share_costs: float) -> None:
    """Two windows of a pod's life: learnt after them, until then as it looks now."""
    cost = Cost()
    cost.learn(Fleet(snapshot({f"{n}-0": {"age": age, "cpu": 0.2} for n in "abcd"})), 15.0)
    predicted = cost.predicted(Fleet(snapshot()), 15.0, np.full(4, 0.25))
    assert predicted.tolist() == pytest.approx([share_costs] * 4)
