"""A day of traffic, learnt as it is lived."""

from __future__ import annotations

import pytest

from evenload.diagnose.day import DAY_SECONDS, OLD_SECONDS, SLOT_SECONDS, Day
from evenload.diagnose.memory import FORGET_SECONDS, Memory

MIDNIGHT = 1_760_054_400.0


def live(day: Day, start: float, seconds: float, rps: float, tick: float = 60.0) -> Day:
    for number in range(int(seconds / tick)):
        day.learn(start + tick * number, rps)
    return day


def test_what_was_seen_yesterday_is_usual_today() -> None:
    day = live(Day(), MIDNIGHT, SLOT_SECONDS, 10.0)
    live(day, MIDNIGHT + SLOT_SECONDS, 2 * SLOT_SECONDS, 30.0)
    assert day.usual(MIDNIGHT + DAY_SECONDS + 100) == pytest.approx(10.0)
    assert day.usual(MIDNIGHT + DAY_SECONDS + SLOT_SECONDS) == pytest.approx(30.0)


def test_what_was_never_seen_is_not_known() -> None:
    assert Day().usual(MIDNIGHT) is None
    day = live(Day(), MIDNIGHT, 2 * SLOT_SECONDS, 10.0)
    assert day.usual(MIDNIGHT + 5 * SLOT_SECONDS) is None


def test_days_are_averaged_and_the_newest_counts_half() -> None:
    day = live(Day(), MIDNIGHT, SLOT_SECONDS, 10.0)
    live(day, MIDNIGHT + DAY_SECONDS, SLOT_SECONDS + 60, 20.0)
    assert day.usual(MIDNIGHT + 2 * DAY_SECONDS) == pytest.approx(15.0)


def test_what_is_old_is_not_usual_any_more() -> None:
    day = live(Day(), MIDNIGHT, SLOT_SECONDS + 60, 10.0)
    live(day, MIDNIGHT + 2 * SLOT_SECONDS + OLD_SECONDS, SLOT_SECONDS, 20.0)
    assert day.usual(MIDNIGHT) is None


def test_a_moment_is_not_a_quarter_of_an_hour() -> None:
    day = live(Day(), MIDNIGHT, 120.0, 10.0)
    live(day, MIDNIGHT + SLOT_SECONDS, 60.0, 10.0)
    assert day.usual(MIDNIGHT) is None


def test_a_silence_that_makes_all_else_be_forgotten_leaves_the_day() -> None:
    memory = Memory()
    live(memory.outlook.day, MIDNIGHT, SLOT_SECONDS + 60, 10.0)
    memory.time = MIDNIGHT + SLOT_SECONDS
    before = memory.outlook
    assert memory.refuses(memory.time + FORGET_SECONDS + 1) is not None
    assert memory.outlook is not before
    assert memory.outlook.day.usual(MIDNIGHT + DAY_SECONDS) == pytest.approx(10.0)
