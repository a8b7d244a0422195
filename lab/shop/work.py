"""Burning CPU for real, in measured amounts, without holding up the event loop.

A request's cost is a number of PBKDF2 iterations: one C call that lets go of the interpreter lock for its whole length
and touches no memory to speak of, so health checks and 503s are answered while it runs. How many iterations make a CPU
millisecond is measured once at start-up in the thread's CPU time (not wall time: the pod may be throttled just then,
its neighbours busy), so a request costs the same share of a pod's limit on slow machines and fast ones.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PROBE_ITERATIONS: Final = 8_000
"""About 2-4 ms: long against the clock's grain of a microsecond."""
PROBES: Final = 7
"""Their median shrugs off a probe that a neighbour's cache misses stretched; all take ~20 ms of CPU."""


def hash_rounds(iterations: int) -> None:
    """Use the CPU for this many iterations, letting other threads run meanwhile."""
    hashlib.pbkdf2_hmac("sha256", b"shop", b"salt", iterations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burner:
    """Turns CPU seconds into work."""

    iterations_per_cpu_second: float
    rounds: Callable[[int], None] = hash_rounds

    def burn(self, cpu_seconds: float) -> None:
        """Use this much CPU time in the calling thread; returns later than that where the CPU is limited."""
        iterations = round(cpu_seconds * self.iterations_per_cpu_second)
        if iterations > 0:
            self.rounds(iterations)


def calibrate(
    *, rounds: Callable[[int], None] = hash_rounds, cpu_clock: Callable[[], float] = time.thread_time
) -> Burner:
    """Measure this machine once; raises RuntimeError if the clock of CPU time stands still."""

    def probe() -> float:
        start = cpu_clock()
        rounds(PROBE_ITERATIONS)
        return cpu_clock() - start

    cpu_seconds = statistics.median([probe() for _ in range(PROBES)])
    if cpu_seconds <= 0:
        raise RuntimeError("the clock of CPU time did not move during calibration; this platform cannot run the shop")
    return Burner(iterations_per_cpu_second=PROBE_ITERATIONS / cpu_seconds, rounds=rounds)
