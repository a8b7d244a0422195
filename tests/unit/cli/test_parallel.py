"""Work spread over processes: its order, its failures, and what a person is told meanwhile."""

from __future__ import annotations

import io
import math

import pytest

from evenload.cli.parallel import Progress, cores, mapper


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def advance(progress: Progress, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    progress.advance()


def test_results_come_in_the_order_of_the_work() -> None:
    numbers = list(range(7))
    for jobs in (1, 2):
        assert list(mapper(jobs)(math.sqrt, numbers)) == [math.sqrt(number) for number in numbers]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_in_another_process_fails_here(jobs: int) -> None:
    with pytest.raises(ValueError, match="math domain error"):
        list(mapper(jobs)(math.sqrt, [1, -1, 4]))


def test_no_work_is_no_error() -> None:
    assert list(mapper(2)(math.sqrt, [])) == []


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1


def test_away_from_a_terminal_a_line_is_told_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    for _ in range(25):
        advance(progress, clock, 1.0)
    progress.close()
    assert stream.getvalue().splitlines() == ["10/100 runs, about 2 min left", "20/100 runs, about 80 s left"]


def test_on_a_terminal_one_line_is_drawn_again_and_wiped_at_the_end() -> None:
    stream, clock = Terminal(), Clock()
    progress = Progress(4, stream=stream, clock=clock)
    for _ in range(2):
        advance(progress, clock, 1.0)
    progress.close()
    assert stream.getvalue() == "\r\x1b[K1/4 runs, about 3 s left\r\x1b[K2/4 runs, about 2 s left\r\x1b[K"
