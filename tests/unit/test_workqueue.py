"""The keyed work queue."""

from __future__ import annotations

import asyncio
import time

import pytest

from evenload.workqueue import WORKERS, Pace, WorkQueue
from tests.support.wait import until


class Gate:
    """A run function that notes its keys and waits to be let through."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.open = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, key: str) -> None:
        self.started.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def worked(queue: WorkQueue[str]) -> asyncio.Task[None]:
    task = asyncio.create_task(queue.work(workers=4))
    await settle()
    return task


def no_error(key: str, error: Exception) -> None:
    raise AssertionError((key, error))


async def test_a_key_added_twice_while_it_waits_runs_once() -> None:
    gate = Gate()
    gate.open.set()
    queue = WorkQueue(gate, no_error)
    queue.add("a")
    queue.add("a")
    task = await worked(queue)
    assert gate.started == ["a"]
    task.cancel()


async def test_a_key_never_runs_twice_at_once_but_runs_again_when_added_meanwhile() -> None:
    gate = Gate()
    queue = WorkQueue(gate, no_error)
    queue.add("a")
    task = await worked(queue)
    queue.add("a")
    queue.add("a")
    await settle()
    assert gate.started == ["a"]
    assert queue.depth == 1
    gate.open.set()
    await settle()
    assert gate.started == ["a", "a"]
    assert gate.most_at_once == 1
    task.cancel()


async def test_different_keys_run_side_by_side() -> None:
    gate = Gate()
    queue = WorkQueue(gate, no_error)
    for key in "abc":
        queue.add(key)
    task = await worked(queue)
    assert gate.most_at_once == 3
    task.cancel()


async def test_a_failing_key_is_reported_and_the_others_go_on() -> None:
    errors: list[str] = []
    done: list[str] = []

    async def run(key: str) -> None:
        if key == "bad":
            raise ValueError(key)
        done.append(key)

    queue = WorkQueue(run, lambda key, error: errors.append(f"{key}: {error}"))
    queue.add("bad")
    queue.add("good")
    task = await worked(queue)
    assert errors == ["bad: bad"]
    assert done == ["good"]
    task.cancel()


async def test_runs_that_wait_for_nothing_let_others_have_their_turn() -> None:
    """As the renewal of the Lease, in the middle of a thousand Balancers."""
    turns: set[int] = set()  # after how many runs
    done: list[str] = []

    async def beat() -> None:
        while True:
            turns.add(len(done))
            await asyncio.sleep(0)

    async def busy(key: str) -> None:
        ends = time.monotonic() + 0.01
        while time.monotonic() < ends:
            pass
        done.append(key)

    queue = WorkQueue(busy, no_error)
    for number in range(100):
        queue.add(str(number))
    beating, working = asyncio.create_task(beat()), asyncio.create_task(queue.work(workers=4))
    await until(lambda: len(done) == 100, what="the end of all runs", pause=0.001)
    assert len(turns) > 5
    for task in (beating, working):
        task.cancel()


async def test_a_turn_is_all_workers_together() -> None:
    now, since, longest = 0.0, 0.0, 0.0
    pace = Pace(0.05, lambda: now)

    async def work() -> None:
        nonlocal now
        for _ in range(20):
            now += 0.01
            await pace.give_way()

    async def beat() -> None:
        nonlocal since, longest
        while True:
            longest, since = max(longest, now - since), now
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    assert now == pytest.approx(0.2 * WORKERS)
    assert longest <= 0.05 + 0.01 * WORKERS  # each may be in the middle of a piece of work
    beating.cancel()
