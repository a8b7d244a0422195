"""What scenarios are made of: a plant at rest, the events that can befall it, and the trial that says what is expected.

Each trial draws its details (which pod, how bad, how busy) from one generator, at the hard level of noise: bursts, a
benign spread of shares, missed scrapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.spec import BalancerSpec, Desired, Mode, Restart, TargetRef
from evenload.simulate.balancer import Balancer
from evenload.simulate.loop import Run
from evenload.simulate.plant import Cluster, Plant
from evenload.simulate.scrape import Scraper
from evenload.simulate.servers import Floats, new_servers
from evenload.simulate.traffic import DAY_SECONDS, Traffic

START = 1_760_000_000.0
QUIET_SECONDS = 180.0  # before anything happens
WEIGHT = 1000  # of every backend when all is well
FIRST_SERIAL = 1  # of the pods at the start, in the order of their rows

Event = Callable[[Plant], None]


class Forbidden(StrEnum):
    """What a scenario rules out, whatever is diagnosed."""

    Restart = "Restart"
    Write = "Write"  # restarts too


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One of these labels, as the primary one or beside it, between `start` and `start + within` (run seconds)."""

    labels: tuple[Label, ...]
    start: float
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run to be: a plant at its start, what will happen to it (run seconds), and what is expected."""

    plant: Plant
    spec: BalancerSpec
    events: tuple[tuple[float, Event], ...] = ()
    expected: tuple[Expected, ...] = ()
    rules_only: bool = False  # there is no right answer: any diagnosis will do
    forbidden: frozenset[Forbidden] = frozenset()
    wrong: frozenset[Label] = frozenset()  # labels that must not be given at any time
    most_restarts: int | None = None
    owed: Callable[[Run], Iterator[str]] = lambda run: iter(())  # what should have been done by its end and was not
    quiet_after: float | None = None  # run seconds from which on weights should rest
    most_late_writes: int = 0  # after that
    duration: float = QUIET_SECONDS + 300.0
    tick: float = 10.0
    window: float = 30.0


@dataclass(slots=True, kw_only=True)
class Setting:
    """How a plant is built; a scenario changes what it cares for."""

    pods_per_backend: int = 1
    one_service: bool = False  # all pods stand behind one Service, and there are no weights
    rate_per_pod: tuple[float, float] = (15.0, 40.0)  # requests a second, log-uniform
    utilization: tuple[float, float] = (0.40, 0.60)
    spread: float = 0.05  # standard deviation of ln(a pod's share over what its weight asks for)
    capacity_spread: float = 0.0  # of ln(capacity)
    burstiness: float = 0.15
    daily_ratio: float = 1.0
    missed_ratio: float = 0.02
    scrape: float = 10.0
    warm_seconds: float = 20.0
    sick_above: float = math.inf
    capacity_known: bool = False
    hidden: frozenset[str] = frozenset()
    step_seconds: float = 1.0
    columns: dict[str, float] = field(default_factory=dict)


class World:
    """The dice of one trial: everything drawn comes from one generator, in a fixed order."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.size = size
        self.onset = QUIET_SECONDS + rng.uniform(0.0, 10.0)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def victim(self) -> int:
        """Some pod's row."""
        return int(self.rng.integers(self.size))

    def victims(self, ratio: float) -> list[int]:
        """This share of the pods, at least one."""
        return [int(row) for row in self.rng.permutation(self.size)[: max(1, round(ratio * self.size))]]

    def plant(self, setting: Setting | None = None) -> Plant:
        """All is well in it."""
        s = setting or Setting()
        rng, size = self.rng, self.size
        backends = 1 if s.one_service else max(2, math.ceil(size / s.pods_per_backend))
        names = tuple(f"shop-{index:03d}" for index in range(backends))
        rate = math.exp(rng.uniform(*np.log(s.rate_per_pod)))
        relative = np.exp(rng.normal(0, s.capacity_spread, size))
        relative /= relative.mean()
        capacity = rate / rng.uniform(*s.utilization) * relative
        ages = rng.uniform(600, 5 * DAY_SECONDS, size)
        servers = new_servers(
            size,
            serial=FIRST_SERIAL + np.arange(size),
            backend=np.arange(size) % backends,
            node=rng.integers(0, max(2, size // 8), size),
            born=START - ages,
            started=START - ages,
            capacity=capacity,
            cpu_limit=np.maximum(0.1, np.round(relative, 3)),
            gain=_benign(rng, s.spread, size) if s.pods_per_backend > 1 or s.one_service else 1.0,
            queue_limit=np.maximum(16, capacity),
            garbage=rng.uniform(0, 30e6, size),
            warm_seconds=s.warm_seconds,
            sick_above=s.sick_above,
            latency=rng.uniform(1.0, 1.5) * relative.mean() / capacity.mean() + rng.uniform(0.005, 0.05),
            **s.columns,
        )
        by_backend = np.bincount(servers["backend"], capacity, backends)
        weights = {name: round(WEIGHT * part / by_backend.mean()) for name, part in zip(names, by_backend, strict=True)}
        return Plant(
            balancer=Balancer(names, weights, gain=_benign(rng, s.spread, backends)),
            servers=servers,
            traffic=Traffic(rate_rps=rate * size, burstiness=s.burstiness, daily_ratio=s.daily_ratio),
            scraper=Scraper(s.scrape, s.missed_ratio),
            cluster=Cluster(),
            rng=rng,
            now=START,
            step_seconds=s.step_seconds,
            capacity_known=s.capacity_known,
            hidden=s.hidden,
        )


def _benign(rng: np.random.Generator, spread: float, count: int) -> Floats:
    """What a sound balancer gives each over its due: never so much that anybody would call it skew."""
    return np.asarray(np.exp(np.clip(rng.normal(0, spread, count), -2 * spread, 2 * spread)))


def spec(desired: Desired | None = None, mode: Mode = Mode.Auto, restart: Restart | None = None) -> BalancerSpec:
    """A Balancer's, with the window the plants are scraped for."""
    return BalancerSpec(
        target_ref=TargetRef(name="shop"), mode=mode, desired=desired or Desired(), restart=restart or Restart()
    )


# Events

PEOPLE = "kubectl-edit"


def weigh(hot: int, share: float, manager: str = PEOPLE) -> Event:
    """A bad update: one backend is to get this share."""

    def happen(plant: Plant) -> None:
        name = plant.balancer.names[hot]
        others = sum(weight for other, weight in plant.balancer.weights.items() if other != name)
        plant.command({**plant.balancer.weights, name: round(share / (1 - share) * others)}, manager)

    return happen


def favour(backend: int, factor: float) -> Event:
    """The balancer's own fault: a backend gets this many times what its weight asks for."""

    def happen(plant: Plant) -> None:
        plant.balancer.gain[backend] *= factor

    return happen


def change(column: str, rows: list[int], value: float) -> Event:
    """A fault in these very pods (rows as at the start); whoever replaces one does not inherit it."""
    serials = [FIRST_SERIAL + row for row in rows]

    def happen(plant: Plant) -> None:
        plant.servers[column][np.isin(plant.servers["serial"], serials)] = value

    return happen


def surge(factor: float) -> Event:
    """This many times the traffic from now on."""

    def happen(plant: Plant) -> None:
        plant.traffic.factor = factor

    return happen


def ramp(per_second: float) -> Event:
    def happen(plant: Plant) -> None:
        plant.traffic.ramp_per_second = per_second

    return happen


def share_for(share: float, size: int) -> float:
    """The factor by which one of `size` equals is favoured so that it gets this share."""
    return share / (1 - share) * (size - 1)


RESTART = frozenset({Forbidden.Restart})
WRITE = frozenset({Forbidden.Restart, Forbidden.Write})
