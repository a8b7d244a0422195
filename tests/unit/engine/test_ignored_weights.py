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
    assert cluster.evictions == []


def test_a_balancer_that_is_leaned_against_is_still_said_to_ignore_its_weights_and_nothing_more_is_written() -> None:
    cluster, engine = bent_shop()
    run(cluster, engine, 240)
    written = len(cluster.writes)
    for decision in run(cluster, engine, 600):
        assert decision.diagnosis.label is Label.LoadBalancerSkew
        assert decision.diagnosis.cause is SkewCause.WeightsIgnored
        assert decision.diagnosis.backends == (TEN[0],)
        assert decision.sentence.startswith("compensated: traffic is even only because the weights lean")
        assert decision.balanced is True
        assert not decision.settled
        assert [getattr(action, "topic", "") for action in decision.actions] == ["BalancerIgnoresWeights"]
    assert len(cluster.writes) == written
    assert cluster.closed == []


def test_once_the_balancer_follows_its_weights_they_come_back_in_small_steps_and_the_episode_is_over() -> None:
    cluster, engine = bent_shop()
    run(cluster, engine, 240)
    written = len(cluster.writes)
    cluster.gains = {}
    run(cluster, engine, 600)
    back = [write for _, write in cluster.writes[written:] if isinstance(write, SetWeights)]
    assert all(write.after[TEN[0]] / write.before[TEN[0]] < 2.3 for write in back[:-1])
    assert back[-1].purpose is Purpose.Restore
    assert set(cluster.weights.values()) == {100}
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]
    assert run(cluster, engine, 120)[-1].diagnosis.label is Label.Healthy
    assert len(cluster.writes) == written + len(back)


def test_a_balancer_that_is_mended_in_part_starves_nobody() -> None:
    cluster, engine = bent_shop()
    run(cluster, engine, 240)
    cluster.gains = {TEN[0]: 4.0}
    decisions = run(cluster, engine, 300)
    assert decisions[-1].shares[TEN[0]] > 0.05
    assert decisions[-1].diagnosis.compensated


def test_whoever_takes_over_knows_from_the_first_look_that_counts_on_that_the_weights_lean() -> None:
    cluster, engine = bent_shop()
    run(cluster, engine, 240)
    written = len(cluster.writes)
    decisions = run(cluster, Engine(spec()), 300)
    assert all(decision.diagnosis.compensated for decision in decisions[4:])  # looks at 0, 10 and 20 s
    assert all(decision.diagnosis.early for decision in decisions[:4])
    assert len(cluster.writes) == written
    assert cluster.closed == []


def test_what_fails_while_the_weights_lean_is_told_first_and_the_lean_beside_it() -> None:
    cluster, engine = bent_shop()
    run(cluster, engine, 240)
    cluster.servers[3].faulty = 0.5
    decisions = run(cluster, engine, 60)
    failing = [d for d in decisions if d.diagnosis.label is Label.Failing]
    assert failing[0].diagnosis.pods == (cluster.servers[3].name,)
    assert Label.LoadBalancerSkew in failing[0].diagnosis.also
    run(cluster, engine, 600)
    assert cluster.evictions != []
    assert run(cluster, engine, 5)[-1].diagnosis.compensated
    assert cluster.closed == []


def test_sticky_traffic_ends_in_ineffective_and_the_weights_stop_moving() -> None:
    cluster, engine = bent_shop(sticky=0.6)
    decisions = run(cluster, engine, 200)
    topics = {action.topic for d in decisions for action in d.actions if isinstance(action, Advise)}
    assert "ActuatorIneffective" in topics
    writes = len(cluster.writes)
    run(cluster, engine, 300)
    assert len(cluster.writes) == writes
    assert cluster.evictions == []
