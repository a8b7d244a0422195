"""Does a pod's memory leak, and when is it full? (algorithms section 5)

One number a bin and pod: the 20th percentile, which garbage collection's saw-tooth does not reach. What traffic
explains is taken out. Then four gates, because the trend test alone is wrong in up to all cases (Machida 2013):
Mann-Kendall, a Theil-Sen slope surely above 0, a second half that rises like the first, and an end within reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import nan

import numpy as np

from evenload.model.fleet import Fleet, Floats

BIN_SECONDS = 30.0
BINS = 30  # a window of a quarter of an hour
LEAST_BINS = 20
LOW_RATIO = 0.2
TREND_Z = 3.0
BOUND_Z = 1.96
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


class _History:
    """One pod's closed bins, and the samples of the open one."""

    __slots__ = ("memory", "rps", "samples", "seen")

    def __init__(self) -> None:
        self.memory: list[float] = []
        self.rps: list[float] = []
        self.samples: list[tuple[float, float]] = []
        self.seen = 0  # bins in a row that showed a leak

    def close(self) -> None:
        """The open bin becomes one number."""
        if self.samples:
            memory, rps = zip(*self.samples, strict=True)
            low = sorted(memory)[int(LOW_RATIO * (len(memory) - 1))]
            self.memory = [*self.memory[1 - BINS :], low]
            self.rps = [*self.rps[1 - BINS :], sum(rps) / len(rps)]
        self.samples = []


class MemoryWatch:
    """Of one Balancer: by UID, so a restarted pod starts anew. About 1 KB a pod."""

    def __init__(self) -> None:
        self._pods: dict[str, _History] = {}
        self._bin: int | None = None
        self.leaks: dict[str, Leak] = {}  # by UID, as of the last closed bin

    def observe(self, time: float, window: float, fleet: Fleet) -> None:
        """One tick; the trend is computed once a bin."""
        bin_ = int(time // BIN_SECONDS)
        if self._bin is not None and bin_ != self._bin:
            self._close(fleet)
        self._bin = bin_
        for pod, memory, requests in zip(fleet.pods, fleet.memory.tolist(), fleet.requests.tolist(), strict=True):
            if pod.uid and memory == memory:
                history = self._pods.get(pod.uid)
                if history is None:
                    history = self._pods[pod.uid] = _History()
                history.samples.append((memory, requests / window if requests == requests else 0.0))

    def _close(self, fleet: Fleet) -> None:
        told = zip(fleet.pods, fleet.memory_limit.tolist(), fleet.age.tolist(), strict=True)
        limits = {pod.uid: nan if age < FILLING_SECONDS else limit for pod, limit, age in told if pod.uid}
        self._pods = {uid: history for uid, history in self._pods.items() if uid in limits}
        self.leaks = {}
        for uid, history in self._pods.items():
            history.close()
            leak = judge(np.array(history.memory), np.array(history.rps), limits[uid])
            history.seen = history.seen + 1 if leak is not None else 0
            if leak is not None and history.seen >= CONFIRMING_BINS:
                self.leaks[uid] = leak


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
    if low <= 0 or late < STILL_RISING_RATIO * early:
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


def mann_kendall_z(values: Floats) -> float:
    """Mann and Kendall's trend statistic, as a standard normal z (without ties)."""
    size = values.size
    later, earlier = np.triu_indices(size, 1)[::-1]
    score = float(np.sign(values[later] - values[earlier]).sum())
    if score == 0:
        return 0.0
    variance = size * (size - 1) * (2 * size + 5) / 18
    return (score - math.copysign(1, score)) / math.sqrt(variance)


def theil_sen(values: Floats) -> tuple[float, float, float]:
    """Median slope a step, and its 95% bounds by Sen's rank method."""
    size = values.size
    later, earlier = np.triu_indices(size, 1)[::-1]
    slopes = np.sort((values[later] - values[earlier]) / (later - earlier))
    reach = BOUND_Z * math.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    low = max(0, round((slopes.size - reach) / 2) - 1)
    high = min(slopes.size - 1, round((slopes.size + reach) / 2))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


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
