"""A keyed work queue: a key runs at most once at a time, and adding it while it waits adds nothing.

Adding a key while it *runs* makes it run once more afterwards, with whatever is newest by then; so a slow API server
delays one Balancer and never piles up work for it. One key's failure is told to `on_error` and stops no other key.

A run that has nothing to wait for never gives the event loop a turn, nor does the next; a thousand of them would keep
the Lease from being renewed. So the workers let others have theirs every now and then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# Enough to hide the API server's latency for many Balancers; each worker waits far more than it computes.
WORKERS = 16


# How long others wait for the event loop, apart from a single long computation.
TURN_SECONDS = 0.05


class Pace:
    """To be asked between two pieces of work, by all who work together: they share one turn of the event loop."""

    def __init__(self, seconds: float = TURN_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since = clock()
        self._ending = False

    async def give_way(self) -> None:
        """Let everybody else who is ready have a turn, if they have waited long enough."""
        while self._clock() - self._since >= self._seconds:
            if not self._ending:
                self._ending = True
                asyncio.get_running_loop().call_soon(self._begin)  # after all who are ready now
            await asyncio.sleep(0)

    def _begin(self) -> None:
        self._since, self._ending = self._clock(), False


class WorkQueue(Generic[Key]):
    """`run` is awaited for each key; exceptions go to `on_error(key, error)`."""

    def __init__(self, run: Callable[[Key], Awaitable[None]], on_error: Callable[[Key, Exception], None]) -> None:
        self._run = run
        self._on_error = on_error
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._pace = Pace()

    def add(self, key: Key) -> None:
        """Have `key` run soon, once."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    @property
    def depth(self) -> int:
        """Keys that wait, those that will run again included."""
        return len(self._waiting) + len(self._again)

    async def work(self, workers: int = WORKERS) -> None:
        """Run keys until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._running.add(key)
            try:
                await self._run(key)
            except Exception as error:  # one Balancer must not stop the others
                self._on_error(key, error)
            finally:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
            await self._pace.give_way()
