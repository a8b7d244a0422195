"""A small shop behind a balancer, for closed-loop tests: one pod a backend, one second a step, seeded.

A server answers up to its capacity and turns the rest away; turned away too often it falls sick, which costs it most of
its capacity and fails a third of what is left, until it is replaced. Scrapes, windows and the proxy's lag are those of
the lab. `Cluster` keeps what a real one would: weights, pods, the open Remediation, the ledger.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from evenload.engine import Engine
from evenload.episode.disruptions import disruptions
from evenload.episode.steps import find, opened, planned, progressed, put
from evenload.episode.transitions import Event, moved
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Disruption, Episode, Step
from evenload.model.plan import Isolate, PodAction, RestartPod, Write
from evenload.model.snapshot import Backend, Hold, Pod, RouteWrite, Signal, Snapshot
from evenload.model.spec import BalancerSpec, Mode, Restart, TargetRef

START = 1_760_000_000.0
SICK_COST = 5.0
SICK_FAILURES = 0.35
TAKES = 0.4  # from a Decision to its write
FALLS_SICK_AFTER = 40  # requests turned away


@dataclass(slots=True)
class Server:
    """One pod and the process in it."""

    name: str
    uid: str
    backend: str
    born: float
    capacity_rps: float = 36.0
    ready_at: float = 0.0
    gone_at: float | None = None
    sick: bool = False
    immune: bool = False  # recovers as soon as the load is gone
    faulty: float = 0.0  # share of its requests that fail, load or no load
    delay: float = 1.0  # its latency as a multiple of the others'
    waited: float = 0.0
    turned_away: float = 0.0
    samples: deque[tuple[float, float, float, float, float]] = field(default_factory=lambda: deque(maxlen=64))
    requests: float = 0.0
    errors: float = 0.0
    cpu: float = 0.0
    in_flight: float = 0.0

    def serve(self, arriving: float) -> float:
        """A second's requests; returns how many failed."""
        capacity = self.capacity_rps / (SICK_COST if self.sick else 1.0)
        served = min(arriving, capacity)
        failed = arriving - served + (SICK_FAILURES if self.sick else self.faulty) * served
        busy = min(arriving / capacity, 0.95)
        self.waited += arriving * self._latency(busy)
        self.turned_away = 0.8 * self.turned_away + arriving - served  # a burst is forgotten in seconds
        self.sick = self.sick or (self.turned_away > FALLS_SICK_AFTER and not self.immune)
        self.requests += arriving
        self.errors += failed
        self.cpu += served / capacity * 0.25
        self.in_flight = min(17.0, 17.0 * arriving / capacity) if arriving > capacity else round(arriving / capacity)
        return failed

    def _latency(self, busy: float) -> float:
        return 0.02 * self.delay * (SICK_COST if self.sick else 1.0) / (1 - busy)


@dataclass(slots=True)
class Cluster:
    """The world between two ticks, and the bookkeeping that acting on a Decision does."""

    backends: tuple[str, ...] = ("shop-a", "shop-b", "shop-c", "shop-d")
    rps: float = 64.0
    tick: float = 5.0
    window: float = 15.0
    lag: float = 2.0
    nodes: dict[str, str] = field(default_factory=dict)
    gains: dict[str, float] = field(default_factory=dict)  # how the balancer bends the weights
    sticky: float = 0.0  # share of the requests that goes by the gains alone, whatever the weights say
    seed: int = 1
    weights: dict[str, int] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    last_write: RouteWrite | None = None
    known_good: dict[str, int] | None = None
    episode: Episode | None = None
    closed: list[tuple[Episode, Decision]] = field(default_factory=list)
    before: list[Disruption] = field(default_factory=list)  # what earlier episodes count for
    holds: tuple[Hold, ...] = ()
    max_mode: Mode = Mode.Auto
    weights_total: int | None = None
    refuse_evictions: bool = False
    stuck_replacements: bool = False
    time: float = START
    failed: dict[float, float] = field(default_factory=dict)
    writes: list[tuple[float, Write]] = field(default_factory=list)
    evictions: list[tuple[float, str]] = field(default_factory=list)
    crash: Callable[[str], None] = field(default=lambda point: None)
    dice: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.dice = np.random.default_rng(self.seed)
        self.weights = self.weights or dict.fromkeys(self.backends, 100)
        self.followed = dict(self.weights)
        self.servers = [self._server(name, self.time - 8600) for name in self.backends]

    def _server(self, backend: str, born: float, ready_in: float = 0.0) -> Server:
        number = sum(server.backend == backend for server in self.servers)
        name = f"{backend}-{number}"
        return Server(name=name, uid=f"uid-{name}", backend=backend, born=born, ready_at=born + ready_in)

    # --- the world

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self._second()

    def _second(self) -> None:
        self.time += 1.0
        while self.pending and self.pending[0][0] <= self.time:
            self.followed = self.pending.pop(0)[1]
        shares = self._shares()
        failed = 0.0
        for backend in self.backends:
            arriving = float(self.dice.poisson(self.rps * shares[backend]))
            serving = [server for server in self.servers if server.backend == backend and self._ready(server)]
            if not serving:
                failed += arriving
            for server in serving:
                failed += server.serve(arriving / len(serving))
        self.failed[self.time] = failed
        for server in self.servers:
            if self._there(server) and self.time >= server.ready_at:
                server.samples.append((self.time, server.requests, server.errors, server.cpu, server.waited))
        self._replace()

    def _shares(self) -> dict[str, float]:
        gains = {name: self.gains.get(name, 1.0) for name in self.backends}
        bent = {name: self.followed[name] * gains[name] for name in self.backends}
        total, stuck = sum(bent.values()), sum(gains.values())
        free = {name: weight / total if total else 0.0 for name, weight in bent.items()}
        return {name: (1 - self.sticky) * free[name] + self.sticky * gains[name] / stuck for name in self.backends}

    def _ready(self, server: Server) -> bool:
        return self.time >= server.ready_at and server.gone_at is None

    def _there(self, server: Server) -> bool:
        return server.gone_at is None or self.time < server.gone_at + 4

    def _replace(self) -> None:
        for backend in self.backends:
            alive = [server for server in self.servers if server.backend == backend and server.gone_at is None]
            if not alive:
                ready_in = 1e9 if self.stuck_replacements else 6.0
                self.servers.append(self._server(backend, self.time, ready_in=ready_in))

    def write_weights(self, weights: dict[str, int], manager: str) -> None:
        self.last_write = RouteWrite(manager=manager, time=float(int(self.time + TAKES)), before=dict(self.weights))
        self.weights = dict(weights)
        self.pending.append((self.time + TAKES + self.lag, dict(weights)))

    def evict(self, uid: str) -> None:
        server = next((server for server in self.servers if server.uid == uid and server.gone_at is None), None)
        if server is not None:
            server.gone_at = self.time
            self.evictions.append((self.time, uid))

    def deny(self, label: Label) -> None:
        self.before.append(Disruption(time=self.time, kind="Denied", label=label))

    # --- what is seen of it

    def snapshot(self) -> Snapshot:
        return Snapshot(
            time=self.time + 0.3,
            window=self.window,
            backends={name: Backend(weight=self.weights[name], pods=self._pods(name)) for name in self.backends},
            signals={name: Signal(age=self.time % 5 + 0.3) for name in ("requests", "errors", "cpu", "inFlight")},
            last_write=self.last_write,
            known_good=self.known_good,
            episode=self.episode,
            ledger=self.ledger,
            holds=self.holds,
            max_mode=self.max_mode,
            weights_total=self.weights_total,
        )

    def _pods(self, backend: str) -> dict[str, Pod]:
        return {
            server.name: self._pod(server)
            for server in self.servers
            if server.backend == backend and self._there(server) and self.time >= server.born
        }

    def _pod(self, server: Server) -> Pod:
        scraped = [sample for sample in server.samples if sample[0] % 5 == 0 and sample[0] > self.time - self.window]
        counts: dict[str, float] = {}
        if len(scraped) >= 2:
            first, last = scraped[0], scraped[-1]
            stretch = self.window / (last[0] - first[0])
            counts = {
                "requests": (last[1] - first[1]) * stretch,
                "errors": (last[2] - first[2]) * stretch,
                "cpu": (last[3] - first[3]) / (last[0] - first[0]),
                "in_flight": server.in_flight,
            }
            if last[1] > first[1]:
                counts["latency"] = (last[4] - first[4]) / (last[1] - first[1])
        return Pod(
            ready=self._ready(server),
            terminating=server.gone_at is not None,
            age=self.time - server.born,
            uid=server.uid,
            node=self.nodes.get(server.backend),
            workload=f"Deployment/{server.backend}",
            cpu_limit=0.25,
            requests=counts.get("requests"),
            errors=counts.get("errors"),
            cpu=counts.get("cpu"),
            latency=counts.get("latency"),
            in_flight=counts.get("in_flight"),
        )

    # --- acting on a Decision, as the operator does

    def act(self, decision: Decision) -> None:
        self._record(decision)
        write = next((a for a in decision.actions if isinstance(a, Write)), None)
        if write is not None:
            self._execute(write, decision)
        if decision.settled:
            self.known_good = dict(self.weights)

    def _record(self, decision: Decision) -> None:
        if decision.episode is EpisodeMove.Open:
            self.episode = opened(f"rem-{len(self.closed)}", decision)
            self.crash("opened")
        if self.episode is None:
            return
        self.episode = progressed(self.episode, decision)
        if decision.episode is EpisodeMove.Close:
            self.closed.append((self.episode, decision))
            self.episode = None

    def _put(self, step: Step) -> None:
        assert self.episode is not None
        self.episode = msgspec.structs.replace(self.episode, steps=put(self.episode.steps, step))

    def _execute(self, write: Write, decision: Decision) -> None:
        assert self.episode is not None
        step = find(self.episode.steps, write.step)
        if step is None:
            step = planned(self.episode.steps, write, decision, decision.time)
            self._put(step)
        self.crash("planned")
        if isinstance(write, PodAction) and self.refuse_evictions:
            self._put(moved(step, Event.Refused, self.time))
            return
        assert not isinstance(write, Isolate), "each backend here is one pod"
        if isinstance(write, RestartPod):
            self.evict(write.uid)
        else:
            assert self.weights == write.before
            self.write_weights(write.after, "evenload")
        self.writes.append((self.time, write))
        self.crash("written")
        self._put(moved(step, Event.Landed, self.time + 0.3 + TAKES))
        self.crash("applied")

    @property
    def ledger(self) -> tuple[Disruption, ...]:
        """What closed episodes and the open one count for, and what a test says happened before."""
        episodes = (*(episode for episode, _ in self.closed), *((self.episode,) if self.episode else ()))
        found = (*self.before, *(entry for episode in episodes for entry in disruptions(episode)))
        return tuple(sorted(found, key=lambda entry: entry.time))


def spec(**changes: object) -> BalancerSpec:
    """The demo's Balancer."""
    fields: dict[str, object] = {
        "target_ref": TargetRef(name="shop"),
        "mode": Mode.Auto,
        "restart": Restart(ramp_window="30s"),
        **changes,
    }
    return BalancerSpec(**fields)  # type: ignore[arg-type]


def run(cluster: Cluster, engine: Engine, seconds: float) -> list[Decision]:
    """Ticks for so long."""
    decisions = []
    for _ in range(round(seconds / cluster.tick)):
        cluster.pass_time(cluster.tick)
        decision = engine.step(cluster.snapshot())
        cluster.act(decision)
        decisions.append(decision)
    return decisions


@functools.cache
def _warm(seconds: float, changes: tuple[tuple[str, object], ...]) -> tuple[Cluster, Engine]:
    cluster, engine = Cluster(**dict(changes)), Engine(spec())  # type: ignore[arg-type]
    run(cluster, engine, seconds)
    return cluster, engine


def healthy_shop(seconds: float = 120, **changes: object) -> tuple[Cluster, Engine]:
    """A shop that has been well for a while, and the engine that watched it; run once, copied for each test."""
    return copy.deepcopy(_warm(seconds, tuple(sorted(changes.items()))))
