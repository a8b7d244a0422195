"""Does a pod's memory leak, and when is it full? (algorithms section 5)

One number a bin and pod: the 20th percentile, which garbage collection's saw-tooth does not reach. What traffic
explains is taken out. Then four gates, because the trend test alone is wrong in up to all cases (Machida 2013):
Mann-Kendall, a Theil-Sen slope surely above 0, a second half that rises like the first, and an end within reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from evenload.diagnose.bins import BIN_SECONDS, BINS, Bins
from evenload.diagnose.statistics import mann_kendall_z, theil_sen
from evenload.model.fleet import Bools, Fleet, Floats

LEAST_BINS = 20
TREND_Z = 3.0
STILL_RISING_RATIO = 0.8  # slope of the second half over the first's: a cache that fills slows down; a leak does not
FILLING_SECONDS = 2400.0  # of a pod's life: it fills its caches, and how far nobody knows yet
CONFIRMING_BINS = 6  # in a row: each shares most of its window with the last, but not its luck
REACH_WINDOWS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Seconds until the limit at this slope, with the interval that its 95% bounds give; bytes a second."""

    seconds: float
    soonest: float
    latest: float
    slope: float


class MemoryWatch:
    """Of one Balancer: which pods leak, as of the last closed bin, by UID."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}  # bins in a row that showed a leak
        self.leaks: dict[str, Leak] = {}

    def close(self, bins: Bins, fleet: Fleet) -> None:
        """A bin was closed: judge every pod anew."""
        limits = np.where(fleet.age < FILLING_SECONDS, nan, fleet.memory_limit)
        found: dict[str, Leak] = {}
        for column in np.flatnonzero(_suspect(bins.memory, limits)).tolist():
            told = np.flatnonzero(~np.isnan(bins.memory[:, column]))
            rps = np.nan_to_num(bins.rps[told, column])
            leak = judge(bins.memory[told, column], rps, float(limits[column]))
            if leak is not None:
                found[fleet.pods[column].uid] = leak
        self._seen = {uid: self._seen.get(uid, 0) + 1 for uid in found}
        self.leaks = {uid: leak for uid, leak in found.items() if self._seen[uid] >= CONFIRMING_BINS}


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
    own = memory - _explained_by(rps, memory)
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


def _explained_by(rps: Floats, memory: Floats) -> Floats:
    """What traffic explains of memory, beside a straight line in time: caches and buffers follow the load."""
    moves = rps - rps.mean()
    if not moves.any():
        return np.zeros(memory.size)
    steps = np.arange(memory.size, dtype=float)
    design = np.column_stack([np.ones(memory.size), steps, moves])
    coefficient = float(np.linalg.lstsq(design, memory, rcond=None)[0][2])
    explained: Floats = max(coefficient, 0.0) * moves
    return explained
