"""What was begun goes on: ejections that end in time, restarts of what keeps failing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Disruption, Phase, Step, StepState
from evenload.model.fleet import Floats
from evenload.model.plan import Advise, Drain, Purpose, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Snapshot
from evenload.model.spec import Restart, RestartWhen
from evenload.model.wording import clock
from evenload.plan.moves import Plan
from evenload.plan.progress import continue_ejection, continue_restart, give_up
from tests.unit.engine.build import NOW, pod, snapshot
from tests.unit.engine.plant import spec
from tests.unit.plan.scenes import EJECTED, EVEN, episode, eviction, scene, step

NO_RESTARTS = Policy.of(spec(restart=Restart(when=RestartWhen.Never)))


def ejected(*ago: float, pod: dict[str, object] | None = None, after: dict[str, int] = EJECTED) -> Snapshot:
    """Backend `a` ejected so many seconds ago, several times perhaps; its pod as it is now."""
    steps = [step(Purpose.Eject, EVEN, after, each) for each in ago]
    return snapshot({"a-0": {"requests": 10.0, **(pod or {})}}, weights=after, episode=episode(*steps))


def going_on(sight: Snapshot, diagnosis: Diagnosis | Label = Label.Healthy, /, **changes: object) -> Plan:
    plan = continue_ejection(scene(sight, diagnosis, **changes))
    assert plan is not None
    return plan


def ramp_of(plan: Plan) -> dict[str, int] | None:
    return next((w.after for w in plan.writes if isinstance(w, SetWeights) and w.purpose is Purpose.Ramp), None)


def test_without_anything_held_back_there_is_nothing_to_go_on_with() -> None:
    assert continue_ejection(scene(snapshot())) is None
    assert continue_restart(scene(snapshot())) is None
    assert give_up(scene(snapshot())) is None


@pytest.mark.parametrize(
    ("ago", "ramps"),
    [
        ([29.9], False),
        ([30.0], True),
        ([500.0, 59.9], False),
        ([500.0, 60.0], True),
        ([*[900.0] * 10, 299.9], False),
        ([*[900.0] * 10, 300.0], True),
    ],
)
def test_an_ejection_lasts_half_a_minute_for_each_so_far_and_five_minutes_at_most(
    ago: list[float], ramps: bool
) -> None:
    plan = going_on(ejected(*ago), policy=NO_RESTARTS)
    assert (ramp_of(plan) is not None) is ramps
    assert ramps or plan.busy.startswith("a stays ejected until")


def test_what_was_ejected_for_want_of_pods_comes_back_the_moment_one_is_ready() -> None:
    empty = {**EVEN, "a": 0}
    assert ramp_of(going_on(ejected(1.0, after=empty), policy=NO_RESTARTS)) is not None
    waiting = going_on(ejected(500.0, pod={"ready": False}, after=empty), policy=NO_RESTARTS)
    assert (waiting.writes, waiting.busy) == ((), "a has no ready pod")


def test_a_pod_that_nobody_asked_yet_has_not_failed_and_is_not_restarted() -> None:
    """Its backend was empty until now, so it had no weight and no request."""
    empty = {**EVEN, "a": 0}
    assert ramp_of(going_on(ejected(500.0, pod={"requests": 0.0, "age": 5.0}, after=empty))) is not None


@pytest.mark.parametrize(
    ("requests", "errors", "restarts"),
    [
        (10.0, 1.0, True),
        (5.0, 0.25, False),
        (5.0, 0.26, True),
        (4.9, 4.9, False),
        (100.0, 5.0, False),
        (100.0, 5.1, True),
    ],
)
def test_what_keeps_failing_with_a_probes_worth_of_traffic_is_restarted(
    requests: float, errors: float, restarts: bool
) -> None:
    """Five answers prove something: more than a twentieth of them failed."""
    plan = going_on(ejected(30.0, pod={"requests": requests, "errors": errors}))
    assert any(isinstance(write, Drain) for write in plan.writes) is restarts


def test_six_ticks_of_probing_come_before_the_restart() -> None:
    assert going_on(ejected(29.9, pod={"errors": 9.0})).writes == ()
    (write,) = going_on(ejected(30.0, pod={"errors": 9.0})).writes
    assert isinstance(write, Drain)
    assert write.because.startswith("a-0 kept failing after its ejection")


def test_nobody_is_restarted_for_it_without_leave_or_again_so_soon() -> None:
    failing: dict[str, object] = {"errors": 9.0}
    assert not any(isinstance(w, Drain) for w in going_on(ejected(30.0, pod=failing), policy=NO_RESTARTS).writes)
    lately = (Disruption(time=NOW - 1800, kind="Restart", pod="a-0", workload="Deployment/a"),)
    sight = snapshot(
        {"a-0": {"requests": 10.0, **failing}},
        weights=EJECTED,
        episode=episode(step(Purpose.Eject, EVEN, EJECTED, 30.0)),
        ledger=lately,
    )
    assert not any(isinstance(w, Drain) for w in going_on(sight).writes)


def test_only_the_ejected_pod_is_restarted_for_it() -> None:
    steps = (step(Purpose.Eject, EVEN, EJECTED, 30.0),)
    sight = snapshot({"a-0": {"requests": 100.0}, "b-0": {"errors": 200.0}}, weights=EJECTED, episode=episode(*steps))
    assert not any(isinstance(w, Drain) for w in going_on(sight).writes)


def replaced(calm: int, **changes: object) -> Plan | None:
    """`a-0` was evicted a minute ago and a new pod stands in its place, with its share."""
    sight = snapshot({"a-0": {"uid": "uid-new", "age": 30.0}}, episode=episode(eviction()))
    return continue_restart(scene(sight, Label.Healthy, calm_ticks=calm, **changes))


def test_a_restart_is_over_after_three_calm_ticks() -> None:
    assert replaced(2) is None
    assert replaced(3, clean=False) is None
    plan = replaced(3)
    assert plan is not None
    assert plan.close is Phase.Succeeded
    assert [(verdict.step, verdict.state) for verdict in plan.verdicts] == [("restart", StepState.Verified)]


def sick_again(*failing: str) -> Plan | None:
    """`a-0` was evicted a minute ago; the two pods that stand in its place were made in the same second."""
    new = {name: pod(name, age=50.0) for name in ("a-1", "a-2")}
    known = snapshot(episode=episode(eviction()))
    backends = {**known.backends, "a": Backend(weight=100, pods={"a-9": pod("a-9"), **new})}
    diagnosis = Diagnosis(label=Label.Failing, pods=failing, backends=("a",), sentence="it fails")
    return continue_restart(scene(msgspec.structs.replace(known, backends=backends), diagnosis))


def test_a_restart_is_blamed_only_where_all_that_may_have_replaced_the_pod_fails() -> None:
    plan = sick_again("a-1", "a-2")
    assert plan is not None
    assert [verdict.state for verdict in plan.verdicts] == [StepState.Ineffective]
    for failing in ("a-1", "a-2", "a-9"):
        assert sick_again(failing) is None


def test_the_replacement_is_waited_for() -> None:
    plan = continue_restart(scene(snapshot({"a-0": {"uid": "x", "ready": False}}, episode=episode(eviction()))))
    assert plan is not None
    assert (plan.writes, plan.busy) == ((), "waiting for the replacement of a-0")


def gave_up(*steps: Step, pod: dict[str, object] | None = None) -> Plan:
    sight = snapshot({"a-0": pod or {}}, weights={"a": 0}, episode=episode(*steps))
    plan = give_up(scene(sight))
    assert plan is not None
    return plan


DRAINED = {**EVEN, "a": 0}


DRAIN = step(Purpose.Drain, EVEN, DRAINED, 500.0, backend="a", pod="a-0", uid="uid-a-0")
REFUSED = eviction(state=StepState.Planned, refused_since=NOW - 300, message="needs 3")


def test_a_restart_given_up_leaves_a_probes_worth_where_somebody_answers_and_tells() -> None:
    plan = gave_up(DRAIN, REFUSED)
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert (write.purpose, write.after) == (Purpose.Eject, {"a": 10, "b": 200, "c": 200, "d": 200})
    (tell,) = plan.tell
    assert isinstance(tell, Advise)
    assert (tell.topic, tell.because) == ("RestartFailed", "the eviction was refused for 5 min: needs 3")
    assert plan.close is None
    nobody = gave_up(DRAIN, REFUSED, pod={"ready": False})
    assert (nobody.writes, nobody.close) == ((), Phase.Failed)


@pytest.mark.parametrize(("use_at_a_third", "share", "purpose"), [(0.84, 0.3, Purpose.Eject), (1.1, 1.0, Purpose.Ramp)])
def test_what_the_others_cannot_bear_comes_back_to_it(use_at_a_third: float, share: float, purpose: Purpose) -> None:
    def predict(weights: Mapping[str, float]) -> Floats:
        others = (1 - weights["a"] / sum(weights.values())) / 3
        return np.array([0.2, *[use_at_a_third * others / 0.3023] * 3])  # 0.3023: with three tenths of its share to `a`

    sight = snapshot(weights={"a": 0}, episode=episode(DRAIN, REFUSED))
    plan = give_up(scene(sight, predict=predict))
    assert plan is not None
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert write.after["a"] / write.after["b"] == pytest.approx(share)
    assert write.purpose is purpose


def test_what_was_given_up_is_held_back_from_then_on_and_given_up_once() -> None:
    given_up = eviction(state=StepState.Abandoned, refused_since=NOW - 400, judged_at=NOW - 90, message="needs 3")
    back = step(Purpose.Eject, DRAINED, EJECTED, 20.0)
    sight = snapshot(weights=EJECTED, episode=episode(DRAIN, given_up, back))
    assert give_up(scene(sight)) is None
    assert going_on(sight).busy == "a stays ejected until " + clock(NOW + 10)
    again = step(Purpose.Drain, EJECTED, DRAINED, 10.0, backend="a", pod="a-0", uid="uid-a-0")
    assert give_up(scene(snapshot(weights=DRAINED, episode=episode(DRAIN, given_up, back, again)))) is None


def test_an_eviction_that_was_abandoned_earlier_is_remembered_with_its_reason() -> None:
    plan = gave_up(DRAIN, eviction(state=StepState.Abandoned, refused_since=NOW - 400, message="needs 3"))
    assert len(plan.writes) == 1
    assert [tell.because for tell in plan.tell] == ["needs 3"]
    sight = snapshot(episode=episode(eviction(state=StepState.Abandoned)))
    assert give_up(scene(sight)) is None


def test_an_eviction_refused_to_a_pod_that_was_never_drained_is_given_up_and_the_incident_goes_on() -> None:
    plan = gave_up(REFUSED)
    assert (plan.writes, plan.close) == ((), None)
    assert [verdict.state for verdict in plan.verdicts] == [StepState.Abandoned]


def test_a_ramp_waits_only_for_trouble_of_what_ramps_up() -> None:
    ramp = step(Purpose.Ramp, EJECTED, {**EVEN, "a": 10}, 60.0)
    sight = snapshot(weights={"a": 10}, episode=episode(step(Purpose.Eject, EVEN, EJECTED, 100.0), ramp))

    def busy(label: Label, *backends: str) -> str:
        return going_on(sight, Diagnosis(label=label, backends=backends, sentence="it fails")).busy

    assert busy(Label.WarmUp, "a") == "the ramp of a waits: it fails"
    assert busy(Label.WarmUp, "b") == "a ramps up"
    assert busy(Label.Slow, "a") == "a ramps up"
