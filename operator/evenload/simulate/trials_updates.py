"""Updates of the balancer by people, right and wrong: what probation is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.plan import Purpose, SetWeights
from evenload.simulate.loop import Run
from evenload.simulate.plant import Plant
from evenload.simulate.world import (
    PEOPLE,
    RESTART,
    START,
    WRITE,
    Event,
    Expected,
    Setting,
    Trial,
    World,
    change,
    spec,
)

ROLLED_BACK_SECONDS = 30.0  # after the update
FILTER = ("/spec/rules/0/filters",)


def _rewrite(plant: Plant) -> None:
    """The same weights, and something else: a filter, say."""
    plant.balancer.command(plant.balancer.weights, PEOPLE, plant.now, np.random.default_rng(0), elsewhere=FILTER)


def _adding(world: World) -> tuple[Plant, str, list[int], Event]:
    """A plant whose last backend is not in the route yet, its name, the rows of its pods, the update that adds it."""
    plant = world.plant(Setting(pods_per_backend=max(1, world.size // 4)))
    name = plant.balancer.names[-1]
    weight = plant.balancer.leave_out(name)
    rows = np.flatnonzero(plant.servers["backend"] == len(plant.balancer.names) - 1).tolist()

    def add(plant: Plant) -> None:
        plant.command({**plant.balancer.weights, name: weight}, PEOPLE)

    return plant, name, rows, add


def broken_addition(world: World) -> Trial:
    """An update adds a backend that fails what it gets."""
    plant, name, rows, add = _adding(world)
    plant.servers["born"][rows] = plant.servers["started"][rows] = plant.now + 60
    return Trial(
        plant=plant,
        spec=spec(),
        events=((0.0, change("error_ratio", rows, world.uniform(0.3, 1.0))), (world.onset, add)),
        expected=(Expected(labels=(Label.BadUpdate,), start=world.onset, within=ROLLED_BACK_SECONDS),),
        forbidden=RESTART,
        wrong=frozenset({Label.Dependency}),
        owed=partial(_taken_back, name, world.onset),
    )


def _taken_back(name: str, onset: float, run: Run) -> Iterator[str]:
    writes = [(time, write) for time, write in run.writes if isinstance(write, SetWeights)]
    rolled_back = [time for time, write in writes if write.purpose is Purpose.Rollback and write.after[name] == 0]
    if not rolled_back or rolled_back[0] - START - onset > ROLLED_BACK_SECONDS:
        yield f"{name} still gets requests {ROLLED_BACK_SECONDS:.0f} s after the update"
    if len(writes) > 1:
        yield f"{len(writes)} writes where one is enough"


def sound_addition(world: World) -> Trial:
    """An update adds a backend that is as good as the others."""
    plant, _, _, add = _adding(world)
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, add),),
        forbidden=WRITE,
        wrong=frozenset({Label.BadUpdate}),
    )


def broken_filter(world: World) -> Trial:
    """An update that is no matter of weights breaks all: nothing can be put back, and it is named."""

    def happen(plant: Plant) -> None:
        _rewrite(plant)
        plant.trouble.error_ratio = 0.4

    return Trial(
        plant=world.plant(),
        spec=spec(),
        events=((world.onset, happen),),
        expected=(Expected(labels=(Label.BadUpdate,), start=world.onset, within=45),),
        forbidden=WRITE,
    )


def unrelated(seconds: float) -> Callable[[World], Trial]:
    """A harmless update, so long after the beginning of an outage (or before it, where negative): not to be blamed."""

    def build(world: World) -> Trial:
        outage = world.onset + max(0.0, -seconds)

        def break_down(plant: Plant) -> None:
            plant.trouble.error_ratio = 0.35

        return Trial(
            plant=world.plant(),
            spec=spec(),
            events=tuple(sorted([(outage, break_down), (outage + seconds, _rewrite)], key=lambda event: event[0])),
            expected=(Expected(labels=(Label.Dependency,), start=outage, within=90),),
            forbidden=WRITE,
            wrong=frozenset({Label.BadUpdate}),
            duration=outage + 300.0,
        )

    return build


def one_pod_fails_after(world: World) -> Trial:
    """A harmless update, and a pod that fails by itself within its probation: the pod's fault."""
    victims = world.victims(0.0)
    return Trial(
        plant=world.plant(),
        spec=spec(),
        events=((world.onset, _rewrite), (world.onset + 30, change("error_ratio", victims, 0.3))),
        expected=(Expected(labels=(Label.Failing,), start=world.onset + 30, within=60),),
        wrong=frozenset({Label.BadUpdate}),
        most_restarts=1,
    )
