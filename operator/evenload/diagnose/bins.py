"""What each pod did in the last quarter of an hour, a row every 30 s: what forecasts are made from.

One bounded table for all of them, in numpy columns side by side: four numbers a bin and pod, 960 bytes a pod.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from evenload.model.fleet import Bools, Fleet, Floats

BIN_SECONDS = 30.0
BINS = 30
TOTAL_BINS = 50  # the total costs little, and a longer line is a surer one
LEAST_TOLD = 0.8  # of the ready pods, or the total is not known
LOW_RATIO = 0.2  # of memory: garbage collection's saw-tooth does not reach so low


class Bins:
    """Of one Balancer. Columns are its pods, by UID, so that a restarted pod starts anew; rows are bins, oldest first.

    NaN is what was not told. The open bin is not in it.
    """

    def __init__(self) -> None:
        self._uids: tuple[str, ...] = ()
        self._rows: Floats = np.full((4, BINS, 0), np.nan)  # memory, requests a second, utilization, the high of memory
        self._open: list[Floats] = []
        self._bin: int | None = None
        self._phase = 0.0
        self.total: Floats = np.full(TOTAL_BINS, np.nan)  # requests a second over all pods, farther back

    @property
    def memory(self) -> Floats:
        """Bytes: the low of each bin."""
        memory: Floats = self._rows[0]
        return memory

    @property
    def rps(self) -> Floats:
        """Requests a second."""
        rps: Floats = self._rows[1]
        return rps

    @property
    def utilization(self) -> Floats:
        """CPU over its limit."""
        utilization: Floats = self._rows[2]
        return utilization

    @property
    def memory_high(self) -> Floats:
        """Bytes: the high of each bin."""
        high: Floats = self._rows[3]
        return high

    def observe(self, time: float, window: float, fleet: Fleet) -> bool:
        """One tick of it. Whether that closed a bin; columns are then as `fleet` has its pods."""
        if self._bin is None:
            self._phase = phase(fleet.backends)
        bin_ = int((time + self._phase) // BIN_SECONDS)
        passed = 0 if self._bin is None else bin_ - self._bin
        self._bin = bin_
        self._follow(tuple(pod.uid for pod in fleet.pods))
        if passed:
            self._close(min(passed, BINS), fleet.ready)
        told = np.array([fleet.memory, fleet.requests / window, fleet.utilization])
        if not all(self._uids):
            told[:, [not uid for uid in self._uids]] = np.nan
        self._open.append(told)
        return passed > 0

    def _follow(self, uids: tuple[str, ...]) -> None:
        """The columns as the pods are now: what is gone is forgotten, what is new knows nothing yet."""
        if uids == self._uids:
            return
        known = {uid: column for column, uid in enumerate(self._uids) if uid}
        source = np.array([known.get(uid, -1) for uid in uids], dtype=np.intp)
        self._rows = taken(self._rows, source)
        self._open = [taken(told, source) for told in self._open]
        self._uids = uids

    def _close(self, passed: int, ready: Bools) -> None:
        """The open bin becomes a row; bins that nobody saw become empty ones."""
        told = np.array(self._open)
        high = np.fmax.reduce(told[:, 0], axis=0)
        row = np.array([_low(told[:, 0]), mean_told(told[:, 1]), mean_told(told[:, 2]), high])
        unseen = np.full((4, passed - 1, row.shape[1]), np.nan)
        self._rows = np.concatenate([self._rows[:, passed:], row[:, None], unseen], axis=1)
        self.total = np.concatenate([self.total[passed:], [_total(row[1][ready])], np.full(passed - 1, np.nan)])
        self._open = []


def phase(backends: tuple[str, ...]) -> float:
    """Seconds by which this Balancer's bins end early: what is computed once a bin must not fall on one tick of all."""
    return float(crc32(" ".join(backends).encode()) % int(BIN_SECONDS))


def _total(rps: Floats) -> float:
    """Of all ready pods. A few whose scrapes were missed count as the others do, or each would look like a dip."""
    told = rps[~np.isnan(rps)]
    return float(told.mean()) * rps.size if told.size and told.size >= LEAST_TOLD * rps.size else np.nan


def taken(values: Floats, source: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
    """Columns of `values` in the order of `source`; NaN for -1."""
    padded = np.concatenate([values, np.full((*values.shape[:-1], 1), np.nan)], axis=-1)
    taken: Floats = padded[..., source]
    return taken


def mean_told(values: Floats) -> Floats:
    """By column, of what was told; NaN where nothing was."""
    told = ~np.isnan(values)
    mean: Floats = np.where(told, values, 0.0).sum(axis=0) / np.where(told.any(axis=0), told.sum(axis=0), np.nan)
    return mean


def _low(samples: Floats) -> Floats:
    """By column, a low quantile of what was told: an order statistic, so that it is a value that was."""
    ordered = np.sort(samples, axis=0)  # NaN last
    last = np.maximum((~np.isnan(samples)).sum(axis=0) - 1, 0)
    place = (LOW_RATIO * last).astype(np.intp)
    low: Floats = np.take_along_axis(ordered, place[None], axis=0)[0]
    return low
