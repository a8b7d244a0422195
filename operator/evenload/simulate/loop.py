"""Engine and plant in a closed loop: what reconcile and act do to a cluster, done to a plant in memory.

The write-ahead record is kept here exactly as a Remediation keeps it, so that an engine that loses its memory, or an
operator that dies between a step's record and its write, meets the same state it would meet in a cluster. Every write
is checked against what no plan may ever do; what is found goes into `Run.faults`, and the write is done all the same,
because the plant should show what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, assert_never

from msgspec.structs import replace

from evenload.engine import Engine
from evenload.episode.disruptions import disruptions
from evenload.episode.steps import find, opened, planned, progressed, put
from evenload.episode.transitions import Event, moved
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import ApprovalDecision, Disruption, Episode, Step, StepState
from evenload.model.plan import Drain, Isolate, PodAction, RestartPod, SetWeights, WeightAction, Write
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Mode
from evenload.simulate.plant import Eviction, Plant
from evenload.simulate.servers import NEVER

MANAGER = "evenload"
_REPLACING_SECONDS = 300.0  # a pod that is younger and not ready replaces another


class Judge(Protocol):
    """What decides: the engine, or whoever is to be compared with it."""

    def step(self, snapshot: Snapshot) -> Decision: ...


class CrashPoint(StrEnum):
    """Where an operator can die around a write."""

    BeforeWrite = "BeforeWrite"  # the step is stored as Planned, nothing is written
    AfterWrite = "AfterWrite"  # it is written, and stored as Planned still


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One tick as it was seen, decided and lived through."""

    time: float
    decision: Decision
    weights: dict[str, int]
    shares: dict[str, float]  # of requests by backend, the true ones at the time of the decision
    fair_shares: dict[str, float]  # what its ready pods deserve by their capacity
    skew: float  # of pods, the true one
    arrived: int  # since the run began
    failed: int
    over_capacity: float
    ready: int
    writes: int  # of the operator, before this tick's
    sick: int


@dataclass(slots=True, kw_only=True)
class Run:
    """What came of a run."""

    ticks: list[Tick] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)  # kept only where asked for
    writes: list[tuple[float, Write]] = field(default_factory=list)  # those that reached the plant
    episodes: list[Episode] = field(default_factory=list)  # closed ones
    faults: list[str] = field(default_factory=list)

    def labels(self) -> Iterator[tuple[float, Label]]:
        """The primary diagnosis of each tick."""
        return ((tick.time, tick.decision.diagnosis.label) for tick in self.ticks)

    def restarts(self) -> list[tuple[float, RestartPod]]:
        """Evictions that the cluster accepted."""
        return [(time, write) for time, write in self.writes if isinstance(write, RestartPod)]


class Operator:
    """Evenload in memory: one Balancer, its open Remediation, its ledger."""

    def __init__(
        self,
        spec: BalancerSpec,
        plant: Plant,
        *,
        window_seconds: float,
        max_mode: Mode = Mode.Auto,
        keep_snapshots: bool = False,
        judge: Callable[[BalancerSpec], Judge] = Engine,
    ) -> None:
        self.spec = spec
        self.plant = plant
        self.run = Run()
        self.episode: Episode | None = None
        self.approval: ApprovalDecision | None = None
        self.known_good: dict[str, int] | None = None
        self.crashes: dict[int, CrashPoint] = {}  # by the ordinal of the write, from 0
        self._judge = judge
        self._engine = judge(spec)
        self._window_seconds = window_seconds
        self._max_mode = max_mode
        self._keep_snapshots = keep_snapshots
        self._closed: list[Disruption] = []
        self._attempts = 0
        self._evicted: set[str] = set()
        self._ahead: dict[float, float] = {}

    def forget(self) -> None:
        """The process dies and another starts: the engine's memory is gone, the cluster's is not."""
        self._engine = self._judge(self.spec)

    def tick(self) -> Decision:
        """Observe, decide, record, act: once, now."""
        snapshot = self.observe()
        decision = self._engine.step(snapshot)
        if self._keep_snapshots:
            self.run.snapshots.append(snapshot)
        self._note(decision)
        self._carry_out(decision)
        return decision

    def observe(self) -> Snapshot:
        """All an operator can know now."""
        backends = self.plant.backends(self._window_seconds)
        return Snapshot(
            time=self._clock,
            window=self.plant.scraper.span_seconds(self._window_seconds),
            backends=backends,
            isolated=dict(self.plant.isolated),
            signals=self.plant.signals(backends),
            last_write=self._last_write(),
            known_good=self.known_good,
            episode=self.episode,
            ledger=self.ledger(),
            holds=tuple(self.plant.cluster.holds),
            max_mode=self._max_mode,
        )

    def _last_write(self) -> RouteWrite | None:
        """Stamped by the API server; what lies ahead of our clock counts from when it was first seen to (observe)."""
        write = self.plant.balancer.last_write
        if write is None or write.time <= self._clock:
            return write
        return replace(write, time=self._ahead.setdefault(write.time, self._clock))

    @property
    def _clock(self) -> float:
        """The operator's own, which may be wrong; what the run notes is by the true one."""
        return self.plant.now + self.plant.clock_error_seconds

    def ledger(self) -> tuple[Disruption, ...]:
        """As Remediations give it: closed ones, then the open one."""
        current = () if self.episode is None else tuple(disruptions(self.episode))
        return (*self._closed, *current)

    def _note(self, decision: Decision) -> None:
        plant = self.plant
        self.run.ticks.append(
            Tick(
                time=plant.now,
                decision=decision,
                weights=dict(plant.balancer.weights),
                shares=plant.by_backend(plant.chances()),
                fair_shares=plant.by_backend(plant.fair_shares()),
                skew=plant.skew(),
                arrived=plant.truth.arrived,
                failed=plant.truth.failed,
                over_capacity=plant.truth.over_capacity,
                ready=int(plant.ready().sum()),
                writes=len(self.run.writes),
                sick=int(plant.servers["sick"].sum()),
            )
        )

    def _carry_out(self, decision: Decision) -> None:
        if decision.settled:
            self.known_good = dict(self.plant.balancer.weights)
        if decision.episode is EpisodeMove.Open and self.episode is None:
            self.episode = opened(f"episode-{len(self.run.episodes) + 1}", decision)
        self._progress(decision)
        writes = [action for action in decision.actions if isinstance(action, Write)]
        if len(writes) > 1:
            self._fault(f"{len(writes)} writes in one decision")
        for write in writes:
            self._write(write, decision)
        if decision.episode is EpisodeMove.Close:
            self._close(decision)

    def _progress(self, decision: Decision) -> None:
        episode = self.episode
        if episode is None:
            if decision.verdicts:
                self._fault("a verdict without an episode")
            return
        self.episode = replace(progressed(episode, decision), approval=self.approval)

    def _close(self, decision: Decision) -> None:
        if self.episode is None:
            self._fault("closed an episode that is not open")
            return
        self._closed.extend(disruptions(self.episode, decision.time))
        self.run.episodes.append(self.episode)
        self.episode = None

    # Writes

    def _write(self, write: Write, decision: Decision) -> None:
        self._check(write)
        if self.episode is None:
            self._fault(f"{type(write).__name__} without an episode: nothing is written ahead")
            return
        step = self._planned(self.episode, write, decision)
        crash = self.crashes.get(self._attempts)
        self._attempts += 1
        if crash is CrashPoint.BeforeWrite:
            self.forget()
            return
        applied = self._apply(write, step)
        if crash is CrashPoint.AfterWrite:
            self.forget()
        elif applied:
            self._store(moved(step, Event.Landed, self._clock))

    def _planned(self, episode: Episode, write: Write, decision: Decision) -> Step:
        """The stored step of this write: the one it resumes, or a new one."""
        known = find(episode.steps, write.step)
        if known is not None:
            if known.state is not StepState.Planned:
                self._fault(f"resumes step {known.name}, which is {known.state}")
            return known
        if write.step is not None:
            self._fault(f"resumes step {write.step}, which is not there")
        step = planned(episode.steps, write, decision, decision.time)
        self._store(step)
        return step

    def _store(self, step: Step) -> None:
        assert self.episode is not None
        self.episode = replace(self.episode, steps=put(self.episode.steps, step))

    def _apply(self, write: Write, step: Step) -> bool:
        match write:
            case SetWeights() | Drain():
                return self._set_weights(write)
            case Isolate() | RestartPod():
                return self._take_away(write, step)
            case _:
                assert_never(write)

    def _set_weights(self, write: WeightAction) -> bool:
        """As the driver's JSON patch: only where the weights still are what the decision saw."""
        if self.plant.balancer.weights != write.before:
            return False
        self.plant.command(write.after, MANAGER)
        self.run.writes.append((self.plant.now, write))
        return True

    def _take_away(self, write: PodAction, step: Step) -> bool:
        evicts = isinstance(write, RestartPod)
        answer = self.plant.evict(write.uid) if evicts else self.plant.isolate(write.uid)
        if answer is Eviction.Refused:
            self._store(moved(step, Event.Refused, self._clock))
            return False
        if answer is Eviction.Accepted:
            if evicts:
                self._evicted.add(write.uid)
            self.run.writes.append((self.plant.now, write))
        return True

    # What no plan may ever do

    def _fault(self, what: str) -> None:
        self.run.faults.append(f"at {self.plant.now:.0f}: {what}")

    def _check(self, write: Write) -> None:
        plant = self.plant
        if plant.cluster.holds:
            self._fault(f"{type(write).__name__} during {plant.cluster.holds[0].reason}")
        if plant.scraper.down and (plant.scraper.newest_age(plant.now) or NEVER) > 60:
            self._fault(f"{type(write).__name__} on data that is stale")
        if isinstance(write, PodAction):
            self._check_restart(write)
        else:
            self._check_weights(write)

    def _check_weights(self, write: WeightAction) -> None:
        plant = self.plant
        names = plant.balancer.names
        routed = plant.balancer.weights.keys()
        if write.before.keys() != routed or write.after.keys() != routed:
            self._fault("weights that do not name every backend")
            return
        if write.step is None and write.before != plant.balancer.weights:
            self._fault("weights whose `before` is not what is commanded")
        if not any(write.after.values()) or min(write.after.values()) < 0:
            self._fault("weights that are all zero, or negative")
        ready = plant.ready()
        for index, name in enumerate(names):
            if (
                write.after.get(name, 0) > write.before.get(name, 0)
                and not ready[plant.servers["backend"] == index].any()
            ):
                self._fault(f"more weight for {name}, which has no ready pod")

    def _check_restart(self, write: PodAction) -> None:
        plant, servers = self.plant, self.plant.servers
        ready = plant.ready()
        target = [row for row in range(len(servers)) if plant.uid(row) == write.uid]
        if write.uid in self._evicted:
            self._fault(f"{write.pod} evicted twice")
        if target and servers["isolated_at"][target[0]] < NEVER:
            return  # nobody misses it, and nobody is to replace it any more
        if target and ready.sum() - ready[target[0]] < 1:
            self._fault("eviction of the last ready pod")
        young = servers["born"] > plant.now - _REPLACING_SECONDS
        if (servers["dying_at"] < NEVER).any() or (~ready & young).any():
            self._fault(f"eviction of {write.pod} while another pod is being replaced")
        if not plant.cluster.controlled:
            self._fault(f"eviction of {write.pod}, which no controller would replace")
