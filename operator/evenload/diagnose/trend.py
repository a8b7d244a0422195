"""Does a pod's memory leak, and when is it full? (algorithms section 5)

One number a bin and pod: the 20th percentile, which garbage collection's saw-tooth does not reach. What traffic
explains is taken out. Then four gates, because the trend test alone is wrong in up to all cases (Machida 2013):
Mann-Kendall, a Theil-Sen slope surely above 0, a second half that rises like the first, and an end within reach.

A collector with a tooth larger than a quarter of an hour's leak hides it from that; the envelope looks farther back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np

from evenload.diagnose.bins import BIN_SECONDS, BINS, Bins
from evenload.diagnose.envelope import ROW_BINS, Envelope, explained_by
from evenload.diagnose.statistics import mann_kendall_z, theil_sen
from evenload.model.fleet import Bools, Fleet, Floats

LEAST_BINS = 20
TREND_Z = 3.0
STILL_RISING_RATIO = 0.8  # slope of the second half over the first's: a cache that fills slows down; a leak does not
FILLING_SECONDS = 2400.0  # of a pod's life: it fills its caches, and how far nobody knows yet
CONFIRMING_BINS = 6  # in a row: each shares most of its window with the last, but not its luck
REACH_WINDOWS = 6.0
REACH_SECONDS = 7200.0  # the same for the envelope: as far ahead as it looks back
KEEPING_BINS = 60  # without a sign of it, until a leak is taken back
FALLEN = 0.1  # of the limit, below what it was when it was told: it was given back


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Seconds until the limit at this slope, with the interval that its 95% bounds give; bytes a second."""

    seconds: float
    soonest: float
    latest: float
    slope: float


class MemoryWatch:
    """Of one Balancer: which pods leak, as of the last closed bin, by UID.

    Told after a few bins in a row, and kept while it is counted down: until nothing shows it for half an hour, or the
    memory is clearly below what it was when it was told.
    """

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._seen: dict[str, int] = {}  # bins in a row that showed a leak
        self._long: dict[str, Leak] = {}  # that the envelope shows, as of its last row
        self._told: dict[str, _Told] = {}
        self.leaks: dict[str, Leak] = {}  # by UID

    def close(self, bins: Bins, fleet: Fleet) -> None:
        """A bin was closed: judge every pod anew."""
        limits = np.where(fleet.age < FILLING_SECONDS, nan, fleet.memory_limit)
        new_row = self._envelope.close(bins, fleet)
        if new_row:
            self._long = dict(self._by_envelope(fleet, limits))
        columns = {pod.uid: column for column, pod in enumerate(fleet.pods) if pod.uid}
        found = dict(self._by_bins(bins, fleet, limits)) | {u: leak for u, leak in self._long.items() if u in columns}
        self._seen = {uid: self._seen.get(uid, 0) + 1 for uid in found}
        kept = {uid: told for uid, told in self._told.items() if self._keeps(told, columns.get(uid), limits)}
        self._told = {uid: told.later() for uid, told in kept.items()}
        for uid, leak in found.items():
            if uid in self._told or self._seen[uid] >= CONFIRMING_BINS:
                level = self._told[uid].level if uid in self._told else self._envelope.lowest(columns[uid])
                self._told[uid] = _Told(leak=leak, level=level)
        self.leaks = {uid: told.leak for uid, told in self._told.items()}

    def _by_bins(self, bins: Bins, fleet: Fleet, limits: Floats) -> Iterator[tuple[str, Leak]]:
        """Of a quarter of an hour; what rises no higher than it has been before may be a tooth."""
        for column in np.flatnonzero(_suspect(bins.memory, limits)).tolist():
            memory, told = bins.memory[:, column], np.flatnonzero(~np.isnan(bins.memory[:, column]))
            leak = judge(memory[told], np.nan_to_num(bins.rps[told, column]), float(limits[column]))
            if leak is not None and memory[told[-1]] > self._envelope.peak(column, BINS // ROW_BINS + 1):
                yield fleet.pods[column].uid, leak

    def _by_envelope(self, fleet: Fleet, limits: Floats) -> Iterator[tuple[str, Leak]]:
        """Of up to two hours, from collection to collection."""
        for column in np.flatnonzero(self._envelope.suspects(limits)).tolist():
            found = self._envelope.leak(column, float(limits[column]))
            if found is not None and found[3] / found[0] < REACH_SECONDS:
                slope, soft, steep, room = found
                leak = Leak(seconds=room / slope, soonest=room / steep, latest=room / soft, slope=slope)
                yield fleet.pods[column].uid, leak

    def _keeps(self, told: _Told, column: int | None, limits: Floats) -> bool:
        if column is None or not limits[column] > 0 or told.missed >= KEEPING_BINS:
            return False
        return not self._envelope.level(column) < told.level - FALLEN * float(limits[column])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A leak that was told; the memory in bytes when it first was; bins since it was last seen."""

    leak: Leak
    level: float
    missed: int = 0

    def later(self) -> _Told:
        """A bin later, seen no more."""
        leak = Leak(
            seconds=max(0.0, self.leak.seconds - BIN_SECONDS),
            soonest=max(0.0, self.leak.soonest - BIN_SECONDS),
            latest=max(0.0, self.leak.latest - BIN_SECONDS),
            slope=self.leak.slope,
        )
        return _Told(leak=leak, level=self.level, missed=self.missed + 1)


def _suspect(memory: Floats, limits: Floats) -> Bools:
    """Pods worth a closer look: long enough known, with a limit, and with a trend. All at once: most have none."""
    enough = (~np.isnan(memory)).sum(axis=0) >= LEAST_BINS
    suspect: Bools = enough & (limits > 0)
    whole = suspect & ~np.isnan(memory).any(axis=0)
    suspect &= ~whole | (memory[-1] > memory[0])
    whole &= suspect
    suspect[whole] = mann_kendall_z(memory[:, whole]) > TREND_Z
    return suspect


def judge(memory: Floats, rps: Floats, limit: float) -> Leak | None:
    """The leak these bins show (bytes, requests a second), or None. `limit` in bytes; NaN: unknown, never full."""
    if memory.size < LEAST_BINS or not limit > 0 or memory[-1] <= memory[0]:
        return None
    if mann_kendall_z(memory) <= TREND_Z:
        return None
    own = memory - explained_by(rps, memory)
    if mann_kendall_z(own) <= TREND_Z:
        return None
    slope, low, high = theil_sen(own)
    middle = own.size // 2
    early, late = theil_sen(own[:middle])[0], theil_sen(own[middle:])[0]
    if low <= 0 or late <= 0 or late < STILL_RISING_RATIO * early:
        return None
    room = max(limit - float(memory[-1]), 0.0)
    if room / min(slope, late) >= REACH_WINDOWS * BINS:
        return None
    return Leak(
        seconds=room / slope * BIN_SECONDS,
        soonest=room / high * BIN_SECONDS,
        latest=room / low * BIN_SECONDS,
        slope=slope / BIN_SECONDS,
    )
