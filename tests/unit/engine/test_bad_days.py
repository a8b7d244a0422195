"""What may go wrong while mending: refusals, rivals, people, missing data."""

from __future__ import annotations

import msgspec
import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision, HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import ApprovalDecision, Phase, StepState
from evenload.model.plan import Advise, Drain, Freeze, PodAction, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Hold, Signal, SignalState, Snapshot
from evenload.model.spec import Mode, Restart, RestartWhen
from tests.unit.engine.plant import Cluster, healthy_shop, run, spec
from tests.unit.engine.test_postmortem import BAD, GOOD


def broken_shop(**changes: object) -> tuple[Cluster, Engine]:
    cluster, engine = healthy_shop(120, **changes)
    cluster.write_weights(BAD, "kubectl-patch")
    return cluster, engine


def reasons(decisions: list[Decision]) -> set[HeldReason]:
    return {held.reason for decision in decisions for held in decision.held}


def advice(decisions: list[Decision]) -> set[str]:
    return {action.topic for decision in decisions for action in decision.actions if isinstance(action, Advise)}


def purposes(cluster: Cluster) -> list[str]:
    return ["Restart" if isinstance(write, PodAction) else str(write.purpose) for _, write in cluster.writes]


def test_observe_mode_says_what_it_would_do_and_writes_nothing() -> None:
    cluster, _ = broken_shop()
    decisions = run(cluster, Engine(spec(mode=Mode.Observe)), 120)
    assert cluster.writes == []
    assert reasons(decisions) == {HeldReason.ObserveMode}
    assert cluster.episode is not None
    assert cluster.episode.phase is Phase.Observed
    cluster.write_weights(GOOD, "kubectl-patch")
    cluster.servers[0].sick, cluster.servers[0].turned_away = False, 0.0
    run(cluster, Engine(spec(mode=Mode.Observe)), 120)
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Expired]


def test_the_installations_ceiling_beats_the_spec() -> None:
    cluster, engine = broken_shop()
    cluster.max_mode = Mode.Observe
    decisions = run(cluster, engine, 60)
    assert cluster.writes == []
    assert "maxMode" in next(held.detail for d in decisions for held in d.held)


def test_approve_mode_waits_and_then_acts() -> None:
    cluster, _ = broken_shop()
    engine = Engine(spec(mode=Mode.Approve))
    run(cluster, engine, 60)
    assert cluster.writes == []
    assert cluster.episode is not None
    assert cluster.episode.phase is Phase.AwaitingApproval
    cluster.episode = msgspec.structs.replace(cluster.episode, approval=ApprovalDecision.Approved)
    run(cluster, engine, 200)
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]
    assert len(cluster.evictions) == 1


def test_denied_closes_and_is_not_asked_again_for_an_hour() -> None:
    cluster, _ = broken_shop()
    engine = Engine(spec(mode=Mode.Approve))
    run(cluster, engine, 30)
    assert cluster.episode is not None
    cluster.episode = msgspec.structs.replace(cluster.episode, approval=ApprovalDecision.Denied)
    run(cluster, engine, 5)
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Denied]
    cluster.deny(Label.LoadBalancerSkew)
    run(cluster, engine, 300)
    assert cluster.episode is None
    assert len(cluster.closed) == 1


@pytest.mark.parametrize("reason", ["Paused", "Rollout", "Autoscaling", "NotAccepted", "SomethingNew"])
def test_a_hold_stops_writes_and_work_goes_on_when_it_ends(reason: str) -> None:
    cluster, engine = broken_shop()
    run(cluster, engine, 45)
    assert len(cluster.evictions) == 1
    held_at = len(cluster.writes)
    cluster.holds = (Hold(reason=reason, detail="for a test"),)
    run(cluster, engine, 60)
    assert len(cluster.writes) == held_at
    cluster.holds = ()
    run(cluster, engine, 120)
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_a_refused_eviction_is_given_up_after_its_deadline_and_traffic_stays_away_from_what_is_sick() -> None:
    cluster, _ = broken_shop(refuse_evictions=True)
    decisions = run(cluster, Engine(spec(restart=Restart(eviction_deadline="60s"))), 160)
    assert cluster.evictions == []
    assert "RestartFailed" in advice(decisions)
    assert cluster.episode is not None
    assert StepState.Abandoned in {step.state for step in cluster.episode.steps if step.action == "RestartPod"}
    assert purposes(cluster)[:3] == ["Restore", "Drain", "Eject"]
    assert cluster.writes[2][0] - cluster.writes[1][0] < 100
    assert cluster.weights["shop-a"] <= 0.05 * cluster.weights["shop-b"]


@pytest.mark.timeout(600)  # three runs of hours each
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_that_never_allows_costs_no_more_than_restarts_forbidden(seed: int) -> None:
    """A pod fails half of its requests for an hour, and its eviction is refused each time."""

    def failed(restart: Restart, *, refuses: bool) -> tuple[float, list[str], float]:
        cluster, _ = healthy_shop(120, seed=seed)
        cluster.failed.clear()
        next(server for server in cluster.servers if server.backend == "shop-d").faulty = 0.5
        cluster.refuse_evictions = refuses
        run(cluster, Engine(spec(restart=restart)), 3600)
        return sum(cluster.failed.values()), purposes(cluster), len(cluster.evictions)

    forbidden, _, _ = failed(Restart(when=RestartWhen.Never), refuses=False)
    refused, written, evictions = failed(Restart(), refuses=True)
    assert evictions == 0
    assert refused < 1.1 * forbidden
    assert "Revert" not in written
    assert written.count("Drain") == 1


def test_a_replacement_that_never_comes_fails_the_episode_and_traffic_stays_on_the_others() -> None:
    cluster, _ = broken_shop(stuck_replacements=True)
    run(cluster, Engine(spec(restart=Restart(replacement_timeout="60s"))), 160)
    assert cluster.closed[0][0].phase is Phase.Failed
    assert cluster.weights == {**GOOD, "shop-a": 0}
    cluster.servers[-1].ready_at = cluster.time
    cluster.stuck_replacements = False
    run(cluster, Engine(spec()), 120)
    assert cluster.weights == GOOD


def test_a_rival_who_writes_twice_is_named_and_left_alone() -> None:
    cluster, engine = broken_shop()
    decisions = []
    for _ in range(40):
        decisions += run(cluster, engine, 5)
        if cluster.weights != BAD and cluster.writes and len(cluster.writes) < 9:
            cluster.write_weights(BAD, "argocd")
    contested = [held for d in decisions for held in d.held if held.reason is HeldReason.Contested]
    assert contested
    assert "argocd" in contested[-1].detail
    assert purposes(cluster) == ["Restore", "Restore"]
    assert cluster.evictions == []


def test_undo_puts_back_the_weights_from_before_the_first_step() -> None:
    cluster, engine = broken_shop()
    run(cluster, engine, 20)
    assert cluster.episode is not None
    cluster.episode = msgspec.structs.replace(cluster.episode, undo_requested=True)
    run(cluster, engine, 10)
    assert cluster.weights == BAD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.RolledBack]
    writes = len(cluster.writes)
    decisions = run(cluster, engine, 300)
    assert len(cluster.writes) == writes
    assert HeldReason.Frozen in reasons(decisions)


def test_undo_of_an_episode_that_wrote_nothing_just_ends_it() -> None:
    cluster, _ = broken_shop()
    engine = Engine(spec(mode=Mode.Approve))
    run(cluster, engine, 20)
    assert cluster.episode is not None
    cluster.episode = msgspec.structs.replace(cluster.episode, undo_requested=True)
    run(cluster, engine, 5)
    assert cluster.writes == []
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.RolledBack]


def test_without_permission_to_restart_the_sick_server_is_ejected_with_a_probe() -> None:
    cluster, _ = broken_shop()
    decisions = run(cluster, Engine(spec(restart=Restart(when=RestartWhen.Never))), 60)
    assert cluster.evictions == []
    assert reasons(decisions) == set()
    assert purposes(cluster) == ["Restore", "Eject"]
    assert cluster.weights["shop-a"] * 20 == cluster.weights["shop-b"]


def test_without_headroom_the_sick_server_keeps_its_traffic_and_people_are_told_why() -> None:
    cluster, engine = broken_shop(rps=112)
    decisions = run(cluster, engine, 120)
    assert purposes(cluster) == ["Restore"]
    assert HeldReason.Headroom in reasons(decisions)


def test_bad_data_in_the_middle_of_a_restart_stops_writes_until_it_is_good_again() -> None:
    cluster, engine = broken_shop()
    run(cluster, engine, 45)
    written = len(cluster.writes)
    for _ in range(10):
        cluster.pass_time(5)
        decision = engine.step(blinded(cluster.snapshot()))
        assert decision.diagnosis.label is Label.NoData
        assert any(isinstance(action, Freeze) for action in decision.actions)
        assert not any(isinstance(action, SetWeights | Drain | RestartPod) for action in decision.actions)
        cluster.act(decision)
    assert len(cluster.writes) == written
    run(cluster, engine, 120)
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def blinded(snapshot: Snapshot) -> Snapshot:
    signals = {**snapshot.signals, "requests": Signal(state=SignalState.Missing, detail="Prometheus did not answer")}
    return msgspec.structs.replace(snapshot, signals=signals)


def test_a_backend_that_loses_its_pod_loses_its_weight_until_one_is_ready() -> None:
    cluster, engine = Cluster(), Engine(spec())
    run(cluster, engine, 120)
    cluster.stuck_replacements = True
    cluster.servers[1].gone_at = cluster.time
    run(cluster, engine, 60)
    assert cluster.weights == {**GOOD, "shop-b": 0}
    assert purposes(cluster) == [str(Purpose.Eject)]
    cluster.servers[-1].ready_at = cluster.time
    run(cluster, engine, 120)
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_weights_of_zero_are_put_back() -> None:
    cluster, engine = Cluster(), Engine(spec())
    run(cluster, engine, 120)
    cluster.write_weights(dict.fromkeys(GOOD, 0), "helm")
    decisions = run(cluster, engine, 90)
    assert cluster.weights == GOOD
    found = next(d for d in decisions if d.diagnosis.label is Label.LoadBalancerSkew)
    assert found.sentence.startswith("all weights were set to 0 by helm")
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_a_second_bad_update_during_the_ramp_is_mended_too() -> None:
    cluster, engine = broken_shop()
    run(cluster, engine, 70)
    assert cluster.episode is not None
    cluster.write_weights({**BAD, "shop-a": 10, "shop-b": 970}, "kubectl-patch")
    run(cluster, engine, 300)
    assert cluster.weights == GOOD
    assert {uid for _, uid in cluster.evictions} <= {"uid-shop-a-0", "uid-shop-b-0"}
    assert cluster.episode is None
