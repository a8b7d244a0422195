from __future__ import annotations

import pytest

from evenload.report import build
from tests.unit.report import story


def test_changes_from_an_hour_before_the_onset_to_the_end_are_told_oldest_first() -> None:
    facts = build(story.remediation(), balancer=story.balancer()).facts
    assert [each.manager for each in facts.changes] == ["deploy-pipeline", "evenload"]


def test_an_open_incident_has_all_changes_since() -> None:
    manifest = story.remediation()
    manifest["status"] |= {"phase": "Verifying"}
    del manifest["status"]["closedAt"]
    facts = build(manifest, balancer=story.balancer()).facts
    assert [each.manager for each in facts.changes] == ["deploy-pipeline", "evenload", "argocd"]


def test_a_change_says_why_it_was_made_and_how_its_probation_ended() -> None:
    update, ours = build(story.remediation(), balancer=story.balancer()).facts.changes
    assert (update.why, update.probation) == ("release 41", "Failed")
    assert (ours.why, ours.probation) == ("Remediation shop-7k2fq", "")


@pytest.mark.parametrize("mode", ["Warn", "Off"])
def test_a_guard_that_would_have_refused_the_update_is_named_with_its_setting(mode: str) -> None:
    facts = build(story.remediation(), balancer=story.balancer(mode=mode)).facts
    assert facts.guard_sentence == (
        "The guard of Balancer shop would refuse, with spec.guard.mode Deny, this very update: it gives Service shop-a "
        "97.0% (at most 40.0%) of the traffic."
    )
    assert facts.followups[1] == (
        "Set spec.guard.mode of Balancer shop to Deny: the API server refuses such an update."
    )


def test_a_guard_that_is_on_by_now_asks_how_the_update_came_past_it() -> None:
    facts = build(story.remediation(), balancer=story.balancer(mode="Deny")).facts
    assert facts.guard_sentence.startswith("The guard of Balancer shop refuses this very update: ")
    assert facts.followups[1] == "Find out how the update came past the guard, which refuses it now."


def test_a_guard_that_allows_these_weights_is_not_spoken_of() -> None:
    facts = build(story.remediation(), balancer=story.balancer(maxSharePercent=98)).facts
    assert (facts.guarded, facts.guard_sentence) == (None, "")
    assert facts.followups[1].startswith("Let the pipeline that writes the route refuse a split")


def test_an_incident_that_no_update_caused_has_no_word_of_the_guard() -> None:
    manifest = story.remediation()
    manifest["spec"]["diagnosis"] |= {"label": "Failing", "cause": None, "manager": None}
    assert build(manifest, balancer=story.balancer()).facts.guarded is None


def test_without_its_balancer_the_report_says_what_is_not_in_it() -> None:
    facts = build(story.remediation()).facts
    assert facts.changes == ()
    assert any("its changelog and its guard are not in here" in each for each in facts.notes)
