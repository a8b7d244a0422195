"""The server's behaviour without its sockets: who is admitted, what a request costs, when the server falls ill.

Pure: time and seed come in as arguments, so the tests need neither clock nor CPU.

The illness: every request the full queue turns away is put into a retry buffer. A burst drains by itself, because
entries older than `sick_window_seconds` leave it. But once more than `sick_rejections` are in it together, it is
corrupt: from then on each request must first walk the buffer (`sick_cost_factor` times the CPU), and for
`sick_failure_share` of them the walk fails (500, at full cost). Nothing short of a restart empties a corrupt buffer;
the load going away does not. Health checks never notice.

Measured with the defaults (one process under a CPU quota of 250m, two shared cores, Poisson load, 5 s client timeout;
failed shares are the client's):

| load on one server | failed | answers of 200 | CPU |
|---|---|---|---|
| 16/s, its fair share of 64/s | 0 | p50 9 ms, p95 13 to 59 ms | 0.10 to 0.13 core |
| 21/s, a third: another server is out | 0 | p95 50 to 75 ms | 0.14 to 0.16 core |
| 62/s, 97% of 64/s | 18%, 47%, then 87% of each second: sick | p50 2.2 s | 0.27 core |
| 16/s again, sick | 66 to 69% (503 and 500) | p50 1.9 to 2.1 s | 0.27 core |
| 2/s, sick | 37 to 39% (500 alone) | p50 63 ms | 0.06 core |
| 16/s after a restart (ready in 0.9 s) | 0 | p95 13 to 15 ms | 0.10 core |

Under overload, 503s and health checks come within 0.11 s, 15 ms as a rule; memory is 39 MB, 44 MB when sick. With
200m the same holds (0, 86%, 70% failed). Four such servers at once with 64/s in all: 0 failed at equal weights, 80%
over the first 20 s of a 97% skew, 16% at equal weights with one sick, 0 without the sick one and after its restart.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Final

from lab.shop.settings import Settings

OK: Final = 200
FAILED: Final = 500
OVERFLOWED: Final = 503

KEPT_REQUEST_BYTES: Final = 64 * 1024
"""What a corrupt buffer holds on to for a request it turned away: the leak one sees in the pod's memory."""
KEPT_REQUESTS: Final = 64
"""Bounds that leak to 4 MB, far below the pod's limit: the illness must not cure itself by running out of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request's work: CPU seconds to burn, then the status to answer."""

    cpu_seconds: float
    status: int


class BoundedQueue:
    """Counts the requests inside, those worked on and those that wait; never above its capacity."""

    def __init__(self, *, workers: int, waiting: int) -> None:
        self.capacity: Final = workers + waiting
        self.inside = 0

    def try_enter(self) -> bool:
        """Take a place if one is free."""
        if self.inside >= self.capacity:
            return False
        self.inside += 1
        return True

    def leave(self) -> None:
        """Give a place back; raises RuntimeError when nobody is inside."""
        if self.inside == 0:
            raise RuntimeError("a request left a queue that was empty")
        self.inside -= 1


class RetryBuffer:
    """Requests turned away lately; corrupt for good once too many are in it at a time."""

    def __init__(self, *, limit: int, window_seconds: float) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._times: deque[float] = deque()
        self._kept: deque[bytes] = deque(maxlen=KEPT_REQUESTS)
        self.corrupt = False

    def add(self, now_seconds: float) -> None:
        """Remember a request turned away at this time (any monotonic clock)."""
        if self.corrupt:
            self._kept.append(b"\1" * KEPT_REQUEST_BYTES)
            return
        self._times.append(now_seconds)
        while self._times[0] <= now_seconds - self._window_seconds:
            self._times.popleft()
        self.corrupt = len(self._times) > self._limit

    @property
    def kept_bytes(self) -> int:
        """Size of the leak."""
        return len(self._kept) * KEPT_REQUEST_BYTES


class Shop:
    """The rules of one server: admit or turn away, then hand out jobs in order."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dice = random.Random(f"{settings.seed}/{settings.name}")
        self.queue = BoundedQueue(workers=settings.workers, waiting=settings.queue_length)
        self.retries = RetryBuffer(limit=settings.sick_rejections, window_seconds=settings.sick_window_seconds)

    @property
    def sick(self) -> bool:
        """True once badly overloaded, until the process ends."""
        return self.retries.corrupt

    def admit(self, now_seconds: float) -> bool:
        """Whether a request arriving now gets a place; if not, it is remembered against the server's health."""
        admitted = self.queue.try_enter()
        if not admitted:
            self.retries.add(now_seconds)
        return admitted

    def next_job(self) -> Job:
        """The work of the request that reaches a worker now: health counts when work starts, not on arrival."""
        cpu_seconds = self._settings.cost_cpu_ms / 1000
        if not self.sick:
            failed = self._dice.random() < self._settings.failure_share
            return Job(cpu_seconds=cpu_seconds, status=FAILED if failed else OK)
        failed = self._dice.random() < self._settings.sick_failure_share
        return Job(cpu_seconds=cpu_seconds * self._settings.sick_cost_factor, status=FAILED if failed else OK)

    def leave(self) -> None:
        """An admitted request is answered."""
        self.queue.leave()
