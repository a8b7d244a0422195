from __future__ import annotations

import pytest
from msgspec.structs import replace

from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Phase
from evenload.model.snapshot import RouteWrite
from evenload.report import build
from evenload.report.facts import Facts
from evenload.report.followups import followups
from evenload.report.incident import read
from tests.unit.report import story


def facts_of(**changes: object) -> Facts:
    manifest = story.remediation()
    manifest["status"] |= changes
    return build(manifest, story.recording(), story.client()).facts


def test_the_recording_tells_who_changed_which_weight_and_when() -> None:
    change = facts_of().change
    assert change is not None
    assert (change.manager, change.time) == ("deploy-pipeline", story.BAD_UPDATE)
    assert (change.before, change.after) == (story.EVEN, story.BAD)


def test_what_the_same_manager_wrote_before_or_after_the_incident_is_not_its_cause() -> None:
    def told(time: float) -> RouteWrite:
        if time < story.BAD_UPDATE:
            return RouteWrite(manager="deploy-pipeline", time=story.START - 60)
        again = time > story.BAD_UPDATE + 60
        return RouteWrite(manager="deploy-pipeline", time=story.BAD_UPDATE + 60 * again, before=story.EVEN)

    recording = [(replace(seen, last_write=told(seen.time)), decision) for seen, decision in story.recording()]
    change = build(story.remediation(), recording).facts.change
    assert change is not None
    assert (change.time, change.before, change.after) == (story.BAD_UPDATE, story.EVEN, story.BAD)


def test_without_a_recording_the_first_step_tells_the_weights_left_behind() -> None:
    change = build(story.remediation()).facts.change
    assert change is not None
    assert (change.time, change.before, change.after) == (None, None, story.BAD)


def test_nobody_is_named_where_the_diagnosis_names_nobody() -> None:
    manifest = story.remediation()
    del manifest["spec"]["diagnosis"]["manager"]
    assert build(manifest, story.recording()).facts.change is None


def test_the_callers_word_on_mitigation_wins() -> None:
    assert facts_of().delays.mitigate == 30


def test_callers_who_were_never_served_again_give_no_time_to_mitigate() -> None:
    report = build(story.remediation(), story.recording(), story.client(mended=False))
    assert report.facts.delays.mitigate is None


def test_without_the_operators_figures_delays_count_from_the_bad_update() -> None:
    delays = facts_of(outcome={}).delays
    assert delays.detect == pytest.approx(11)
    assert delays.resolve == pytest.approx(118)


def test_failed_requests_are_the_callers_where_they_are_known() -> None:
    client = story.client()
    impact = facts_of().impact
    assert (impact.requests, impact.failed) == (client.requests, client.failed)


def test_failed_requests_are_the_operators_where_callers_said_nothing() -> None:
    assert build(story.remediation()).facts.impact.failed == 1032


def test_failed_requests_are_counted_from_the_recording_as_a_last_resort() -> None:
    manifest = story.remediation()
    manifest["status"]["outcome"] = {}
    impact = build(manifest, story.recording()).facts.impact
    assert impact.failed == pytest.approx(3 * 391 / 3 + 6 * 36 / 3)  # windows of three ticks: a third each
    assert "flight recording" in impact.counted_by


def test_failed_requests_that_nobody_counted_are_unknown_not_zero() -> None:
    manifest = story.remediation()
    manifest["status"]["outcome"] = {}
    report = build(manifest)
    assert report.facts.impact.failed is None
    assert "the impact is unknown" in report.markdown


def test_a_step_that_was_never_written_is_not_counted() -> None:
    manifest = story.remediation()
    del manifest["status"]["steps"][2]["appliedAt"]
    manifest["status"]["steps"][2]["state"] = "Abandoned"
    assert build(manifest).facts.restarts == 0


def test_restarts_and_weight_writes_are_counted_apart() -> None:
    facts = facts_of()
    assert (facts.restarts, facts.weight_writes) == (1, 4)


def test_who_approved_is_named_beside_what_was_done() -> None:
    manifest = story.remediation()
    manifest["spec"]["approval"] = {"required": True, "decision": "Approved", "by": "jane", "note": "go"}
    facts = build(manifest).facts
    assert facts.approval == 'Approved by jane: "go"'
    assert {step.by for step in facts.done} == {"Evenload, approved by jane"}


def test_moments_are_in_order_and_numbered_without_gaps() -> None:
    moments = facts_of().moments
    assert [moment.time for moment in moments] == sorted(moment.time for moment in moments)
    numbers = [moment.number for moment in moments if moment.number]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_the_operator_logged_and_no_step_tells_is_told_too() -> None:
    moments = facts_of(timeline=[{"at": story.at(70), "event": "ApprovalNeeded", "detail": "to restart"}]).moments
    assert ("Approval needed", "to restart") in [(moment.title, moment.detail) for moment in moments]


@pytest.mark.parametrize(("seconds", "event"), [(11.2, "Reweighted"), (0.0, "RouteChanged")])
def test_what_is_told_already_is_not_told_twice(seconds: float, event: str) -> None:
    before = facts_of().moments
    assert facts_of(timeline=[{"at": story.at(seconds), "event": event}]).moments == before


def test_a_later_change_of_the_route_is_told() -> None:
    moments = facts_of(timeline=[{"at": story.at(70), "event": "RouteChanged", "detail": "by argocd"}]).moments
    assert "Route changed" in [moment.title for moment in moments]


def test_an_overwritten_step_names_the_other_writer() -> None:
    manifest = story.remediation()
    manifest["status"]["steps"][0] |= {"state": "Overwritten", "manager": "argocd"}
    facts = build(manifest).facts
    assert facts.done[0].result.startswith("was overwritten by argocd")
    assert any("argocd" in line for line in facts.followups)


def test_a_comparison_needs_both_runs() -> None:
    assert build(story.remediation(), alone=story.client()).facts.arms == ()


@pytest.mark.parametrize("label", [label for label in Label if label is not Label.Healthy])
def test_every_diagnosis_that_opens_a_remediation_has_a_follow_up(label: Label) -> None:
    incident = read(story.remediation())
    bare = replace(incident, diagnosis=replace(incident.diagnosis, label=label, cause=None), steps=())
    assert followups(bare)


def test_what_evenload_could_not_mend_asks_for_what_people_did() -> None:
    assert any("what people did" in line for line in followups(replace(read(story.remediation()), phase=Phase.Failed)))


def test_a_pod_that_drowned_in_old_connections_is_not_said_to_have_stayed_sick() -> None:
    ill, hot = read(story.remediation()), SkewCause.LongLivedConnections
    assert any("stayed sick" in line for line in followups(ill))
    drowned = replace(ill, diagnosis=replace(ill.diagnosis, cause=hot))
    assert not any("stayed sick" in line for line in followups(drowned))
    assert any("inside the Service" in line for line in followups(drowned))
