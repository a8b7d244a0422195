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
    serial = int(plant.servers["serial"][victim])
    events: list[tuple[float, Event]] = []
    for beat in range(24):
        events.append((start + 10.0 * beat, _drag(serial, 25.0)))
        events.append((start + 10.0 * beat + 4, _drag(serial, 1.0)))
    return Trial(
        plant=plant,
        spec=spec(),
        events=tuple(events),
        expected=(Expected(labels=(Label.Slow,), start=start, within=150),),
        most_restarts=1,
        duration=start + 300,
    )


def _drag(serial: int, factor: float) -> Event:
    def happen(plant: Plant) -> None:
        plant.servers["drag"][plant.servers["serial"] == serial] = factor

    return happen


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
