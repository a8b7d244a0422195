"""Faults other than the postmortem's, closed loop: the right label, the right hands, and mostly: hands off."""

from __future__ import annotations

import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Advise, Freeze, PodAction
from evenload.model.spec import Desired, DesiredType, Mode, Restart, RestartWhen, Share
from tests.unit.engine.plant import Cluster, healthy_shop, run, spec

GOOD = dict.fromkeys(Cluster().backends, 100)


def shop(engine: Engine | None = None, **changes: object) -> tuple[Cluster, Engine]:
    if engine is None:
        return healthy_shop(150, **changes)
    cluster = Cluster(**changes)  # type: ignore[arg-type]
    run(cluster, engine, 150)
    return cluster, engine


def labels(decisions: list[Decision]) -> set[Label]:
    return {decision.diagnosis.label for decision in decisions}


def topics(decisions: list[Decision]) -> set[str]:
    return {action.topic for decision in decisions for action in decision.actions if isinstance(action, Advise)}


def purposes(cluster: Cluster) -> list[str]:
    return ["Restart" if isinstance(write, PodAction) else str(write.purpose) for _, write in cluster.writes]


def test_a_surge_is_told_and_nothing_is_touched() -> None:
    cluster, engine = shop()
    cluster.rps *= 1.9
    decisions = run(cluster, engine, 120)
    assert Label.Surge in labels(decisions)
    assert cluster.writes == []
    assert "ScaleUp" in topics(decisions)


def test_a_skew_during_a_surge_is_mended_and_both_are_told() -> None:
    cluster, engine = shop(rps=40.0)
    cluster.rps = 80.0
    cluster.write_weights({**GOOD, "shop-a": 500}, "helm")
    decisions = run(cluster, engine, 90)
    both = [d for d in decisions if d.diagnosis.label is Label.LoadBalancerSkew and Label.Surge in d.diagnosis.also]
    assert both
    assert cluster.weights == GOOD


def test_when_all_fail_together_it_is_what_they_share_and_no_pod_is_touched() -> None:
    cluster, engine = shop()
    for server in cluster.servers:
        server.faulty = 0.35
    decisions = run(cluster, engine, 120)
    assert Label.Dependency in labels(decisions)
    assert Label.Failing not in labels(decisions)
    assert cluster.writes == []
    assert "CheckDependency" in topics(decisions)


def test_when_all_get_slow_together_it_is_what_they_share() -> None:
    cluster, engine = shop()
    for server in cluster.servers:
        server.delay = 4.0
    assert Label.Dependency in labels(run(cluster, engine, 60))
    assert cluster.writes == []


def test_when_traffic_stops_nothing_is_written() -> None:
    cluster, engine = shop()
    cluster.rps = 0.0
    decisions = run(cluster, engine, 60)
    assert Label.TrafficStopped in labels(decisions)
    assert any(isinstance(action, Freeze) for d in decisions for action in d.actions)
    assert "CheckUpstream" in topics(decisions)
    assert cluster.writes == []


@pytest.mark.parametrize("seed", range(3))
def test_a_failing_pod_is_ejected_first_and_restarted_when_it_keeps_failing(seed: int) -> None:
    cluster, engine = shop(seed=seed)
    cluster.servers[2].faulty = 0.3
    run(cluster, engine, 240)
    assert purposes(cluster)[:3] == ["Eject", "Drain", "Restart"]
    assert [uid for _, uid in cluster.evictions] == ["uid-shop-c-0"]
    assert cluster.writes[2][0] - cluster.writes[0][0] >= 30
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_without_leave_to_restart_a_failing_pod_gets_another_chance_after_a_growing_while() -> None:
    cluster, engine = shop(Engine(spec(restart=Restart(when=RestartWhen.OnlyAfterOverload, ramp_window="30s"))))
    cluster.servers[2].faulty = 0.3
    run(cluster, engine, 180)
    assert purposes(cluster).count("Eject") >= 2
    assert cluster.evictions == []
    cluster.servers[2].faulty = 0.0
    run(cluster, engine, 400)
    assert cluster.weights == GOOD
    assert cluster.episode is None


def test_a_pod_that_fails_again_after_its_restart_is_not_restarted_again() -> None:
    cluster, engine = shop()
    cluster.servers[2].faulty = 0.3
    run(cluster, engine, 240)
    cluster.servers[-1].faulty = 0.3
    decisions = run(cluster, engine, 400)
    assert len(cluster.evictions) == 1
    assert "RestartDidNotHelp" in topics(decisions)


def test_a_restart_whose_replacement_falls_sick_while_it_ramps_up_did_not_help() -> None:
    cluster, engine = shop(Engine(spec(restart=Restart(ramp_window="10m"))))
    cluster.servers[2].faulty = 0.5
    run(cluster, engine, 240)
    cluster.servers[-1].faulty = 0.5
    decisions = run(cluster, engine, 600)
    assert len(cluster.evictions) == 1
    assert "RestartDidNotHelp" in topics(decisions)
    assert cluster.episode is not None
    (restart,) = [step for step in cluster.episode.steps if step.action == "RestartPod"]
    assert restart.state is StepState.Ineffective
    assert "the replacement of" in restart.message
    assert cluster.weights["shop-c"] <= 0.1 * cluster.weights["shop-a"]
    cluster.servers[-1].faulty = 0.0
    run(cluster, engine, 900)
    assert cluster.weights == GOOD
    assert cluster.episode is None


def test_a_slow_pod_gets_less_and_is_given_back_what_it_can_take() -> None:
    cluster, engine = shop(Engine(spec(restart=Restart(when=RestartWhen.Never))))
    cluster.servers[1].delay = 3.0
    decisions = run(cluster, engine, 120)
    assert Label.Slow in labels(decisions)
    assert purposes(cluster)[0] == "Rebalance"
    assert cluster.weights["shop-b"] < 0.5 * cluster.weights["shop-a"]
    assert len(cluster.writes) <= 4
    assert cluster.evictions == []
    assert Label.LoadBalancerSkew not in labels(decisions)
    cluster.servers[1].delay = 1.0
    cluster.act(Engine(spec()).step(cluster.snapshot()))  # a new operator takes over
    run(cluster, engine, 1200)
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_in_observe_mode_a_slow_pod_stays_the_only_fault() -> None:
    cluster, engine = shop(Engine(spec(mode=Mode.Observe)))
    cluster.servers[1].delay = 3.0
    assert labels(run(cluster, engine, 300)) <= {Label.Healthy, Label.Slow}


def test_slow_pods_on_one_node_make_the_node_suspect_and_move_nothing() -> None:
    cluster, engine = shop(backends=tuple(f"shop-{n}" for n in range(8)), rps=128.0)
    cluster.nodes = {"shop-1": "n1", "shop-2": "n1"}
    for server in cluster.servers[1:3]:
        server.delay = 3.0
    decisions = run(cluster, engine, 400)
    assert "SuspectNode" in topics(decisions)
    assert cluster.writes == []


def test_a_change_that_makes_things_worse_is_undone_and_not_tried_again_at_once() -> None:
    """Somebody moved the traffic away from broken servers; evening it out again is wrong, and is noticed."""
    cluster, engine = shop()
    for server in cluster.servers:
        server.immune, server.capacity_rps = True, 90.0
    run(cluster, engine, 60)
    for server in cluster.servers[1:]:
        server.faulty = 0.02
    cluster.write_weights({**GOOD, "shop-a": 9700}, "an-engineer")
    run(cluster, engine, 5)
    for server in cluster.servers[1:]:
        server.faulty = 0.5
    decisions = run(cluster, engine, 120)
    assert purposes(cluster) == ["Restore", "Revert"]
    assert cluster.weights == {**GOOD, "shop-a": 9700}
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.RolledBack]
    assert cluster.writes[1][0] - cluster.writes[0][0] <= 40
    held = [held for d in decisions for held in d.held]
    assert held[-1].reason == "Frozen"
    assert held[-1].until is not None


def test_explicit_shares_are_no_skew_and_are_what_is_put_back() -> None:
    shares = tuple(Share(backend=name, weight=weight) for name, weight in zip(GOOD, (70, 10, 10, 10), strict=True))
    engine = Engine(spec(desired=Desired(type=DesiredType.Explicit, shares=shares)))
    cluster = Cluster(weights=dict(zip(GOOD, (70, 10, 10, 10), strict=True)))
    for server in cluster.servers:
        server.capacity_rps = 90.0
    decisions = run(cluster, engine, 150)
    assert Label.LoadBalancerSkew not in labels(decisions)
    assert cluster.writes == []
    cluster.write_weights(GOOD, "helm")
    run(cluster, engine, 90)
    assert cluster.weights == dict(zip(GOOD, (70, 10, 10, 10), strict=True))


def test_two_servers_are_mended_by_weights_but_never_drained() -> None:
    cluster, engine = shop(backends=("shop-a", "shop-b"), rps=30.0)
    cluster.write_weights({"shop-a": 970, "shop-b": 30}, "helm")
    for server in cluster.servers:
        server.capacity_rps = 25.0
    decisions = run(cluster, engine, 150)
    assert cluster.weights == {"shop-a": 100, "shop-b": 100}
    assert cluster.evictions == []
    assert {held.reason for d in decisions for held in d.held} <= {"LastReadyPod", "Headroom"}


def test_a_single_backend_is_watched_without_a_write() -> None:
    cluster, engine = shop(backends=("shop-a",), rps=16.0)
    cluster.servers[0].faulty = 0.9
    decisions = run(cluster, engine, 120)
    assert Label.Dependency in labels(decisions)
    assert cluster.writes == []
