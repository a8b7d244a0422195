"""The bounded table behind the forecasts: columns follow the pods, rows follow the clock."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.bins import BIN_SECONDS, BINS, TOTAL_BINS, Bins, phase
from evenload.model.fleet import Fleet
from tests.unit.engine.build import NOW, WINDOW, later, snapshot


def watch(bins: Bins, second: float, backends: str = "ab", **pods: dict[str, object]) -> bool:
    changed = {f"{name}-0": change for name, change in pods.items()}
    early = phase(tuple(backends)) if bins._bin is None else bins._phase
    begin = NOW // BIN_SECONDS * BIN_SECONDS - early - NOW  # of a bin, from NOW
    sight = later(snapshot(changed, backends=backends), begin + second)
    return bins.observe(sight.time, WINDOW, Fleet(sight))


def test_a_bin_closes_when_its_time_is_over_and_tells_the_low_of_memory_and_means() -> None:
    bins = Bins()
    for second, memory, requests in ((0, 90e6, 150.0), (10, 70e6, 300.0), (20, 80e6, None)):
        assert not watch(bins, second, a={"memory": memory, "requests": requests})
    assert watch(bins, 30)
    assert bins.memory[-1].tolist() == [70e6, 80e6]
    assert bins.rps[-1].tolist() == [15.0, 16.0]
    assert bins.utilization[-1] == pytest.approx([0.32, 0.32])
    assert bins.total[-1] == pytest.approx(31.0)
    assert np.isnan(bins.memory[:-1]).all()


def test_columns_follow_the_pods_by_their_uid() -> None:
    bins = Bins()
    for second in (0, 30):
        watch(bins, second, "bc", b={"memory": 1e6}, c={"memory": 2e6})
    watch(bins, 60, "abc", b={"uid": "new"})
    assert np.isnan(bins.memory[-2:, :2]).all()  # a is new, and so is the process in b
    assert bins.memory[-1, 2] == 2e6


def test_a_pod_without_a_uid_is_not_followed() -> None:
    bins = Bins()
    for second in (0, 30):
        watch(bins, second, a={"uid": ""})
    assert np.isnan(bins.memory[:, 0]).all()
    assert not np.isnan(bins.memory[-1, 1])


def test_time_that_nobody_saw_leaves_empty_rows() -> None:
    bins = Bins()
    watch(bins, 0)
    watch(bins, 95)
    assert (~np.isnan(bins.total)).tolist() == [False] * (TOTAL_BINS - 3) + [True, False, False]
    assert (~np.isnan(bins.memory[:, 0])).tolist() == [False] * (BINS - 3) + [True, False, False]


def test_it_never_grows() -> None:
    bins = Bins()
    for number in range(2 * TOTAL_BINS):
        watch(bins, 30.0 * number)
    assert bins.memory.shape == bins.rps.shape == (BINS, 2)
    assert bins.total.shape == (TOTAL_BINS,)
    watch(bins, 30.0 * 500)
    assert np.isnan(bins.memory).sum() == 2 * (BINS - 1)


def test_balancers_do_not_close_their_bins_on_the_same_tick() -> None:
    phases = [phase((f"shop-{number}-a", f"shop-{number}-b")) for number in range(300)]
    assert all(0 <= early < BIN_SECONDS for early in phases)
    thirds = [sum(third <= early / 10 < third + 1 for early in phases) for third in range(3)]
    assert min(thirds) > 70


def test_a_pod_whose_scrapes_are_missed_makes_no_dip_and_many_make_the_total_unknown() -> None:
    silent: dict[str, object] = {"requests": None}
    bins, blind = Bins(), Bins()
    for second in (0, 10, 20, 30):
        watch(bins, second, "abcdef", c=silent)
        watch(blind, second, "abcdef", c=silent, d=silent)
    assert bins.total[-1] == pytest.approx(6 * 16.0)
    assert np.isnan(blind.total[-1])


def test_a_pod_that_is_not_ready_is_not_part_of_the_total() -> None:
    bins = Bins()
    for second in (0, 30):
        watch(bins, second, "abc", c={"ready": False})
    assert bins.total[-1] == pytest.approx(2 * 16.0)
