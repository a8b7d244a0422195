"""What was begun goes on: ejections that end in time, restarts of what keeps failing."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Disruption, Phase, Step, StepState
from evenload.model.plan import Advise, Drain, Purpose, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Restart, RestartWhen
from evenload.plan.moves import Plan
from evenload.plan.progress import continue_ejection, continue_restart, give_up
from tests.unit.engine.build import NOW, snapshot
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


def test_a_restart_given_up_gives_the_weight_back_where_somebody_answers_and_tells() -> None:
    drain = step(Purpose.Drain, EVEN, DRAINED, 500.0, backend="a", pod="a-0", uid="uid-a-0")
    refused = eviction(state=StepState.Planned, refused_since=NOW - 300, message="needs 3")
    plan = gave_up(drain, refused)
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert (write.purpose, write.after, write.reverts) == (Purpose.Revert, EVEN, drain.name)
    (tell,) = plan.tell
    assert isinstance(tell, Advise)
    assert (tell.topic, tell.because) == ("RestartFailed", "the eviction was refused for 5 min: needs 3")
    assert plan.close is None
    nobody = gave_up(drain, refused, pod={"ready": False})
    assert (nobody.writes, nobody.close) == ((), Phase.Failed)


def test_it_is_the_drain_that_is_given_back_whatever_stands_after_it() -> None:
    drain = step(Purpose.Drain, EVEN, DRAINED, 500.0, backend="a", pod="a-0", uid="uid-a-0")
    refused = eviction(state=StepState.Planned, refused_since=NOW - 300, message="needs 3")
    never = step(Purpose.Drain, EVEN, DRAINED, 400.0, backend="b", pod="b-0", uid="x", state=StepState.Abandoned)
    (write,) = gave_up(drain, refused, never, step(Purpose.Eject, DRAINED, DRAINED, 300.0)).writes
    assert isinstance(write, SetWeights)
    assert write.reverts == drain.name


def test_an_eviction_that_was_abandoned_earlier_is_remembered_with_its_reason() -> None:
    plan = gave_up(eviction(state=StepState.Abandoned, refused_since=NOW - 400, message="needs 3"))
    assert (plan.close, [tell.because for tell in plan.tell]) == (Phase.Failed, ["needs 3"])
    sight = snapshot(episode=episode(eviction(state=StepState.Abandoned)))
    assert give_up(scene(sight)) is None


def test_a_ramp_waits_only_for_trouble_of_what_ramps_up() -> None:
    ramp = step(Purpose.Ramp, EJECTED, {**EVEN, "a": 10}, 60.0)
    sight = snapshot(weights={"a": 10}, episode=episode(step(Purpose.Eject, EVEN, EJECTED, 100.0), ramp))

    def busy(label: Label, *backends: str) -> str:
        return going_on(sight, Diagnosis(label=label, backends=backends, sentence="it fails")).busy

    assert busy(Label.WarmUp, "a") == "the ramp of a waits: it fails"
    assert busy(Label.WarmUp, "b") == "a ramps up"
    assert busy(Label.Slow, "a") == "a ramps up"
