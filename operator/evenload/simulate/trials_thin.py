"""Trials of thin traffic and of many pods: where chance is loud, and where there are many to be wrong about.

Single requests take times of their own here, a few fail for no reason, and Prometheus scrapes less often than the
operator looks, so that several ticks see the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.spec import Desired, DesiredType
from evenload.simulate.loop import Run
from evenload.simulate.plant import Plant
from evenload.simulate.world import (
    QUIET_SECONDS,
    RESTART,
    START,
    WRITE,
    Expected,
    Setting,
    Trial,
    World,
    change,
    favour,
    spec,
)

NOTHING_WRONG = frozenset(
    {Label.LoadBalancerSkew, Label.Failing, Label.Slow, Label.MemoryLeak, Label.Dependency, Label.Surge}
)
SCRAPES = (10.0, 15.0, 30.0)
REQUESTS_WANTED = 30.0  # a pod and window: just enough to be judged
HALF_AN_HOUR = 1800.0
EVEN = 1.3
EVEN_WITHIN = 240.0


def _thin(world: World, rate: tuple[float, float], **setting: float) -> tuple[Plant, float]:
    """A plant with so few requests, and the window that somebody who knows it would ask for, in seconds."""
    a_pod = math.exp(world.uniform(*np.log(rate)))
    scrape = float(world.rng.choice(SCRAPES))
    columns = {"error_ratio": world.uniform(0.001, 0.005), "time_spread": world.uniform(0.5, 2.0)}
    plant = world.plant(
        Setting(
            rate_per_pod=(a_pod, a_pod),
            utilization=(0.05, 0.25),
            scrape=scrape,
            columns=columns,
            capacity_spread=setting.get("capacity_spread", 0.0),
            capacity_known="capacity_spread" in setting,
        )
    )
    return plant, scrape * max(3, math.ceil(REQUESTS_WANTED / a_pod / scrape) + 1)


def healthy(world: World) -> Trial:
    """0.2 to 2 requests a second a pod, of which one in two hundred to one in a thousand fails: half an hour of it."""
    plant, window = _thin(world, (0.2, 2.0))
    return Trial(plant=plant, spec=spec(), forbidden=WRITE, wrong=NOTHING_WRONG, duration=HALF_AN_HOUR, window=window)


def healthy_unequal(world: World) -> Trial:
    """The same over servers of unequal, declared capacity, and a little more of it."""
    plant, window = _thin(world, (0.5, 5.0), capacity_spread=0.35)
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        forbidden=WRITE,
        wrong=NOTHING_WRONG,
        duration=HALF_AN_HOUR,
        window=window,
    )


def from_the_start(world: World) -> Trial:
    """Traffic enough over unequal capacities; a word too much counts from the first tick on."""
    plant = world.plant(Setting(capacity_spread=0.35, capacity_known=True, utilization=(0.3, 0.6)))
    return Trial(
        plant=plant,
        spec=spec(Desired(type=DesiredType.ByCapacity)),
        forbidden=WRITE,
        wrong=NOTHING_WRONG,
        duration=600.0,
    )


def failing(world: World) -> Trial:
    """Of the pods with few requests, one fails a third to a half of them: that can be told from chance."""
    plant, window = _thin(world, (0.5, 2.0))
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, change("error_ratio", [world.victim()], world.uniform(0.33, 0.5))),),
        expected=(Expected(labels=(Label.Failing,), start=world.onset, within=4 * window),),
        most_restarts=1,
        window=window,
        duration=QUIET_SECONDS + 5 * window,
    )


def common_outage(scrapes: tuple[float, ...]) -> Callable[[World], Trial]:
    """All begin to fail at once; the first tick knows only of those that happened to be scraped since."""

    def build(world: World) -> Trial:
        scrape = float(world.rng.choice(scrapes))
        plant = world.plant(Setting(scrape=scrape, columns={"error_ratio": 0.002}))
        ratio = world.uniform(0.2, 0.9)

        def break_down(plant: Plant) -> None:
            plant.trouble.error_ratio = ratio

        return Trial(
            plant=plant,
            spec=spec(),
            events=((world.onset, break_down),),
            expected=(Expected(labels=(Label.Dependency,), start=world.onset, within=30 + 3 * scrape),),
            forbidden=WRITE,
            wrong=frozenset({Label.Failing}),
            window=3 * scrape,
        )

    return build


def few_hot(world: World) -> Trial:
    """The balancer gives five servers of many two and a half times their share."""
    plant = world.plant(Setting(rate_per_pod=(2.0, 40.0), utilization=(0.2, 0.3)))
    hot = world.victims(5 / world.size)[:5]
    share = min(0.85, 2.5 * len(hot) / world.size)
    factor = share / (1 - share) * (world.size - len(hot)) / len(hot)
    return Trial(
        plant=plant,
        spec=spec(),
        events=tuple((world.onset, favour(row, factor)) for row in hot),
        expected=(Expected(labels=(Label.LoadBalancerSkew,), start=world.onset, within=90),),
        forbidden=RESTART,
        owed=lambda run: _even_in_time(run, world.onset),
        duration=QUIET_SECONDS + 420.0,
    )


def _even_in_time(run: Run, onset: float) -> Iterator[str]:
    late = [tick for tick in run.ticks if tick.time - START > onset + EVEN_WITHIN and tick.skew > EVEN]
    if late:
        worst = max(tick.skew for tick in late)
        yield f"not even {EVEN_WITHIN:.0f} s after the fault: one pod has {worst:.2f} times its share"
