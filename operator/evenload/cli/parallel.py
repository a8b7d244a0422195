"""Many independent pieces of work over all cores, in their order, with a word on how far it is.

Processes, not threads: the simulator is Python that holds the interpreter. They are spawned, so that nothing of this
one (open connections, threads, random states) is inherited; a function and its arguments must therefore be importable.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Final, TextIO, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

LINE_SECONDS: Final = 10.0  # between two lines where nobody sits at a terminal
REDRAW_SECONDS: Final = 0.1


def cores() -> int:
    """Those this process may use, which in a container are often fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Progress:
    """`done/total` and the time left, on stderr: one line redrawn on a terminal, else a line every ten seconds."""

    def __init__(
        self, total: int, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._done = 0
        self._stream = stream or sys.stderr
        self._clock = clock
        self._began = self._told = clock()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        now, terminal = self._clock(), self._stream.isatty()
        if now - self._told < (REDRAW_SECONDS if terminal else LINE_SECONDS):
            return
        self._told = now
        start, end = ("\r\x1b[K", "") if terminal else ("", "\n")
        print(f"{start}{self._text(now)}", end=end, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave a clean line."""
        if self._stream.isatty():
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def _text(self, now: float) -> str:
        left = (now - self._began) / self._done * (self._total - self._done)
        return f"{self._done}/{self._total} runs, about {_minutes(left)} left"


def mapper(jobs: int) -> Callable[[Callable[[In], Out], Sequence[In]], Iterator[Out]]:
    """`map` over this many processes, with progress; the results, and their order, do not depend on how many."""

    def mapped(work: Callable[[In], Out], items: Sequence[In]) -> Iterator[Out]:
        progress = Progress(len(items))
        try:
            yield from (
                _alone(work, items, progress) if min(jobs, len(items)) < 2 else _spread(work, items, jobs, progress)
            )
        finally:
            progress.close()

    return mapped


def _alone(work: Callable[[In], Out], items: Sequence[In], progress: Progress) -> Iterator[Out]:
    for item in items:
        yield work(item)
        progress.advance()


def _spread(work: Callable[[In], Out], items: Sequence[In], jobs: int, progress: Progress) -> list[Out]:
    """An exception of one ends all: what has not begun never does."""
    executor = ProcessPoolExecutor(min(jobs, len(items)), mp_context=get_context("spawn"))
    try:
        futures: list[Future[Out]] = [executor.submit(work, item) for item in items]
        for future in as_completed(futures):
            future.result()
            progress.advance()
        return [future.result() for future in futures]
    finally:
        executor.shutdown(cancel_futures=True)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
