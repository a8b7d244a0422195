"""How long a write that failed waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evenload.act.retries import LONGEST_SECONDS, Retries


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 80), st.floats(0.5, 300.0))
def test_it_may_be_tried_again_after_a_minute_however_often_it_failed(times: int, first: float) -> None:
    clock = Clock()
    retries = Retries(first, clock)
    for _ in range(times):
        retries.failed("write", "503")
    assert retries.waiting("write")
    clock.now += LONGEST_SECONDS
    assert retries.waiting("write") is None


def test_it_is_not_tried_sooner_than_the_api_server_asked() -> None:
    clock = Clock()
    retries = Retries(10.0, clock)
    retries.failed("write", "429", 120.0)
    clock.now += 119.0
    assert retries.waiting("write")


def test_a_failure_is_told_from_the_second_in_a_row_on() -> None:
    retries = Retries(10.0, Clock())
    assert retries.failed("write", "503").told == ""
    assert retries.failed("write", "500").told == "500"
    retries.succeeded("write")
    assert retries.failed("write", "503").told == ""


def test_one_write_does_not_wait_for_another() -> None:
    retries = Retries(10.0, Clock())
    retries.failed("write", "503")
    assert retries.waiting("other") is None


def test_what_is_wanted_no_more_is_forgotten() -> None:
    clock = Clock()
    retries = Retries(10.0, clock)
    for number in range(100_000):
        clock.now += 1.0
        retries.failed(number, "503")
    assert len(retries._failing) < 1_000
