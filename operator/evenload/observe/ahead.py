"""Times that lie ahead of the clock: after it was set back, what was stamped before seems yet to come.

How long ago that was, nobody can tell any more. Taken literally it would freeze whatever counts from it for as long as
the jump was; left out, budgets would be forgotten. So it counts from the moment this process first saw that it lies
ahead: a restart uses up its hour and no more, a write delays the next by the usual interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from evenload.model.episode import Episode, Step
from evenload.model.snapshot import Snapshot

LEAP_SECONDS = 60.0  # between two looks: the clock was set on, or we slept. What no longer lies ahead is believed again


class Ahead:
    """Remembers of each such time when it was first seen, as long as it is told. One for each Balancer."""

    def __init__(self) -> None:
        self._seen: dict[float, float] = {}
        self._last = -math.inf

    def settled(self, snapshot: Snapshot) -> Snapshot:
        """The same with no step, disruption or write of the route later than itself."""
        now = snapshot.time
        seen = {} if now - self._last > LEAP_SECONDS else self._seen
        self._last = now
        # First seen ahead of the clock as it was, which may have been set back again since.
        self._seen = {
            stamp: min(seen.get(stamp, now), now) for stamp in _stamps(snapshot) if stamp > now or stamp in seen
        }
        return self._moved(snapshot) if self._seen else snapshot

    def _moved(self, snapshot: Snapshot) -> Snapshot:
        written, episode = snapshot.last_write, snapshot.episode
        return msgspec.structs.replace(
            snapshot,
            last_write=written and msgspec.structs.replace(written, time=self._when(written.time)),
            episode=episode and self._episode(episode),
            ledger=tuple(msgspec.structs.replace(entry, time=self._when(entry.time)) for entry in snapshot.ledger),
        )

    def _episode(self, episode: Episode) -> Episode:
        steps = tuple(self._step(step) for step in episode.steps)
        return msgspec.structs.replace(episode, opened_at=self._when(episode.opened_at), steps=steps)

    def _step(self, step: Step) -> Step:
        told = {name: getattr(step, name) for name in _STEP_TIMES}
        return msgspec.structs.replace(
            step, **{name: self._when(stamp) for name, stamp in told.items() if stamp is not None}
        )

    def _when(self, stamp: float) -> float:
        return self._seen.get(stamp, stamp)


_STEP_TIMES = ("planned_at", "applied_at", "judged_at", "refused_since")


def _stamps(snapshot: Snapshot) -> Iterator[float]:
    if snapshot.last_write is not None:
        yield snapshot.last_write.time
    if snapshot.episode is not None:
        yield snapshot.episode.opened_at
        for step in snapshot.episode.steps:
            yield from (stamp for name in _STEP_TIMES if (stamp := getattr(step, name)) is not None)
    yield from (entry.time for entry in snapshot.ledger)
