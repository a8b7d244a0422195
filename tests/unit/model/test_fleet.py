"""Snapshots as vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.fleet import Fleet
from evenload.model.snapshot import Backend, Snapshot
from tests.unit.engine.build import NOW, pod, snapshot


def test_backends_and_pods_stand_in_the_order_of_their_names() -> None:
    backends = {
        "b": Backend(weight=2, pods={"b-1": pod("b-1"), "b-0": pod("b-0")}),
        "a": Backend(weight=1, pods={"a-0": pod("a-0")}),
    }
    fleet = Fleet(Snapshot(time=NOW, window=15.0, backends=backends))
    assert fleet.backends == ("a", "b")
    assert fleet.names == ["a-0", "b-0", "b-1"]
    assert fleet.where.tolist() == [0, 1, 1]
    assert fleet.weights.tolist() == [1.0, 2.0]
    assert fleet.ready_by_backend.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [None, -1.0, math.nan, math.inf, 1e19])
def test_a_number_that_is_absent_or_cannot_be_is_not_zero(value: float | None) -> None:
    fleet = Fleet(snapshot({"a-0": {"requests": value}}))
    assert math.isnan(fleet.requests[0])
    assert fleet.total_requests == 720.0


def test_a_terminating_pod_is_not_ready() -> None:
    assert not Fleet(snapshot({"a-0": {"terminating": True}})).ready[0]


def test_shares_are_unknown_without_requests_and_without_weights() -> None:
    fleet = Fleet(snapshot({f"{n}-0": {"requests": 0.0} for n in "abcd"}, weights=dict.fromkeys("abcd", 0)))
    assert np.isnan(fleet.shares).all()
    assert np.isnan(fleet.commanded).all()


def test_the_error_ratio_is_over_pods_that_told_theirs() -> None:
    fleet = Fleet(snapshot({"a-0": {"errors": 60.0}, "b-0": {"errors": None}}))
    assert fleet.error_ratio() == pytest.approx(60 / 720)
    assert Fleet(snapshot({f"{n}-0": {"errors": None} for n in "abcd"})).error_ratio() is None


def test_utilization_is_unknown_without_a_limit() -> None:
    assert np.isnan(Fleet(snapshot({"a-0": {"cpu_limit": None}})).utilization[0])
    assert np.isnan(Fleet(snapshot({"a-0": {"cpu_limit": 0.0}})).utilization[0])
    assert Fleet(snapshot()).utilization[0] == pytest.approx(0.32)


def test_an_empty_balancer_is_an_empty_fleet() -> None:
    fleet = Fleet(snapshot(backends=""))
    assert (fleet.names, fleet.total_requests, fleet.error_ratio()) == ([], 0.0, None)
