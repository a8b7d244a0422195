from __future__ import annotations

import json

import pytest

from evenload import clock
from evenload.api.values import moment
from evenload.cli.advice import ON_HELD, on_held
from evenload.cli.text import local_time
from evenload.model.decision import HeldReason
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
