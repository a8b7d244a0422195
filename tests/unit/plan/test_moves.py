"""Moves that a closed loop seldom meets: pods with siblings, vanished pods, waits that end."""

from __future__ import annotations

import msgspec
import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Disruption, Episode, Phase, Step, StepState
from evenload.model.plan import Advise, Drain, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Backend, Snapshot
from evenload.model.spec import Desired, DesiredType, Mode, Restart, RestartWhen, Share
from tests.unit.engine.build import NOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec
from tests.unit.plan.scenes import EVEN, done, episode


def wide(changes: dict[str, dict[str, object]] | None = None, **fields: object) -> Snapshot:
    """Two backends of four pods."""
    changed = changes or {}

    def pods(name: str) -> dict[str, object]:
        return {
            f"{name}-{i}": pod(f"{name}-{i}", workload=f"Deployment/{name}", **changed.get(f"{name}-{i}", {}))
            for i in range(4)
        }

    backends = {name: Backend(weight=100, pods=pods(name)) for name in "ab"}  # type: ignore[arg-type]
    return Snapshot(time=NOW, window=15.0, backends=backends, **fields)  # type: ignore[arg-type]


def topics(decision: Decision) -> list[str]:
    return [action.topic for action in decision.actions if isinstance(action, Advise)]


# --- pods with siblings


def test_one_of_several_pods_is_restarted_without_a_drain_once_it_kept_failing() -> None:
    engine, sick = Engine(spec()), wide({"a-1": {"errors": 96.0, "pre_stop_seconds": 5.0}})
    assert write_of(steps(engine, sick, 6, tick=5.0)) is None
    decision = steps(engine, later(sick, 30), 3, tick=5.0)
    assert write_of(decision) == RestartPod(
        backend="a", pod="a-1", uid="uid-a-1", workload="Deployment/a", because=decision.diagnosis.sentence
    )
    assert topics(decision) == []


@pytest.mark.parametrize("seconds", [None, 1.0])
def test_a_pod_that_leaves_faster_than_the_proxy_notices_is_worth_a_warning(seconds: float | None) -> None:
    engine, sick = Engine(spec()), wide({"a-1": {"errors": 96.0, "pre_stop_seconds": seconds}})
    decision = steps(engine, sick, 9)
    assert isinstance(write_of(decision), RestartPod)
    assert topics(decision) == ["PreStopTooShort"]


def test_a_restart_without_drain_ends_when_the_replacement_served_for_three_ticks() -> None:
    step = Step(
        name="1-restart",
        action="RestartPod",
        state=StepState.Applied,
        planned_at=NOW - 60,
        applied_at=NOW - 60,
        backend="a",
        pod="a-1",
        uid="uid-old",
        workload="Deployment/a",
    )
    engine, sight = Engine(spec()), wide({"a-1": {"age": 40.0}}, episode=episode(step))
    waiting = steps(engine, sight, 2)
    assert waiting.episode is EpisodeMove.Stay
    closing = engine.step(later(sight, 15))
    assert (closing.episode, closing.phase) == (EpisodeMove.Close, Phase.Succeeded)
    assert [verdict.state for verdict in closing.verdicts] == [StepState.Verified]


def test_a_pod_without_a_uid_is_never_restarted() -> None:
    assert write_of(steps(Engine(spec()), wide({"a-1": {"errors": 96.0, "uid": ""}}), 9)) is None


def test_a_backend_of_which_most_pods_fail_is_not_ejected_if_that_takes_too_many() -> None:
    most: dict[str, dict[str, object]] = {f"a-{i}": {"errors": 60.0} for i in range(3)}
    engine = Engine(spec(restart=Restart(when=RestartWhen.Never)))
    decision = steps(engine, wide(most), 4)
    assert decision.diagnosis.label is Label.Failing
    write = write_of(decision)
    assert isinstance(write, SetWeights)
    assert write.purpose is Purpose.Eject


# --- slow for long


def test_a_single_pod_that_stays_slow_for_five_minutes_is_drained_for_a_restart() -> None:
    engine, sight = Engine(spec()), snapshot({"d-0": {"latency": 0.09}})
    writes = [write_of(engine.step(later(sight, 5.0 * tick))) for tick in range(70)]
    assert isinstance(writes[-1], Drain)
    assert not any(isinstance(write, Drain) for write in writes[:60])


def test_not_if_a_restart_did_not_help_before() -> None:
    lately = (Disruption(time=NOW - 60, kind="Restart", pod="x", workload="Deployment/d"),)
    engine, sight = Engine(spec()), snapshot({"d-0": {"latency": 0.09}}, ledger=lately)
    writes = [write_of(engine.step(later(sight, 5.0 * tick))) for tick in range(70)]
    assert not any(isinstance(write, Drain) for write in writes)


# --- empty backends


def test_when_only_empty_backends_had_weight_those_that_are_ready_get_it() -> None:
    sight = snapshot({"a-0": {"ready": False, "requests": 0.0}}, weights={"b": 0, "c": 0, "d": 0})
    write = write_of(steps(Engine(spec()), sight, 3))
    assert isinstance(write, SetWeights)
    assert write.after == {"a": 0, "b": 1333, "c": 1333, "d": 1333}


# --- waits


def drained(**changes: object) -> Episode:
    step = done("1-drain", Purpose.Drain, EVEN, {**EVEN, "a": 0}, backend="a", pod="a-0", uid="uid-a-0")
    return episode(step, **changes)


def test_a_drained_pod_that_somebody_else_removed_leaves_a_backend_to_ramp_up() -> None:
    sight = snapshot({"a-0": {"uid": "uid-new", "requests": 0.0}}, weights={"a": 0}, episode=drained())
    write = write_of(steps(Engine(spec()), sight, 3))
    assert isinstance(write, SetWeights)
    assert (write.purpose, write.after["a"]) == (Purpose.Ramp, 10)


def test_in_flight_requests_are_waited_for() -> None:
    sight = snapshot({"a-0": {"requests": 0.0, "in_flight": 3.0}}, weights={"a": 0}, episode=drained())
    early = msgspec.structs.replace(sight, time=NOW - 30)
    decision = steps(Engine(spec()), early, 3)
    assert write_of(decision) is None
    assert "waiting until nothing is in flight at a-0" in decision.sentence


def test_a_ramp_waits_while_the_new_pod_fails() -> None:
    ramp = done("3-ramp", Purpose.Ramp, {**EVEN, "a": 0}, {**EVEN, "a": 10}, ago=30.0)
    restart = Step(
        name="2-restart",
        action="RestartPod",
        state=StepState.Applied,
        planned_at=NOW - 60,
        applied_at=NOW - 59,
        backend="a",
        pod="a-0",
        uid="uid-a-0",
        workload="Deployment/a",
    )
    cold = {"uid": "uid-new", "age": 40.0, "requests": 24.0, "errors": 12.0}
    sight = snapshot({"a-0": cold}, weights={"a": 10}, episode=episode(*drained().steps, restart, ramp))
    decision = steps(Engine(spec()), sight, 2)
    assert decision.diagnosis.label is Label.WarmUp
    assert write_of(decision) is None
    assert "the ramp of a waits" in decision.sentence


def test_a_restart_held_back_for_too_long_leaves_its_pod_a_probes_worth() -> None:
    step = done("1-drain", Purpose.Drain, EVEN, {**EVEN, "a": 0}, ago=400.0, backend="a", pod="a-0", uid="uid-a-0")
    sight = snapshot({"a-0": {"requests": 0.0, "protected": True}}, weights={"a": 0}, episode=episode(step))
    decision = Engine(spec()).step(sight)
    write = write_of(decision)
    assert isinstance(write, SetWeights)
    assert (write.purpose, write.after) == (Purpose.Eject, {"a": 10, "b": 200, "c": 200, "d": 200})
    assert topics(decision) == ["RestartFailed"]


def test_a_pod_that_lost_its_controller_while_drained_is_not_evicted() -> None:
    sight = snapshot(
        {"a-0": {"requests": 0.0, "in_flight": 0.0, "workload": None}}, weights={"a": 0}, episode=drained()
    )
    decision = steps(Engine(spec()), sight, 3)
    assert write_of(decision) is None
    assert decision.sentence.startswith("restarting a-0")


# --- people


def test_undo_waits_for_a_write_that_is_on_its_way() -> None:
    planned = done(
        "1-restore", Purpose.Restore, {**EVEN, "a": 9}, EVEN, ago=5.0, state=StepState.Planned, applied_at=None
    )
    sight = snapshot(weights={"a": 9}, episode=episode(planned, undo_requested=True))
    decision = Engine(spec()).step(sight)
    assert write_of(decision) is None
    assert "1-restore is still being written" in decision.sentence


def test_a_plan_nobody_approved_for_a_day_expires() -> None:
    bad = {"a-0": {"requests": 931.0}, **{f"{n}-0": {"requests": 9.6} for n in "bcd"}}
    open_since = episode(label=Label.LoadBalancerSkew, phase=Phase.AwaitingApproval, opened_at=NOW - 86_500)
    sight = snapshot(bad, weights={"a": 970, "b": 10, "c": 10, "d": 10}, episode=open_since)
    waiting = msgspec.structs.replace(sight, episode=msgspec.structs.replace(open_since, opened_at=NOW - 600))
    assert steps(Engine(spec(mode=Mode.Approve)), waiting, 3).episode is EpisodeMove.Stay
    decision = steps(Engine(spec(mode=Mode.Approve)), sight, 3)
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Expired)


# --- headroom


def test_a_restore_goes_only_as_far_as_weak_receivers_can_take() -> None:
    """Explicit shares that ask of one backend more than its small pod can bear."""
    shares = tuple(Share(backend=name, weight=weight) for name, weight in zip("ab", (50, 50), strict=True))
    engine = Engine(spec(desired=Desired(type=DesiredType.Explicit, shares=shares)))
    small = {"requests": 200.0, "cpu": 0.10, "cpu_limit": 0.25}
    large = {"requests": 800.0, "cpu": 0.30, "cpu_limit": 2.0}
    write = write_of(
        steps(engine, snapshot({"a-0": large, "b-0": small}, backends="ab", weights={"a": 800, "b": 200}), 3)
    )
    assert isinstance(write, SetWeights)
    assert 0.2 < write.after["b"] / sum(write.after.values()) < 0.45
    assert "as far as the receivers' headroom allows" in write.because


def test_even_a_quarter_of_the_way_is_better_than_none() -> None:
    shares = tuple(Share(backend=name, weight=50) for name in "ab")
    engine = Engine(spec(desired=Desired(type=DesiredType.Explicit, shares=shares)))
    small = {"requests": 200.0, "cpu": 0.24, "cpu_limit": 0.25}
    large = {"requests": 800.0, "cpu": 0.30, "cpu_limit": 2.0}
    write = write_of(
        steps(engine, snapshot({"a-0": large, "b-0": small}, backends="ab", weights={"a": 800, "b": 200}), 3)
    )
    assert isinstance(write, SetWeights)
    assert write.after["b"] / sum(write.after.values()) == pytest.approx(0.275, abs=0.01)


def test_a_backend_that_still_fails_after_its_pod_vanished_stays_held_back() -> None:
    vanished = Step(
        name="2-restart",
        action="RestartPod",
        state=StepState.Abandoned,
        planned_at=NOW - 50,
        backend="a",
        pod="a-0",
        uid="uid-a-0",
        workload="Deployment/a",
    )
    failing = {"uid": "uid-new", "requests": 60.0, "errors": 40.0}
    sight = snapshot({"a-0": failing}, weights={"a": 0}, episode=episode(*drained().steps, vanished))
    decision = steps(Engine(spec()), sight, 3)
    assert decision.diagnosis.label is Label.Failing
    assert write_of(decision) is None
    assert "the ramp of a waits" in decision.sentence
