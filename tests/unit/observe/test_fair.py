"""Threads shared by tenants: one who is slow takes nothing from the others, and none keeps the process from ending."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait

import pytest

from evenload.errors import SignalsUnavailable
from evenload.observe.fair import FairThreads
from tests.support.wait import until


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    threads = FairThreads(4, 2, "fair-test")
    yield threads
    threads.close()
    for thread in threading.enumerate():  # or the next test would count them
        if thread.name == "fair-test":
            thread.join(60)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def alive() -> int:
    return sum(thread.name == "fair-test" for thread in threading.enumerate())


def test_work_is_done_and_its_error_is_for_who_waits(threads: FairThreads) -> None:
    assert threads.submit("a", lambda: 7).result(60) == 7
    with pytest.raises(ZeroDivisionError):
        threads.submit("a", lambda: 1 // 0).result(60)


def test_nobody_has_more_threads_than_their_share(threads: FairThreads, gate: threading.Event) -> None:
    held = [threads.submit("slow", lambda: gate.wait(300)) for _ in range(10)]
    assert threads.submit("other", lambda: "done").result(60) == "done"
    assert sum(future.running() for future in held) == 2


async def test_who_used_much_waits_for_who_used_little(threads: FairThreads, gate: threading.Event) -> None:
    alone = threading.Event()
    wait([threads.submit("hog", lambda: time.sleep(0.05)) for _ in range(4)], 60)
    first = threads.submit("v", lambda: alone.wait(300))
    held = [threads.submit(owner, lambda: gate.wait(300)) for owner in ("w", "x", "y")]
    await until(lambda: all(future.running() for future in (first, *held)))
    order: list[str] = []
    late = [threads.submit("hog", lambda: order.append("hog")) for _ in range(2)]
    late += [threads.submit("new", lambda: order.append("new")) for _ in range(2)]
    alone.set()  # one thread for all of it, one after the other
    wait(late, 60)
    assert order.index("hog") > order.index("new")


async def test_the_last_threads_are_for_those_who_have_none(threads: FairThreads, gate: threading.Event) -> None:
    held = [threads.submit(owner, lambda: gate.wait(300)) for owner in ("x", "x", "y", "y")]
    await until(lambda: sum(future.running() for future in held) >= 2)
    assert threads.submit("new", lambda: "served").result(60) == "served"


def test_it_does_not_matter_who_comes_first_of_those_who_come_together(
    threads: FairThreads, gate: threading.Event
) -> None:
    with threads.together():
        for owner in ("x", "x", "y", "y", "z", "z"):
            threads.submit(owner, lambda: gate.wait(300))
        honest = threads.submit("honest", lambda: "served")
    assert honest.result(60) == "served"


def test_of_those_who_want_the_same_the_one_pays_who_used_least(threads: FairThreads) -> None:
    threads.submit("hog", lambda: time.sleep(0.05)).result(60)
    assert threads.cheapest({"hog", "new"}) == "new"
    assert threads.cheapest(set()) == ""


def test_there_are_never_more_threads_than_allowed_however_many_want_one(
    threads: FairThreads, gate: threading.Event
) -> None:
    for number in range(100):
        threads.submit(f"tenant-{number}", lambda: gate.wait(300))
    assert alive() == 4


async def test_threads_that_nobody_needs_end(threads: FairThreads) -> None:
    threads.submit("a", lambda: None).result(60)
    assert alive() == 1
    threads.rest()
    await until(lambda: not alive())
    assert threads.submit("a", lambda: "again").result(60) == "again"


def test_work_that_was_given_up_is_not_done(threads: FairThreads, gate: threading.Event) -> None:
    done: list[int] = []
    running = [threads.submit("a", lambda: gate.wait(300)) for _ in range(2)]
    given_up = [threads.submit("a", lambda: done.append(1)) for _ in range(3)]
    for future in given_up:
        future.cancel()
    threads.settle()
    gate.set()
    wait(running, 60)
    assert threads.submit("a", lambda: "after").result(60) == "after"
    assert done == []


def test_what_waits_is_cancelled_when_closed(threads: FairThreads, gate: threading.Event) -> None:
    for _ in range(2):
        threads.submit("a", lambda: gate.wait(300))
    waiting: Future[None] = threads.submit("a", lambda: None)
    threads.close()
    assert wait([waiting], 60).done == {waiting}
    assert waiting.cancelled()
    with pytest.raises(SignalsUnavailable, match="closed"):
        threads.submit("a", lambda: None)


def test_without_any_thread_the_caller_gets_the_error(threads: FairThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        threads.submit("a", lambda: None)


def test_with_one_thread_the_work_is_done_though_no_other_can_be_started(
    threads: FairThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads.submit("a", lambda: 1).result(60) == 1

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [future.result(60) for future in [threads.submit("a", lambda: 2) for _ in range(5)]] == [2] * 5


def test_the_process_ends_while_work_is_under_way() -> None:
    program = (
        "import time; from evenload.observe.fair import FairThreads;"
        "FairThreads(1, 1, 'x').submit('a', lambda: time.sleep(600)); time.sleep(0.1)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)
