"""Trials inside one Service, where there are no weights: what is to be said, and that nothing is done."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenload.diagnose.cold import COLD_TICKS
from evenload.diagnose.facts import YOUNG_SECONDS
from evenload.diagnose.inside import FIXES
from evenload.model.diagnosis import Label, SkewCause
from evenload.simulate.loop import Run
from evenload.simulate.plant import Plant
from evenload.simulate.world import QUIET_SECONDS, WRITE, Event, Expected, Setting, Trial, World, spec

TICK_SECONDS = 10.0
MENDED_SECONDS = 300.0
NEW_RATIO = 1 / 3  # of the pods before: so many are added
NEW_GAIN = (0.0, 0.1)  # of what the others get: hardly anybody opens a connection anew
PROVING_PODS = 5  # of fewer, age proves little
WITHIN_SECONDS = YOUNG_SECONDS + TICK_SECONDS * (COLD_TICKS + 6)


def long_connections(world: World) -> Trial:
    """A Service is scaled up and its clients keep their connections: the new pods stay cold, the old ones carry all."""
    plant = world.plant(Setting(one_service=True, utilization=(0.3, 0.5)))
    new, gain = max(1, round(NEW_RATIO * world.size)), world.uniform(*NEW_GAIN)
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, scale_up(new, gain)),),
        expected=(Expected(labels=(Label.LoadBalancerSkew,), start=world.onset, within=WITHIN_SECONDS),),
        forbidden=WRITE,
        wrong=frozenset({Label.Failing, Label.Slow, Label.Dependency, Label.Surge}),
        owed=lambda run: _why_told(run, world.size + new),
        duration=QUIET_SECONDS + WITHIN_SECONDS + 60.0,
        tick=TICK_SECONDS,
    )


def drowning_connections(world: World) -> Trial:
    """After such a scale-up many clients more connect to one of the old pods, which drowns in them."""
    plant, victim = world.plant(Setting(one_service=True, utilization=(0.4, 0.5))), world.victim()
    plant.connections = True
    new, heavy = max(1, round(NEW_RATIO * world.size)), world.onset + WITHIN_SECONDS
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, scale_up(new, world.uniform(*NEW_GAIN))), (heavy, connect(victim, world.uniform(3, 4)))),
        expected=(Expected(labels=(Label.LoadBalancerSkew,), start=heavy, within=60),),
        most_restarts=2,
        wrong=frozenset({Label.Dependency, Label.Surge}),
        owed=lambda run: _nobody_drowns(run) if world.size >= PROVING_PODS else iter(()),
        duration=heavy + MENDED_SECONDS,
        tick=TICK_SECONDS,
    )


def connect(row: int, factor: float) -> Event:
    """So many times the connections at this pod, all with the same traffic."""

    def happen(plant: Plant) -> None:
        plant.servers["gain"][row] *= factor

    return happen


def _nobody_drowns(run: Run) -> Iterator[str]:
    first, last = run.ticks[-4], run.ticks[-1]
    if last.over_capacity > first.over_capacity:
        yield f"a pod drowns still {MENDED_SECONDS:.0f} s after its clients came"


def scale_up(count: int, gain: float) -> Event:
    """So many pods more, each of which gets `gain` times what one of the others gets."""

    def happen(plant: Plant) -> None:
        known = plant.servers["serial"]
        for _ in range(count):
            plant.add(backend=0, node=0)
        plant.servers["gain"][~np.isin(plant.servers["serial"], known)] = gain

    return happen


def _why_told(run: Run, pods: int) -> Iterator[str]:
    """The cause, its evidence and its fix, where there are pods enough to prove it."""
    told = [tick.decision.diagnosis for tick in run.ticks if tick.decision.diagnosis.cause is SkewCause.NotReached]
    fix = FIXES[SkewCause.LongLivedConnections]
    if pods >= PROVING_PODS and not any(fix in diagnosis.sentence for diagnosis in told):
        yield "the new pods are not said to be cold for long-lived connections"
