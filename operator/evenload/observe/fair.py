"""Threads that are shared out fairly between tenants, and never keep the process from ending.

Work is given under the name of who wants it. A free thread goes to the one who has used least thread time lately, and
nobody has more than `each` threads at once: whose queries are slow waits for the others, not the other way round.

`ThreadPoolExecutor` would do neither; and its threads are joined when the interpreter exits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from evenload.errors import SignalsUnavailable

T = TypeVar("T")

HALF_LIFE_SECONDS: Final = 60.0
KEPT_FREE: Final = 2  # threads that nobody gets who has one already
FORGOTTEN_SECONDS: Final = 0.001  # so little thread time is as good as none


class _Work(NamedTuple):
    future: Future[Any]
    run: Callable[[], Any]


class _Account:
    """Of one who wants work done."""

    def __init__(self) -> None:
        self.waiting: deque[_Work] = deque()
        self.running = 0
        self.used = 0.0  # thread seconds, of which half are forgotten each minute


class FairThreads:
    """At most `threads` daemon threads, at most `each` for one name; started when needed."""

    def __init__(self, threads: int, each: int, name: str) -> None:
        self._most = threads
        self._each = each
        self._name = name
        self._changed = threading.Condition()
        self._accounts: dict[str, _Account] = {}
        self._alive = 0
        self._idle = 0
        self._settled_at = time.monotonic()
        self._resting = False
        self._closed = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is submitted meanwhile is begun afterwards, so that it does not matter who came first."""
        with self._changed:
            yield

    def cheapest(self, owners: Collection[str]) -> str:
        """Of those who want the same work, the one who has used least."""
        with self._changed:
            nothing = _Account()
            return min(sorted(owners), key=lambda owner: self._accounts.get(owner, nothing).used, default="")

    def submit(self, owner: str, run: Callable[[], T]) -> Future[T]:
        """Raises RuntimeError if there is no thread and none can be started, SignalsUnavailable after `close`."""
        work = _Work(Future(), run)
        with self._changed:
            if self._closed:
                raise SignalsUnavailable("was not asked: the reader is closed")
            self._resting = False
            account = self._accounts.setdefault(owner, _Account())
            account.waiting.append(work)
            try:
                self._start_thread()
            except RuntimeError:  # no more threads: those there are do the work
                if not self._alive:
                    account.waiting.pop()
                    raise
            self._changed.notify()
        return work.future

    def rest(self) -> None:
        """Let go of idle threads, until there is work again."""
        with self._changed:
            self._resting = True
            self._changed.notify_all()

    def settle(self) -> None:
        """Call it now and then: forgets work that nobody waits for any more, and thread time of long ago."""
        with self._changed:
            kept = 0.5 ** ((time.monotonic() - self._settled_at) / HALF_LIFE_SECONDS)
            self._settled_at = time.monotonic()
            for owner, account in tuple(self._accounts.items()):
                account.used *= kept
                account.waiting = deque(work for work in account.waiting if not work.future.cancelled())
                if not account.waiting and not account.running and account.used < FORGOTTEN_SECONDS:
                    del self._accounts[owner]

    def close(self) -> None:
        """What waits is cancelled; threads end with the work they are at."""
        with self._changed:
            self._closed = True
            waiting = [work for account in self._accounts.values() for work in account.waiting]
            self._accounts.clear()
            self._changed.notify_all()
        for work in waiting:
            work.future.cancel()
            work.future.set_running_or_notify_cancel()  # for those that wait for it in a thread

    def _start_thread(self) -> None:
        if self._alive < self._most and self._idle < self._waiting():
            self._alive += 1
            try:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            except BaseException:
                self._alive -= 1
                raise

    def _waiting(self) -> int:
        return sum(len(account.waiting) for account in self._accounts.values())

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            account, work = taken
            began = time.monotonic()
            try:
                work.future.set_result(work.run())
            except BaseException as error:  # for the one who waits for it
                work.future.set_exception(error)
            del work
            with self._changed:
                account.running -= 1
                account.used += time.monotonic() - began
                self._changed.notify()

    def _take(self) -> tuple[_Account, _Work] | None:
        """The next work, from then on running; None: this thread is not needed any more."""
        with self._changed:
            while True:
                work = self._next()
                if work is not None:
                    return work
                if self._closed or self._resting:
                    self._alive -= 1
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _next(self) -> tuple[_Account, _Work] | None:
        free = self._most - sum(each.running for each in self._accounts.values())
        most = self._each if free > KEPT_FREE else 1
        while ready := [each for each in self._accounts.values() if each.waiting and each.running < most]:
            account = min(ready, key=lambda each: (each.used, each.running))
            work = account.waiting.popleft()
            if work.future.set_running_or_notify_cancel():
                account.running += 1
                return account, work
        return None
