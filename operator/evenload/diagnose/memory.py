"""What the diagnosis remembers from tick to tick: filters and hysteresis, nothing that a crash may not lose.

Whoever starts with an empty memory sees the same faults a tick or two later; see "warm start" in the architecture.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

from evenload.diagnose.baseline import Baseline
from evenload.diagnose.outlook import Outlook
from evenload.diagnose.quality import Heard
from evenload.diagnose.update import Levels
from evenload.model.diagnosis import Label
from evenload.model.fleet import Fleet, Floats

FORGET_SECONDS = 180.0  # without a tick for longer, the estimates describe another time (gRPC A58)
TOLD_SLACK_SECONDS = 1.0  # managedFields tells whole seconds
BLIND_TICKS = 3  # longer than so many: none of what is in the window was seen to come
RAISING_TICKS = 4
RAISING_HITS = 2  # of three ticks, where wrong weights explain it


class Streak:
    """How long something has been seen without a break: looks, and since when (seconds since the epoch).

    A look counts only if it is far enough from the last that counted: two ticks on the same samples saw it once.
    """

    __slots__ = ("last", "looks", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.last = -math.inf
        self.looks = 0

    def look(self, time: float, apart: float) -> None:
        """It was seen again; `apart`: seconds between two looks that count."""
        if time - self.last >= apart:
            self.last = time
            self.looks += 1


class Memory:
    """Of one Balancer. A few kilobytes, whatever happens: streaks are kept only while they last."""

    def __init__(self) -> None:
        self.time: float | None = None
        self._tick = 0.0
        self.seen_since = math.inf  # these backends, without a break
        self.in_sight = Streak(-math.inf)  # since the start, or since the last blind spell
        self.heard = Heard()
        self.baseline = Baseline()
        self.outlook = Outlook()
        self.levels = Levels()
        self.spread: float | None = None
        self.rps: float | None = None  # of the last tick
        self._looked_at = -math.inf
        self._hot: deque[frozenset[str]] = deque(maxlen=RAISING_TICKS)
        self._forewarned: deque[bool] = deque(maxlen=RAISING_TICKS)
        self.streaks: dict[tuple[Label, str], Streak] = {}  # by label and pod ("" for the whole Balancer)
        self.error_ratios: dict[str, float] = {}  # of pods with errors, as of the last tick
        self.slow_at: dict[str, float] = {}  # pods that were slow lately, and when
        self.flooded_at = -math.inf  # when more arrived than all could bear
        self.bent: frozenset[str] = frozenset()  # backends whose weights lean against the balancer, as last told
        self.label: Label | None = None
        self.since = 0.0
        self.calm_ticks = 0
        self._backends: tuple[str, ...] = ()
        self._weights: Floats | None = None
        self._weights_seen_before = 0.0
        self._weights_seen_at = 0.0
        self._weights_moved = False
        self._ready: Floats | None = None
        self.ready_moved_at: Floats = np.empty(0)

    def refuses(self, time: float) -> str | None:
        """Why nothing learnt so far may be used at `time`, or None. It is forgotten then."""
        last = self.time
        if last is None or last < time <= last + FORGET_SECONDS:
            return None
        day = self.outlook.day  # what is usual at a time of day is still so
        vars(self).update(vars(Memory()))
        self.outlook.day = day
        self.time = time
        if time <= last:
            return f"the clock went back by {last - time:.0f} s"
        return f"nothing was seen for {time - last:.0f} s"

    def tick_seconds(self, window: float) -> float:
        """Between the last two ticks; before that, a third of the window, as windows are three scrapes."""
        return min(self._tick, window) if self._tick else window / 3

    def watch(self, time: float, fleet: Fleet) -> None:
        """Note when weights and ready pods change, and whether the Balancer was out of sight."""
        if self.time is not None and self._tick and time - self.time > BLIND_TICKS * self._tick:
            self.in_sight = Streak(time)
            self.seen_since = time
        if self.seen_since > time or fleet.backends != self._backends:
            self.seen_since = time
        self._watch_weights(time, fleet)
        self._watch_ready(time, fleet)
        self._backends = fleet.backends
        self._tick = time - self.time if self.time is not None else 0.0
        self.time = time

    def _watch_weights(self, time: float, fleet: Fleet) -> None:
        if self._weights is None:
            self._weights_seen_at = time
        elif fleet.backends != self._backends or not np.array_equal(self._weights, fleet.weights):
            self._weights_seen_before = self.time or time
            self._weights_seen_at = time
            self._weights_moved = True
        self._weights = fleet.weights

    def _watch_ready(self, time: float, fleet: Fleet) -> None:
        ready = fleet.ready_by_backend
        if self._ready is None or fleet.backends != self._backends:
            self.ready_moved_at = np.full(ready.size, -np.inf)
        else:
            self.ready_moved_at = np.where(ready == self._ready, self.ready_moved_at, time)
        self._ready = ready

    def weights_changed_at(self, told: float | None) -> float:
        """When the weights became what they are, seconds since the epoch; -inf if that was never seen.

        `told` is what the cluster says (a field manager's time, a step's). What was seen bounds it: a write that left
        the weights as they were is no change, and a change nobody told of is dated by the tick that saw it.
        """
        if told is not None and self._weights_seen_before - TOLD_SLACK_SECONDS <= told <= self._weights_seen_at:
            return told
        return self._weights_seen_at if self._weights_moved else -np.inf

    def skew_raised(self, hot: Mapping[str, int], *, explained: bool, time: float, apart: float) -> bool:
        """Whether skew is raised, with this tick counted in. `hot`: names, and on how many looks each has to be hot.

        Where wrong weights explain it, two ticks of three do, and wrong weights alone count as one of them (but do not
        raise). Where nothing does, chance has to be kept out: the very pod must be hot so often, with one miss. A tick
        less than `apart` seconds after a look is part of it.
        """
        self._forewarned.append(explained or bool(hot))
        if time - self._looked_at >= apart:
            self._looked_at = time
            self._hot.append(frozenset(hot))
        else:
            self._hot[-1] = frozenset(hot)
        if explained:
            return bool(hot) and sum(list(self._forewarned)[-3:]) >= RAISING_HITS
        recent = list(self._hot)
        return any(sum(name in names for names in recent[-needed - 1 :]) >= needed for name, needed in hot.items())

    def streak(self, label: Label, subject: str, time: float, seen: bool, apart: float = 0.0) -> Streak | None:
        """The streak of `label` at `subject` with this tick counted in, or None if this tick breaks it.

        `apart`: seconds between two looks that count.
        """
        key = (label, subject)
        if not seen:
            self.streaks.pop(key, None)
            return None
        streak = self.streaks.get(key)
        if streak is None:
            streak = self.streaks[key] = Streak(time)
        streak.look(time, apart)
        return streak

    def keep_only(self, label: Label, subjects: set[str]) -> None:
        """Forget the streaks of all others: they were broken, or their pods are gone."""
        if not self.streaks:
            return
        for key in [key for key in self.streaks if key[0] is label and key[1] not in subjects]:
            del self.streaks[key]

    def labelled(self, label: Label, time: float, *, calm: bool = False) -> float:
        """Since when this label holds. `calm`: healthy, and nothing is even suspected."""
        if label is not self.label:
            self.label, self.since = label, time
        self.calm_ticks = self.calm_ticks + 1 if calm else 0
        return self.since
