"""Trials that no engine was ever tuned on: other mechanisms than the tuned ones, looked at only when all is done.

Whoever tunes an engine does not run these; they are scored last, with seeds that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.spec import Desired, DesiredType
from evenload.simulate.plant import Plant
from evenload.simulate.world import (
    QUIET_SECONDS,
    RESTART,
    WEIGHT,
    WRITE,
    Event,
    Expected,
    Setting,
    Trial,
    World,
    change,
    favour,
    spec,
    surge,
    weigh,
)

SKEW = (Label.LoadBalancerSkew,)


def creeping_errors(world: World) -> Trial:
    """A pod fails a little more every ten seconds, up to three in ten."""
    plant, victim, start = world.plant(), world.victim(), world.onset
    steps = tuple((start + 10.0 * step, change("error_ratio", [victim], 0.02 * step)) for step in range(1, 16))
    return Trial(
        plant=plant,
        spec=spec(),
        events=steps,
        expected=(Expected(labels=(Label.Failing,), start=start + 10, within=150),),
        most_restarts=1,
        duration=start + 420,
    )


def freezing(world: World) -> Trial:
    """A pod stands still for four seconds of every ten, as in long garbage collections; in between it is quick."""
    plant, victim, start = world.plant(Setting(utilization=(0.3, 0.4))), world.victim(), world.onset
    events: list[tuple[float, Event]] = []
    for beat in range(24):
        events.append((start + 10.0 * beat, change("drag", [victim], 25.0)))
        events.append((start + 10.0 * beat + 4, change("drag", [victim], 1.0)))
    return Trial(
        plant=plant,
        spec=spec(),
        events=tuple(events),
        expected=(Expected(labels=(Label.Slow,), start=start, within=150),),
        most_restarts=1,
        duration=start + 300,
    )


def inverted(world: World) -> Trial:
    """An update takes the capacities the wrong way round: the weakest servers get most."""
    plant = world.plant(Setting(capacity_spread=0.5, capacity_known=True, utilization=(0.25, 0.35)))
    by_backend = np.bincount(plant.servers["backend"], plant.servers["capacity"], len(plant.balancer.names))
    wrong = {
        name: max(1, round(WEIGHT * by_backend.mean() / part))
        for name, part in zip(plant.balancer.names, by_backend, strict=True)
    }
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        events=((world.onset, lambda plant: plant.command(wrong, "flux")),),
        expected=(Expected(labels=SKEW, start=world.onset, within=75),),
        forbidden=RESTART,
    )


def retry_storm(world: World) -> Trial:
    """What all depend on fails a third of the requests, and callers ask again: more traffic, more errors."""

    def fail(plant: Plant) -> None:
        plant.trouble.error_ratio = 0.33

    return Trial(
        plant=world.plant(Setting(utilization=(0.3, 0.4))),
        spec=spec(),
        events=((world.onset, fail), (world.onset + 3, surge(1.4))),
        expected=(Expected(labels=(Label.Dependency,), start=world.onset, within=75),),
        forbidden=WRITE,
    )


def zone_lost(world: World) -> Trial:
    """A zone is cut off for two minutes: its pods are not ready, and the others carry their share without a fault."""
    plant, start = world.plant(Setting(pods_per_backend=2, utilization=(0.25, 0.35))), world.onset
    rows = np.arange(world.size)
    plant.servers["zone"] = rows // max(1, len(plant.balancer.names)) % 4  # a backend's two pods are in two zones
    lost = rows[plant.servers["zone"] == plant.servers["zone"].max()]

    def ready_at(time: Callable[[Plant], float]) -> Event:
        def happen(plant: Plant) -> None:
            plant.servers["ready_at"][lost] = time(plant)

        return happen

    return Trial(
        plant=plant,
        spec=spec(),
        events=((start, ready_at(lambda plant: np.inf)), (start + 120, ready_at(lambda plant: plant.now))),
        forbidden=RESTART,
        wrong=frozenset({Label.Failing, Label.Slow, Label.MemoryLeak, Label.Dependency}),
        duration=start + 300,
    )


def skew_and_sick(world: World) -> Trial:
    """A bad update, and a dozen seconds later another server begins to fail on its own account."""
    plant = world.plant(Setting(utilization=(0.3, 0.4)))
    hot, sick = (int(row) for row in world.rng.permutation(world.size)[:2])
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.7)), (world.onset + 12, change("error_ratio", [sick], 0.4))),
        expected=(Expected(labels=SKEW, start=world.onset, within=75),),
        most_restarts=1,
    )


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


def two_favoured(world: World) -> Trial:
    """A balancer of its own mind: two servers draw three and a half times their share, whatever their weights."""
    plant, hot = world.plant(Setting(utilization=(0.2, 0.25))), world.victims(2 / world.size)[:2]
    share = min(0.85, 7.0 / world.size)
    factor = share / (1 - share) * (world.size - 2) / 2
    return Trial(
        plant=plant,
        spec=spec(),
        events=tuple((world.onset, favour(row, factor)) for row in hot),
        expected=(Expected(labels=SKEW, start=world.onset, within=75),),
        forbidden=RESTART,
    )


def sawtooth(world: World) -> Trial:
    """Jobs that start on the minute: traffic leaps up by half and sinks back, again and again; all is well."""
    start = world.onset
    events = tuple((start + 30.0 * beat, surge(1.6 if beat % 2 == 0 else 0.8)) for beat in range(16))
    return Trial(
        plant=world.plant(Setting(utilization=(0.25, 0.35))),
        spec=spec(),
        events=events,
        forbidden=WRITE,
        wrong=frozenset({Label.LoadBalancerSkew, Label.Failing, Label.Slow, Label.MemoryLeak, Label.Dependency}),
        duration=start + 540,
    )
