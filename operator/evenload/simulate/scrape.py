"""A Prometheus: scrapes each pod at its own phase, misses some, and answers `increase()` the way Prometheus does.

The extrapolation to the window's edges is part of the noise an engine has to live with, so it is here in full
(Prometheus, promql/functions.go, extrapolatedRate).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenload.simulate.servers import Flags, Floats, Servers

COUNTERS = ("requests", "errors", "latency_sum", "cpu_seconds")
_KEPT = 16  # samples a pod: enough for any window here
_LONG_AGO = -1e15  # finite, so that differences of times stay numbers
_IRATE_SECONDS = 120.0
_STALE_SECONDS = 300.0  # how long an instant query finds a series that is not scraped any more


class Scraper:
    """Samples of every pod, in rows parallel to the servers'. Its faults are attributes that events set."""

    def __init__(self, interval_seconds: float, missed_ratio: float) -> None:
        self.interval_seconds = interval_seconds
        self.missed_ratio = missed_ratio
        self.down = False  # nothing is scraped; what is known gets old
        self.deaf: set[int] = set()  # serials of pods whose scrapes all fail
        self._times: Floats = np.zeros((0, _KEPT))
        self._counters: Floats = np.zeros((0, _KEPT, len(COUNTERS)))
        self._gauges: Floats = np.zeros((0, 2))
        self._next: Floats = np.zeros(0)

    def add(self, count: int, now: float, rng: np.random.Generator) -> None:
        """Find `count` new pods; each keeps a phase of its own."""
        self._times = np.concatenate([self._times, np.full((count, _KEPT), _LONG_AGO)])
        self._counters = np.concatenate([self._counters, np.zeros((count, _KEPT, len(COUNTERS)))])
        self._gauges = np.concatenate([self._gauges, np.full((count, 2), np.nan)])
        self._next = np.concatenate([self._next, now + rng.uniform(0, self.interval_seconds, count)])

    def keep(self, which: Flags) -> None:
        """Forget the other pods."""
        self._times, self._counters = self._times[which], self._counters[which]
        self._gauges, self._next = self._gauges[which], self._next[which]

    def scrape(self, servers: Servers, memory: Floats, running: Flags, now: float, rng: np.random.Generator) -> None:
        """Take the samples that are due."""
        due = self._next <= now
        if not due.any():
            return
        self._next[due] += self.interval_seconds
        heard = due & running & (rng.random(len(due)) >= self.missed_ratio)
        if self.deaf:
            heard &= ~np.isin(servers["serial"], list(self.deaf))
        if not self.down:
            self._take(np.flatnonzero(heard), servers, memory, now)

    def _take(self, rows: NDArray[np.intp], servers: Servers, memory: Floats, now: float) -> None:
        self._times[rows, :-1] = self._times[rows, 1:]
        self._times[rows, -1] = now
        self._counters[rows, :-1] = self._counters[rows, 1:]
        self._counters[rows, -1] = np.stack([servers[name][rows] for name in COUNTERS], axis=1)
        self._gauges[rows] = np.stack([memory[rows], servers["in_flight"][rows]], axis=1)

    def increases(self, now: float, window_seconds: float) -> dict[str, Floats]:
        """increase(counter[window]) of each pod; NaN where fewer than two samples are in the window."""
        inside = self._times > now - window_seconds
        count = inside.sum(axis=1)
        known = count >= 2
        first_index = _KEPT - np.maximum(count, 1)
        rows = np.arange(len(count))
        first_time, last_time = self._times[rows, first_index], self._times[:, -1]
        span = np.where(known, last_time - first_time, 1.0)
        steps = np.diff(self._counters, axis=1)
        steps = np.where(steps < 0, self._counters[:, 1:], steps)  # a reset: all since then is new
        rise = np.where((inside[:, 1:] & inside[:, :-1])[:, :, None], steps, 0.0).sum(axis=1)
        return {
            name: np.where(
                known,
                rise[:, index]
                * _extrapolation(
                    rise[:, index],
                    self._counters[rows, first_index, index],
                    span,
                    count,
                    first_time - (now - window_seconds),
                    now - last_time,
                ),
                np.nan,
            )
            for index, name in enumerate(COUNTERS)
        }

    def span_seconds(self, window_seconds: float) -> float:
        """What the samples in a window span on average: what the operator shrinks its counts to (observe.queries)."""
        return window_seconds - self.interval_seconds

    def cpu(self, now: float) -> Floats:
        """irate(cpu_seconds[2m]) of each pod, in cores; NaN where it has fewer than two samples."""
        index = COUNTERS.index("cpu_seconds")
        last, before = self._counters[:, -1, index], self._counters[:, -2, index]
        rise = np.where(last < before, last, last - before)
        span = self._times[:, -1] - self._times[:, -2]
        known = self._times[:, -2] > now - _IRATE_SECONDS
        return np.asarray(np.divide(rise, span, out=np.full(len(rise), np.nan), where=known))

    def gauges(self, now: float) -> tuple[Floats, Floats]:
        """Memory and in-flight of each pod, NaN where not seen for five minutes."""
        seen = (self._times[:, -1] > now - _STALE_SECONDS)[:, None]
        found = np.where(seen, self._gauges, np.nan)
        return found[:, 0], found[:, 1]

    def newest_age(self, now: float) -> float | None:
        """Seconds since the newest sample of all; None without any."""
        newest = self._times[:, -1].max(initial=_LONG_AGO)
        return float(now - newest) if newest > _LONG_AGO else None


def _extrapolation(
    rise: Floats, first: Floats, span: Floats, count: NDArray[np.int64], to_start: Floats, to_end: Floats
) -> Floats:
    """The factor by which Prometheus stretches a rise over `span` to the edges of the window."""
    between = span / np.maximum(count - 1, 1)
    from_zero = np.divide(span * first, rise, out=np.full_like(span, np.inf), where=rise > 0)
    start = np.minimum(np.where(to_start >= 1.1 * between, between / 2, to_start), from_zero)
    end = np.where(to_end >= 1.1 * between, between / 2, to_end)
    return np.asarray((span + start + end) / span)
