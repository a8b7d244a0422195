"""One Balancer's world: traffic, balancer, servers and their cluster, seen through a Prometheus.

`advance` lets time pass, `backends` and `signals` are what an operator could know, `command` and `evict` are what it
could do. `truth` is what its users live through, which no operator is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from evenload.model.snapshot import SIGNALS, Backend, Hold, Pod, Signal, SignalState
from evenload.simulate.balancer import Balancer
from evenload.simulate.scrape import Scraper
from evenload.simulate.servers import (
    NEVER,
    NO_ZONE,
    Flags,
    Floats,
    Servers,
    Trouble,
    memory,
    new_servers,
    restart_container,
    serve,
)
from evenload.simulate.traffic import Traffic

PROXY_LAG_SECONDS = 2.0  # until the balancer has heard that a pod is going
REMOVAL_SECONDS = 3.0  # from the server's end until its object is gone
CRASH_SECONDS = 12.0  # from an out-of-memory kill until the container is ready again
MAX_AGE_SECONDS = 60.0  # a signal older than this is stale


class Eviction(StrEnum):
    """What the cluster says to an eviction."""

    Accepted = "Accepted"
    Refused = "Refused"  # by a PodDisruptionBudget
    Gone = "Gone"  # no pod of that name has this uid


@dataclass(slots=True, kw_only=True)
class Cluster:
    """How pods come and go."""

    start_seconds: tuple[float, float] = (4.0, 10.0)  # from creation until ready
    pre_stop_seconds: float | None = 5.0
    budget_refuses: bool = False
    replacements_get_ready: bool = True
    controlled: bool = True  # pods have a workload that replaces them
    isolable: bool = True  # and that lets go of them: a Deployment
    holds: list[Hold] = field(default_factory=list)


@dataclass(slots=True)
class Truth:
    """Counted at the users, over all time; `crashes` are kills for want of memory.

    `over_capacity` counts requests that were sent to a server beyond what it could do a second when it is well.
    """

    arrived: int = 0
    failed: int = 0
    over_capacity: float = 0.0
    crashes: int = 0
    evictions: int = 0


class Plant:
    """Servers behind a balancer. `now` is seconds since the epoch and moves only by `advance`."""

    def __init__(
        self,
        *,
        balancer: Balancer,
        servers: Servers,
        traffic: Traffic,
        scraper: Scraper,
        cluster: Cluster,
        rng: np.random.Generator,
        now: float,
        step_seconds: float = 1.0,
        capacity_known: bool = False,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.balancer = balancer
        self.servers = servers
        self.traffic = traffic
        self.scraper = scraper
        self.cluster = cluster
        self.trouble = Trouble()
        self.truth = Truth()
        self.now = now
        self.hidden = hidden  # signals that this world does not measure
        self.unnamed: set[int] = set()  # serials of pods whose series have lost the label that names the pod
        self.counted_times = 1.0  # how many series there are of each counter, where one should be
        self.connections = False  # gains are connections that live: those of a pod that ends are opened at the others
        self.frozen = False  # whether a stuck cache gives the same numbers again and again, as if they were new
        self.clock_error_seconds = 0.0  # of the operator's clock
        self.isolated: dict[str, Pod] = {}  # beside `backends`, as of its last call
        self._rng = rng
        self._step_seconds = step_seconds
        self._capacity_known = capacity_known
        self._serial = int(servers["serial"].max()) + 1
        self._templates = _templates(servers)
        self._told: dict[str, list[float | None]] = {}
        scraper.add(len(servers), now, rng)

    # Time

    def advance(self, until: float) -> None:
        """Let time pass."""
        while self.now < until - 1e-9:
            self._step(min(self._step_seconds, until - self.now))

    def _step(self, seconds: float) -> None:
        self.now += seconds
        self._remove_the_dead()
        arriving = self.traffic.arrivals(self.now, seconds, self._rng)
        chances = self.chances()
        lost = max(0.0, 1 - chances.sum())
        sent = self._rng.multinomial(arriving, np.append(chances, lost))[:-1].astype(np.float64)
        alive = self.alive()
        heard = sent * alive
        failed = serve(self.servers, heard, self.now, seconds, self._rng, self.trouble)
        self.truth.arrived += arriving
        self.truth.failed += int(failed.sum() + arriving - heard.sum())
        over = arriving * chances - self.servers["capacity"] * seconds
        self.truth.over_capacity += float(np.maximum(over, 0.0).sum())
        held = self._kill_the_greedy(alive)
        self.scraper.scrape(self.servers, held, alive, self.now, self._rng)

    def _remove_the_dead(self) -> None:
        gone = self.servers["dying_at"] + (self.cluster.pre_stop_seconds or 0.0) + REMOVAL_SECONDS <= self.now
        if gone.any():
            self.scraper.keep(~gone)
            self.servers = self.servers[~gone]

    def _kill_the_greedy(self, alive: Flags) -> Floats:
        """Bytes each pod holds once the kernel has looked."""
        held = memory(self.servers, self.now)
        greedy = alive & (held > self.servers["memory_limit"])
        if not greedy.any():
            return held
        self.truth.crashes += int(greedy.sum())
        restart_container(self.servers, greedy, self.now, CRASH_SECONDS)
        return memory(self.servers, self.now)

    # The truth

    def ready(self) -> Flags:
        """Pods behind a backend that the cluster calls ready and does not end."""
        servers = self.servers
        selected = (servers["dying_at"] == NEVER) & (servers["isolated_at"] == NEVER)
        return np.asarray((servers["ready_at"] <= self.now) & selected)

    def alive(self) -> Flags:
        """Pods whose process answers."""
        ends = self.servers["dying_at"] + (self.cluster.pre_stop_seconds or 0.0)
        return np.asarray((self.servers["started"] <= self.now) & (self.now < ends))

    def chances(self) -> Floats:
        """Of each server, the chance that the next request is sent to it; less than 1 together where some is lost."""
        servers = self.servers
        listed = (servers["ready_at"] <= self.now) & (self.now < servers["dying_at"] + PROXY_LAG_SECONDS)
        if not self.connections:  # those that are open stay where they are
            listed &= self.now < servers["isolated_at"] + PROXY_LAG_SECONDS
        pull = servers["gain"] * listed
        by_backend = np.bincount(servers["backend"], pull, len(self.balancer.names))
        shares = self.balancer.shares(self.now)
        return np.asarray(
            np.divide(
                pull * shares[servers["backend"]],
                by_backend[servers["backend"]],
                out=np.zeros(len(servers)),
                where=pull > 0,
            )
        )

    def fair_shares(self) -> Floats:
        """Of each ready server, the share that its capacity deserves (0 where it is not ready)."""
        capacity = self.servers["capacity"] * self.ready()
        return np.asarray(capacity / max(capacity.sum(), 1e-9))

    def by_backend(self, of_servers: Floats) -> dict[str, float]:
        """`chances` or `fair_shares`, summed up a backend."""
        sums = np.bincount(self.servers["backend"], of_servers, len(self.balancer.names))
        return dict(zip(self.balancer.names, sums.tolist(), strict=True))

    def skew(self) -> float:
        """The largest share over its fair share among ready servers."""
        fair = self.fair_shares()
        ratios = np.divide(self.chances(), fair, out=np.zeros(len(fair)), where=fair > 0)
        return float(ratios.max(initial=0.0))

    # What an operator can know

    def backends(self, window_seconds: float) -> dict[str, Backend]:
        """The tree of a Snapshot, with whatever Prometheus can tell of the window that ends now.

        Counts are of the span that its samples cover, as the operator reckons them: see Scraper.span_seconds.
        """
        names = self.balancer.names
        pods: dict[str, dict[str, Pod]] = {name: {} for name in names}
        self.isolated = {}
        for place, serial, isolated_at, pod in zip(
            *(self.servers[column].tolist() for column in ("backend", "serial", "isolated_at")),
            self._pods(window_seconds),
            strict=True,
        ):
            members = pods[names[place]] if isolated_at == NEVER else self.isolated
            members[_pod_name(names[place], serial)] = pod
        weights = self.balancer.weights
        return {name: Backend(weight=weights[name], pods=pods[name]) for name in names if name in weights}

    def signals(self, backends: Mapping[str, Backend]) -> dict[str, Signal]:
        """The quality of each signal, judged as an operator would: by age, and by which ready pods have a number."""
        age = self.scraper.newest_age(self.now)
        ready = [pod for backend in backends.values() for pod in backend.pods.values() if pod.ready]
        return {name: _signal(ready, attribute, age) for name, attribute in zip(SIGNALS, _ATTRIBUTES, strict=True)}

    def pod_name(self, row: int) -> str:
        """Unique for all time, as Kubernetes' are."""
        return _pod_name(self.balancer.names[self.servers["backend"][row]], int(self.servers["serial"][row]))

    def uid(self, row: int) -> str:
        return _uid(int(self.servers["serial"][row]))

    def _pods(self, window_seconds: float) -> Iterator[Pod]:
        """Each server as an operator sees it, row by row; whole columns are read at once: it is costly."""
        if not self.frozen:
            self._told = self._measured(window_seconds)
        columns, facts = self._told, self._facts()
        known, told = tuple(columns), tuple(facts)
        for row in zip(*facts.values(), *columns.values(), strict=True):
            yield Pod(**dict(zip((*told, *known), row, strict=True)), pre_stop_seconds=self.cluster.pre_stop_seconds)

    def _facts(self) -> dict[str, list[Any]]:
        """What the API server tells of each pod, by the Pod's own field names."""
        servers, names = self.servers, self.balancer.names
        dying = servers["dying_at"] < NEVER
        nothing: list[Any] = [None] * len(servers)
        workloads = [f"Deployment/{names[place]}" for place in servers["backend"].tolist()]
        return {
            "ready": ((servers["ready_at"] <= self.now) & ~dying).tolist(),
            "age": [age if age >= 0 else None for age in self._ages().tolist()],
            "uid": [_uid(serial) for serial in servers["serial"].tolist()],
            "node": [f"node-{node}" for node in servers["node"].tolist()],
            "zone": [None if zone == NO_ZONE else f"zone-{zone}" for zone in servers["zone"].tolist()],
            "workload": workloads if self.cluster.controlled else nothing,
            "isolable_by": self._labels() if self.cluster.isolable and self.cluster.controlled else nothing,
            "terminating": dying.tolist(),
            "capacity": servers["capacity"].tolist() if self._capacity_known else nothing,
            "cpu_limit": servers["cpu_limit"].tolist(),
            "memory_limit": servers["memory_limit"].tolist(),
        }

    def _labels(self) -> list[str]:
        """What each pod's Service and ReplicaSet select by."""
        return [f"app={self.balancer.names[place]}" for place in self.servers["backend"].tolist()]

    def _measured(self, window_seconds: float) -> dict[str, list[float | None]]:
        """What Prometheus tells of each pod."""
        increases = self.scraper.increases(self.now, window_seconds)
        shrink = self.scraper.span_seconds(window_seconds) / window_seconds
        resident, in_flight = self.scraper.gauges(self.now)
        requests = increases["requests"]
        counted = shrink * self.counted_times
        busy = increases["latency_sum"]
        latency = np.divide(busy, requests, out=np.full_like(busy, np.nan), where=requests > 0)
        measured = {
            "requests": requests * counted,
            "errors": increases["errors"] * counted,
            "latency": latency,
            "cpu": self.scraper.cpu(self.now),
            "memory": resident,
            "in_flight": in_flight,
        }
        age = self.scraper.newest_age(self.now)
        old = age is None or age > MAX_AGE_SECONDS
        unnamed = np.isin(self.servers["serial"], list(self.unnamed)) if self.unnamed else None
        return {
            name: _absent_as_none(values, unnamed, hidden=old or name in self.hidden)
            for name, values in measured.items()
        }

    def _ages(self) -> Floats:
        """Seconds since its container runs; before that, since the pod was made: as the operator's clock reckons it."""
        started = self.servers["started"]
        clock = self.now + self.clock_error_seconds
        return np.asarray(clock - np.where(started <= self.now, started, self.servers["born"]))

    # What an operator, or anyone, can do

    def command(self, weights: Mapping[str, int], manager: str) -> None:
        """New weights for the balancer."""
        self.balancer.command(weights, manager, self.now, self._rng)

    def evict(self, uid: str) -> Eviction:
        """The Eviction API with a uid as precondition."""
        rows = [row for row in range(len(self.servers)) if self.uid(row) == uid]
        if not rows or self.servers["dying_at"][rows[0]] < NEVER:
            return Eviction.Gone
        if self.servers["isolated_at"][rows[0]] < NEVER:  # no budget counts it, and it is replaced already
            self._end(rows[0])
        elif self.cluster.budget_refuses:
            return Eviction.Refused
        else:
            self.replace(rows[0])
        self.truth.evictions += 1
        return Eviction.Accepted

    def isolate(self, uid: str) -> Eviction:
        """Take a pod's label off, where a PodDisruptionBudget would let it go."""
        rows = [row for row in range(len(self.servers)) if self.uid(row) == uid]
        if not rows or self.servers["dying_at"][rows[0]] < NEVER:
            return Eviction.Gone
        if self.cluster.budget_refuses:
            return Eviction.Refused
        if self.servers["isolated_at"][rows[0]] == NEVER:
            self.servers["isolated_at"][rows[0]] = self.now
            self._create_beside(rows[0])
        return Eviction.Accepted

    def replace(self, row: int) -> None:
        """End this pod; its controller creates another at once."""
        self._end(row)
        self._create_beside(row)

    def _end(self, row: int) -> None:
        self.servers["dying_at"][row] = self.now
        place = self.servers[row].copy()
        if self.connections:
            others = self.ready() & (self.servers["backend"] == place["backend"])
            self.servers["gain"][others] += place["gain"] / max(int(others.sum()), 1)
            self.servers["gain"][row] = 0.0

    def _create_beside(self, row: int) -> None:
        place = self.servers[row].copy()
        if self.cluster.controlled:
            self.add(int(place["backend"]), node=int(place["node"]), zone=int(place["zone"]))
            if self.connections:
                self.servers["gain"][-1] = 0.0

    def add(self, backend: int, node: int, zone: int = NO_ZONE) -> None:
        """One more pod of this backend, as its template says."""
        pod = self._templates[backend : backend + 1].copy()
        wait = self._rng.uniform(*self.cluster.start_seconds)
        pod["serial"], pod["node"], pod["zone"], pod["born"] = self._serial, node, zone, self.now
        pod["started"] = self.now + wait
        pod["ready_at"] = self.now + wait if self.cluster.replacements_get_ready else NEVER
        self._serial += 1
        self.servers = np.concatenate([self.servers, pod])
        self.scraper.add(1, self.now, self._rng)


_ATTRIBUTES = ("requests", "errors", "latency", "cpu", "memory", "in_flight")


def _templates(servers: Servers) -> Servers:
    """A fresh pod of each backend: its first server's constants with no history."""
    _, first = np.unique(servers["backend"], return_index=True)
    fresh = new_servers(len(first))
    for name in ("backend", "capacity", "cpu_limit", "latency", "warm_seconds", "queue_limit", "sick_above"):
        fresh[name] = servers[name][first]
    for name in ("memory_limit", "resident", "cache", "cache_seconds", "leak", "garbage_limit"):
        fresh[name] = servers[name][first]
    return fresh


def _pod_name(backend: str, serial: int) -> str:
    return f"{backend}-{serial:04x}"


def _uid(serial: int) -> str:
    return f"uid-{serial}"


def _absent_as_none(values: Floats, unnamed: Flags | None, *, hidden: bool) -> list[float | None]:
    if hidden:
        return [None] * len(values)
    if unnamed is not None:
        values = np.where(unnamed, np.nan, values)
    return [None if value != value else value for value in values.tolist()]


def _signal(ready: list[Pod], attribute: str, age: float | None) -> Signal:
    expected = [pod for pod in ready if attribute != "latency" or pod.requests != 0]
    known = sum(getattr(pod, attribute) is not None for pod in expected)
    if age is not None and age > MAX_AGE_SECONDS:
        return Signal(state=SignalState.Stale, age=age)
    if expected and not known:
        return Signal(state=SignalState.Missing, age=age)
    return Signal(state=SignalState.Fresh if known == len(expected) else SignalState.Partial, age=age)
