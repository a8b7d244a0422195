"""Forecasts between the bins that made them: counted down, and gone with their pod."""

from __future__ import annotations

import math

import pytest

from evenload.diagnose.outlook import Outlook
from evenload.diagnose.saturation import Saturation
from evenload.diagnose.trend import Leak
from evenload.model.fleet import Fleet
from evenload.model.forecast import Forecast
from tests.unit.engine.build import NOW, snapshot


def outlook(**leaks: Leak) -> Outlook:
    """With these leaks by backend, of a bin that was closed at NOW, and a saturation of pod `b-0`."""
    found = Outlook()
    found._memory.leaks = {f"uid-{name}-0": leak for name, leak in leaks.items()}
    found._made_at = NOW
    found._saturation.first = Saturation(column=1, seconds=300.0, soonest=200.0, latest=math.inf)
    found._saturation.uid, found._saturation.made_at = "uid-b-0", NOW
    return found


def leak(seconds: float, latest: float = 900.0) -> Leak:
    return Leak(seconds=seconds, soonest=seconds / 2, latest=latest, slope=1.0)


def test_the_first_leak_is_told_and_counted_down() -> None:
    known = outlook(a=leak(600.0), c=leak(400.0, latest=500.0))
    assert known.out_of_memory(NOW + 30, Fleet(snapshot())) == Forecast(
        seconds=370.0, soonest=170.0, latest=470.0, subject="c-0"
    )


def test_of_two_at_the_same_moment_the_first_by_name_is_told() -> None:
    found = outlook(c=leak(400.0), a=leak(400.0)).out_of_memory(NOW, Fleet(snapshot()))
    assert found is not None
    assert found.subject == "a-0"


def test_nothing_is_left_of_a_forecast_whose_time_has_come() -> None:
    found = outlook(a=leak(60.0, latest=70.0)).out_of_memory(NOW + 100, Fleet(snapshot()))
    assert found == Forecast(seconds=0.0, soonest=0.0, latest=0.0, subject="a-0")


def test_a_bound_that_nobody_knows_is_none() -> None:
    found = outlook().saturation(NOW + 10, Fleet(snapshot()))
    assert found == Forecast(seconds=290.0, soonest=190.0, latest=None, subject="b-0")


@pytest.mark.parametrize("backends", ["acd", ""])
def test_a_forecast_goes_with_its_pod(backends: str) -> None:
    assert outlook().saturation(NOW, Fleet(snapshot(backends=backends))) is None


def test_without_a_leak_or_a_rise_nothing_is_told() -> None:
    fleet = Fleet(snapshot())
    assert Outlook().saturation(NOW, fleet) is None
    assert Outlook().out_of_memory(NOW, fleet) is None


def test_a_tick_that_closes_a_bin_dates_what_follows_from_it() -> None:
    known, fleet = Outlook(), Fleet(snapshot())
    for tick in range(7):
        known.observe(NOW + 5 * tick, 15.0, fleet, 0.85)
    assert NOW < known._made_at <= NOW + 30
    assert known._saturation.first is None
