"""A server that fails among its siblings, behind one Service and without a preStop hook: isolated, then evicted."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.episode import Phase
from evenload.model.plan import Isolate, RestartPod
from evenload.model.spec import Restart
from evenload.simulate.loop import CrashPoint, Operator
from evenload.simulate.plant import Cluster, Plant
from evenload.simulate.world import START, Setting, World, change, spec

SECONDS = 420.0
SICK = "uid-1"


def service(*, isolable: bool = True) -> Plant:
    """Of eight pods; the first fails two thirds of what it is sent, from the third minute on."""
    plant = World(np.random.default_rng(7), 8).plant(Setting(one_service=True, utilization=(0.3, 0.4)))
    plant.cluster = Cluster(pre_stop_seconds=None, isolable=isolable)
    return plant


def live(plant: Plant, operator: Operator) -> None:
    happened = False
    while plant.now < START + SECONDS:
        plant.advance(plant.now + 10.0)
        if not happened and plant.now >= START + 180.0:
            change("error_ratio", [0], 0.66)(plant)
            happened = True
        operator.tick()


def looked_after(plant: Plant, *, keep: bool = False) -> Operator:
    return Operator(spec(restart=Restart(keep_isolated=keep)), plant, window_seconds=30.0)


def writes(operator: Operator) -> list[tuple[str, str]]:
    pods = [write for _, write in operator.run.writes if isinstance(write, Isolate | RestartPod)]
    assert len(pods) == len(operator.run.writes)
    return [(type(write).__name__, write.uid) for write in pods]


@pytest.mark.parametrize("point", [None, *CrashPoint])
@pytest.mark.parametrize("at", [0, 1])
def test_it_is_isolated_and_evicted_once_whenever_the_operator_dies(point: CrashPoint | None, at: int) -> None:
    plant = service()
    operator = looked_after(plant)
    if point is not None:
        operator.crashes[at] = point
    live(plant, operator)
    assert operator.run.faults == []
    assert writes(operator) == [("Isolate", SICK), ("RestartPod", SICK)]
    assert [episode.phase for episode in operator.run.episodes] == [Phase.Succeeded]
    assert int(plant.ready().sum()) == 8


def test_it_loses_fewer_requests_than_an_eviction_by_itself() -> None:
    lost = []
    for isolable in (True, False):
        plant = service(isolable=isolable)
        live(plant, looked_after(plant))
        lost.append(plant.truth.failed)
    assert lost[0] < lost[1]


def test_one_that_is_kept_is_not_evicted_and_the_incident_ends_all_the_same() -> None:
    plant = service()
    operator = looked_after(plant, keep=True)
    live(plant, operator)
    assert operator.run.faults == []
    assert writes(operator) == [("Isolate", SICK)]
    assert [episode.phase for episode in operator.run.episodes] == [Phase.Succeeded]


def test_where_a_disruption_budget_refuses_nothing_is_taken() -> None:
    plant = service()
    plant.cluster.budget_refuses = True
    operator = looked_after(plant)
    live(plant, operator)
    assert operator.run.faults == []
    assert writes(operator) == []
