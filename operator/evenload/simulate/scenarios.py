"""The scenarios: what happens to a plant, what should be said of it by when, and what must not be done.

A row of `SCENARIOS` is one. Each draws its details (which pod, how bad, how busy) from the generator it is given, at
the hard level of noise: bursts, a benign spread of shares, missed scrapes. `held_out` ones were never looked at while
an engine was tuned; they are scored last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.snapshot import Hold
from evenload.model.spec import BalancerSpec, Desired, DesiredType, Mode, Restart, Share, TargetRef
from evenload.simulate.balancer import Balancer
from evenload.simulate.plant import Cluster, Plant
from evenload.simulate.scrape import Scraper
from evenload.simulate.servers import Floats, new_servers, restart_container
from evenload.simulate.traffic import DAY_SECONDS, Traffic

START = 1_760_000_000.0
QUIET_SECONDS = 180.0  # before anything happens
WEIGHT = 1000  # of every backend when all is well

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
    forbidden: frozenset[Forbidden] = frozenset()
    wrong: frozenset[Label] = frozenset()  # labels that must not be given at any time
    most_restarts: int | None = None
    quiet_after: float | None = None  # run seconds from which on weights should rest
    duration: float = QUIET_SECONDS + 300.0
    tick: float = 10.0
    window: float = 30.0


@dataclass(slots=True, kw_only=True)
class Setting:
    """How a plant is built; a scenario changes what it cares for."""

    pods_per_backend: int = 1
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
        backends = max(2, math.ceil(size / s.pods_per_backend))
        names = tuple(f"shop-{index:03d}" for index in range(backends))
        rate = math.exp(rng.uniform(*np.log(s.rate_per_pod)))
        relative = np.exp(rng.normal(0, s.capacity_spread, size))
        relative /= relative.mean()
        capacity = rate / rng.uniform(*s.utilization) * relative
        ages = rng.uniform(600, 5 * DAY_SECONDS, size)
        servers = new_servers(
            size,
            serial=np.arange(1, size + 1),
            backend=np.arange(size) % backends,
            node=rng.integers(0, max(2, size // 8), size),
            born=START - ages,
            started=START - ages,
            capacity=capacity,
            cpu_limit=np.maximum(0.1, np.round(relative, 3)),
            gain=_benign(rng, s.spread, size) if s.pods_per_backend > 1 else 1.0,
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
    """A fault in these pods (rows as at the start: nothing may have been replaced before)."""

    def happen(plant: Plant) -> None:
        plant.servers[column][rows] = value

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


# Scenarios

SKEW = (Label.LoadBalancerSkew,)
RESTART = frozenset({Forbidden.Restart})
WRITE = frozenset({Forbidden.Restart, Forbidden.Write})


def bad_update(world: World) -> Trial:
    plant, hot = world.plant(), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.8)),),
        expected=(Expected(labels=SKEW, start=world.onset, within=60),),
        forbidden=RESTART,
    )


def postmortem(world: World) -> Trial:
    """As it was: 80% to one server, which then stays sick until it is restarted."""
    plant, hot = world.plant(Setting(scrape=5.0, sick_above=40.0, utilization=(0.4, 0.5))), world.victim()
    plant.traffic.burstiness = 0.0
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.8)),),
        expected=(Expected(labels=SKEW, start=world.onset, within=20),),
        most_restarts=1,
        tick=5.0,
        window=15.0,
    )


def ignored_weights(world: World) -> Trial:
    plant, hot = world.plant(), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, favour(hot, share_for(0.8, world.size))),),
        expected=(Expected(labels=SKEW, start=world.onset, within=60),),
        forbidden=RESTART,
    )


def mild_skew(world: World) -> Trial:
    plant, hot = world.plant(Setting(utilization=(0.3, 0.45))), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, favour(hot, 1.7 * (world.size - 1) / (world.size - 1.7))),),
        expected=(Expected(labels=SKEW, start=world.onset, within=90),),
        forbidden=RESTART,
    )


def skew_unequal(world: World) -> Trial:
    """Twice its share over servers of unequal, declared capacity."""
    plant = world.plant(Setting(capacity_spread=0.35, capacity_known=True, utilization=(0.3, 0.45)))
    fair = plant.fair_shares()
    hot = int(world.rng.choice(np.flatnonzero(fair <= np.median(fair))))
    share = min(0.85, 2 * fair[hot])
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        events=((world.onset, favour(hot, share / (1 - share) * (1 - fair[hot]) / fair[hot])),),
        expected=(Expected(labels=SKEW, start=world.onset, within=90),),
        forbidden=RESTART,
    )


def sticky(world: World) -> Trial:
    """Half the traffic is bound to one server by cookies: no weight can move it."""
    plant, hot = world.plant(Setting(utilization=(0.15, 0.3))), world.victim()

    def stick(plant: Plant) -> None:
        shares = np.zeros(len(plant.balancer.names))
        shares[hot] = 1.0
        plant.balancer.stuck_shares = shares
        plant.balancer.stuck_ratio = 0.5

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, stick),),
        expected=(Expected(labels=SKEW, start=world.onset, within=60),),
        forbidden=RESTART,
        duration=QUIET_SECONDS + 600,
        quiet_after=QUIET_SECONDS + 420,
    )


def surging(factor: float) -> Callable[[World], Trial]:
    def build(world: World) -> Trial:
        return Trial(
            plant=world.plant(Setting(utilization=(0.4, 0.5), burstiness=0.10)),
            spec=spec(),
            events=((world.onset, surge(factor)),),
            expected=(Expected(labels=(Label.Surge,), start=world.onset, within=60),),
            forbidden=WRITE,
        )

    return build


def skew_and_surge(world: World) -> Trial:
    plant, hot = world.plant(Setting(utilization=(0.3, 0.4))), world.victim()
    factor = 3.0 * (world.size - 1) / max(world.size - 3.0, 0.5)
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, favour(hot, factor)), (world.onset, surge(1.8))),
        expected=(Expected(labels=SKEW, start=world.onset, within=60),),
        forbidden=RESTART,
    )


def throttled(world: World) -> Trial:
    plant, victim = world.plant(Setting(utilization=(0.35, 0.45))), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("throttle", [victim], world.uniform(0.48, 0.55))),),
        expected=(Expected(labels=(Label.Slow,), start=world.onset, within=120),),
        most_restarts=1,
    )


def gray(world: World) -> Trial:
    """Slow without a sign on its CPU."""
    plant, victim = world.plant(), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("drag", [victim], world.uniform(3, 6))),),
        expected=(Expected(labels=(Label.Slow,), start=world.onset, within=120),),
        most_restarts=1,
    )


def slow_node(world: World) -> Trial:
    """A quarter of the pods, all on one node, turn slow: the node's fault, so nothing is restarted."""
    plant = world.plant()
    victims = world.victims(0.25) if world.size >= 8 else world.victims(0.5)[:2]
    plant.servers["node"][victims] = 99
    if world.size < 8:
        victims = victims[:1]
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("drag", victims, world.uniform(3, 6))),),
        expected=(Expected(labels=(Label.Slow,), start=world.onset, within=120),),
        forbidden=RESTART,
    )


def failing(ratio: float, error_ratio: float) -> Callable[[World], Trial]:
    def build(world: World) -> Trial:
        plant, victims = world.plant(), world.victims(ratio)
        return Trial(
            plant=plant,
            spec=spec(),
            events=((world.onset, change("error_ratio", victims, error_ratio)),),
            expected=(Expected(labels=(Label.Failing,), start=world.onset, within=60),),
            most_restarts=1 if len(victims) == 1 else 3,  # the budget of an hour
        )

    return build


def sinkhole(world: World) -> Trial:
    """Fails at once, looks quick, and so gets more than its share."""
    plant, victim = world.plant(), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("fail_fast", [victim], 0.9)), (world.onset + 5, favour(victim, 2.5))),
        expected=(Expected(labels=(Label.Failing,), start=world.onset, within=60),),
        most_restarts=1,
    )


def dependency_errors(world: World) -> Trial:
    def break_down(plant: Plant) -> None:
        plant.trouble.error_ratio = 0.35

    return Trial(
        plant=world.plant(),
        spec=spec(),
        events=((world.onset, break_down),),
        expected=(Expected(labels=(Label.Dependency,), start=world.onset, within=60),),
        forbidden=WRITE,
    )


def dependency_slow(world: World) -> Trial:
    def slow_down(plant: Plant) -> None:
        plant.trouble.extra_seconds = 0.6

    return Trial(
        plant=world.plant(),
        spec=spec(),
        events=((world.onset, slow_down),),
        expected=(Expected(labels=(Label.Dependency,), start=world.onset, within=60),),
        forbidden=WRITE,
    )


def leak(world: World) -> Trial:
    """A hundredth of the limit a minute; out of memory after about fifty minutes if nothing is done."""
    plant, victim = world.plant(Setting(daily_ratio=3.0)), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("leak", [victim], 512e6 * 0.01 / 60)),),
        expected=(Expected(labels=(Label.MemoryLeak,), start=world.onset, within=2400),),
        most_restarts=1,
        duration=3600.0,
    )


def cache_fill(world: World) -> Trial:
    """All restarted a little while ago and fill their caches: memory rises, and stops."""
    plant = world.plant(Setting(columns={"cache": 200e6, "cache_seconds": 600.0}))
    plant.servers["started"] = START - 300
    plant.servers["born"] = START - 300
    return Trial(plant=plant, spec=spec(), forbidden=WRITE, wrong=frozenset({Label.MemoryLeak}), duration=2400.0)


def warming(world: World) -> Trial:
    """A pod is replaced by a rollout of its own; the new one is cold, and slow for that."""
    plant, victim = world.plant(Setting(warm_seconds=120.0, utilization=(0.25, 0.35))), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, lambda plant: plant.replace(victim)),),
        expected=(Expected(labels=(Label.WarmUp, Label.RolloutInProgress), start=world.onset, within=90),),
        forbidden=RESTART,
    )


def traffic_ramp(world: World) -> Trial:
    """Twice the traffic within twenty minutes."""
    return Trial(
        plant=world.plant(Setting(utilization=(0.25, 0.35))),
        spec=spec(),
        events=((world.onset, ramp(1 / 1200)),),
        forbidden=WRITE,
        wrong=frozenset({Label.MemoryLeak, Label.Failing, Label.Dependency}),
        duration=QUIET_SECONDS + 1200,
    )


def idle(world: World) -> Trial:
    """Half a request a second for all: too few to say anything."""
    plant = world.plant()
    plant.traffic.rate_rps = 0.5
    return Trial(
        plant=plant,
        spec=spec(),
        expected=(Expected(labels=(Label.NoData, Label.TrafficStopped), start=60, within=60),),
        forbidden=WRITE,
    )


def stale(world: World) -> Trial:
    """Prometheus stops scraping, in the middle of a skew at that."""
    plant, hot = world.plant(), world.victim()

    def stop(plant: Plant) -> None:
        plant.scraper.down = True

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, stop), (world.onset + 2, weigh(hot, 0.8))),
        expected=(Expected(labels=(Label.NoData,), start=world.onset, within=90),),
        forbidden=RESTART,
    )


def missing_pods(world: World) -> Trial:
    """The scrapes of some pods fail; a hot one may be among them, so nothing is done."""
    plant, victims = world.plant(), world.victims(0.3)

    def fall_silent(plant: Plant) -> None:
        plant.scraper.deaf |= {int(serial) for serial in plant.servers["serial"][victims]}

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, fall_silent),),
        expected=(Expected(labels=(Label.NoData,), start=world.onset, within=90),),
        forbidden=WRITE,
    )


def traffic_stops(world: World) -> Trial:
    return Trial(
        plant=world.plant(),
        spec=spec(),
        events=((world.onset, surge(0.0)),),
        expected=(Expected(labels=(Label.TrafficStopped, Label.NoData), start=world.onset, within=90),),
        forbidden=WRITE,
    )


def neutral_change(world: World) -> Trial:
    """Somebody writes other numbers that come to the same shares."""

    def rewrite(plant: Plant) -> None:
        plant.command({name: 2 * WEIGHT + 20 * (index % 3) for index, name in enumerate(plant.balancer.names)}, PEOPLE)

    plant = world.plant(Setting(utilization=(0.3, 0.45)))
    return Trial(plant=plant, spec=spec(), events=((world.onset, rewrite),), forbidden=WRITE)


def healthy(world: World) -> Trial:
    setting = Setting(spread=0.10, utilization=(0.3, 0.45))
    return Trial(plant=world.plant(setting), spec=spec(), forbidden=WRITE, duration=600.0)


def healthy_bursty(world: World) -> Trial:
    setting = Setting(spread=0.08, burstiness=0.4, missed_ratio=0.10, utilization=(0.15, 0.25))
    return Trial(plant=world.plant(setting), spec=spec(), forbidden=WRITE, duration=900.0)


def healthy_sparse(world: World) -> Trial:
    """Five requests a second a pod: chance alone makes some look hot."""
    setting = Setting(rate_per_pod=(4.0, 6.0), spread=0.05, utilization=(0.1, 0.25))
    return Trial(plant=world.plant(setting), spec=spec(), forbidden=WRITE, duration=900.0)


def healthy_day(world: World) -> Trial:
    """24 hours, a benign spread of 10%, five times the traffic by day."""
    setting = Setting(
        spread=0.10, daily_ratio=5.0, utilization=(0.3, 0.4), burstiness=0.1, missed_ratio=0.01, step_seconds=2.5
    )
    return Trial(plant=world.plant(setting), spec=spec(), forbidden=WRITE, duration=DAY_SECONDS)


def unequal_healthy(world: World) -> Trial:
    setting = Setting(capacity_spread=0.35, capacity_known=True, utilization=(0.3, 0.45))
    return Trial(
        plant=world.plant(setting),
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        forbidden=WRITE,
        duration=600.0,
    )


def canary(world: World) -> Trial:
    """One backend gets a tenth of the others by intention."""
    plant = world.plant(Setting(rate_per_pod=(30.0, 60.0), utilization=(0.3, 0.45)))
    names = plant.balancer.names
    weights = {name: WEIGHT // 10 if name == names[0] else WEIGHT for name in names}
    plant.balancer.weights.clear()
    plant.command(weights, PEOPLE)
    shares = tuple(Share(backend=name, weight=weight) for name, weight in weights.items())[:64]
    if len(names) > 64:
        shares = tuple(Share(backend=name, weight=weights[name]) for name in names[:64])
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.Explicit, shares=shares)),
        forbidden=WRITE,
        duration=600.0,
    )


def crashes(world: World) -> Trial:
    """Processes die and come back: counters start again."""
    plant, victim = world.plant(), world.victim()

    def crash(plant: Plant) -> None:
        which = np.zeros(len(plant.servers), np.bool_)
        which[victim] = True
        restart_container(plant.servers, which, plant.now, 2.0)

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, crash), (world.onset + 150, crash)),
        forbidden=RESTART,
    )


def rollout(world: World) -> Trial:
    """A Deployment's own rollout replaces every pod in turn: hands off."""
    plant = world.plant(Setting(utilization=(0.25, 0.35)))

    def begin(plant: Plant) -> None:
        plant.cluster.holds.append(Hold(reason="Rollout", detail="Deployment/shop-000: 1 of 4 pods updated"))

    def end(plant: Plant) -> None:
        plant.cluster.holds.clear()

    some = world.victims(1.0)[: min(world.size, 12)]
    serials = [int(serial) for serial in plant.servers["serial"][some]]
    turns = tuple((world.onset + 15.0 * turn, _roll(serial)) for turn, serial in enumerate(serials, start=1))
    last = turns[-1][0]
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, begin), *turns, (last + 30, end)),
        expected=(Expected(labels=(Label.RolloutInProgress,), start=world.onset, within=60),),
        forbidden=RESTART,
        duration=last + 240,
    )


def _roll(serial: int) -> Event:
    def happen(plant: Plant) -> None:
        rows = np.flatnonzero(plant.servers["serial"] == serial)
        if len(rows):
            plant.replace(int(rows[0]))

    return happen


def blind_to(signal: str) -> Callable[[World], Trial]:
    """A bad update where one signal is not measured at all."""

    def build(world: World) -> Trial:
        plant, hot = world.plant(Setting(hidden=frozenset({signal}))), world.victim()
        return Trial(
            plant=plant,
            spec=spec(),
            events=((world.onset, weigh(hot, 0.8)),),
            expected=(Expected(labels=SKEW, start=world.onset, within=60),),
            forbidden=RESTART,
        )

    return build


def skew_many_pods(world: World) -> Trial:
    """Backends of four pods each: weights move only whole backends."""
    plant = world.plant(Setting(pods_per_backend=4 if world.size >= 8 else 2))
    backends = len(plant.balancer.names)
    hot = int(world.rng.integers(backends))
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.8)),),
        expected=(Expected(labels=SKEW, start=world.onset, within=60),),
        forbidden=RESTART,
    )


# Held out


def two_hot(world: World) -> Trial:
    """Two backends share seven tenths."""
    plant, hot = world.plant(), world.victims(2 / world.size)[:2]

    def update(plant: Plant) -> None:
        names = plant.balancer.names
        weights = dict.fromkeys(names, WEIGHT)
        for row in hot:
            weights[names[row]] = round(0.7 / 0.3 * max(len(names) - 2, 1) * WEIGHT / 2)
        plant.command(weights, "argocd-controller")

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, update),),
        expected=(Expected(labels=SKEW, start=world.onset, within=75),),
        forbidden=RESTART,
    )


def slow_scrapes(world: World) -> Trial:
    """Scrapes of fifteen seconds, one in ten missed."""
    plant, hot = world.plant(Setting(scrape=15.0, missed_ratio=0.10)), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.7)),),
        expected=(Expected(labels=SKEW, start=world.onset, within=90),),
        forbidden=RESTART,
        tick=15.0,
        window=45.0,
    )


def half_fail(world: World) -> Trial:
    """A dependency of two thirds of the pods only."""
    plant, victims = world.plant(), world.victims(0.7)
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("error_ratio", victims, 0.3)),),
        expected=(Expected(labels=(Label.Dependency,), start=world.onset, within=75),),
        forbidden=RESTART,
    )


def slow_in_bursts(world: World) -> Trial:
    plant, victim = world.plant(Setting(burstiness=0.35, missed_ratio=0.05)), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("drag", [victim], world.uniform(2.5, 4))),),
        expected=(Expected(labels=(Label.Slow,), start=world.onset, within=150),),
        most_restarts=1,
    )


def surge_and_errors(world: World) -> Trial:
    """More than all can bear: every server overflows, and none of them is at fault."""
    return Trial(
        plant=world.plant(Setting(utilization=(0.5, 0.6), burstiness=0.25)),
        spec=spec(),
        events=((world.onset, surge(world.uniform(2.2, 4.0))),),
        expected=(Expected(labels=(Label.Surge,), start=world.onset, within=75),),
        forbidden=WRITE,
    )


def creeping_skew(world: World) -> Trial:
    """A balancer that drifts: three times its share after two minutes."""
    plant, hot = world.plant(Setting(utilization=(0.25, 0.35))), world.victim()
    target = 3.0 * (world.size - 1) / max(world.size - 3.0, 0.5)
    moves = tuple((world.onset + 5.0 * turn, favour(hot, target ** (1 / 24))) for turn in range(24))
    return Trial(
        plant=plant,
        spec=spec(),
        events=moves,
        expected=(Expected(labels=SKEW, start=world.onset + 60, within=120),),
        forbidden=RESTART,
        duration=QUIET_SECONDS + 480,
    )


def error_pod_bursty(world: World) -> Trial:
    plant, victim = world.plant(Setting(burstiness=0.35, missed_ratio=0.08)), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("error_ratio", [victim], world.uniform(0.12, 0.3))),),
        expected=(Expected(labels=(Label.Failing,), start=world.onset, within=75),),
        most_restarts=1,
    )


def chaos(world: World) -> Trial:
    """Twenty minutes of one mishap after another, without a right answer: only the rules that always hold are kept."""
    setting = Setting(sick_above=40.0, missed_ratio=0.05, burstiness=0.2, pods_per_backend=1 + world.victim() % 2)
    plant = world.plant(setting)
    moments = np.sort(world.rng.uniform(60, 1100, 12))
    return Trial(plant=plant, spec=spec(), events=tuple((float(at), _mishap(world)) for at in moments), duration=1200.0)


def _mishap(world: World) -> Event:
    """Any of the events, or an end of some."""
    victim, backend = world.victim(), 0
    kinds: tuple[Event, ...] = (
        weigh(backend, world.uniform(0.4, 0.9)),
        _equal_weights,
        favour(backend, world.uniform(0.3, 4.0)),
        surge(world.uniform(0.2, 3.0)),
        surge(1.0),
        _fault("drag", victim, world.uniform(2.0, 6.0)),
        _fault("error_ratio", victim, world.uniform(0.1, 0.8)),
        _fault("throttle", victim, world.uniform(0.3, 0.7)),
        _toggle_scrapes,
        _toggle_budget,
        _toggle_replacements,
        _toggle_pause,
        _any_pod_replaced,
        _oom,
    )
    return kinds[int(world.rng.integers(len(kinds)))]


def _fault(column: str, place: int, value: float) -> Event:
    """In whichever pod is at this place by then."""

    def happen(plant: Plant) -> None:
        plant.servers[column][place % len(plant.servers)] = value

    return happen


def _equal_weights(plant: Plant) -> None:
    plant.command(dict.fromkeys(plant.balancer.names, WEIGHT), "argocd-controller")


def _toggle_scrapes(plant: Plant) -> None:
    plant.scraper.down = not plant.scraper.down


def _toggle_budget(plant: Plant) -> None:
    plant.cluster.budget_refuses = not plant.cluster.budget_refuses


def _toggle_replacements(plant: Plant) -> None:
    plant.cluster.replacements_get_ready = not plant.cluster.replacements_get_ready


def _toggle_pause(plant: Plant) -> None:
    holds = plant.cluster.holds
    holds[:] = [] if holds else [Hold(reason="Paused", detail="a person paused it")]


def _any_pod_replaced(plant: Plant) -> None:
    alive = np.flatnonzero(plant.ready())
    if len(alive) > 1:
        plant.replace(int(alive[-1]))


def _oom(plant: Plant) -> None:
    plant.servers["leaked"][0] = plant.servers["memory_limit"][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A row of the table."""

    name: str
    summary: str
    build: Callable[[World], Trial]
    held_out: bool = False
    long: bool = False  # takes minutes; run only when named, or by `--long`

    def trial(self, size: int, seed: int) -> Trial:
        """The same arguments give the same trial, and the same run."""
        number = sum(ord(letter) * 31**place for place, letter in enumerate(self.name)) % 2**32
        return self.build(World(np.random.default_rng([number, size, seed]), size))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="bad-update", summary="80% to one server by an update of the weights", build=bad_update),
    Scenario(name="postmortem", summary="the same, and the server stays sick until restarted", build=postmortem),
    Scenario(name="ignored-weights", summary="80% to one server against the weights", build=ignored_weights),
    Scenario(name="mild-skew", summary="1.7 times its share", build=mild_skew),
    Scenario(name="skew-unequal", summary="twice its share over unequal capacities", build=skew_unequal),
    Scenario(name="skew-many-pods", summary="80% to one backend of several pods", build=skew_many_pods),
    Scenario(name="sticky", summary="half the traffic is bound to one server", build=sticky),
    Scenario(name="surge-1.8", summary="1.8 times the traffic, shares equal", build=surging(1.8)),
    Scenario(name="surge-3", summary="three times the traffic, more than all can bear", build=surging(3.0)),
    Scenario(name="skew-and-surge", summary="three times its share in a surge of 1.8", build=skew_and_surge),
    Scenario(name="throttled", summary="one server gets half its CPU", build=throttled),
    Scenario(name="gray", summary="one server is slow, its CPU says nothing", build=gray),
    Scenario(name="slow-node", summary="a quarter of the pods, on one node, are slow", build=slow_node),
    Scenario(name="error-pod", summary="one server fails a fifth of its requests", build=failing(0.0, 0.2)),
    Scenario(name="many-fail", summary="40% of the servers fail a third", build=failing(0.4, 0.33)),
    Scenario(name="sinkhole", summary="one server fails at once and attracts traffic", build=sinkhole),
    Scenario(name="dependency-errors", summary="all fail 35%", build=dependency_errors),
    Scenario(name="dependency-slow", summary="all are slow, CPU is not", build=dependency_slow),
    Scenario(name="leak", summary="memory leaks 1% of the limit a minute", build=leak, long=True),
    Scenario(name="cache-fill", summary="memory rises and stops", build=cache_fill, long=True),
    Scenario(name="warm-up", summary="a new pod is cold", build=warming),
    Scenario(name="traffic-ramp", summary="traffic doubles in twenty minutes", build=traffic_ramp),
    Scenario(name="idle", summary="half a request a second", build=idle),
    Scenario(name="stale", summary="Prometheus stops scraping", build=stale),
    Scenario(name="missing-pods", summary="three in ten pods are not scraped", build=missing_pods),
    Scenario(name="traffic-stops", summary="nothing arrives any more", build=traffic_stops),
    Scenario(name="neutral-change", summary="other weights, the same shares", build=neutral_change),
    Scenario(name="healthy", summary="all is well, shares spread by 10%", build=healthy),
    Scenario(name="healthy-bursty", summary="all is well, traffic comes in bursts", build=healthy_bursty),
    Scenario(name="healthy-sparse", summary="all is well, five requests a second a pod", build=healthy_sparse),
    Scenario(name="healthy-unequal", summary="all is well, capacities differ", build=unequal_healthy),
    Scenario(name="healthy-day", summary="24 hours, five times the traffic by day", build=healthy_day, long=True),
    Scenario(name="canary", summary="explicit shares, one backend a tenth", build=canary),
    Scenario(name="crashes", summary="a process dies twice, its counters start again", build=crashes),
    Scenario(name="rollout", summary="a rollout replaces the pods in turn", build=rollout),
    Scenario(name="no-cpu", summary="bad update, CPU not measured", build=blind_to("cpu")),
    Scenario(name="no-latency", summary="bad update, latency not measured", build=blind_to("latency")),
    Scenario(name="chaos", summary="one mishap after another; only the rules are kept", build=chaos, long=True),
    Scenario(name="two-hot", summary="two backends share 70%", build=two_hot, held_out=True),
    Scenario(
        name="slow-scrapes", summary="70% to one, scrapes of 15 s, a tenth missed", build=slow_scrapes, held_out=True
    ),
    Scenario(name="most-fail", summary="70% of the pods fail a third", build=half_fail, held_out=True),
    Scenario(name="slow-in-bursts", summary="one slow pod in bursty traffic", build=slow_in_bursts, held_out=True),
    Scenario(
        name="surge-and-errors", summary="2.2 to 4 times the traffic, bursty", build=surge_and_errors, held_out=True
    ),
    Scenario(name="creeping-skew", summary="a drift to three times its share", build=creeping_skew, held_out=True),
    Scenario(name="error-pod-bursty", summary="one pod fails 12-30% in bursts", build=error_pod_bursty, held_out=True),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
