"""Taking back: what a person wishes, what harmed, and how an episode ends after it."""

from __future__ import annotations

import pytest

from evenload.model.episode import ApprovalDecision, Phase, Step, StepState
from evenload.model.plan import Purpose, SetWeights
from evenload.plan.moves import Plan
from evenload.plan.undo import after_undo, resume, undo_harm, wished
from tests.unit.engine.build import NOW, snapshot
from tests.unit.plan.scenes import EJECTED, EVEN, episode, eviction, scene, step

SKEWED = {**EVEN, "a": 900}
RESTORE = step(Purpose.Restore, SKEWED, EVEN, 60.0)


def wish(*steps: Step, weights: dict[str, int] | None = None, **changes: object) -> Plan | None:
    return wished(scene(snapshot(weights=weights, episode=episode(*steps, **changes))))


def test_without_a_wish_nothing_is_taken_back() -> None:
    assert wished(scene(snapshot())) is None
    assert wish(RESTORE) is None
    assert undo_harm(scene(snapshot())) is None
    assert resume(scene(snapshot())) is None


def test_a_denial_ends_the_episode() -> None:
    assert wish(approval=ApprovalDecision.Denied) == Plan(close=Phase.Denied)


@pytest.mark.parametrize(("seconds", "over"), [(86_400, False), (86_401, True)])
def test_what_waits_for_approval_expires_after_a_day(seconds: float, over: bool) -> None:
    waiting: dict[str, object] = {"phase": Phase.AwaitingApproval, "opened_at": NOW - seconds}
    assert wish(**waiting) == (Plan(close=Phase.Expired) if over else None)  # type: ignore[arg-type]
    assert wish(RESTORE, **waiting) is None  # type: ignore[arg-type]
    assert wish(opened_at=NOW - seconds) is None


@pytest.mark.parametrize(("ago", "waits"), [(29.0, True), (30.0, False)])
def test_a_write_on_its_way_is_waited_for_before_undoing(ago: float, waits: bool) -> None:
    planned = step(Purpose.Restore, SKEWED, EVEN, ago, state=StepState.Planned, applied_at=None)
    plan = wish(step(Purpose.Eject, EVEN, EJECTED, 90.0), planned, weights=EJECTED, undo_requested=True)
    assert plan is not None
    assert plan.busy.endswith("is still being written") is waits
    assert bool(plan.writes) is not waits


def test_one_write_says_every_inverse() -> None:
    later = step(Purpose.Eject, EVEN, EJECTED, 30.0)
    plan = wish(RESTORE, later, weights=EJECTED, undo_requested=True)
    assert plan is not None
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert (write.before, write.after, write.purpose, write.reverts) == (EJECTED, SKEWED, Purpose.Revert, RESTORE.name)
    assert write.because == "a person asked for undo: putting back 900/100/100/100"


def test_undoing_is_over_when_the_weights_before_the_first_step_stand() -> None:
    later = step(Purpose.Eject, EVEN, EJECTED, 30.0)
    revert = step(Purpose.Revert, EJECTED, SKEWED, 5.0)
    plan = wish(RESTORE, later, revert, weights=SKEWED, undo_requested=True)
    assert plan is not None
    assert (plan.close, plan.writes) == (Phase.RolledBack, ())
    assert [(v.step, v.state) for v in plan.verdicts] == [
        (RESTORE.name, StepState.Reverted),
        (later.name, StepState.Reverted),
    ]


def test_with_nothing_that_stands_there_is_nothing_to_undo() -> None:
    never = step(Purpose.Restore, SKEWED, EVEN, 60.0, state=StepState.Abandoned)
    assert wish(never, undo_requested=True) == Plan(close=Phase.RolledBack)


def test_what_harmed_is_put_back_for_the_backends_that_there_are() -> None:
    harmful = step(Purpose.Restore, {"a": 7, "gone": 9}, EVEN, 60.0)
    plan = undo_harm(scene(snapshot(episode=episode(harmful)), harmful=harmful))
    assert plan is not None
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert write.after == {"a": 7, "b": 0, "c": 0, "d": 0}
    assert write.because == f"errors more than doubled after {harmful.name}: putting back 7/9"


def ended(*steps: Step, **changes: object) -> Plan | None:
    return after_undo(scene(snapshot(episode=episode(*steps)), **changes))


DRAIN = step(Purpose.Drain, EVEN, {**EVEN, "a": 0}, 90.0, backend="a", pod="a-0", uid="uid-a-0")


def revert_of(undone: Step) -> Step:
    return step(Purpose.Revert, undone.after or {}, undone.before or {}, 5.0, reverts=undone.name)


def test_a_revert_that_stands_ends_the_episode_with_what_it_undid() -> None:
    assert ended() is None
    assert ended(RESTORE) is None
    plan = ended(RESTORE, revert_of(RESTORE))
    assert plan is not None
    assert plan.close is Phase.RolledBack
    assert [(v.step, v.state) for v in plan.verdicts] == [(RESTORE.name, StepState.Reverted)]


def test_a_revert_that_was_followed_by_another_step_is_not_the_end() -> None:
    assert ended(RESTORE, revert_of(RESTORE), step(Purpose.Eject, EVEN, EJECTED, 1.0)) is None


@pytest.mark.parametrize("state", [StepState.Abandoned, StepState.Ineffective])
def test_a_restart_that_came_to_nothing_has_failed(state: StepState) -> None:
    plan = ended(DRAIN, eviction(state=state), revert_of(DRAIN))
    assert plan is not None
    assert plan.close is Phase.Failed


def test_a_revert_that_never_stood_ends_nothing() -> None:
    never = step(Purpose.Revert, EVEN, SKEWED, 5.0, reverts=RESTORE.name, state=StepState.Abandoned)
    assert ended(RESTORE, never) is None


def test_a_restart_that_went_well_has_not_failed_because_weights_were_put_back_later() -> None:
    plan = ended(DRAIN, eviction(state=StepState.Verified), RESTORE, revert_of(RESTORE))
    assert plan is not None
    assert plan.close is Phase.RolledBack
