"""What was before the last update of the balancer by another writer, and what speaks against that update."""

from __future__ import annotations

from collections import deque

from evenload.model.base import Value
from evenload.model.fleet import Bools, Fleet
from evenload.model.snapshot import RouteWrite

LEVELS = 4  # ticks before an update, of which the worst is what it is measured against
LEVEL_WINDOWS = 3.0  # older than that before the update, nobody knows how it was just before
TOLD_SLACK_SECONDS = 1.0  # managedFields tells whole seconds


class Level(Value, frozen=True, kw_only=True):
    """How many requests there were, and failed, in the window that ended at `time`."""

    time: float
    requests: int
    errors: int

    @property
    def ratio(self) -> float:
        return self.errors / max(self.requests, 1)


class Suspicion(Value, frozen=True, kw_only=True):
    """The update that seems to be the cause. `gained`: the backends that it gave more to and that suffer now, which
    weights can take back; none: all suffer, and it is something else that it changed."""

    write: RouteWrite
    before: Level
    gained: tuple[str, ...] = ()
    pods: Bools


class Levels:
    """What was before the last update. Bounded; lost in a crash, no update from before it is blamed."""

    def __init__(self) -> None:
        self._last: deque[Level] = deque(maxlen=LEVELS)
        self._update: float | None = None
        self._before: Level | None = None

    def before(self, write: RouteWrite, window: float) -> Level | None:
        """The worst of the last ticks before this update; None where none was seen."""
        if write.time != self._update:
            self._update = write.time
            known = [level for level in self._last if level.time <= write.time + TOLD_SLACK_SECONDS]
            lately = known and write.time - known[-1].time <= LEVEL_WINDOWS * window
            self._before = max(known, key=lambda level: level.ratio) if lately else None
        return self._before

    def learn(self, time: float, fleet: Fleet) -> None:
        """Count this tick in."""
        errors, requests = fleet.errors_and_requests
        if requests > 0:
            self._last.append(Level(time=time, requests=round(requests), errors=round(errors)))
