"""The trials, one function a scenario: what happens, what should be said of it by when, and what must not be done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.snapshot import Hold
from evenload.model.spec import Desired, DesiredType, Share
from evenload.simulate.plant import Plant
from evenload.simulate.servers import restart_container
from evenload.simulate.traffic import DAY_SECONDS
from evenload.simulate.world import (
    PEOPLE,
    QUIET_SECONDS,
    RESTART,
    START,
    WEIGHT,
    WRITE,
    Event,
    Expected,
    Forbidden,
    Setting,
    Trial,
    World,
    change,
    favour,
    ramp,
    share_for,
    spec,
    surge,
    weigh,
)

SKEW = (Label.LoadBalancerSkew,)


def updated(
    setting: Setting, labels: tuple[Label, ...] = SKEW, forbidden: frozenset[Forbidden] = RESTART
) -> Callable[[World], Trial]:
    """80% to one server by an update of the weights; what should be said of it, and what must not be done."""

    def build(world: World) -> Trial:
        plant, hot = world.plant(setting), world.victim()
        return Trial(
            plant=plant,
            spec=spec(),
            events=((world.onset, weigh(hot, 0.8)),),
            expected=(Expected(labels=labels, start=world.onset, within=60),),
            forbidden=forbidden,
        )

    return build


bad_update = updated(Setting())


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


def burst(world: World) -> Trial:
    """Three times the traffic for a minute, more than all can bear: who fails first is a matter of luck."""
    start = world.onset
    return Trial(
        plant=world.plant(Setting(utilization=(0.35, 0.45))),
        spec=spec(),
        events=((start, surge(3.0)), (start + 60, surge(1.0))),
        expected=(Expected(labels=(Label.Surge,), start=start, within=60),),
        forbidden=WRITE,
    )


def flash_crowd(world: World) -> Trial:
    """Four times the traffic for three quarters of a minute, twice: over before anything could be done about it."""
    start = world.onset
    times = (start, start + 45, start + 150, start + 195)
    events = tuple((time, surge(factor)) for time, factor in zip(times, (4.0, 1.0, 4.0, 1.0), strict=True))
    return Trial(
        plant=world.plant(Setting(utilization=(0.3, 0.4))),
        spec=spec(),
        events=events,
        forbidden=WRITE,
        wrong=frozenset({Label.LoadBalancerSkew, Label.Failing, Label.Slow, Label.MemoryLeak}),
        duration=QUIET_SECONDS + 420,
    )


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


def missed_scrapes(world: World) -> Trial:
    """Scrapes of twenty seconds, of which one in eight fails: some pod always lacks its count."""
    plant, hot = world.plant(Setting(scrape=20.0, missed_ratio=0.12)), world.victim()
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.75)),),
        expected=(Expected(labels=SKEW, start=world.onset, within=120),),
        forbidden=RESTART,
        tick=20.0,
        window=60.0,
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
    shares = tuple(Share(backend=name, weight=weight) for name, weight in weights.items())
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
    return updated(Setting(hidden=frozenset({signal})))


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
