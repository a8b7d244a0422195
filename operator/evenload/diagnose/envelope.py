"""The lower envelope of a pod's memory over two hours: what is left after each collection of garbage.

A collector lets memory rise by a tooth and fall again, so that a rise says nothing; what a leak raises is the lows. One
row every two minutes: the lowest and the highest memory seen, and the traffic. Of these rows only those count in which
memory fell by at least half of the deepest fall known: there the collector was at work, whatever its period.

Slopes are Theil and Sen's (1950, 1968), trends Mann and Kendall's (1945, 1975); both ask for ranks only, so a row that
missed the low of its tooth does little harm. A trend alone is no leak (Machida et al. 2013): it must stand out of the
spread about its line, go on in its second half, and not have been clearly steeper before, as that of a cache is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenload.diagnose.bins import BIN_SECONDS, Bins, taken
from evenload.diagnose.statistics import mann_kendall_z, pairs, robust_sigma, theil_sen
from evenload.model.fleet import Bools, Fleet, Floats, some

ROW_BINS = 4
ROW_SECONDS = ROW_BINS * BIN_SECONDS
ROWS = 60
LEAST_ROWS = 8
PARTS = (1, 2, 4)  # of the rows: a leak that began lately shows in the last of them only
TREND_Z = 3.0
STANDS_OUT = 3.0  # times the robust spread about its line
LEAST_RISE = 0.03  # of the limit
STILL_RISING = 0.5  # slope of the second half over the first's: few rows make a poor estimate of it
STEEPER_BEFORE = 0.8  # slope over that of as many rows before: a cache that fills slows down
LEAST_TOOTH = 0.02  # of the limit: below it nothing is collected, and every row counts
LOOK_Z = 1.5  # worth a closer look
BLOCK_ROWS = 4


class Envelope:
    """Of one Balancer: 720 bytes a pod. Columns are its pods, by UID; rows the last two hours, oldest first."""

    def __init__(self) -> None:
        self._uids: tuple[str, ...] = ()
        self._age: Floats = np.empty(0)
        self._rows: NDArray[np.float32] = np.full(
            (3, ROWS, 0), np.nan, dtype=np.float32
        )  # low, high, requests a second
        self._bins = 0

    def close(self, bins: Bins, fleet: Fleet) -> bool:
        """A bin was closed. Whether that filled a row."""
        self._follow(fleet)
        self._bins = (self._bins + 1) % ROW_BINS
        if self._bins:
            return False
        low, high, rps = bins.memory[-ROW_BINS:], bins.memory_high[-ROW_BINS:], bins.rps[-ROW_BINS:]
        told = ~np.isnan(low).all(axis=0) & ~(fleet.age < ROW_SECONDS)  # else it holds another process' memory
        row = np.array(
            [
                np.where(told, np.fmin.reduce(low, axis=0), np.nan),
                np.where(told, np.fmax.reduce(high, axis=0), np.nan),
                np.where(told, np.fmax.reduce(rps, axis=0), np.nan),
            ],
            dtype=np.float32,
        )
        self._rows = np.concatenate([self._rows[:, 1:], row[:, None]], axis=1)
        return True

    def _follow(self, fleet: Fleet) -> None:
        """The columns as the pods are now. A container that was started again is another process: it knows nothing."""
        uids = tuple(pod.uid for pod in fleet.pods)
        if uids != self._uids:
            known = {uid: column for column, uid in enumerate(self._uids) if uid}
            source = np.array([known.get(uid, -1) for uid in uids], dtype=np.intp)
            self._rows = taken(self._rows.astype(float), source).astype(np.float32)
            self._age = taken(self._age, source)
            self._uids = uids
        younger = fleet.age < self._age
        if some(younger):
            self._rows[:, :, younger] = np.nan
        self._age = fleet.age

    def level(self, column: int) -> float:
        """The low of the newest row; NaN where it told nothing."""
        return float(self._rows[0, -1, column])

    def lowest(self, column: int) -> float:
        """The low of the last eight minutes; NaN where nothing was told."""
        return float(np.fmin.reduce(self._rows[0, -BLOCK_ROWS:, column]))

    def peak(self, column: int, rows: int) -> float:
        """The highest memory before the last `rows`; 0 where nobody knows. A rise to below it may be a tooth."""
        before = self._rows[1, :-rows, column]
        return float(np.nanmax(before)) if not np.isnan(before).all() else 0.0

    def suspects(self, limits: Floats) -> Bools:
        """Pods whose lows seem to rise, over all rows or lately: all at once, as most do not."""
        low = self._rows[0].astype(float)
        blocks = np.fmin.reduce(low.reshape(ROWS // BLOCK_ROWS, BLOCK_ROWS, -1), axis=1)
        rising: Bools = (_trend(blocks) > LOOK_Z) | (_trend(low[-2 * LEAST_ROWS :]) > LOOK_Z)
        return rising & (limits > 0)

    def leak(self, column: int, limit: float) -> tuple[float, float, float, float] | None:
        """Slope with its 95% bounds in bytes a second, and the room left above the teeth in bytes; None: no leak."""
        low, high, rps = self._rows[:, :, column].astype(float)
        told = ~np.isnan(low)
        if int(told.sum()) < LEAST_ROWS:
            return None
        steps, low, high, rps = np.flatnonzero(told).astype(float), low[told], high[told], np.nan_to_num(rps[told])
        lows = _collected(low, high, limit)
        steps, own = steps[lows], (low - explained_by(rps, low))[lows]
        found = next(filter(None, (_rises(steps, own, part, limit) for part in PARTS)), None)
        if found is None:
            return None
        slope, soft, steep = (value / ROW_SECONDS for value in found)
        return slope, soft, steep, max(limit - float(high[-BLOCK_ROWS:].max()), 0.0)


def _trend(values: Floats) -> Floats:
    """Mann and Kendall's z by column, of what was told."""
    later, earlier = pairs(values.shape[0])
    score = np.nansum(np.sign(values[later] - values[earlier]), axis=0)
    size = np.maximum((~np.isnan(values)).sum(axis=0), 2)
    z: Floats = score / np.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    return z


def _collected(low: Floats, high: Floats, limit: float) -> Bools:
    """Rows in which the collector was at work; all of them where nothing is ever collected."""
    tooth = float((np.maximum.accumulate(high)[:-1] - low[1:]).max())
    if tooth < LEAST_TOOTH * limit:
        return np.ones(low.size, dtype=bool)
    fall: Floats = np.maximum(high, np.concatenate([high[:1], high[:-1]])) - low
    return fall >= tooth / 2


def _rises(steps: Floats, own: Floats, part: int, limit: float) -> tuple[float, float, float] | None:
    """Slope and its bounds, a row, of the last of so many parts, where that is a leak's."""
    size = own.size // part
    if size < LEAST_ROWS:
        return None
    xs, ys = steps[-size:], own[-size:]
    if mann_kendall_z(ys) <= TREND_Z:
        return None
    slope, soft, steep = theil_sen(ys, xs)
    rise = slope * (xs[-1] - xs[0])
    if soft <= 0 or rise < max(LEAST_RISE * limit, STANDS_OUT * robust_sigma(ys - slope * xs)):
        return None
    half = size // 2
    early, late = theil_sen(ys[:half], xs[:half])[0], theil_sen(ys[half:], xs[half:])[0]
    before = own[-2 * size : -size]
    slows = before.size >= BLOCK_ROWS and slope < STEEPER_BEFORE * theil_sen(before, steps[-2 * size : -size])[0]
    return None if late <= max(0.0, STILL_RISING * early) or slows else (slope, soft, steep)


def explained_by(rps: Floats, memory: Floats) -> Floats:
    """What traffic explains of memory, beside a straight line in time: caches and buffers follow the load."""
    moves = rps - rps.mean()
    if not moves.any():
        return np.zeros(memory.size)
    steps = np.arange(memory.size, dtype=float)
    design = np.column_stack([np.ones(memory.size), steps, moves])
    coefficient = float(np.linalg.lstsq(design, memory, rcond=None)[0][2])
    explained: Floats = max(coefficient, 0.0) * moves
    return explained
