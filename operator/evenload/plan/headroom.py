"""Would the receivers stand it? CPU use predicted for weights that are not written yet.

Use grows at most in proportion to traffic, so "use x new traffic / old traffic" is an upper estimate, and the better
the less there is to stretch. So both are averages over calm ticks where there were any (a server that idles at 1% of
the traffic, or one that drowns, tells nothing about what a fair share costs), unless what is measured now is nearer.
"""

from __future__ import annotations

import numpy as np

from evenload.model.fleet import Fleet, Floats

LEARNING_RATE = 0.2  # and of the first few ticks all the same: one window may lack a scrape
SETTLING_WINDOWS = 2.0  # of a pod's life: CPU is averaged over one, and the start should be in none
FARTHEST_RATIO = 4.0  # from less than a quarter of the new traffic nothing can be told


class Cost:
    """CPU use and traffic of each backend, averaged over calm ticks. By backend: the busiest pod counts."""

    def __init__(self) -> None:
        self._backends: tuple[str, ...] = ()
        self._use: Floats = np.empty(0)
        self._rps: Floats = np.empty(0)
        self._ticks: Floats = np.empty(0)  # learnt from

    def learn(self, fleet: Fleet, window: float) -> None:
        """From a tick without a fault. A process that just started burns CPU for no request: that is no one's cost."""
        starting = fleet.by_backend((fleet.age < SETTLING_WINDOWS * window).astype(np.float64)) > 0
        use = np.where(fleet.told_by_backend & ~starting, worst_use(fleet), np.nan)
        rps = fleet.requests_by_backend / window
        if fleet.backends != self._backends:
            self._backends = fleet.backends
            self._use, self._rps, self._ticks = (np.zeros(use.size) for _ in range(3))
        known = ~np.isnan(use)
        self._ticks = self._ticks + known
        rate = np.maximum(LEARNING_RATE, 1 / np.maximum(self._ticks, 1.0))
        self._use = np.where(known, self._use + rate * (use - self._use), self._use)
        self._rps = np.where(known, self._rps + rate * (rps - self._rps), self._rps)

    def predicted(self, fleet: Fleet, window: float, shares: Floats, *, clean: bool) -> Floats:
        """CPU over limit by backend if `shares` (sum 1) of today's total went there; NaN where it cannot be told.

        `clean`: whether the weights and the total stayed as they are for all of the window.
        """
        rps, rps_now = shares * fleet.total_requests / window, fleet.requests_by_backend / window
        now = _in_proportion(worst_use(fleet), rps_now, rps)
        if self._backends != fleet.backends:
            return now
        learnt = _in_proportion(self._use, self._rps, rps)
        nearer = clean & (_distance(rps_now, rps) < _distance(self._rps, rps))
        return np.where(np.isnan(learnt) | (nearer & ~np.isnan(now)), now, learnt)


def worst_use(fleet: Fleet) -> Floats:
    """Utilization of each backend's busiest ready pod; NaN where no pod tells."""
    worst = np.full(len(fleet.backends), -1.0)
    known = fleet.ready & (fleet.utilization >= 0)
    np.maximum.at(worst, fleet.where[known], fleet.utilization[known])
    return np.where(worst < 0, np.nan, worst)


def _distance(old_rps: Floats, new_rps: Floats) -> Floats:
    """How far the one is to be stretched to be the other; none where there is nothing to compare."""
    both = (old_rps > 0) & (new_rps > 0)
    return np.abs(np.log(np.where(both, new_rps, 1.0) / np.where(both, old_rps, 1.0)))


def _in_proportion(use: Floats, rps: Floats, new_rps: Floats) -> Floats:
    comparable = (rps > 0) & (new_rps <= FARTHEST_RATIO * rps)
    return np.where(comparable, use * new_rps / np.where(rps > 0, rps, 1.0), np.nan)
