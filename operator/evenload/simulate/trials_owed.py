"""Trials that ask for a deed, not only for a word: a restart before the memory is out, own harm taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.plan import Drain, WeightAction
from evenload.simulate.loop import MANAGER, Run
from evenload.simulate.plant import Plant
from evenload.simulate.servers import Floats
from evenload.simulate.world import QUIET_SECONDS, RESTART, START, Expected, Setting, Trial, World, change, favour, spec

LIMIT_BYTES = 512e6
ROLLBACK_TICKS = 3  # running, with more errors than before ...
_BLIND_SECONDS = 40.0  # ... after the window holds no request from before the write (30 s, the balancer's lag, a tick)


def zone_slow(world: World) -> Trial:
    """A quarter of the pods, all those of one zone, turn slow: the zone's fault, so nothing is restarted."""
    plant = world.plant()
    plant.servers["zone"] = np.arange(world.size) % 4
    victims = [int(row) for row in np.flatnonzero(plant.servers["zone"] == world.rng.integers(min(4, world.size)))]
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("drag", victims, world.uniform(3, 6))),),
        expected=(Expected(labels=(Label.Slow,), start=world.onset, within=120),),
        forbidden=RESTART,
    )


def new_and_slow(world: World) -> Trial:
    """A replaced pod is slow for its first two minutes, whatever its CPU says: that is being new, not being ill."""
    plant, victim = world.plant(Setting(utilization=(0.25, 0.35))), world.victim()
    newcomer = int(plant.servers["serial"].max()) + 1

    def slow(factor: float) -> Callable[[Plant], None]:
        def happen(plant: Plant) -> None:
            plant.servers["drag"][plant.servers["serial"] == newcomer] = factor

        return happen

    return Trial(
        plant=plant,
        spec=spec(),
        events=(
            (world.onset, lambda plant: plant.replace(victim)),
            (world.onset + 1, slow(3.5)),
            (world.onset + 120, slow(1.0)),
        ),
        expected=(Expected(labels=(Label.WarmUp, Label.RolloutInProgress), start=world.onset, within=90),),
        forbidden=RESTART,
    )


def leaking(*limits_a_minute: float) -> Callable[[World], Trial]:
    """A pod for each of these rates, in parts of its limit, over daily traffic and garbage collection.

    Each is to be drained and restarted once before its memory is out.
    """

    def build(world: World) -> Trial:
        plant = world.plant(Setting(daily_ratio=3.0, step_seconds=2.5))
        victims = [int(row) for row in world.rng.permutation(world.size)[: len(limits_a_minute)]]
        rates = zip(victims, limits_a_minute, strict=False)
        slowest = min(limits_a_minute)
        return Trial(
            plant=plant,
            spec=spec(),
            events=tuple((world.onset, change("leak", [row], LIMIT_BYTES * rate / 60)) for row, rate in rates),
            expected=(Expected(labels=(Label.MemoryLeak,), start=world.onset, within=2400),),
            most_restarts=len(victims),
            owed=lambda run: _leaks_mended(run, plant, len(victims)),
            duration=QUIET_SECONDS + 60 * (0.75 / slowest),  # they start at 0.3 to 0.4 of the limit
        )

    return build


def _leaks_mended(run: Run, plant: Plant, leaks: int) -> Iterator[str]:
    if plant.truth.crashes:
        yield f"out of memory {plant.truth.crashes} times"
    restarts = run.restarts()
    if len(restarts) < leaks:
        yield f"{len(restarts)} of {leaks} leaking pods restarted in time"
    for time, restart in restarts:
        if not any(isinstance(write, Drain) and write.pod == restart.pod and at < time for at, write in run.writes):
            yield f"{restart.pod} restarted without a drain"


def own_harm(world: World) -> Trial:
    """A skew that weights can mend, and a balancer that reads our first write wrongly: it makes things much worse."""
    plant = world.plant(Setting(utilization=(0.3, 0.4)))
    hot, worse = (int(row) for row in world.rng.permutation(world.size)[:2])
    factor = 2.5 * (world.size - 1) / max(world.size - 2.5, 0.5)
    left = [1]  # writes of ours that are misread

    def misread(asked: Floats, manager: str) -> Floats:
        if manager != MANAGER or not left:
            return asked
        left.pop()
        wrong = np.full(len(asked), 0.1 / max(len(asked) - 1, 1))
        wrong[worse] = 0.9
        return wrong

    plant.balancer.misread = misread
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, favour(hot, factor)),),
        expected=(Expected(labels=(Label.LoadBalancerSkew,), start=world.onset, within=90),),
        forbidden=RESTART,
        owed=_taken_back,
        duration=QUIET_SECONDS + 420.0,
    )


def _taken_back(run: Run) -> Iterator[str]:
    """The next write ends the harm, whatever it is called; it must come in time."""
    writes = [time for time, write in run.writes if isinstance(write, WeightAction)]
    if not writes:
        yield "no write at all"
        return
    most = _BLIND_SECONDS + 10.0 * ROLLBACK_TICKS
    if len(writes) < 2 or writes[1] - writes[0] > most:
        yield f"the harmful write of second {writes[0] - START:.0f} not taken back within {most:.0f} s"
