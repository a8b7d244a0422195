"""Trials of servers that are not alike, and nobody says so: what they can bear has to be learnt from use."""

from __future__ import annotations

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.spec import Desired, DesiredType
from evenload.simulate.plant import Plant
from evenload.simulate.world import RESTART, WEIGHT, WRITE, Expected, Setting, Trial, World, favour, spec

LEARNING_SECONDS = 900.0
HOURS_SECONDS = 2 * 3600.0


def _plant(world: World, capacity_spread: float) -> Plant:
    """All have the same CPU limit and the same weight; the nodes they run on differ by `capacity_spread` (of ln)."""
    plant = world.plant(Setting(capacity_spread=capacity_spread, utilization=(0.3, 0.4)))
    plant.servers["cpu_limit"] = 1.0
    names = plant.balancer.names
    plant.balancer.weights.clear()
    plant.command(dict.fromkeys(names, WEIGHT), "helm")
    return plant


def capacity_unknown(world: World) -> Trial:
    """Some servers get much done with their CPU, others little: traffic follows that, and then rests."""
    return Trial(
        plant=_plant(world, 0.35),
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        forbidden=RESTART,
        wrong=frozenset({Label.Dependency, Label.MemoryLeak}),  # until it is learnt, some get more than they can bear
        quiet_after=HOURS_SECONDS / 2,
        most_late_writes=1,  # where it is all but within the tolerance, luck has it when it is seen to be beyond
        duration=HOURS_SECONDS,
    )


def capacity_equal(world: World) -> Trial:
    """Nothing to learn: the servers are alike, and weights stay as they are for hours."""
    return Trial(
        plant=_plant(world, 0.05),
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        forbidden=WRITE,
        duration=HOURS_SECONDS,
    )


def skew_over_unknown(world: World) -> Trial:
    """Once traffic follows what the servers can bear, the balancer gives one of them twice its share."""
    plant = _plant(world, 0.35)
    fair = plant.fair_shares()
    hot = int(world.rng.choice(np.flatnonzero(fair <= np.median(fair))))
    share, onset = min(0.85, 2 * fair[hot]), world.onset + LEARNING_SECONDS
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        events=((onset, favour(hot, share / (1 - share) * (1 - fair[hot]) / fair[hot])),),
        expected=(Expected(labels=(Label.LoadBalancerSkew,), start=onset, within=90),),
        forbidden=RESTART,
        duration=onset + 600,
    )
