"""Every guard rail, alone: what it refuses, with which word, until when; and what it lets pass."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pytest

from evenload.govern.case import Case
from evenload.govern.guards import GUARDS, govern
from evenload.govern.ruling import Ruling, advice, episode_move, phase, rule
from evenload.model.decision import EpisodeMove, Held, HeldReason
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import ApprovalDecision, Disruption, Episode, Phase, Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights, Write
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Hold, Snapshot
from evenload.model.spec import Actions, BalancerSpec, Guard, GuardMode, Guardrails, Mode, Restart, RestartWhen
from tests.unit.engine.build import NOW, pod, snapshot
from tests.unit.engine.plant import spec

EVEN = dict.fromkeys("abcd", 100)


def case(sight: Snapshot | None = None, balancer: BalancerSpec | None = None, **changes: object) -> Case:
    seen = sight or snapshot()
    fleet = Fleet(seen)
    fields: dict[str, object] = {
        "snapshot": seen,
        "fleet": fleet,
        "policy": Policy.of(balancer or spec()),
        "diagnosis": Diagnosis(label=Label.Failing, sentence="b-0 fails"),
        "episode": seen.episode,
        "predict": lambda weights: np.full(len(fleet.backends), 0.4),
        "bad_ratio": 0.25,
        "contested_by": None,
        "waiting": False,
        "targets": dict.fromkeys(fleet.backends, 1 / len(fleet.backends)),
        **changes,
    }
    return Case(**fields)  # type: ignore[arg-type]


def weights(purpose: Purpose = Purpose.Restore, **after: int) -> SetWeights:
    return SetWeights(before=EVEN, after={**EVEN, **after}, purpose=purpose, because="a test")


def drain(backend: str = "b") -> Drain:
    name = f"{backend}-0"
    return Drain(
        before=EVEN, after={**EVEN, backend: 0}, backend=backend, pod=name, uid=f"uid-{name}", because="a test"
    )


def restart(backend: str = "b") -> RestartPod:
    name = f"{backend}-0"
    return RestartPod(backend=backend, pod=name, uid=f"uid-{name}", workload=f"Deployment/{backend}", because="a test")


def refused(known: Case, write: Write) -> HeldReason | None:
    held = govern(known, write)
    return held.reason if held is not None else None


def drained() -> Snapshot:
    return snapshot(weights={"b": 0})


def restarted(seconds_ago: float, **changes: object) -> Disruption:
    fields: dict[str, object] = {"time": NOW - seconds_ago, "kind": "Restart", "pod": "x-0", "workload": "Deployment/x"}
    return Disruption(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("write", [weights(), drain()])
def test_in_good_circumstances_nothing_is_refused(write: Write) -> None:
    assert govern(case(), write) is None
    assert govern(case(drained()), restart()) is None


# --- what a person said


def test_observe_mode_refuses_every_write() -> None:
    assert refused(case(balancer=spec(mode=Mode.Observe)), weights()) is HeldReason.ObserveMode


def test_the_installations_ceiling_is_named() -> None:
    held = govern(case(snapshot(max_mode=Mode.Observe)), weights())
    assert held is not None
    assert "maxMode" in held.detail


def test_restarts_may_need_approval_where_weights_do_not() -> None:
    balancer = spec(actions=Actions(restart=Mode.Approve))
    assert refused(case(balancer=balancer), weights()) is None
    assert refused(case(balancer=balancer), drain()) is HeldReason.AwaitingApproval


@pytest.mark.parametrize(
    ("approval", "undo", "allowed"),
    [(ApprovalDecision.Approved, False, True), (None, True, True), (None, False, False)],
)
def test_an_approval_or_a_wish_to_undo_opens_the_gate(
    approval: ApprovalDecision | None, undo: bool, allowed: bool
) -> None:
    episode = Episode(
        name="r", opened_at=NOW, label=Label.Failing, phase=Phase.Observed, approval=approval, undo_requested=undo
    )
    known = case(snapshot(episode=episode), spec(mode=Mode.Approve))
    assert (govern(known, weights()) is None) is allowed


@pytest.mark.parametrize(("reason", "expected"), [("Rollout", HeldReason.Rollout), ("Strange", HeldReason.Paused)])
def test_a_hold_from_outside_is_passed_on(reason: str, expected: HeldReason) -> None:
    held = govern(case(snapshot(holds=(Hold(reason=reason),))), weights())
    assert held is not None
    assert held.reason is expected
    assert held.detail == ("" if reason == "Rollout" else "Strange")


def test_of_several_holds_the_first_is_told() -> None:
    both = (Hold(reason="Rollout"), Hold(reason="Autoscaling"))
    assert refused(case(snapshot(holds=both)), weights()) is HeldReason.Rollout


def test_what_was_denied_is_not_asked_again_for_an_hour() -> None:
    ledger = (Disruption(time=NOW - 600, kind="Denied", label=Label.Failing),)
    held = govern(case(snapshot(ledger=ledger)), weights())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.Denied, NOW + 3000)
    other = case(snapshot(ledger=ledger), diagnosis=Diagnosis(label=Label.LoadBalancerSkew))
    assert govern(other, weights()) is None
    old = (Disruption(time=NOW - 3601, kind="Denied", label=Label.Failing),)
    assert govern(case(snapshot(ledger=old)), weights()) is None


def test_the_hour_after_a_denial_ends_on_the_second() -> None:
    ledger = (Disruption(time=NOW - 3600, kind="Denied", label=Label.Failing),)
    assert refused(case(snapshot(ledger=ledger)), weights()) is None


# --- data, rivals, undo


@pytest.mark.parametrize("label", [Label.NoData, Label.TrafficStopped])
def test_on_bad_data_nothing_is_written(label: Label) -> None:
    assert refused(case(diagnosis=Diagnosis(label=label)), weights()) is HeldReason.Frozen


@pytest.mark.parametrize("label", [Label.Surge, Label.Dependency, Label.WarmUp, Label.RolloutInProgress])
def test_some_diagnoses_forbid_restarts_and_no_weights(label: Label) -> None:
    known = case(diagnosis=Diagnosis(label=label))
    assert refused(known, drain()) is HeldReason.Frozen
    assert refused(case(drained(), diagnosis=Diagnosis(label=label)), restart()) is HeldReason.Frozen
    assert refused(known, weights()) is None


def test_a_rival_is_named() -> None:
    held = govern(case(contested_by="argocd"), weights())
    assert held is not None
    assert held.reason is HeldReason.Contested
    assert held.detail.startswith("argocd keeps setting the weights")


def test_a_contest_is_remembered_for_an_hour_after_its_episode() -> None:
    ledger = (Disruption(time=NOW - 60, kind="Contested"),)
    held = govern(case(snapshot(ledger=ledger)), weights())
    assert held is not None
    assert held.until == NOW + 3540
    ended = (Disruption(time=NOW - 3600, kind="Contested"),)
    assert govern(case(snapshot(ledger=ended)), weights()) is None


@pytest.mark.parametrize(("reverts", "seconds"), [(1, 600), (2, 1200), (3, 2400)])
def test_after_a_revert_all_keep_still_twice_as_long_each_time(reverts: int, seconds: float) -> None:
    ledger = tuple(Disruption(time=NOW - 100 * (i + 1), kind="Revert") for i in range(reverts))
    held = govern(case(snapshot(ledger=ledger)), weights())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.Frozen, NOW - 100 + seconds)
    assert govern(case(snapshot(ledger=ledger)), weights(Purpose.Ramp)) is None


def test_the_freeze_after_reverts_doubles_six_times_at_most() -> None:
    ledger = tuple(Disruption(time=NOW - i, kind="Revert") for i in range(9))
    held = govern(case(snapshot(ledger=ledger)), weights())
    assert held is not None
    assert held.until == NOW + 64 * 600


def test_a_freeze_ends_on_the_second() -> None:
    assert refused(case(snapshot(ledger=(Disruption(time=NOW - 600, kind="Revert"),))), weights()) is None


def test_a_freeze_that_a_disruption_carries_counts() -> None:
    ledger = (Disruption(time=NOW - 5000, kind="Revert", until=NOW + 10),)
    assert refused(case(snapshot(ledger=ledger)), weights()) is HeldReason.Frozen
    ended = (Disruption(time=NOW - 5000, kind="Revert"),)
    assert refused(case(snapshot(ledger=ended)), weights()) is None


def executing(*steps: Step) -> Episode:
    return Episode(name="r", opened_at=NOW, label=Label.Failing, phase=Phase.Executing, steps=steps)


def test_two_writes_are_two_seconds_apart_and_one_at_a_time() -> None:
    step = Step(
        name="1-x", action="SetWeights", state=StepState.Applied, planned_at=NOW - 2, applied_at=NOW - 1, before=EVEN
    )
    held = govern(case(snapshot(episode=executing(step))), weights())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.WriteInterval, NOW + 1)
    assert refused(case(waiting=True), weights()) is HeldReason.WriteInterval
    again = SetWeights(before=EVEN, after=EVEN, purpose=Purpose.Restore, because="", step="1-x")
    assert refused(case(waiting=True), again) is None


def test_two_seconds_after_a_write_the_next_may_follow() -> None:
    step = Step(
        name="1-x", action="SetWeights", state=StepState.Applied, planned_at=NOW - 3, applied_at=NOW - 2, before=EVEN
    )
    assert refused(case(snapshot(episode=executing(step))), weights()) is None


def test_an_eviction_is_no_write_of_weights_to_wait_for() -> None:
    step = Step(name="1-x", action="RestartPod", state=StepState.Applied, planned_at=NOW - 2, applied_at=NOW - 1)
    assert refused(case(snapshot(episode=executing(step))), weights()) is None


# --- weights that make sense


def test_all_zero_is_refused() -> None:
    assert refused(case(), weights(a=0, b=0, c=0, d=0)) is HeldReason.LastReadyPod


def test_one_weight_of_one_is_enough() -> None:
    assert refused(case(), weights(a=1, b=0, c=0, d=0)) is None


def test_weight_for_a_backend_that_nobody_answers_behind_is_refused() -> None:
    held = govern(case(snapshot({"b-0": {"ready": False}})), weights())
    assert held is not None
    assert held.reason is HeldReason.EmptyBackend
    assert held.detail.startswith("b has no ready pod")


def test_the_least_weight_for_an_empty_backend_is_refused_and_none_is_not() -> None:
    empty = case(snapshot({"b-0": {"ready": False}}))
    unnamed = SetWeights(before=EVEN, after=dict.fromkeys("acd", 100), purpose=Purpose.Restore, because="")
    assert refused(empty, weights(b=1)) is HeldReason.EmptyBackend
    assert refused(empty, unnamed) is None


# --- whom a restart would hit


def test_restart_never() -> None:
    assert refused(case(balancer=spec(restart=Restart(when=RestartWhen.Never))), drain()) is HeldReason.RestartNever


def test_a_pod_without_a_controller_is_never_evicted() -> None:
    assert refused(case(snapshot({"b-0": {"workload": None}})), drain()) is HeldReason.NoController


def test_a_protected_pod_is_left_alone() -> None:
    assert refused(case(snapshot({"b-0": {"protected": True}})), drain()) is HeldReason.Protected


def test_the_last_ready_pod_stays() -> None:
    others = {f"{n}-0": {"ready": False} for n in "acd"}
    sight = snapshot(others, weights=dict.fromkeys("acd", 0))
    known = case(sight)
    write = Drain(before={}, after={"b": 0, "a": 0}, backend="b", pod="b-0", uid="uid-b-0", because="")
    assert refused(known, write) is HeldReason.LastReadyPod
    held = govern(known, restart())
    assert held is not None
    assert (held.reason, held.detail) == (HeldReason.LastReadyPod, "it is the last ready pod of this balancer")


def test_a_majority_must_go_on_serving() -> None:
    two = snapshot(backends="ab")
    write = Drain(before={}, after={"a": 100, "b": 0}, backend="b", pod="b-0", uid="uid-b-0", because="")
    held = govern(case(two, predict=lambda _: np.full(2, 0.4)), write)
    assert held is not None
    assert held.reason is HeldReason.LastReadyPod
    assert held.detail == "1 of 2 pods would serve; 51% must"


def test_just_as_many_as_must_be_ready_are_enough() -> None:
    assert refused(case(balancer=spec(guardrails=Guardrails(min_ready_percent=75))), drain()) is None


def test_a_ready_pod_without_weight_serves_nobody() -> None:
    held = govern(case(snapshot(weights={"b": 0, "c": 0, "d": 0})), restart())
    assert held is not None
    assert held.detail == "1 of 4 pods would serve; 51% must"


def test_a_backend_that_a_write_leaves_out_serves_nobody_and_one_of_weight_one_does() -> None:
    def draining(**after: int) -> Drain:
        return Drain(before=EVEN, after=after, backend="b", pod="b-0", uid="uid-b-0", because="")

    held = govern(case(), draining(a=100, b=0))
    assert held is not None
    assert held.detail == "1 of 4 pods would serve; 51% must"
    assert refused(case(), draining(a=1, b=0, c=1, d=1)) is None


def test_a_pod_that_is_not_ready_takes_nothing_with_it() -> None:
    sight = snapshot({"b-0": {"ready": False}}, weights={"b": 0})
    assert govern(case(sight), restart()) is None


def test_the_only_pod_of_a_backend_with_weight_is_not_evicted_undrained() -> None:
    assert refused(case(), restart()) is HeldReason.EmptyBackend


def test_one_pod_leaves_at_a_time() -> None:
    held = govern(case(snapshot({"d-0": {"terminating": True}})), drain("b"))
    assert held is not None
    assert held.reason in (HeldReason.OneAtATime, HeldReason.EmptyBackend)
    sight = snapshot({"d-0": {"terminating": True}}, weights={"d": 0, "b": 0})
    assert refused(case(sight), restart()) in (HeldReason.OneAtATime, HeldReason.LastReadyPod)
    five = snapshot({"e-0": {"terminating": True}}, backends="abcde", weights={"e": 0, "b": 0})
    assert refused(case(five), restart()) is HeldReason.OneAtATime


@pytest.mark.parametrize(
    ("starting", "reason"),
    [
        ({"ready": False, "age": 299.0}, HeldReason.OneAtATime),
        ({"ready": False, "age": 301.0}, None),  # no replacement takes so long: it is broken
        ({"ready": False, "age": None}, None),
        ({"ready": True, "age": 5.0}, None),
    ],
)
def test_while_another_pod_is_being_replaced_none_is_restarted(
    starting: dict[str, object], reason: HeldReason | None
) -> None:
    """With enough ready pods no other guard would hold it."""
    names, pods = "abcdefghijklmnopqrst", {"e-0": starting}
    sight = snapshot(pods, backends=names, weights={"e": 0, "b": 0})
    assert refused(case(sight), restart()) is reason
    held = govern(case(sight), restart())
    assert held is None or held.detail == "e-0 is not ready yet"


def test_a_pod_that_is_not_ready_is_no_reason_to_leave_itself_alone() -> None:
    sight = snapshot({"b-0": {"ready": False, "age": 60.0}}, weights={"b": 0})
    assert refused(case(sight), restart()) is None


def test_with_most_pods_bad_nobody_is_taken_away() -> None:
    assert refused(case(bad_ratio=0.6), weights(Purpose.Eject, b=5)) is HeldReason.Panic
    assert refused(case(bad_ratio=0.6), weights()) is None


def test_half_of_the_pods_bad_is_not_most() -> None:
    assert refused(case(bad_ratio=0.5), weights(Purpose.Eject, b=5)) is None


def test_receivers_need_headroom_and_a_drain_needs_a_reserve() -> None:
    def busy(use: float) -> Case:
        return case(predict=lambda _: np.array([use, 0.1, use - 0.01, use]))

    assert refused(busy(0.82), weights(Purpose.Eject, b=5)) is None
    held = govern(busy(0.82), drain())
    assert held is not None
    assert held.reason is HeldReason.Headroom
    assert held.detail == "a would run at 82% of its CPU, over 80%"
    assert refused(busy(0.9), weights(Purpose.Eject, b=5)) is HeldReason.Headroom
    assert refused(busy(0.9), weights()) is None


def test_only_who_gets_more_must_stand_it() -> None:
    known = case(predict=lambda _: np.array([0.95, 0.95, 0.4, 0.95]))
    assert refused(known, weights(Purpose.Eject, b=50, c=150)) is None


def test_a_receiver_may_run_at_the_limit_itself() -> None:
    assert refused(case(predict=lambda _: np.full(4, 0.85)), weights(Purpose.Eject, b=5)) is None


def test_without_a_cpu_signal_headroom_refuses_nothing() -> None:
    assert refused(case(predict=lambda _: np.full(4, np.nan)), drain()) is None


def large(cpu: float | None, count: int = 4, first: dict[str, object] | None = None, other: float = 0.01) -> Snapshot:
    """Pods `b-0` and so on behind `b`, the first changed, and as many behind `a`, at `other` cores."""
    pods = {f"b-{i}": pod(f"b-{i}", **{"cpu": cpu, **(first or {} if i == 0 else {})}) for i in range(count)}
    others = {f"a-{i}": pod(f"a-{i}", cpu=other) for i in range(count)}
    return Snapshot(
        time=NOW, window=15.0, backends={"a": Backend(weight=1, pods=others), "b": Backend(weight=1, pods=pods)}
    )


@pytest.mark.parametrize(("cpu", "reason"), [(0.1, None), (0.16, HeldReason.Headroom), (None, None)])
def test_the_siblings_of_a_restarted_pod_need_headroom(cpu: float | None, reason: HeldReason | None) -> None:
    assert refused(case(large(cpu)), restart()) is reason


def test_the_only_sibling_takes_all() -> None:
    assert refused(case(large(0.09, count=2)), restart()) is None
    held = govern(case(large(0.11, count=2)), restart())
    assert held is not None
    assert held.detail == "the other pods of b would run at 88% of their CPU, over 80%"


def test_only_the_siblings_are_asked_for_headroom() -> None:
    assert refused(case(large(0.16, first={"cpu": 0.01})), restart()) is HeldReason.Headroom
    assert refused(case(large(0.1, first={"cpu": 0.25}, other=0.25)), restart()) is None
    assert refused(case(large(0.1, other=0.25)), restart()) is None


def test_a_pod_that_is_not_ready_hands_nothing_to_its_siblings() -> None:
    assert refused(case(large(0.16, first={"ready": False})), restart()) is None


def test_a_restart_in_a_backend_that_is_gone_has_no_siblings_to_ask() -> None:
    write = RestartPod(backend="gone", pod="x", uid="uid-x", workload="Deployment/x", because="")
    assert refused(case(), write) is None


# --- budgets


def test_three_restarts_an_hour() -> None:
    ledger = tuple(restarted(seconds) for seconds in (3500, 1000, 500))
    held = govern(case(snapshot(ledger=ledger)), drain())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.Budget, NOW + 100)
    assert govern(case(snapshot(ledger=ledger[1:])), drain()) is None


def test_a_restart_of_an_hour_ago_counts_no_more() -> None:
    ledger = tuple(restarted(seconds) for seconds in (3600, 1000, 500))
    assert refused(case(snapshot(ledger=ledger)), drain()) is None


def test_a_budget_of_none_has_no_end() -> None:
    held = govern(case(balancer=spec(guardrails=Guardrails(restarts_per_hour=0))), drain())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.Budget, None)


def test_a_pod_and_its_workload_cool_down() -> None:
    same_pod = (restarted(300, pod="b-0", workload="Deployment/b"),)
    held = govern(case(snapshot(ledger=same_pod)), drain())
    assert held is not None
    assert (held.reason, held.until) == (HeldReason.CoolDown, NOW + 300)
    assert held.detail == "restarted 5 min ago"
    sibling = (restarted(299, pod="b-7", workload="Deployment/b"),)
    held = govern(case(snapshot(ledger=sibling)), drain())
    assert held is not None
    assert held.until == NOW + 1
    assert govern(case(snapshot(ledger=(restarted(301, pod="b-7", workload="Deployment/b"),))), drain()) is None


def test_a_pods_cool_down_doubles() -> None:
    twice = (restarted(700, pod="b-0", workload="Deployment/b"), restarted(9000, pod="b-0", workload="Deployment/b"))
    held = govern(case(snapshot(ledger=twice)), drain())
    assert held is not None
    assert held.until == NOW - 700 + 1200


def test_a_cool_down_ends_on_the_second() -> None:
    assert refused(case(snapshot(ledger=(restarted(600, pod="b-0", workload="Deployment/b"),))), drain()) is None


def test_another_workloads_restart_cools_nobody_down() -> None:
    assert refused(case(snapshot(ledger=(restarted(10),))), drain()) is None


# --- ruling


def test_the_first_allowed_write_wins_and_each_refusal_is_told_once() -> None:
    known = case(balancer=spec(restart=Restart(when=RestartWhen.Never)))
    ruling = rule(known, [drain(), drain("c"), weights(Purpose.Eject, b=5), weights()])
    assert ruling.write == weights(Purpose.Eject, b=5)
    assert [held.reason for held in ruling.held] == [HeldReason.RestartNever]


def ruling_of(reason: HeldReason | None = None, write: Write | None = None) -> Ruling:
    return Ruling(write=write, held=(Held(action=weights(), reason=reason),) if reason else ())


def test_an_episode_opens_on_a_fault_that_wants_something_and_not_on_one_denied() -> None:
    assert episode_move(case(), wanted=True, close=None) is EpisodeMove.Open
    assert episode_move(case(), wanted=False, close=None) is EpisodeMove.Stay
    calm = case(diagnosis=Diagnosis(label=Label.NoData))
    assert episode_move(calm, wanted=True, close=None) is EpisodeMove.Stay


@pytest.mark.parametrize(("kind", "seconds"), [("Denied", 3600.0), ("Revert", 600.0)])
@pytest.mark.parametrize(
    ("label", "over", "opens"),
    [
        (Label.Failing, -1.0, False),
        (Label.Failing, 1.0, True),
        (Label.Slow, -1.0, True),
    ],
)
def test_what_was_denied_or_undone_is_not_proposed_again_until_the_pause_is_over(
    kind: Literal["Denied", "Revert"], seconds: float, label: Label, over: float, opens: bool
) -> None:
    ledger = (Disruption(time=NOW - seconds - over, kind=kind, label=label),)
    move = episode_move(case(snapshot(ledger=ledger)), wanted=True, close=None)
    assert move is (EpisodeMove.Open if opens else EpisodeMove.Stay)


def test_nobody_is_asked_to_approve_what_was_just_undone() -> None:
    ledger = (Disruption(time=NOW - 20, kind="Revert", label=Label.Failing),)
    assert refused(case(snapshot(ledger=ledger), spec(mode=Mode.Approve)), weights()) is HeldReason.Frozen


def test_each_denial_holds_for_its_own_diagnosis() -> None:
    ledger = (
        Disruption(time=NOW - 600, kind="Denied", label=Label.Failing),
        Disruption(time=NOW - 300, kind="Denied", label=Label.Slow),
    )
    assert refused(case(snapshot(ledger=ledger)), weights()) is HeldReason.Denied


def test_an_open_episode_closes_only_when_told() -> None:
    episode = Episode(name="r", opened_at=NOW, label=Label.Failing, phase=Phase.Executing)
    known = case(snapshot(episode=episode))
    assert episode_move(known, wanted=True, close=None) is EpisodeMove.Stay
    assert episode_move(known, wanted=False, close=Phase.Failed) is EpisodeMove.Close


def test_the_phase_tells_how_far_it_is() -> None:
    step = Step(name="1-x", action="SetWeights", state=StepState.Verified, planned_at=NOW)
    written = Episode(name="r", opened_at=NOW, label=Label.Failing, phase=Phase.Executing, steps=(step,))
    assert phase(case(), ruling_of(write=weights()), idle=True) is Phase.Executing
    assert phase(case(), ruling_of(), idle=False) is Phase.Executing
    assert phase(case(), ruling_of(HeldReason.AwaitingApproval), idle=True) is Phase.AwaitingApproval
    assert phase(case(), ruling_of(), idle=True) is Phase.Observed
    assert phase(case(snapshot(episode=written)), ruling_of(), idle=True) is Phase.Verifying


def test_what_headroom_holds_back_asks_for_capacity_until_something_else_is_written() -> None:
    held = Held(action=drain(), reason=HeldReason.Headroom, detail="a would run at 95%")
    assert [(each.topic, each.because) for each in advice(case(), Ruling(held=(held,)))] == [
        ("ScaleUp", "a would run at 95%: add capacity first")
    ]
    assert list(advice(case(), Ruling(held=(held,), write=weights()))) == []
    assert list(advice(case(), ruling_of(HeldReason.Panic))) == []


@pytest.mark.parametrize(
    ("weight", "pre_stop", "told"), [(100, None, True), (1, 2.0, True), (100, 2.5, False), (0, None, False)]
)
def test_a_pod_that_still_gets_traffic_and_leaves_sooner_than_proxies_notice_is_told_of(
    weight: int, pre_stop: float | None, told: bool
) -> None:
    known = case(snapshot({"b-0": {"pre_stop_seconds": pre_stop}}, weights={"b": weight}))
    topics = [each.topic for each in advice(known, Ruling(write=restart()))]
    assert topics == (["PreStopTooShort"] if told else [])


def test_of_a_backend_that_is_gone_nothing_is_told() -> None:
    write = RestartPod(backend="gone", pod="b-0", uid="uid-b-0", workload="Deployment/b", because="")
    assert list(advice(case(), Ruling(write=write))) == []


def test_every_guard_is_asked() -> None:
    assert len(GUARDS) == len(set(GUARDS))


def given_up(*ago: float) -> Snapshot:
    """The eviction of b-0 was refused and given up, so many seconds ago, once or more."""
    known: dict[str, object] = {
        "action": "RestartPod",
        "state": StepState.Abandoned,
        "uid": "uid-b-0",
        "message": "needs 3",
    }
    steps = tuple(
        Step(name=str(each), planned_at=NOW - each, refused_since=NOW - each - 300, judged_at=NOW - each, **known)  # type: ignore[arg-type]
        for each in ago
    )
    episode = Episode(name="rem", opened_at=NOW - 9e3, label=Label.Failing, phase=Phase.Executing, steps=steps)
    return snapshot(episode=episode)


@pytest.mark.parametrize(
    ("ago", "held"), [([599.0], True), ([600.0], False), ([3e3, 1199.0], True), ([3e3, 1200.0], False)]
)
def test_an_eviction_that_was_refused_is_asked_for_again_after_ten_minutes_doubling(
    ago: list[float], held: bool
) -> None:
    drain = Drain(before=EVEN, after={**EVEN, "b": 0}, backend="b", pod="b-0", uid="uid-b-0", because="it fails")
    refusal = govern(case(given_up(*ago)), drain)
    assert (refusal is not None) is held
    if refusal is not None:
        assert refusal.reason is HeldReason.CoolDown
        assert "needs 3" in refusal.detail


def brought_back(purpose: Purpose, **changes: object) -> Snapshot:
    """`b-0` was drained, and two hours ago its backend got traffic again, for that purpose."""
    drained = {**EVEN, "b": 0}
    away = Step(
        name="1",
        action="Drain",
        state=StepState.Verified,
        planned_at=NOW - 7500,
        purpose=Purpose.Drain,
        before=EVEN,
        after=drained,
        uid="uid-b-0",
    )
    back = msgspec.structs.replace(
        away, name="3", action="SetWeights", planned_at=NOW - 7200, purpose=purpose, before=drained, after=EVEN
    )
    steps = (msgspec.structs.replace(away, **changes), back)
    episode = Episode(name="rem", opened_at=NOW - 9e3, label=Label.Failing, phase=Phase.Executing, steps=steps)
    return snapshot(episode=episode)


@pytest.mark.parametrize(
    ("purpose", "change", "held"),
    [
        (Purpose.Eject, {}, True),  # its restart was given up
        (Purpose.Ramp, {}, True),  # and the others could not bear the rest
        (Purpose.Restore, {}, False),  # somebody set wrong weights in the middle of it
        (Purpose.Eject, {"uid": "uid-of-the-one-before"}, False),
        (Purpose.Eject, {"state": StepState.Abandoned}, False),
    ],
)
def test_a_pod_that_was_drained_in_vain_is_not_drained_again(
    purpose: Purpose, change: dict[str, object], held: bool
) -> None:
    drain = Drain(before=EVEN, after={**EVEN, "b": 0}, backend="b", pod="b-0", uid="uid-b-0", because="it fails")
    refusal = govern(case(brought_back(purpose, **change)), drain)
    assert (refusal is not None) is held
    if refusal is not None:
        assert (refusal.reason, refusal.until) == (HeldReason.CoolDown, None)
        assert "b-0" in refusal.detail


def test_a_drain_that_is_under_way_is_finished_though_the_pod_was_drained_in_vain_before() -> None:
    drain = Drain(
        before=EVEN, after={**EVEN, "b": 0}, backend="b", pod="b-0", uid="uid-b-0", because="it fails", step="5-drain"
    )
    assert govern(case(brought_back(Purpose.Eject)), drain) is None


def test_a_probes_worth_for_a_drained_backend_is_not_refused_for_want_of_headroom_nor_in_panic() -> None:
    drained = {**EVEN, "a": 0}
    back = SetWeights(before=drained, after={**EVEN, "a": 5}, purpose=Purpose.Eject, because="the restart is off")
    sight = snapshot(weights=drained)
    assert govern(case(sight, bad_ratio=0.9, predict=lambda weights: np.full(4, 0.99)), back) is None
    frozen = snapshot(weights=drained, ledger=(Disruption(time=NOW - 10, kind="Revert"),))
    assert govern(case(frozen), back) is None


def guarded(mode: GuardMode, max_share_percent: int | None = None) -> Case:
    guard = Guard(mode=mode, max_share_percent=max_share_percent)
    return case(balancer=msgspec.structs.replace(spec(), guard=guard))


@pytest.mark.parametrize("write", [weights(a=1000), weights(b=0, c=0, d=0)], ids=["outweighed", "starved"])
def test_what_the_guard_would_refuse_of_anybody_is_held(write: SetWeights) -> None:
    held = govern(guarded(GuardMode.Deny), write)
    assert held is not None
    assert held.reason is HeldReason.Guard
    assert "Service a" in held.detail
    assert "at most 40.0%" in held.detail


def test_a_guard_that_warns_holds_nothing() -> None:
    assert govern(guarded(GuardMode.Warn), weights(a=1000)) is None


def test_one_of_four_even_backends_is_drained_under_a_guard_that_denies() -> None:
    assert govern(guarded(GuardMode.Deny), drain()) is None


def test_a_backend_that_should_have_nearly_everything_gets_it_under_a_guard_that_denies() -> None:
    """Nine pods of ten stand behind it: what is even counts pods."""
    denied = guarded(GuardMode.Deny, max_share_percent=50)
    targets = {"a": 0.9, "b": 0.04, "c": 0.03, "d": 0.03}
    assert govern(msgspec.structs.replace(denied, targets=targets), weights(a=2700, b=120, c=90, d=90)) is None
