"""Warm start: a new engine is shown the last minutes, so that it decides at once as if it had been running.

What it is shown must be true. Weights have no history, so only moments since the route was last written are used, and
none before the newest step of an open Remediation; the pods that are gone are told from their series. Decisions are
thrown away: nothing is written, told or counted.

It costs as much as the ticks it replaces, so it is bounded: the more pods there are, the fewer moments are shown. An
engine that could not be shown all of them in time is thrown away for a cold one; half a past is worse than none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from evenload.drivers.base import BalancerView
from evenload.engine import Engine
from evenload.errors import InputError, SignalsUnavailable
from evenload.history.ranges import Grid, pieces
from evenload.history.reader import Chunk, RangeReader
from evenload.history.roster import Roster, behind
from evenload.model.episode import Disruption, Episode
from evenload.model.policy import Policy
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Mode
from evenload.observe.access import Access
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.queries import Source, shared

HORIZON_SECONDS: Final = 900.0
BUDGET_SECONDS: Final = 30.0  # by the clock, for those who are warmed together; then they start cold
MOST_POD_MOMENTS: Final = (
    200_000  # about three seconds of CPU: 2,000 pods see all 90 ticks of ten seconds, 50,000 see 4
)
MOST_PODS_AT_ONCE: Final = 100_000  # pods times moments in one answer: about 3 MB of it, 60 MB when read
FEWEST_MOMENTS: Final = 3
REPLACED: Final = 2  # so many pods for each of now, where all were replaced within the horizon

K = TypeVar("K")


class Newcomer(NamedTuple):
    """A Balancer that is looked after from now on, and what is known of it now."""

    spec: BalancerSpec
    source: Source
    view: BalancerView
    fleet: Fleet
    last_write: RouteWrite | None
    known_good: dict[str, int] | None
    episode: Episode | None
    ledger: tuple[Disruption, ...]
    expected_pods: int = 0  # all that are in its namespaces now: a preset asks about all of them

    @property
    def unchanged_since(self) -> float:
        """The last time anything that we do not see in Prometheus changed: weights, or a step of ours."""
        steps = self.episode.steps if self.episode else ()
        moments = [moment for step in steps for moment in (step.planned_at, step.applied_at, step.judged_at) if moment]
        opened = [self.episode.opened_at] if self.episode else []
        written = [self.last_write.time] if self.last_write else []
        return max([*moments, *opened, *written], default=0.0)


class GiveUp:
    """Called when nobody waits any more: closes what the thread at work has opened, so that it ends at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._called = False
        self._closers: list[Callable[[], None]] = []

    def __call__(self) -> None:
        with self._lock:
            self._called = True
            closers, self._closers = self._closers, []
        for close in closers:
            close()

    def closes(self, close: Callable[[], None]) -> None:
        """Have `close` called when it is time, or now if that time has come."""
        with self._lock:
            late = self._called
            if not late:
                self._closers.append(close)
        if late:
            close()

    @property
    def called(self) -> bool:
        return self._called


class Warmed(NamedTuple, Generic[K]):
    """Engines that have seen the past, and in a sentence a group why others have not."""

    engines: dict[K, Engine]
    problems: tuple[str, ...]


def warm_engines(
    newcomers: Mapping[K, Newcomer],
    *,
    now: float,
    tick_seconds: float,
    deadline_seconds: float,
    access: Callable[[str], Access | None] = lambda url: None,
    clock: Callable[[], float] = time.monotonic,
    give_up: GiveUp | None = None,
) -> Warmed[K]:
    """Blocks (for a thread). The last moment shown is a tick before `now`, seconds since the epoch."""
    ending = clock() + BUDGET_SECONDS
    giving_up = give_up or GiveUp()
    engines: dict[K, Engine] = {}
    problems: list[str] = []
    for source, keys in _groups(newcomers).items():
        group = {key: newcomers[key] for key in keys}
        reading = _Reading(now, tick_seconds, deadline_seconds, access(source.url), giving_up, ending, clock)
        try:
            engines |= _warm(source, group, reading, problems)
        except (SignalsUnavailable, InputError) as error:
            problems.append(str(error))
        except Exception as error:  # whatever this source answers: it must not take the others' start along
            problems.append(f"the past could not be read: {type(error).__name__}: {error}")
    return Warmed(engines, tuple(problems))


def _groups(newcomers: Mapping[K, Newcomer]) -> dict[Source, list[K]]:
    """Those who can share queries. A query about a Balancer's own pods of today cannot be asked about the past."""
    groups: dict[Source, list[K]] = {}
    for key, newcomer in newcomers.items():
        if all(shared(query) for _, query in newcomer.source.overrides):
            groups.setdefault(newcomer.source, []).append(key)
    return groups


class _Reading(NamedTuple):
    """How the past is read: until when, and by whose leave."""

    now: float
    tick_seconds: float
    deadline_seconds: float
    access: Access | None
    give_up: GiveUp
    ending: float
    clock: Callable[[], float]

    def check(self, pods: int) -> None:
        """Raises SignalsUnavailable when it is too late."""
        if self.give_up.called or self.clock() > self.ending:
            raise SignalsUnavailable(f"the past of {pods} pods could not be read in {BUDGET_SECONDS:g}s")


def _warm(source: Source, newcomers: Mapping[K, Newcomer], how: _Reading, problems: list[str]) -> dict[K, Engine]:
    pods = sum(len(newcomer.fleet.pods) for newcomer in newcomers.values())
    moments = min(round(HORIZON_SECONDS / how.tick_seconds), MOST_POD_MOMENTS // max(1, pods))
    learners = {key: _Learner(newcomer) for key, newcomer in newcomers.items()}
    grid = Grid.between(how.now - how.tick_seconds * moments, how.now - how.tick_seconds, how.tick_seconds)
    if moments < FEWEST_MOMENTS or grid.end < min(each.since for each in learners.values()):
        return {}
    namespaces = {service.namespace for newcomer in newcomers.values() for service in newcomer.view.services.values()}
    expected = REPLACED * max(pods, *(newcomer.expected_pods for newcomer in newcomers.values()))
    reader = RangeReader(
        source, namespaces, access=how.access, deadline_seconds=how.deadline_seconds, expected_pods=expected
    )
    how.give_up.closes(reader.close)
    try:
        for part in pieces(grid, max(1, MOST_PODS_AT_ONCE // max(1, pods))):
            how.check(pods)
            chunk = reader.chunk(part)
            if problem := chunk.signals["requests"].problem:
                raise SignalsUnavailable(problem)
            for key, learner in tuple(learners.items()):
                how.check(pods)
                if problem := learner.learn(chunk):
                    del learners[key]
                    problems.append(f"{key}: {problem}")
    finally:
        reader.close()
    return {key: learner.engine for key, learner in learners.items() if learner.seen}


class _Learner:
    """One Balancer's engine on its way through the past."""

    def __init__(self, newcomer: Newcomer) -> None:
        self.engine = Engine(newcomer.spec)
        self.seen = 0
        self.since = newcomer.unchanged_since + newcomer.source.window_seconds
        self._newcomer = newcomer
        self._max_age_seconds = Policy.of(newcomer.spec).max_age_seconds
        self._roster = Roster(behind(newcomer.view.services, newcomer.fleet))

    def learn(self, chunk: Chunk) -> str:
        """What went wrong, in a sentence: one whose past makes its engine fail starts cold; its neighbours go on."""
        try:
            for snapshot in self._snapshots(chunk):
                self.engine.step(snapshot)
                self.seen += 1
        except Exception as error:
            return f"its past could not be shown to it: {type(error).__name__}: {error}"
        return ""

    def _snapshots(self, chunk: Chunk) -> Iterable[Snapshot]:
        known = self._newcomer
        for index, (moment, lineup) in enumerate(zip(chunk.grid.times, self._roster.lineups(chunk), strict=True)):
            if moment < self.since or not lineup.blanks:
                continue
            yield snapshot_of(
                time=moment,
                weights=known.view.weights,
                fleet=lineup,
                samples=chunk.samples(index),
                max_age_seconds=self._max_age_seconds,
                last_write=known.last_write,
                known_good=known.known_good,
                episode=known.episode,
                ledger=known.ledger,
                max_mode=Mode.Observe,
            )
