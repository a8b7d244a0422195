"""What Evenload would have diagnosed and done over a stretch of the past, had it been there.

The engine is asked as in mode Auto, so that every guard rail has its say (mode Observe is refused before most of them);
nothing is carried out. So nothing that it would have done changed the traffic: an episode lasts as long as the fault
really lasted, its action is wished for again on every tick and counted once, and what acting would have prevented is
given as what was at stake after it, never as what would have been saved.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from evenload.engine import Engine
from evenload.episode.steps import opened, progressed
from evenload.history.past import Past, Progress, Subject
from evenload.history.ranges import Grid
from evenload.model.base import Value
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Disruption, Episode, Phase
from evenload.model.plan import Drain, Isolate, PodAction, RestartPod, SetWeights, Write
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Actions, BalancerSpec, Mode
from evenload.observe.access import Access

NOT_SIMULATED: Final = (
    "The past is replayed as it was: what Evenload would have done is not simulated and did not change the traffic. "
    "Failed requests after a would-be action are what was at stake, not what would have been saved."
)
OVER_BY_ITSELF_SECONDS: Final = 60.0
CURVE_POINTS: Final = 1000  # of a plot: each is the worst of its stretch
_LEDGER_SECONDS: Final = 24 * 3600.0


class Judgement(StrEnum):
    """What to think of an episode's would-be writes, from what really happened next."""

    AtStake = "AtStake"  # requests failed after it: acting could have prevented some
    NothingFailed = "NothingFailed"  # the traffic was off, but no request failed: look whether you would want it
    ErrorsUnknown = "ErrorsUnknown"  # the traffic was off, and no series tells what failed
    OverByItself = "OverByItself"  # the fault was gone within a minute without us: it would have touched for nothing
    NoWrite = "NoWrite"  # nothing would have been written


class WouldBe(Value, frozen=True, kw_only=True):
    """One write, counted once an episode, at the time it was first allowed; or first wanted, where it never was."""

    time: float
    action: str
    purpose: str = ""
    target: str = ""  # the pod that it would have restarted
    before: dict[str, int] | None = None
    after: dict[str, int] | None = None
    held: str = ""  # the guard rail that refused it; "": it would have been done
    because: str = ""


class PastEpisode(Value, frozen=True, kw_only=True):
    """A fault from its opening to its end, seconds since the epoch. `failed`: by the servers' own counters, None where
    those do not tell."""

    label: Label
    also: tuple[Label, ...]  # the other faults it showed later
    pods: tuple[str, ...]
    backends: tuple[str, ...]
    sentence: str
    since: float
    opened_at: float
    closed_at: float | None  # None: still open at the end
    failed: float | None
    failed_after: float | None  # since the first write that would have been done
    writes: tuple[WouldBe, ...]
    judgement: Judgement

    @property
    def done(self) -> tuple[WouldBe, ...]:
        """What no guard rail would have refused."""
        return tuple(write for write in self.writes if not write.held)


class Curve(Value, frozen=True, kw_only=True):
    """For a plot: at each time the worst error ratio, and the worst share / target share, until the next time."""

    times: tuple[float, ...] = ()
    errors: tuple[float | None, ...] = ()
    ratios: tuple[float | None, ...] = ()


class Backtest(Value, frozen=True, kw_only=True):
    """The whole answer for one Balancer. Times in seconds since the epoch; `labels`: ticks a diagnosis held."""

    namespace: str
    name: str
    since: float
    until: float
    tick_seconds: float
    ticks: int
    labels: dict[str, int]
    requests: float
    failed: float | None  # None: no series tells
    episodes: tuple[PastEpisode, ...]
    assumptions: tuple[str, ...]
    note: str = NOT_SIMULATED
    curve: Curve = msgspec.field(default_factory=Curve)

    @property
    def writes(self) -> tuple[WouldBe, ...]:
        return tuple(write for episode in self.episodes for write in episode.done)

    @property
    def restarts(self) -> int:
        return sum(write.action in ("Drain", "Isolate", "RestartPod") for write in self.writes)

    @property
    def doubtful(self) -> int:
        """Episodes in which it would have touched something without need, as far as the past tells."""
        return sum(episode.judgement in (Judgement.OverByItself, Judgement.NothingFailed) for episode in self.episodes)


def backtest(
    subject: Subject,
    spec: BalancerSpec,
    grid: Grid,
    *,
    access: Access | None = None,
    progress: Progress = lambda time: None,
) -> Backtest:
    """Raises SignalsUnavailable where the past cannot be read."""
    past = Past(subject, grid, access=access)
    with _without_garbage_collection():
        tally = judge(spec, past.snapshots(progress), grid.step)
    return Backtest(
        namespace=subject.namespace,
        name=subject.name,
        since=grid.start,
        until=grid.end,
        tick_seconds=grid.step,
        ticks=sum(tally.labels.values()),
        labels=dict(tally.labels),
        requests=tally.requests,
        failed=tally.failed.total,
        episodes=tuple(tally.episodes),
        assumptions=past.assumptions,
        curve=tally.curve(),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of numbers and no cycles: looking for some would cost a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def judge(spec: BalancerSpec, snapshots: Iterable[Snapshot], tick_seconds: float) -> Tally:
    """The engine over these Snapshots, in mode Auto; the spec's own mode is only about who may write."""
    engine = Engine(replace(spec, mode=Mode.Auto, actions=Actions()))
    tally = Tally(tick_seconds)
    for snapshot in snapshots:
        seen = replace(snapshot, episode=tally.episode, ledger=tally.ledger, max_mode=Mode.Auto)
        tally.take(seen, engine.step(seen))
    tally.end()
    return tally


class _Sum:
    """Of what some ticks tell: unknown where there were ticks and none told."""

    def __init__(self) -> None:
        self._total = 0.0
        self._told = self._asked = False

    def add(self, number: float | None) -> None:
        self._asked = True
        self._told |= number is not None
        self._total += number or 0.0

    @property
    def total(self) -> float | None:
        return None if self._asked and not self._told else self._total


class Tally:
    """Episodes and counts, tick by tick. It stands in for the cluster: open episode, ledger of would-be restarts."""

    def __init__(self, tick_seconds: float) -> None:
        self.labels: Counter[str] = Counter()
        self.requests = 0.0
        self.failed = _Sum()
        self.episodes: list[PastEpisode] = []
        self.ledger: tuple[Disruption, ...] = ()
        self._tick_seconds = tick_seconds
        self._open: _Open | None = None
        self._points: list[tuple[float, float | None, float | None]] = []

    @property
    def episode(self) -> Episode | None:
        return self._open.episode if self._open else None

    def take(self, snapshot: Snapshot, decision: Decision) -> None:
        """One tick."""
        self.labels[decision.diagnosis.label.value] += 1
        requests = (decision.requests_per_second or 0.0) * self._tick_seconds
        failed = None if decision.error_ratio is None else requests * decision.error_ratio
        self.requests += requests
        self.failed.add(failed)
        self._points.append((decision.time, decision.error_ratio, decision.worst_ratio))
        if decision.episode is EpisodeMove.Open and self._open is None:
            self._open = _Open(decision)
        if self._open is not None:
            self._disrupt(snapshot, self._open.take(decision, failed))
            if decision.episode is EpisodeMove.Close:
                self._close(decision.time)

    def end(self) -> None:
        """No more ticks: what is open stays open."""
        if self._open is not None:
            self._close(None)

    def curve(self) -> Curve:
        size = max(1, -(-len(self._points) // CURVE_POINTS))
        groups = [self._points[first : first + size] for first in range(0, len(self._points), size)]
        return Curve(
            times=tuple(group[0][0] for group in groups),
            errors=tuple(_worst(error for _, error, _ in group) for group in groups),
            ratios=tuple(_worst(ratio for _, _, ratio in group) for group in groups),
        )

    def _disrupt(self, snapshot: Snapshot, write: Write | None) -> None:
        """A restart that would have been done counts for the budgets, as it would have."""
        if isinstance(write, Drain | PodAction):
            workload = next(
                (b.pods[write.pod].workload for b in snapshot.backends.values() if write.pod in b.pods), None
            )
            entry = Disruption(time=snapshot.time, kind="Restart", pod=write.pod, workload=workload)
            self.ledger = (*(one for one in self.ledger if one.time > snapshot.time - _LEDGER_SECONDS), entry)

    def _close(self, at: float | None) -> None:
        if self._open is not None:
            self.episodes.append(self._open.closed(at))
        self._open = None


class _Open:
    """The episode under way."""

    def __init__(self, decision: Decision) -> None:
        diagnosis = decision.diagnosis
        self.label = diagnosis.label
        self.latest = decision.time
        self._first = decision
        self._labels = {diagnosis.label: None} | dict.fromkeys(diagnosis.also)
        self._writes: dict[tuple[str, str, str], WouldBe] = {}
        self._failed = _Sum()
        self._failed_after = _Sum()
        self._faulty_until = decision.time
        self.episode = replace(opened("backtest", decision), phase=Phase.Observed)  # nothing is carried out

    def take(self, decision: Decision, failed: float | None) -> Write | None:
        """One tick of it; the write that would have been done now for the first time."""
        self.latest = decision.time
        self.episode = replace(progressed(self.episode, decision), phase=Phase.Observed)
        self._failed.add(failed)
        if any(not write.held for write in self._writes.values()):
            self._failed_after.add(failed)
        if decision.diagnosis.label is not Label.Healthy:
            self._faulty_until = decision.time
            self._labels |= dict.fromkeys((decision.diagnosis.label, *decision.diagnosis.also))
        for held in decision.held:
            self._writes.setdefault(_key(held.action), _would_be(decision.time, held.action, held.reason.value))
        return next((write for write in decision.actions if isinstance(write, Write) and self._new(write)), None)

    def _new(self, write: Write) -> bool:
        known = self._writes.get(_key(write))
        if known is not None and not known.held:
            return False
        self._writes[_key(write)] = _would_be(self.latest, write)
        return True

    def closed(self, at: float | None) -> PastEpisode:
        diagnosis = self._first.diagnosis
        return PastEpisode(
            label=self.label,
            also=tuple(label for label in self._labels if label not in (self.label, Label.NoData, Label.Healthy)),
            pods=diagnosis.pods,
            backends=diagnosis.backends,
            sentence=diagnosis.sentence,
            since=diagnosis.since or self._first.time,
            opened_at=self._first.time,
            closed_at=at,
            failed=self._failed.total,
            failed_after=self._failed_after.total,
            writes=tuple(self._writes.values()),
            judgement=self._judgement(at),
        )

    def _judgement(self, at: float | None) -> Judgement:
        done = [write.time for write in self._writes.values() if not write.held]
        if not done:
            return Judgement.NoWrite
        if at is not None and self._faulty_until - min(done) <= OVER_BY_ITSELF_SECONDS:
            return Judgement.OverByItself
        after = self._failed_after.total
        if after is None:
            return Judgement.ErrorsUnknown
        return Judgement.AtStake if after >= 1 else Judgement.NothingFailed


def _key(write: object) -> tuple[str, str, str]:
    """What counts as the same action of an episode: the law moves weights a little on every tick."""
    match write:
        case SetWeights():
            return "SetWeights", write.purpose.value, ""
        case Drain():
            return "Drain", "", write.pod
        case Isolate() | RestartPod():
            return type(write).__name__, "", write.pod
        case _:
            return type(write).__name__, "", ""


def _would_be(time: float, write: object, held: str = "") -> WouldBe:
    action, purpose, target = _key(write)
    weights = isinstance(write, SetWeights | Drain)
    return WouldBe(
        time=time,
        action=action,
        purpose=purpose,
        target=target,
        before=write.before if weights else None,  # type: ignore[attr-defined]
        after=write.after if weights else None,  # type: ignore[attr-defined]
        held=held,
        because=getattr(write, "because", ""),
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
