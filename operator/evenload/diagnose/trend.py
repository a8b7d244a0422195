"""Does a pod's memory leak, and when is it full? (algorithms section 5)

One number a bin and pod: the 20th percentile, which garbage collection's saw-tooth does not reach. What traffic
explains is taken out. Then four gates, because the trend test alone is wrong in up to all cases (Machida 2013):
Mann-Kendall, a Theil-Sen slope surely above 0, a second half that still rises, and an end within reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenload.model.fleet import Fleet, Floats

BIN_SECONDS = 30.0
BINS = 30  # a window of a quarter of an hour
LEAST_BINS = 20
LOW_PERCENTILE = 20.0
TREND_Z = 3.0
BOUND_Z = 1.96
STILL_RISING_RATIO = 0.5  # slope of the second half over that of the whole
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

    __slots__ = ("memory", "rps", "samples")

    def __init__(self) -> None:
        self.memory: list[float] = []
        self.rps: list[float] = []
        self.samples: list[tuple[float, float]] = []

    def close(self) -> None:
        """The open bin becomes one number."""
        if self.samples:
            memory, rps = zip(*self.samples, strict=True)
            self.memory = [*self.memory[1 - BINS :], float(np.percentile(memory, LOW_PERCENTILE))]
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
                rps = requests / window if requests == requests else 0.0
                self._pods.setdefault(pod.uid, _History()).samples.append((memory, rps))

    def _close(self, fleet: Fleet) -> None:
        limits = {pod.uid: limit for pod, limit in zip(fleet.pods, fleet.memory_limit.tolist(), strict=True) if pod.uid}
        self._pods = {uid: history for uid, history in self._pods.items() if uid in limits}
        self.leaks = {}
        for uid, history in self._pods.items():
            history.close()
            leak = judge(np.array(history.memory), np.array(history.rps), limits[uid])
            if leak is not None:
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
    half = theil_sen(own[own.size // 2 :])[0]
    if low <= 0 or half <= STILL_RISING_RATIO * slope:
        return None
    room = max(limit - float(memory[-1]), 0.0)
    seconds = room / slope * BIN_SECONDS
    if seconds >= REACH_WINDOWS * BINS * BIN_SECONDS:
        return None
    return Leak(
        seconds=seconds,
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
