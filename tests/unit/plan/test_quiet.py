"""The quietest time before it cannot wait any longer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.plan.quiet import PART_SECONDS, WORTH_RATIO, quietest

NOON = 1_760_097_600.0


def wave(time: float) -> float:
    """Quietest an hour after noon."""
    return 100 - 50 * math.cos((time - NOON - 3600) / 3600)


def test_it_waits_for_the_quietest_quarter_of_an_hour() -> None:
    assert quietest(NOON, NOON + 7200, wave) == NOON + 3600


def test_it_waits_no_longer_than_it_may() -> None:
    assert quietest(NOON, NOON + 1800, wave) == NOON + PART_SECONDS
    assert quietest(NOON, NOON + 1801, wave) == NOON + 1800


@pytest.mark.parametrize("until", [NOON, NOON - 600])
def test_what_cannot_wait_is_done_now_whatever_is_known(until: float) -> None:
    assert quietest(NOON, until, lambda _: None) == NOON


def test_it_is_done_now_where_it_gets_no_quieter() -> None:
    assert quietest(NOON + 3600, NOON + 9000, wave) == NOON + 3600
    assert quietest(NOON, NOON + 9000, lambda _: 20.0) == NOON


def test_nobody_waits_for_a_little() -> None:
    little = (1 + WORTH_RATIO) / 2
    assert quietest(NOON, NOON + 3600, lambda time: 1.0 if time < NOON + 1800 else little) == NOON


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_a_gap_in_what_is_known_is_told(gap: int) -> None:
    def patchy(time: float) -> float | None:
        return None if int((time - NOON) // PART_SECONDS) == gap else 5.0

    assert quietest(NOON, NOON + 3600, patchy) is None


@given(
    rates=st.lists(st.floats(0, 1e4), min_size=10, max_size=10), start=st.floats(0, 899), reach=st.floats(-100, 7000)
)
def test_the_answer_lies_in_time_and_nothing_before_it_is_quieter(
    rates: list[float], start: float, reach: float
) -> None:
    now = NOON + start
    found = quietest(now, now + reach, lambda time: rates[int((time - NOON) // PART_SECONDS)])
    assert found is not None
    assert now <= found < max(now + reach, now + 1e-6)
    if found > now:
        assert rates[int((found - NOON) // PART_SECONDS)] < WORTH_RATIO * rates[0]
