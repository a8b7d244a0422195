"""When does rising traffic use up the first pod? (algorithms section 5)

Per pod, CPU use is a + b x requests a second: what it costs to be there, and what a request costs. The pod is full at
lambda = (limit - a) / b. It gets a share of the total, so it is full when the total is lambda / share; the total rises
at a robust slope; the rest is a division. Of all pods the first counts, under the shares as they are: the whole fleet,
sum of lambda, is a mean of the pods' totals weighted by their shares, so it is never full before its first pod.

A straight line says nothing about tomorrow. So it must be steep beyond doubt, still rising, seen for several bins, and
its end within a horizon for which there is evidence; else the answer is "unknown", which is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenload.diagnose.bins import BIN_SECONDS, Bins, mean_told
from evenload.diagnose.statistics import BOUND_Z, robust_sigma, theil_sen
from evenload.model.fleet import Fleet, Floats
from evenload.model.vectors import median

LEAST_BINS = 16  # eight minutes: shorter trends are moods
# A little more than the line is drawn through. On simulated healthy days (five times the traffic by day, the busiest
# pod at 67%) less than one forecast a day within 30 min was wrong (5 on 10 days); within an hour one and a half were.
HORIZON_SECONDS = 1800.0
STILL_RISING_RATIO = 0.35  # slope of the second half over the whole: a step up is not a rise
RECENT_BINS = 10  # over which a pod's share and use are averaged
CONFIRMING_BINS = 3  # in a row, until it is told
KEEPING_BINS = 4  # in a row without one, until it is taken back: meanwhile it is counted down
MOST_LIKENESS = 0.8
END_DOUBT = 2 * BOUND_Z  # the end of a line is known half as well as its middle
LEAST_GAIN = 0.05  # of a pod's requests: less tells nothing of what one costs
MOST_IDLE = 0.6
IDLE_DOUBT_RATIO, IDLE_DOUBT = 1.5, 0.03
ROOM_DOUBT = 0.03  # of what fills a pod: requests and CPU are not measured at the same moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Which pod (its column) is full first, and in how many seconds: likely, at the soonest, at the latest."""

    column: int
    seconds: float
    soonest: float
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The total: requests a second now, give or take, and how many more a bin (likely, and the bounds of 95%)."""

    level: float
    doubt: float
    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many requests a second in all fill the first pod (its column): likely, at least, at most."""

    column: int
    likely: float
    least: float
    most: float


class SaturationWatch:
    """Of one Balancer: the forecast, the pod's UID, and when it was made (seconds since the epoch)."""

    def __init__(self) -> None:
        self._seen = 0
        self._missed = 0
        self.first: Saturation | None = None
        self.uid = ""
        self.made_at = 0.0

    def close(self, time: float, bins: Bins, fleet: Fleet, limit: float) -> None:
        """A bin was closed. `limit`: the CPU use (0..1) that no pod should go beyond."""
        found = foretell(bins.total, np.where(fleet.ready, bins.rps, np.nan), bins.utilization, limit)
        self._seen = self._seen + 1 if found is not None else 0
        self._missed = 0 if found is not None else self._missed + 1
        if found is not None and (self._seen >= CONFIRMING_BINS or self.first is not None):
            self.first, self.uid, self.made_at = found, fleet.pods[found.column].uid, time
        elif self._missed >= KEEPING_BINS:
            self.first = None


def foretell(total: Floats, rps: Floats, use: Floats, limit: float) -> Saturation | None:
    """From bins, oldest first: the total by bin, requests a second and CPU use by bin and pod. None: unknown.

    The total may go farther back than what pods did.
    """
    growth = growing(total)
    room = room_left(total[-len(rps) :], rps, use, limit) if growth is not None else None
    if growth is None or room is None:
        return None
    seconds = BIN_SECONDS * max(room.likely - growth.level, 0.0) / growth.slope
    if seconds > HORIZON_SECONDS:
        return None
    return Saturation(
        column=room.column,
        seconds=seconds,
        soonest=min(seconds, BIN_SECONDS * max(room.least - growth.level - growth.doubt, 0.0) / growth.high),
        latest=max(seconds, BIN_SECONDS * max(room.most - growth.level + growth.doubt, 0.0) / growth.low),
    )


def growing(total: Floats) -> Growth | None:
    """A robust line through the total by bin, where that rises beyond doubt and did not stop; else None."""
    steps = np.flatnonzero(~np.isnan(total)).astype(float)
    values = total[~np.isnan(total)]
    if values.size < LEAST_BINS:
        return None
    slope, low, _ = theil_sen(values, steps)
    if low <= 0:  # most of the time; the wider bounds below cannot make up for it
        return None
    rest = values - slope * steps
    stretch = _stretch(rest - median(rest))
    slope, low, high = theil_sen(values, steps, stretch=stretch)
    half = values.size // 2
    late, _, steepest = theil_sen(values[half:], steps[half:])
    if low <= 0 or late < STILL_RISING_RATIO * slope:
        return None
    return Growth(
        level=median(rest[half:]) + slope * (total.size - 1),
        doubt=END_DOUBT * stretch * robust_sigma(rest) / math.sqrt(values.size),
        slope=slope,
        low=low,
        high=max(high, steepest),
    )


def _stretch(rest: Floats) -> float:
    """How much wider an interval is for values that resemble their neighbours (Hamed and Rao 1998, at lag 1)."""
    variance = float((rest**2).sum())
    likeness = float((rest[1:] * rest[:-1]).sum()) / variance if variance else 0.0
    likeness = min(max(likeness, 0.0), MOST_LIKENESS)
    return math.sqrt((1 + likeness) / (1 - likeness))


def room_left(total: Floats, rps: Floats, use: Floats, limit: float) -> Room | None:
    """What fills the first pod, in requests a second of the total; None where no pod tells enough."""
    known = np.flatnonzero(~np.isnan(total))
    told = ~np.isnan(use) & ~np.isnan(rps) & (use > 0) & (rps > 0)
    pods = np.flatnonzero((told[known].sum(axis=0) >= LEAST_BINS) & told[known[-RECENT_BINS:]].all(axis=0))
    if not pods.size:
        return None
    loads = np.where(told, rps, np.nan)[np.ix_(known, pods)]
    uses = np.where(told, use, np.nan)[np.ix_(known, pods)]
    load, used = loads[-RECENT_BINS:].mean(axis=0), uses[-RECENT_BINS:].mean(axis=0)
    share = load / total[known][-RECENT_BINS:].mean()
    idle = idle_ratio(loads, uses)

    def room(part: float) -> Floats:
        """By pod, if `part` of what it uses now is not the requests'."""
        full: Floats = load * (limit / used - part) / (1 - part) / share
        return full

    likely = room(idle)
    first = int(likely.argmin())
    return Room(
        column=int(pods[first]),
        likely=float(likely[first]),
        least=float(room(0.0).min()) * (1 - ROOM_DOUBT),
        most=float(room(min(IDLE_DOUBT_RATIO * idle + IDLE_DOUBT, MOST_IDLE)).min()) * (1 + ROOM_DOUBT),
    )


def idle_ratio(loads: Floats, uses: Floats) -> float:
    """Which part of the CPU use is not the requests': the median pod's, by bins (oldest first) and pods.

    The cost of a request by Bartlett's three groups (1949): the last third of the time against the first. Time tells
    the groups apart, so neither bursts nor requests and CPU measured some seconds apart flatten the line.
    """
    third = loads.shape[0] // 3
    more_load = mean_told(loads[-third:]) - mean_told(loads[:third])
    more_use = mean_told(uses[-third:]) - mean_told(uses[:third])
    load, use = mean_told(loads[-third:]), mean_told(uses[-third:])
    told = more_load > LEAST_GAIN * load
    if not told.any():
        return 0.0
    idle = 1 - more_use[told] / more_load[told] * load[told] / use[told]
    return min(max(median(idle), 0.0), MOST_IDLE)
