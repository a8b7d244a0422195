"""What traffic is usual at which time of day, learnt as it is lived: for what can wait until it is quiet.

Bounded: a day in quarters of an hour. After a start it knows nothing, and says so.
"""

from __future__ import annotations

import numpy as np

from evenload.model.fleet import Floats

DAY_SECONDS = 86_400.0
SLOT_SECONDS = 900.0
SLOTS = int(DAY_SECONDS / SLOT_SECONDS)
LEARNING_RATE = 0.5  # of a new day: the last three make nearly all of it
OLD_SECONDS = 26 * 3600.0  # a quarter that was not seen for longer describes another day
MOST_PASSED_SECONDS = 120.0
LEAST_COVERED = 0.5  # of a quarter, or its mean is that of a moment


class Day:
    """Requests a second by time of day (UTC). 1.5 KB."""

    def __init__(self) -> None:
        self._rps: Floats = np.full(SLOTS, np.nan)
        self._learnt_at: Floats = np.full(SLOTS, -np.inf)
        self._slot: int | None = None
        self._time: float | None = None
        self._weighted = self._covered = 0.0

    def learn(self, time: float, rps: float) -> None:
        """One tick, which stands for the time since the last, but not for long silences."""
        slot = int(time // SLOT_SECONDS)
        if slot != self._slot:
            self._close()
            self._slot, self._weighted, self._covered = slot, 0.0, 0.0
        passed = 0.0 if self._time is None else min(max(time - self._time, 0.0), MOST_PASSED_SECONDS)
        self._weighted += rps * passed
        self._covered += passed
        self._time = time

    def _close(self) -> None:
        if self._slot is None or self._covered < LEAST_COVERED * SLOT_SECONDS:
            return
        place, now = self._slot % SLOTS, (self._slot + 1) * SLOT_SECONDS
        seen = self._weighted / self._covered
        old = float(self._rps[place]) if self._fresh(place, now) else seen
        self._rps[place] = old + LEARNING_RATE * (seen - old)
        self._learnt_at[place] = now

    def _fresh(self, place: int, now: float) -> bool:
        return 0 <= now - float(self._learnt_at[place]) <= OLD_SECONDS

    def usual(self, time: float) -> float | None:
        """Requests a second that are usual at `time`, as of the last days; None where that was not seen.

        Only for times within the next day: who asks for a later one asks for too much.
        """
        if self._slot is None:
            return None
        place = int(time // SLOT_SECONDS) % SLOTS
        return float(self._rps[place]) if self._fresh(place, self._slot * SLOT_SECONDS) else None
