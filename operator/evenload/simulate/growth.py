"""Traffic that grows until the first server is full: how well is that foretold?

The truth is in closed form, because the plant's servers cost what they cost; the trial ends with it.
"""

from __future__ import annotations

import numpy as np

from evenload.model.diagnosis import Label
from evenload.simulate.plant import Plant
from evenload.simulate.servers import IDLE_CPU_RATIO
from evenload.simulate.world import RESTART, Setting, Trial, World, ramp, spec

FULL = 0.85  # guardrails.maxUtilizationPercent of the trial's Balancer
CALM_SECONDS = (300.0, 900.0)
GROWTH_A_MINUTE = (0.012, 0.05)  # of the traffic at the start, log-uniform: full after ten minutes to over an hour


def growth(world: World) -> Trial:
    """Calm for a while, then a steady rise; over just as the first server is full, bursts left out.

    Bursts fill it earlier, and then it is slow for moments: it may be given less, but not be restarted.
    """
    plant = world.plant(Setting(spread=0.08, utilization=(0.35, 0.5)))
    calm = world.uniform(*CALM_SECONDS)
    per_second = float(np.exp(world.uniform(*np.log(GROWTH_A_MINUTE)))) / 60
    return Trial(
        plant=plant,
        spec=spec(),
        events=((calm, ramp(per_second)),),
        forbidden=RESTART,
        wrong=frozenset({Label.MemoryLeak, Label.Failing, Label.Dependency, Label.LoadBalancerSkew}),
        duration=calm + (full_at(plant) - 1) / per_second,
    )


def full_at(plant: Plant) -> float:
    """How many times today's traffic fills the first server."""
    requests = plant.traffic.rate_at(plant.now) * plant.chances()
    return float(((FULL - IDLE_CPU_RATIO) * plant.servers["capacity"] / np.maximum(requests, 1e-9)).min())
