"""What each backend can bear, learnt from use: how many requests a share of its CPU answers (algorithms section 3).

CPU limits promise what a pod may use, not what it gets done with it: nodes differ. So the limits are the start, and one
scalar Kalman filter a backend tracks how far its answered requests a core are from the median's, ln[ok / (u + err)] as
in gRPC A58. Errors subtract, so a pod that fails fast does not look capable. What it tells moves only where the weights
are surely further off than the tolerance, by a bounded step, and then for all at once: targets that follow noise would
make traffic follow it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evenload.model.fleet import Fleet, Floats
from evenload.plan.targets import shares_of

DRIFT_VARIANCE = 0.01**2  # a window: nodes change their pace in hours, not in minutes
MODEL_VARIANCE = 0.05**2
SCATTER_RATE = 0.1
IDLE_VARIANCE = 4.0
IDLE_UTILIZATION = 0.05  # below it, CPU is mostly what a process costs that does nothing
LEAST_UTILIZATION = 0.02
MOST_RATIO = 2.0  # ln: a measurement further off than e^2 is no capacity
UNKNOWN_VARIANCE = 1.0
KNOWN_VARIANCE = 0.1**2  # where an estimate may be told
SURELY_RATIO = 1.05  # beyond the tolerance
CONFIRMING_WINDOWS = 5  # in a row
STEP_LIMIT = math.log(2.0)
LEAST_ADOPTED = 0.10  # ln: weights nearer than that to what the limits promise are plain ones


class Capacity:
    """Of one Balancer. Bounded memory; what was told is found again in the weights that it led to (`adopt`)."""

    def __init__(self) -> None:
        self._backends: tuple[str, ...] = ()
        self.estimate: Floats = np.empty(0)  # ln of capacity over what the CPU limits promise
        self.variance: Floats = np.empty(0)
        self._told: Floats = np.empty(0)
        self._scatter = 0.0  # variance of one measurement about its estimate, as seen
        self._off = 0  # windows in a row that show the weights off by more than the tolerance
        self._learnt_at = -math.inf

    @property
    def unknown(self) -> bool:
        """Whether nothing has been learnt or taken over yet."""
        return not self._backends

    @property
    def known(self) -> bool:
        """Whether use has shown what each backend can bear."""
        return not self.unknown and bool((self.variance <= KNOWN_VARIANCE).all())

    def factors(self, fleet: Fleet) -> Floats:
        """By backend, what its capacity is over what its CPU limits promise; 1 where nothing else was learnt."""
        return np.exp(self._by_name(fleet, self._told, 0.0))

    def adopt(self, fleet: Fleet, weights: Mapping[str, int]) -> None:
        """Take over the weights that an earlier operator learnt: their distance from the limits is what it told."""
        self._follow(fleet)
        asked, promised = shares_of(fleet, weights), _promised(fleet)
        both = (asked > 0) & (promised > 0)
        if np.count_nonzero(both) < 2:
            return
        ratios = np.log(asked[both] / promised[both])
        ratios = np.clip(ratios - np.median(ratios), -MOST_RATIO, MOST_RATIO)
        self._told[both] = np.where(np.abs(ratios) > LEAST_ADOPTED, ratios, 0.0)

    def learn(self, fleet: Fleet, time: float, window: float, tolerance_ratio: float) -> None:
        """From a calm tick; a window that overlaps the last one that was learnt from tells nothing new."""
        self._follow(fleet)
        if time - self._learnt_at < window:
            return
        measured, noise = _measured(fleet)
        judged = ~np.isnan(measured)
        if np.count_nonzero(judged) < 2:
            return
        self._learnt_at = time
        relative = np.clip(measured[judged] - np.median(measured[judged]), -MOST_RATIO, MOST_RATIO)
        variance = self.variance[judged] + DRIFT_VARIANCE
        trust = variance / (variance + np.maximum(noise[judged], self._scatter))
        surprise = relative - self.estimate[judged]
        if bool((self.variance[judged] <= KNOWN_VARIANCE).all()):
            self._scatter += SCATTER_RATE * (float(np.median(surprise**2)) / _MEDIAN_OF_SQUARE - self._scatter)
        self.estimate[judged] += trust * surprise
        self.variance[judged] = (1 - trust) * variance
        self._tell(fleet, tolerance_ratio)

    def _follow(self, fleet: Fleet) -> None:
        """Keep by name what is known, whoever comes and goes."""
        if fleet.backends == self._backends:
            return
        self.estimate = self._by_name(fleet, self.estimate, 0.0)
        self.variance = self._by_name(fleet, self.variance, UNKNOWN_VARIANCE)
        self._told = self._by_name(fleet, self._told, 0.0)
        self._off = 0
        self._backends = fleet.backends

    def _by_name(self, fleet: Fleet, values: Floats, otherwise: float) -> Floats:
        if fleet.backends == self._backends:
            return values
        known = dict(zip(self._backends, values.tolist(), strict=True))
        return np.array([known.get(name, otherwise) for name in fleet.backends])

    def _tell(self, fleet: Fleet, tolerance_ratio: float) -> None:
        estimate = np.where(self.variance <= KNOWN_VARIANCE, self.estimate, self._told)
        promised = _promised(fleet)
        due, told = promised * np.exp(estimate), promised * np.exp(self._told)
        used = (due > 0) & (fleet.weights > 0)
        asked = told[used] / told[used].sum()  # not the weights, which may lean for a slow pod meanwhile
        off = asked / (due[used] / due[used].sum()) > SURELY_RATIO * tolerance_ratio
        self._off = self._off + 1 if off.any() else 0
        if self._off >= CONFIRMING_WINDOWS:
            self._told = self._told + np.clip(estimate - self._told, -STEP_LIMIT, STEP_LIMIT)
            self._off = 0


_MEDIAN_OF_SQUARE = 0.455  # of a standard normal: what the median of squared surprises is to their mean


def _promised(fleet: Fleet) -> Floats:
    """CPU limits of the ready pods by backend, cores."""
    return fleet.by_backend(np.where(fleet.ready, fleet.cpu_limit, 0.0))


def _measured(fleet: Fleet) -> tuple[Floats, Floats]:
    """By backend, ln of the requests it answers a core at the use it has, and the noise of that; NaN where unknown.

    A ready pod without CPU, limit or counts makes its backend unknown: half a backend's use is no use.
    """
    ready = fleet.ready
    untold = np.isnan(fleet.cpu + fleet.cpu_limit + fleet.requests + fleet.errors) & ready
    cpu, requests, errors = (
        fleet.by_backend(np.where(ready, values, 0.0)) for values in (fleet.cpu, fleet.requests, fleet.errors)
    )
    limit, answered = _promised(fleet), requests - errors
    usable = (fleet.by_backend(untold.astype(np.float64)) == 0) & (answered > 0) & (limit > 0)
    requests, limit = np.where(usable, requests, np.nan), np.where(usable, limit, np.nan)
    use = cpu / limit
    capacity = answered / (np.maximum(use, LEAST_UTILIZATION) + errors / requests)
    noise = 1 / requests + MODEL_VARIANCE + np.where(use < IDLE_UTILIZATION, IDLE_VARIANCE, 0.0)
    return np.log(np.where(usable, capacity, np.nan) / limit), noise
