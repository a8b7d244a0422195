"""What is coming: the forecasts of one Balancer, made once a bin and counted down in between."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evenload.diagnose.bins import Bins
from evenload.diagnose.day import Day
from evenload.diagnose.saturation import Saturation, SaturationWatch
from evenload.diagnose.trend import Leak, MemoryWatch
from evenload.model.fleet import Fleet
from evenload.model.forecast import Forecast


class Outlook:
    """Its memory is bounded: a quarter of an hour of bins, and a day of traffic."""

    def __init__(self) -> None:
        self._bins = Bins()
        self._memory = MemoryWatch()
        self._saturation = SaturationWatch()
        self._made_at = 0.0  # the leaks, that is
        self.day = Day()

    @property
    def leaks(self) -> Mapping[str, Leak]:
        """By UID."""
        return self._memory.leaks

    def observe(self, time: float, window: float, fleet: Fleet, limit: float) -> None:
        """One tick. `limit`: the CPU use (0..1) that no pod should go beyond."""
        self.day.learn(time, fleet.total_requests / window)
        if self._bins.observe(time, window, fleet):
            self._made_at = time
            self._memory.close(self._bins, fleet)
            self._saturation.close(time, self._bins, fleet, limit)

    def saturation(self, time: float, fleet: Fleet) -> Forecast | None:
        """When the first pod has no CPU left; None where that is unknown, or the pod gone."""
        first = self._saturation.first
        known = {self._saturation.uid: first} if first is not None else {}
        return _soonest(time - self._saturation.made_at, fleet, known)

    def out_of_memory(self, time: float, fleet: Fleet) -> Forecast | None:
        """When the first leaking pod is full; None without a leak."""
        return _soonest(time - self._made_at, fleet, self.leaks)


def _soonest(passed: float, fleet: Fleet, known: Mapping[str, Leak] | Mapping[str, Saturation]) -> Forecast | None:
    """The first of these (by UID) whose pod is there, counted down by the seconds that have passed."""
    if not known:
        return None
    there = [(known[pod.uid], name) for name, pod in zip(fleet.names, fleet.pods, strict=True) if pod.uid in known]
    if not there:
        return None
    first, name = min(there, key=lambda pair: (pair[0].seconds, pair[1]))
    return Forecast(
        seconds=max(0.0, first.seconds - passed),
        soonest=max(0.0, first.soonest - passed),
        latest=max(0.0, first.latest - passed) if first.latest < math.inf else None,
        subject=name,
    )
