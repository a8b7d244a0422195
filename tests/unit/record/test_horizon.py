"""Forecasts in a status: coarse, and told anew only where that matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import BalancerStatus, ForecastKind, Upcoming
from evenload.api.values import moment
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.forecast import Forecast
from evenload.record.conditions import Facts, Trouble, status_of
from evenload.record.horizon import CLEARLY_RATIO, WITHIN_SECONDS, upcoming
from tests.unit.record.scenes import facts, healthy


def foretold(seconds: float, pod: str = "shop-a-1") -> Forecast:
    return Forecast(seconds=seconds, soonest=seconds / 2, latest=None, subject=pod)


def told(seconds: float, known: tuple[Upcoming, ...] = (), pod: str = "shop-a-1") -> tuple[Upcoming, ...]:
    return upcoming(known, healthy(saturation=foretold(seconds, pod)))


@pytest.mark.parametrize(
    ("seconds", "within"), [(0.0, 300), (299.0, 300), (301.0, 900), (900.0, 900), (1700.0, 1800), (7000.0, 7200)]
)
def test_it_is_told_as_the_least_step_it_lies_within(seconds: float, within: int) -> None:
    assert told(seconds) == (Upcoming(kind=ForecastKind.Saturation, within_seconds=within, pod="shop-a-1"),)


def test_what_is_far_away_or_unknown_is_not_told() -> None:
    assert told(WITHIN_SECONDS[-1] + 1) == ()
    assert upcoming((), healthy()) == ()
    assert upcoming(told(600), healthy()) == ()


def test_the_quietest_time_before_it_is_told_and_told_anew_when_it_is_another() -> None:
    leak = Forecast(seconds=3000.0, soonest=2000.0, subject="p", quietest_at=1900.0)
    known = upcoming((), healthy(out_of_memory=leak))
    assert known[0].quietest_at == moment(1900.0)
    assert upcoming(known, healthy(out_of_memory=leak)) == known
    after = upcoming(known, healthy(out_of_memory=Forecast(seconds=2990.0, soonest=1990.0, subject="p")))
    assert after[0].quietest_at is None


def test_both_kinds_stand_side_by_side() -> None:
    both = upcoming((), healthy(saturation=foretold(600), out_of_memory=foretold(3000, "shop-b-1")))
    assert {(one.kind, one.within_seconds, one.pod) for one in both} == {
        (ForecastKind.Saturation, 900, "shop-a-1"),
        (ForecastKind.OutOfMemory, 3600, "shop-b-1"),
    }


def test_it_stays_until_it_is_nearer_or_clearly_no_longer_so() -> None:
    known = told(800)
    assert told(CLEARLY_RATIO * 900, known) == known
    assert told(301, known) == known
    assert told(800, known, pod="shop-c-1") == known  # who of two is first wobbles as well
    assert told(299, known)[0].within_seconds == 300
    assert told(CLEARLY_RATIO * 900 + 1, known)[0].within_seconds == 1800


def test_without_data_what_was_told_stands_and_with_a_trouble_nothing_does() -> None:
    known = told(800)
    assert upcoming(known, healthy(diagnosis=Diagnosis(label=Label.NoData))) == known
    assert upcoming(known, None) == known
    status = status_of(status_of(BalancerStatus(), facts(healthy(saturation=foretold(800)))), _troubled())
    assert status.forecasts == ()


def _troubled() -> Facts:
    known = facts()
    trouble = Trouble(reason="RouteMissing", message="x")
    return Facts(time=known.time, generation=3, mode=known.mode, subject=known.subject, trouble=trouble)


@given(
    around=st.floats(10.0, 6000.0),
    wobbles=st.lists(st.floats(0.85, 1.15), min_size=1, max_size=60),
)
def test_a_forecast_that_wobbles_by_a_sixth_is_written_twice_at_most(around: float, wobbles: list[float]) -> None:
    known: tuple[Upcoming, ...] = ()
    writes = 0
    for wobble in wobbles:
        now = told(around * wobble, known)
        writes += now != known
        known = now
    assert writes <= 2


@given(start=st.floats(60.0, 7200.0))
def test_a_forecast_that_comes_true_is_written_once_a_step(start: float) -> None:
    known: tuple[Upcoming, ...] = ()
    writes = 0
    for second in range(0, int(start), 10):
        now = told(start - second, known)
        writes += now != known
        known = now
    assert writes <= len(WITHIN_SECONDS)
    assert known[0].within_seconds == WITHIN_SECONDS[0]
