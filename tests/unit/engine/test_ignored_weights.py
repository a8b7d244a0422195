"""Traffic that does not follow right weights: lean against it while that helps, stop and say so when it does not."""

from __future__ import annotations

import pytest

from evenload.engine import Engine
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Phase
from evenload.model.plan import Advise, Purpose, SetWeights
from tests.unit.engine.plant import Cluster, run, spec

TEN = tuple(f"shop-{number}" for number in range(10))


def bent_shop(**changes: object) -> tuple[Cluster, Engine]:
    """Ten servers; after two minutes the balancer starts to send 80% to the first."""
    cluster, engine = Cluster(backends=TEN, rps=160, **changes), Engine(spec())  # type: ignore[arg-type]
    for server in cluster.servers:
        server.capacity_rps, server.immune = 60.0, True
    run(cluster, engine, 120)
    cluster.gains = {TEN[0]: 36.0}
    return cluster, engine


@pytest.mark.parametrize("seed", range(4))
def test_a_balancer_that_bends_weights_is_leaned_against_until_traffic_is_even(seed: int) -> None:
    cluster, engine = bent_shop(seed=seed)
    onset = cluster.time
    decisions = run(cluster, engine, 240)
    found = next(d for d in decisions if d.diagnosis.label is Label.LoadBalancerSkew)
    assert found.diagnosis.cause is SkewCause.WeightsIgnored
    assert {write.purpose for _, write in cluster.writes if isinstance(write, SetWeights)} == {Purpose.Rebalance}
    even = [d for d in decisions if d.worst_ratio is not None and d.worst_ratio > 1.4]
    assert even[-1].time - onset <= 60
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]
    assert cluster.evictions == []
    settled = len(cluster.writes)
    run(cluster, engine, 600)
    assert len(cluster.writes) == settled


def test_sticky_traffic_ends_in_ineffective_and_the_weights_stop_moving() -> None:
    cluster, engine = bent_shop(sticky=0.6)
    decisions = run(cluster, engine, 200)
    topics = {action.topic for d in decisions for action in d.actions if isinstance(action, Advise)}
    assert "ActuatorIneffective" in topics
    writes = len(cluster.writes)
    run(cluster, engine, 300)
    assert len(cluster.writes) == writes
    assert cluster.evictions == []
