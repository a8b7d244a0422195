"""What is normal for this Balancer: traffic, errors and latency, learnt from ticks without a fault.

Traffic is compared with what it was some minutes ago (a lagged median), so that a surge does not become its own
baseline at once; errors and latency are slow averages of healthy ticks.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from evenload.diagnose.statistics import robust_sigma
from evenload.model.fleet import some

HORIZON_SECONDS = 15 * 60.0
BIN_SECONDS = 15.0
LAG_SECONDS = 60.0  # a surge is measured against traffic at least this old
LEARNING_RATE = 0.1
LEAST_BINS = 2  # fewer say nothing about what is usual


class Baseline:
    """Bounded memory: at most HORIZON / BIN entries."""

    def __init__(self) -> None:
        self._bins: deque[tuple[float, float]] = deque(maxlen=int(HORIZON_SECONDS / BIN_SECONDS))
        self.error_ratio: float | None = None
        self.latency: float | None = None

    def traffic(self, time: float) -> float | None:
        """Requests a second that were usual until LAG_SECONDS ago; None while unknown."""
        old = sorted(self._old(time))
        return old[len(old) // 2] if len(old) >= LEAST_BINS else None

    def spread(self, time: float) -> float:
        """Robust standard deviation of ln(requests a second) then, bursts and counting together; 0 while unknown."""
        old = np.array(self._old(time))
        return robust_sigma(np.log(old[old > 0])) if some(old > 0) else 0.0

    def _old(self, time: float) -> list[float]:
        first, last = time - HORIZON_SECONDS, time - LAG_SECONDS
        return [rps for when, rps in self._bins if first <= when <= last]

    def learn_traffic(self, time: float, rps: float) -> None:
        """One entry a bin: ticks faster than that add nothing."""
        if not self._bins or time - self._bins[-1][0] >= BIN_SECONDS:
            self._bins.append((time, rps))

    def learn_health(self, error_ratio: float | None, latency: float | None) -> None:
        """Only from ticks without a fault, or a fault becomes normal."""
        self.error_ratio = _moved(self.error_ratio, error_ratio)
        self.latency = _moved(self.latency, latency)


def _moved(known: float | None, seen: float | None) -> float | None:
    if seen is None or seen != seen:
        return known
    return seen if known is None else known + LEARNING_RATE * (seen - known)
