"""Would the receivers stand it? CPU use predicted for weights that are not written yet.

Use grows at most in proportion to traffic, so "use x new share / old share" is an upper estimate. It is taken from the
last calm tick where there is one: a server that idles at 1% of the traffic, or one that drowns, tells nothing about
what a fair share costs.
"""

from __future__ import annotations

import numpy as np

from evenload.model.fleet import Fleet, Floats

FARTHEST_RATIO = 4.0  # from less than a quarter of the new traffic nothing can be told


class Cost:
    """CPU use of each pod at a known share of traffic, from the last calm tick. By backend: the worst pod counts."""

    def __init__(self) -> None:
        self._backends: tuple[str, ...] = ()
        self._use: Floats | None = None
        self._rps: Floats | None = None

    def learn(self, fleet: Fleet, window: float) -> None:
        """From a tick without a fault."""
        use = worst_use(fleet)
        if not np.isnan(use).all():
            self._backends, self._use, self._rps = fleet.backends, use, fleet.by_backend(fleet.requests) / window

    def predicted(self, fleet: Fleet, window: float, shares: Floats) -> Floats:
        """CPU over limit by backend if `shares` (sum 1) of today's total went there; NaN where it cannot be told."""
        rps = shares * fleet.total_requests / window
        if self._use is None or self._rps is None or self._backends != fleet.backends:
            return _in_proportion(worst_use(fleet), fleet.by_backend(fleet.requests) / window, rps)
        learnt = _in_proportion(self._use, self._rps, rps)
        return np.where(
            np.isnan(learnt), _in_proportion(worst_use(fleet), fleet.by_backend(fleet.requests) / window, rps), learnt
        )


def worst_use(fleet: Fleet) -> Floats:
    """Utilization of each backend's busiest ready pod; NaN where no pod tells."""
    use = np.where(fleet.ready, fleet.utilization, np.nan)
    worst = np.full(len(fleet.backends), -1.0)
    known = ~np.isnan(use)
    np.maximum.at(worst, fleet.where[known], use[known])
    return np.where(worst < 0, np.nan, worst)


def _in_proportion(use: Floats, rps: Floats, new_rps: Floats) -> Floats:
    comparable = (rps > 0) & (new_rps <= FARTHEST_RATIO * rps)
    return np.where(comparable, use * new_rps / np.where(rps > 0, rps, 1.0), np.nan)
