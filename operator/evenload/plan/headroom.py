"""Would the receivers stand it? CPU use predicted for weights that are not written yet.

Use grows at most in proportion to traffic, so "use x new traffic / old traffic" is an upper estimate. Both are averages
over calm ticks where there were any: a server that idles at 1% of the traffic, or one that drowns, tells nothing about
what a fair share costs, and one window may lack a scrape.
"""

from __future__ import annotations

import numpy as np

from evenload.model.fleet import Fleet, Floats

LEARNING_RATE = 0.2
SETTLING_WINDOWS = 2.0  # of a pod's life: CPU is averaged over one, and the start should be in none
FARTHEST_RATIO = 4.0  # from less than a quarter of the new traffic nothing can be told


class Cost:
    """CPU use and traffic of each backend, averaged over calm ticks. By backend: the busiest pod counts."""

    def __init__(self) -> None:
        self._backends: tuple[str, ...] = ()
        self._use: Floats = np.empty(0)
        self._rps: Floats = np.empty(0)

    def learn(self, fleet: Fleet, window: float) -> None:
        """From a tick without a fault. A process that just started burns CPU for no request: that is no one's cost."""
        starting = fleet.by_backend((fleet.age < SETTLING_WINDOWS * window).astype(np.float64)) > 0
        use = np.where(fleet.told_by_backend & ~starting, worst_use(fleet), np.nan)
        rps = fleet.requests_by_backend / window
        if fleet.backends != self._backends:
            self._backends, self._use, self._rps = fleet.backends, use, rps
            return
        known = ~np.isnan(use)
        fresh = np.isnan(self._use)
        self._use = np.where(known, np.where(fresh, use, self._use + LEARNING_RATE * (use - self._use)), self._use)
        self._rps = np.where(known, np.where(fresh, rps, self._rps + LEARNING_RATE * (rps - self._rps)), self._rps)

    def predicted(self, fleet: Fleet, window: float, shares: Floats) -> Floats:
        """CPU over limit by backend if `shares` (sum 1) of today's total went there; NaN where it cannot be told."""
        rps = shares * fleet.total_requests / window
        now = _in_proportion(worst_use(fleet), fleet.requests_by_backend / window, rps)
        if self._backends != fleet.backends:
            return now
        learnt = _in_proportion(self._use, self._rps, rps)
        return np.where(np.isnan(learnt), now, learnt)


def worst_use(fleet: Fleet) -> Floats:
    """Utilization of each backend's busiest ready pod; NaN where no pod tells."""
    worst = np.full(len(fleet.backends), -1.0)
    known = fleet.ready & (fleet.utilization >= 0)
    np.maximum.at(worst, fleet.where[known], fleet.utilization[known])
    return np.where(worst < 0, np.nan, worst)


def _in_proportion(use: Floats, rps: Floats, new_rps: Floats) -> Floats:
    comparable = (rps > 0) & (new_rps <= FARTHEST_RATIO * rps)
    return np.where(comparable, use * new_rps / np.where(rps > 0, rps, 1.0), np.nan)
