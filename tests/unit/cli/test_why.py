from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from evenload import clock
from evenload.api.values import moment
from evenload.cli.advice import ON_HELD, on_held
from evenload.cli.text import local_time
from evenload.model.decision import Held, HeldReason
from evenload.model.plan import RestartPod
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi
from tests.unit.report import story


def test_why_a_skewed_balancer_waits_for_approval(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    result = run("why", "shop")
    assert result.exit_code == 1
    check_golden("cli/why-waiting.txt", result.stdout)


def test_why_in_the_middle_of_a_remediation(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed(mode="Auto"))
    api.put_remediation(objects.executing())
    check_golden("cli/why-executing.txt", run("why", "shop").stdout)


def test_why_a_healthy_balancer_tells_of_its_last_remediation(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.healthy())
    api.put_remediation(objects.closed())
    result = run("why", "shop")
    assert result.exit_code == 0
    check_golden("cli/why-healthy.txt", result.stdout)


@pytest.mark.parametrize("command", ["kubectl patch httproutes shop -p '[]'", ""])
def test_why_names_the_update_that_is_suspected_and_how_to_take_it_back(run: Run, api: FakeApi, command: str) -> None:
    update = {"manager": "helm", "time": objects.at(-5), "elsewhere": ["/spec/rules/0/timeouts"], "undo": command}
    remediation = objects.waiting()
    remediation["spec"]["diagnosis"] |= {"label": "BadUpdate", "manager": "helm", "routeChange": update}
    api.put_balancer(objects.skewed())
    api.put_remediation(remediation)
    said = " ".join(run("why", "shop").stdout.split())
    assert "Suspect the update by helm at" in said
    assert "it changed /spec/rules/0/timeouts. Take it back where it was made" in said
    assert ("By hand:" in said) == bool(command)
    assert command in said


def denied() -> objects.Manifest:
    manifest = objects.waiting()
    manifest["spec"]["approval"] |= {"decision": "Denied", "by": "kim"}
    manifest["status"] = {"phase": "Denied", "openedAt": objects.at(11), "closedAt": objects.at(30)}
    return manifest


def undone() -> objects.Manifest:
    manifest = objects.closed()
    step = manifest["status"]["steps"][0] | {"name": "9-revert", "purpose": "Revert", "appliedAt": objects.at(30)}
    manifest["status"] = {
        "phase": "RolledBack",
        "openedAt": objects.at(11),
        "closedAt": objects.at(40),
        "steps": [step],
    }
    return manifest


@pytest.mark.parametrize(
    ("manifest", "why", "pause"), [(denied(), "kim denied shop-7k2fq", 3600), (undone(), "undone (shop-1st)", 600)]
)
def test_why_says_until_when_it_keeps_still_and_how_to_go_on(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch, manifest: objects.Manifest, why: str, pause: float
) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(manifest)
    told = run("why", "shop").stdout
    ends = story.BAD_UPDATE + 30 + pause
    assert why in told
    assert f"until {local_time(moment(ends))}" in told
    assert f"kubectl delete remediation {manifest['metadata']['name']} -n shop" in told
    monkeypatch.setattr(clock, "now", lambda: ends)
    assert why not in run("why", "shop").stdout


def test_why_tells_what_will_run_full(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.running_full())
    result = run("why", "shop")
    assert result.exit_code == 0
    check_golden("cli/why-forecast.txt", result.stdout)


def test_why_without_fresh_signals_cannot_tell(run: Run, api: FakeApi) -> None:
    blind = objects.healthy()
    blind["status"]["conditions"] = [
        objects.condition("Ready", "True", "Working"),
        objects.condition("Balanced", "Unknown", "NoData", "No sample is newer than 60 s."),
        objects.condition("SignalsFresh", "False", "Stale", "The newest sample is 312 s old: is Prometheus scraping?"),
    ]
    blind["status"]["diagnosis"] = {"label": "NoData", "sentence": "The newest sample is 312 s old."}
    api.put_balancer(blind)
    result = run("why", "shop")
    assert result.exit_code == 3
    check_golden("cli/why-blind.txt", result.stdout)


def test_why_a_balancer_nobody_has_looked_at_points_to_check(run: Run, api: FakeApi) -> None:
    bare = objects.healthy()
    del bare["status"]
    api.put_balancer(bare)
    result = run("why", "shop")
    assert result.exit_code == 3
    assert "Run: evenload check" in result.stdout


def test_why_as_json_has_the_same_sections(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    found = json.loads(run("why", "shop", "-o", "json").stdout)
    assert found["balancer"] == "shop"
    assert "Ruled out" in [section["title"] for section in found["sections"]]


def test_a_remediation_of_an_earlier_balancer_of_the_same_name_is_not_its_own(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.healthy())
    stranger = objects.closed()
    stranger["spec"]["balancerRef"]["uid"] = "uid-of-yore"
    api.put_remediation(stranger)
    assert "shop-1st" not in run("why", "shop").stdout


@pytest.mark.parametrize("reason", HeldReason)
def test_every_reason_to_hold_back_has_a_way_out(reason: HeldReason) -> None:
    line = on_held(f"{reason}: details", balancer="shop", namespace="web", remediation="shop-1")
    assert line
    assert "{" not in line.replace('{"spec":{"mode":"Approve"}}', "")


def test_there_is_no_advice_for_reasons_that_do_not_exist() -> None:
    assert set(ON_HELD) == set(HeldReason)


def test_a_reason_of_a_newer_operator_gets_no_advice() -> None:
    assert on_held("Moonphase: full", balancer="b", namespace="n", remediation="r") == ""


def test_in_observe_mode_why_says_the_same_as_what_would_be_done(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed(mode="Observe"))
    api.put_remediation(objects.waiting(mode="Observe"))
    told = run("why", "shop").stdout
    assert "What it would do\n  Set the weights shop-a 970 -> 250 (97% -> 25%)" in told
    assert "Held back: ObserveMode: the mode is Observe\n" in told


@pytest.mark.parametrize("command", ["why", "status"])
def test_nobody_is_asked_again_for_what_was_approved(run: Run, api: FakeApi, command: str) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    assert "a person has to approve this" in run(command, "shop").stdout
    said = run("approve", "shop-7k2fq").stdout
    told = run(command, "shop").stdout
    assert "Approved by jane; Evenload has not taken it up yet" in told
    for text in (said, told):
        assert "a person has to approve this" not in text
        assert "evenload approve" not in text


def test_a_restart_that_waits_names_the_pod_and_promises_no_undo(run: Run, api: FakeApi) -> None:
    restart = RestartPod(backend="shop-a", pod="shop-a-x2x9q", uid="u", workload="Deployment/shop-a", because="sick")
    held = Held(action=restart, reason=HeldReason.AwaitingApproval, detail="a person has to approve this")
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.decided(objects.waiting(), replace(objects.diagnosed("Approve"), held=(held,))))
    told = run("why", "shop").stdout
    assert "Restart pod shop-a-x2x9q of shop-a: it is evicted, and Deployment/shop-a replaces it" in told
    assert "a restart cannot be undone" in told
    assert "evenload undo" not in told


def test_a_proposal_that_this_version_cannot_read_is_left_out(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    waiting = objects.waiting()
    del waiting["status"]["proposal"]["before"]
    api.put_remediation(waiting)
    told = run("why", "shop").stdout
    assert "What it wants to do" not in told
    assert "AwaitingApproval: would set the weights shop-a 970 -> 250" in told


def test_who_has_paused_is_told_how_to_go_on_and_not_to_pause(run: Run, api: FakeApi) -> None:
    paused = objects.skewed()
    paused["status"]["conditions"].append(objects.condition("Paused", "True", "Annotation", "paused by jane"))
    api.put_balancer(paused)
    api.put_remediation(objects.waiting())
    told = run("why", "shop").stdout
    assert "evenload resume shop -n shop" in told
    assert "evenload pause" not in told
