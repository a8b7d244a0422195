"""Figures of the customers' answers, for the screen."""

from __future__ import annotations

import pytest

from lab.demo.tally import Tally, of_server
from lab.load.record import STOPPED, Record


def record(scheduled: float, *, failed: bool = False, server: str = "shop-a", latency: float = 0.02) -> Record:
    status = 503 if failed else 200
    return Record(number=0, scheduled=scheduled, latency_seconds=latency, status=status, server=server)


def tally(*records: Record) -> Tally:
    made = Tally()
    for each in records:
        made.add(each)
    return made


def test_recent_answers_are_those_of_the_last_five_seconds() -> None:
    old, new = record(100.0), record(106.0)
    assert tally(old, new).recent(now=107.0) == [new]


def test_a_late_answer_is_recent_when_it_comes_not_when_it_was_due() -> None:
    late = record(100.0, latency=4.0)
    assert tally(late).recent(now=107.0) == [late]


def test_a_request_that_our_own_stop_cut_off_is_kept_but_not_counted() -> None:
    cut = Record(number=0, scheduled=100.0, latency_seconds=0.1, error=STOPPED)
    made = tally(cut)
    assert made.records == [cut]
    assert made.recent(now=100.2) == []
    assert made.failed_history(now=102.0, seconds=2) == (None, None)


def test_failures_are_counted_by_when_they_were_due_whatever_order_they_came_in() -> None:
    made = tally(record(103.0, failed=True), record(101.0, failed=True), record(102.0), record(105.0, failed=True))
    assert made.failed_since(101.0, 105.0) == 2


def test_history_has_a_share_for_each_second_and_none_where_nobody_asked() -> None:
    made = tally(record(100.1, failed=True), record(100.9), record(102.0))
    assert made.failed_history(now=103.5, seconds=3) == (0.5, None, 0.0)


def test_the_servers_share_their_requests() -> None:
    answers = [record(1.0), record(1.1, failed=True), record(1.2, server="shop-b", latency=0.5)]
    figures = of_server(answers, "shop-a")
    assert figures.share == pytest.approx(2 / 3)
    assert figures.failed_share == 0.5
    assert of_server(answers, "shop-b").latency_p95 == 0.5


def test_a_server_that_nobody_asked_has_no_figures() -> None:
    figures = of_server([record(1.0)], "shop-b")
    assert (figures.share, figures.failed_share, figures.latency_p95) == (0.0, None, None)
    assert of_server([], "shop-b").share is None
