"""What the changelog says of each update's probation."""

from __future__ import annotations

from msgspec.structs import replace

from evenload.api.v1alpha1 import FIELD_MANAGER, ProbationState, RouteChange
from evenload.api.values import moment
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.snapshot import Hold, RouteWrite
from evenload.record.probation import judged
from tests.unit.record.scenes import healthy, snapshot

NOW, SECONDS = 1000.0, 180.0
RUNNING, PASSED, FAILED = ProbationState.Running, ProbationState.Passed, ProbationState.Failed


def change(ago: float, manager: str = "argocd-controller", state: ProbationState | None = None) -> RouteChange:
    return RouteChange(manager=manager, time=moment(NOW - ago), probation=state)


def verdicts(
    *changes: RouteChange,
    decision: Decision | None = None,
    seconds: float = SECONDS,
    holds: tuple[Hold, ...] = (),
    write: RouteWrite | None = None,
) -> tuple[tuple[ProbationState | None, str | None], ...]:
    sight = snapshot(NOW, holds=holds, last_write=write)
    found = judged(changes, sight, decision or healthy(NOW), probation_seconds=seconds, remediation="shop-7")
    return tuple((each.probation, each.remediation) for each in found)


def diagnosed(label: Label, cause: SkewCause | None = None) -> Decision:
    return healthy(NOW, diagnosis=Diagnosis(label=label, cause=cause))


def test_an_update_that_was_just_made_is_on_probation() -> None:
    assert verdicts(change(5)) == ((RUNNING, None),)


def test_it_has_passed_when_its_time_is_over_and_nothing_is_blamed_on_it() -> None:
    assert verdicts(change(181, state=RUNNING)) == ((PASSED, None),)


def test_it_has_passed_though_something_else_is_wrong() -> None:
    assert verdicts(change(181, state=RUNNING), decision=diagnosed(Label.Failing)) == ((PASSED, None),)


def test_one_from_long_ago_that_is_seen_first_now_never_was_on_it() -> None:
    assert verdicts(change(181)) == ((None, None),)


def test_one_that_made_things_worse_has_failed_and_names_the_remediation() -> None:
    write = RouteWrite(manager="argocd-controller", time=NOW - 20)
    for decision in (
        diagnosed(Label.BadUpdate),
        diagnosed(Label.LoadBalancerSkew, SkewCause.WeightsWrong),
    ):
        assert verdicts(change(20, state=RUNNING), decision=decision, write=write) == ((FAILED, "shop-7"),)


def test_a_diagnosis_that_is_about_another_write_is_not_held_against_it() -> None:
    write = RouteWrite(manager="argocd-controller", time=NOW - 500)
    assert verdicts(change(20, state=RUNNING), decision=diagnosed(Label.BadUpdate), write=write) == ((RUNNING, None),)


def test_what_was_said_once_stays() -> None:
    write = RouteWrite(manager="argocd-controller", time=NOW - 300)
    known = replace(change(300, state=PASSED), remediation=None)
    assert verdicts(known, decision=diagnosed(Label.BadUpdate), write=write) == ((PASSED, None),)


def test_one_that_is_followed_by_another_update_is_replaced() -> None:
    assert verdicts(change(5), change(20, "helm", RUNNING)) == ((RUNNING, None), (ProbationState.Replaced, None))


def test_our_own_writes_are_never_on_probation_and_replace_nothing() -> None:
    assert verdicts(change(5, FIELD_MANAGER), change(20, state=RUNNING)) == ((None, None), (RUNNING, None))
    assert verdicts(change(5, FIELD_MANAGER)) == ((None, None),)


def test_a_canary_controller_s_updates_are_not_on_it() -> None:
    assert verdicts(change(5), holds=(Hold(reason="ProgressiveDelivery"),)) == ((None, None),)


def test_where_it_is_off_nothing_is_said() -> None:
    assert verdicts(change(5), seconds=0.0) == ((None, None),)


def test_signals_that_do_not_tell_get_another_minute_and_then_it_is_not_known() -> None:
    blind = diagnosed(Label.NoData)
    assert verdicts(change(200, state=RUNNING), decision=blind) == ((RUNNING, None),)
    assert verdicts(change(241, state=RUNNING), decision=blind) == ((ProbationState.Unknown, None),)


def test_a_balancer_without_changes_has_none() -> None:
    assert verdicts() == ()
