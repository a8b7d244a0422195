"""A Remediation's status, moved on by decisions, and what the engine reads back from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.act.episode import (
    MOST_ENTRIES,
    closed,
    counted_of,
    decode,
    episode_of,
    is_open,
    progressed,
    record_of,
    step_of,
    steps_of,
    undoing,
    with_step,
)
from evenload.api.v1alpha1 import Outcome, Remediation, RemediationStatus, StepRecord, TimelineEntry
from evenload.api.values import moment
from evenload.episode import steps
from evenload.episode.steps import MOST_STEPS
from evenload.errors import InputError
from evenload.model.decision import Decision, Held, HeldReason, Verdict
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import ApprovalDecision, Disruption, Phase, StepState, Undoing
from evenload.model.plan import Drain, Freeze, Purpose, RestartPod, SetWeights, Write

BEFORE, AFTER = {"a": 9, "b": 1}, {"a": 5, "b": 5}
HOUR = 3600.0


def remediation(status: RemediationStatus | None = None, **fields: Any) -> Remediation:
    manifest: dict[str, Any] = {
        "metadata": {"name": "shop-1", "namespace": "shop", "creationTimestamp": "2026-11-23T05:00:00Z"},
        "spec": {"balancerRef": {"name": "shop"}, "diagnosis": {"label": "LoadBalancerSkew"}},
    }
    for path, value in fields.items():
        outer, _, inner = path.partition("_")
        manifest[outer][inner] = value
    if status is not None:
        manifest["status"] = msgspec.to_builtins(status)
    return decode(manifest)


def decision(time: float = 100.0, **fields: Any) -> Decision:
    return Decision(time=time, diagnosis=Diagnosis(label=Label.LoadBalancerSkew), **fields)


def step(name: str = "1-restore", state: StepState = StepState.Planned, **fields: Any) -> StepRecord:
    given: dict[str, Any] = {"action": "SetWeights", "purpose": Purpose.Restore, "planned_at": moment(90.25), **fields}
    return StepRecord(name=name, state=state, **given)


def status(*steps: StepRecord, **fields: Any) -> RemediationStatus:
    return RemediationStatus(steps=steps, **{"opened_at": moment(80.0), "phase": Phase.Executing, **fields})


def planned(known: RemediationStatus, write: Write, told: Decision, at: float) -> StepRecord:
    return record_of(steps.planned(steps_of(known), write, told, at))


def happened(one: Remediation) -> list[Disruption]:
    return [entry.what for entry in counted_of(one) if not entry.planned]


def test_an_episode_of_a_remediation_that_has_no_status_yet_was_opened_when_it_was_created() -> None:
    episode = episode_of(remediation())
    assert (episode.opened_at, episode.phase, episode.steps) == (1795410000.0, Phase.Observed, ())


def test_every_field_of_a_step_survives_being_written_down() -> None:
    action = Drain(before=BEFORE, after=AFTER, backend="b", pod="b-1", uid="u", because="it stays sick")
    record = planned(RemediationStatus(), action, decision(error_ratio=0.0351, requests_per_second=212.5), 100.25)
    kept = remediation(status(record)).status.steps[0]
    assert kept == record
    read = step_of(kept)
    assert (read.name, read.action, read.purpose) == ("1-drain", "Drain", Purpose.Drain)
    assert (read.before, read.after, read.backend, read.pod, read.uid) == (BEFORE, AFTER, "b", "b-1", "u")
    assert (read.planned_at, read.error_ratio, read.requests_per_second) == (100.25, 0.0351, 212.5)
    assert read.message == "it stays sick"


def test_what_a_restart_and_a_revert_are_about_is_kept() -> None:
    restart = RestartPod(backend="b", pod="b-1", uid="u", workload="Deployment/b", because="")
    record = planned(status(step("4-ramp")), restart, decision(), 1.0)
    assert (record.name, record.action, record.workload, record.uid) == ("5-restart", "RestartPod", "Deployment/b", "u")
    revert = SetWeights(before=AFTER, after=BEFORE, purpose=Purpose.Revert, because="", reverts="1-restore")
    assert planned(RemediationStatus(), revert, decision(), 1.0).reverts == "1-restore"


@pytest.mark.parametrize(
    ("metadata", "flag", "asked"), [({}, False, False), ({"evenload.dev/undo": "kim"}, False, True), ({}, True, True)]
)
def test_undo_is_asked_for_by_annotation_and_remembered(metadata: dict[str, str], flag: bool, asked: bool) -> None:
    one = remediation(status(undo_requested=flag), metadata_annotations=metadata)
    assert episode_of(one).undo_requested is asked
    assert progressed(one, decision()).undo_requested is asked


def test_approval_comes_from_the_spec() -> None:
    one = remediation(status(), spec_approval={"decision": "Approved", "by": "kim"})
    assert episode_of(one).approval is ApprovalDecision.Approved
    conditions = {condition.type: condition.status for condition in progressed(one, decision()).conditions}
    assert conditions["Approved"] == "True"


def test_a_manifest_that_this_version_cannot_read_is_named() -> None:
    with pytest.raises(InputError, match="shop-1"):
        remediation(spec_diagnosis={"label": "Gremlins"})


@pytest.mark.parametrize(("phase", "open_"), [("", True), ("Executing", True), ("Succeeded", False), ("Denied", False)])
def test_a_remediation_is_open_until_a_final_phase(phase: str, open_: bool) -> None:
    assert is_open({"status": {"phase": phase}}) is open_
    assert is_open({}) is True


def test_a_verdict_of_applied_keeps_the_plan_and_tells_when() -> None:
    one = remediation(status(step(message="why")))
    (record,) = progressed(
        one, decision(verdicts=(Verdict(step="1-restore", state=StepState.Applied, because=""),))
    ).steps
    assert (record.state, record.applied_at, record.judged_at, record.message) == (
        StepState.Applied,
        moment(100.0),
        None,
        "why",
    )


def test_a_verdict_of_traffic_is_dated_and_names_who_overwrote() -> None:
    one = remediation(status(step(state=StepState.Applied, applied_at=moment(95.0))))
    verdict = Verdict(step="1-restore", state=StepState.Overwritten, because="argocd put it back", manager="argocd")
    (record,) = progressed(one, decision(verdicts=(verdict,))).steps
    assert (record.state, record.applied_at, record.judged_at) == (StepState.Overwritten, moment(95.0), moment(100.0))
    assert (record.manager, record.message) == ("argocd", "argocd put it back")


def test_a_verdict_about_no_step_or_said_before_changes_nothing() -> None:
    one = remediation(progressed(remediation(status(step(state=StepState.Verified))), decision()))
    for name in ("1-restore", "7-ramp"):
        verdict = Verdict(step=name, state=StepState.Verified, because="again")
        assert progressed(one, decision(time=200.0, verdicts=(verdict,))) == one.status


def test_a_tick_without_news_changes_nothing() -> None:
    held = (Held(action=Freeze(because="x"), reason=HeldReason.CoolDown, detail="3 min 20 s to go"),)
    first = progressed(remediation(), decision(phase=Phase.Executing, held=held, overloaded_pods={"a-1": "u"}))
    later = (Held(action=Freeze(because="x"), reason=HeldReason.CoolDown, detail="3 min 10 s to go"),)
    assert progressed(remediation(first), decision(110.0, phase=Phase.Executing, held=later)) == first


def test_what_is_held_is_told_anew_when_the_reason_changes_and_goes_when_nothing_is() -> None:
    held = (Held(action=Freeze(because="why"), reason=HeldReason.Budget),)
    first = progressed(remediation(), decision(held=held))
    assert first.held == "Budget: why"
    assert progressed(remediation(first), decision()).held == ""


def test_the_write_that_is_held_stands_in_the_record_until_it_is_made() -> None:
    write = SetWeights(before={"a": 9, "b": 1}, after={"a": 5, "b": 5}, purpose=Purpose.Restore, because="a bad update")
    held = (Held(action=write, reason=HeldReason.AwaitingApproval, detail="a person has to approve this"),)
    first = progressed(remediation(), decision(held=held))
    assert first.held.startswith("AwaitingApproval: would set the weights a 9 -> 5 (90% -> 50%), b 1 -> 5")
    assert first.proposal is not None
    assert first.proposal.after == {"a": 5, "b": 5}
    assert progressed(remediation(first), decision(110.0, held=held)) == first
    assert progressed(remediation(first), decision(120.0)).proposal is None
    assert closed(remediation(first), decision(130.0, held=held), Outcome()).proposal is None


def test_a_line_break_in_what_holds_an_action_forges_no_second_line() -> None:
    held = (Held(action=Freeze(because="x"), reason=HeldReason.Paused, detail="paused: x\nBudget: 9 left\u2028y"),)
    first = progressed(remediation(), decision(held=held))
    assert first.held.splitlines() == [r"Paused: paused: x\nBudget: 9 left\u2028y"]
    assert progressed(remediation(first), decision(110.0, held=held)) == first


def test_closing_dates_the_end_once_and_keeps_the_recording() -> None:
    outcome = Outcome(restarts=1)
    first = closed(remediation(status(held="x")), decision(300.0, phase=Phase.Succeeded), outcome, "H4sI")
    assert (first.phase, first.closed_at, first.held, first.recording) == (Phase.Succeeded, moment(300.0), "", "H4sI")
    assert closed(remediation(first), decision(310.0, phase=Phase.Succeeded), outcome, "H4sI") == first


def test_conditions_name_the_steps_and_keep_their_time_until_they_turn() -> None:
    first = progressed(remediation(status(step())), decision(100.0))
    assert {condition.type: (condition.status, condition.reason) for condition in first.conditions} == {
        "Approved": ("False", "NoDecision"),
        "Executed": ("False", "NoStep"),
        "Verified": ("False", "NoStep"),
        "RolledBack": ("False", "NoStep"),
    }
    applied = Verdict(step="1-restore", state=StepState.Applied, because="")
    second = progressed(remediation(first), decision(110.0, verdicts=(applied,)))
    executed = next(condition for condition in second.conditions if condition.type == "Executed")
    assert (executed.status, executed.message, executed.last_transition_time) == ("True", "1-restore", moment(110.0))
    assert next(c for c in second.conditions if c.type == "Verified").last_transition_time == moment(100.0)


def test_a_long_timeline_keeps_its_beginning_and_its_end() -> None:
    entries = [TimelineEntry(at=moment(at), event="Held") for at in range(MOST_ENTRIES + 10)]
    timeline = progressed(remediation(), decision(), entries).timeline
    assert len(timeline) == MOST_ENTRIES
    assert (timeline[0], timeline[-1]) == (entries[0], entries[-1])


def test_a_full_list_of_steps_drops_a_settled_weight_change_but_never_the_first_or_a_restart() -> None:
    known = [step(f"{at}-ramp", StepState.Verified) for at in range(1, MOST_STEPS + 1)]
    known[1] = step("2-restart", StepState.Verified, action="RestartPod", purpose=None)
    full = with_step(RemediationStatus(steps=tuple(known)), step_of(step("129-ramp")))
    assert len(full.steps) == MOST_STEPS
    assert [record.name for record in full.steps][:3] == ["1-ramp", "2-restart", "4-ramp"]
    assert full.steps[-1].name == "129-ramp"
    assert planned(
        full, SetWeights(before=BEFORE, after=AFTER, purpose=Purpose.Ramp, because=""), decision(), 1.0
    ).name == ("130-ramp")


def test_a_record_that_does_not_change_stays_as_it_is_written() -> None:
    odd = step(error_ratio="0.3500", message="as a person wrote it")
    known = with_step(RemediationStatus(steps=(odd,)), step_of(step("2-ramp")))
    assert known.steps == (odd, step("2-ramp"))


def test_budgets_count_what_happened_and_a_restart_that_was_only_planned_apart() -> None:
    restart = {"action": "RestartPod", "purpose": None, "pod": "b-1", "workload": "Deployment/b"}
    known = status(
        step("1-restart", StepState.Verified, applied_at=moment(100 * HOUR), **restart),
        step("2-restart", StepState.Planned, planned_at=moment(101 * HOUR), **restart),
        step("3-restart", StepState.Abandoned, planned_at=moment(101 * HOUR), **restart),
        step("4-revert", StepState.Applied, applied_at=moment(102 * HOUR), purpose=Purpose.Revert),
        step("5-restore", StepState.Overwritten, planned_at=moment(102 * HOUR)),
        step("6-restore", StepState.Overwritten, planned_at=moment(103 * HOUR)),
        step("7-restore", StepState.Verified, planned_at=moment(103 * HOUR)),
    )
    counted = happened(remediation(known))
    assert [(entry.kind, entry.time / HOUR) for entry in counted] == [
        ("Restart", 100),
        ("Revert", 102),
        ("Contested", 103),
    ]
    assert (counted[0].pod, counted[0].workload, counted[0].label) == ("b-1", "Deployment/b", Label.LoadBalancerSkew)
    assert [e.what.time / HOUR for e in counted_of(remediation(known)) if e.planned] == [101]


def test_a_denial_counts_from_when_it_was_closed() -> None:
    one = remediation(
        status(phase=Phase.Denied, closed_at=moment(5000.0)), spec_approval={"decision": "Denied", "by": "kim"}
    )
    assert [(entry.kind, entry.time) for entry in happened(one)] == [("Denied", 5000.0)]


@pytest.mark.parametrize(("managers", "contested"), [(["helm"], 0), (["helm", "evenload"], 0), (["helm", None], 1)])
def test_it_takes_two_overwritten_steps_by_somebody_else_to_make_a_contest(
    managers: list[str | None], contested: int
) -> None:
    overwritten = [
        step(f"{at}-restore", StepState.Overwritten, manager=manager, judged_at=moment(95.0 + at))
        for at, manager in enumerate(managers)
    ]
    counted = happened(remediation(status(*overwritten)))
    assert [(entry.kind, entry.time) for entry in counted] == [("Contested", 96.0)] * contested


# --- taking a closed one back

ALL_DONE = {"phase": Phase.Succeeded, "closed_at": moment(200.0)}
RESTORED = step(state=StepState.Verified, before=BEFORE, after=AFTER)
RAMPED = step("4-ramp", StepState.Applied, purpose=Purpose.Ramp, before={"a": 5, "b": 1}, after={"a": 5, "b": 6})
TAKEN_BACK = step("2-revert", StepState.Verified, purpose=Purpose.Revert, before=AFTER, after=BEFORE)


def test_undoing_goes_from_the_weights_it_left_to_those_it_found() -> None:
    evicted = step("3-restart", StepState.Verified, action="RestartPod", purpose=None)
    never = step("5-ramp", StepState.Abandoned, before=AFTER, after={"a": 1, "b": 1})
    known = remediation(status(RESTORED, evicted, RAMPED, never, **ALL_DONE))
    assert undoing(known) == Undoing(of="shop-1", left={"a": 5, "b": 6}, found=BEFORE)


@pytest.mark.parametrize(
    ("steps", "changes", "refusal"),
    [
        ((RESTORED,), {"phase": Phase.Executing}, "it is still open"),
        ((), {}, "no weight change of it stands"),
        ((msgspec.structs.replace(RESTORED, state=StepState.Reverted), TAKEN_BACK), {}, "no weight change of it"),
        (
            (
                RESTORED,
                msgspec.structs.replace(RAMPED, state=StepState.Overwritten, message="the weights were set by helm"),
            ),
            {},
            "the weights are another's since: the weights were set by helm",
        ),
        ((RESTORED, msgspec.structs.replace(RAMPED, after={"a": 5, "c": 5})), {}, "other backends"),
    ],
)
def test_where_nothing_can_be_taken_back_it_says_why(
    steps: tuple[StepRecord, ...], changes: dict[str, Any], refusal: str
) -> None:
    assert refusal in undoing(remediation(status(*steps, **(ALL_DONE | changes)))).refusal


def wish(undone: str = "shop-1") -> Remediation:
    return remediation(metadata_name="shop-undo", spec_trigger="Undo", spec_undoes=undone)


def test_an_undo_knows_what_it_is_about() -> None:
    closed_one = remediation(status(RESTORED, **ALL_DONE))
    found = Undoing(of="shop-1", left=AFTER, found=BEFORE)
    assert episode_of(wish(), (wish(), closed_one)).undoes == found
    assert episode_of(closed_one, (closed_one,)).undoes is None


def test_an_undo_of_what_is_gone_is_refused() -> None:
    assert "no such Remediation any more" in (episode_of(wish(), (wish(),)).undoes or Undoing(of="")).refusal


def test_an_undo_can_be_taken_back_itself() -> None:
    done = msgspec.structs.replace(wish(), status=status(TAKEN_BACK, **ALL_DONE))
    assert undoing(done) == Undoing(of="shop-undo", left=BEFORE, found=AFTER)
