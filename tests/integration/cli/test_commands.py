from __future__ import annotations

import json

import pytest

from tests.integration.cli.conftest import Run, store, stored
from tests.support.kubectl import Kubectl
from tests.unit.cli import objects
from tests.unit.report import story

REMEDIATION = "remediation/shop-7k2fq"


def test_get_agrees_with_kubectl_on_the_columns_they_share(run: Run, kubectl: Kubectl, skewed: None) -> None:
    ours, theirs = run("get").stdout.splitlines()[1].split(), kubectl("get", "balancers").splitlines()[1].split()
    assert ours[:7] == theirs[:7]


def test_get_of_a_missing_name_tells_how_to_list(run: Run) -> None:
    result = run("get", "shpo")
    assert result.exit_code == 2
    assert 'Balancer "shpo" is not in namespace' in result.stderr


def test_why_tells_evidence_and_way_out(run: Run, skewed: None) -> None:
    result = run("why", "shop")
    assert result.exit_code == 1
    assert "share of shop-a: 0.97 (expected 0.25, threshold 0.325)" in result.stdout
    assert "Approve or deny it: evenload approve shop-7k2fq" in result.stdout


def test_approve_is_stored_with_the_name_the_api_server_knows(run: Run, kubectl: Kubectl, skewed: None) -> None:
    assert run("approve", "shop-7k2fq", "--note", "go").exit_code == 0
    approval = stored(kubectl, REMEDIATION)["spec"]["approval"]
    user = json.loads(kubectl("auth", "whoami", "--output=json"))["status"]["userInfo"]["username"]
    assert approval == {"required": True, "decision": "Approved", "by": user, "note": "go"}


def test_a_decision_is_refused_where_there_is_one(run: Run, skewed: None) -> None:
    run("deny", "shop-7k2fq")
    result = run("approve", "shop-7k2fq")
    assert result.exit_code == 2
    assert "denied by" in result.stderr


def test_who_may_not_even_look_is_told_by_the_api_server(run: Run, skewed: None) -> None:
    result = run("why", "shop", "--as", "mallory")
    assert result.exit_code == 3
    assert 'User "mallory" cannot get resource "balancers"' in result.stderr


def test_pause_and_resume_leave_nothing_behind(run: Run, kubectl: Kubectl, skewed: None) -> None:
    run("pause", "--all")
    assert "evenload.dev/paused" in stored(kubectl, "balancer/shop")["metadata"]["annotations"]
    run("resume", "--all")
    assert "evenload.dev/paused" not in stored(kubectl, "balancer/shop")["metadata"].get("annotations", {})


def test_undo_marks_the_remediation(run: Run, kubectl: Kubectl, skewed: None) -> None:
    assert run("undo", "shop-7k2fq").exit_code == 0
    assert "evenload.dev/undo" in stored(kubectl, REMEDIATION)["metadata"]["annotations"]


def test_history_lists_what_happened(run: Run, kubectl: Kubectl) -> None:
    store(kubectl, objects.closed())
    row = run("history", "shop").stdout.splitlines()[1].split()
    assert row[:9] == ["shop-1st", "shop", "LoadBalancerSkew", "Succeeded", "5", "11s", "31s", "118s", "1032"]


def test_the_report_of_a_stored_remediation_is_the_same_as_of_its_file(run: Run, kubectl: Kubectl) -> None:
    """So the story that the golden files tell is one that the API server accepts and keeps."""
    manifest = story.remediation()
    store(kubectl, manifest)
    found = json.loads(run("report", "shop-7k2fq", "-o", "json").stdout)
    assert found["delays"] == {"detect": 11.0, "mitigate": 31.0, "resolve": 118.0}
    assert [step["title"] for step in found["done"]][:3] == [
        "Weights restored",
        "Backend shop-a drained",
        "Pod shop-a-5d9c-x2x9q evicted",
    ]
    assert found["change"]["manager"] == "deploy-pipeline"


def test_check_sees_the_kinds_and_misses_the_operator(run: Run, kubectl: Kubectl) -> None:
    result = run("check", "-o", "json")
    answers = {each["topic"]: each["answer"] for each in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert (answers["api-server"], answers["crds"], answers["operator"]) == ("ok", "ok", "fail")


def test_an_administrator_may_install(run: Run) -> None:
    answers = json.loads(run("check", "--pre", "-o", "json").stdout)
    rights = [each["answer"] for each in answers if each["topic"] == "permission-to-install"]
    assert rights == ["ok"] * 5


def test_nobody_in_particular_may_not_install(run: Run) -> None:
    answers = json.loads(run("check", "--pre", "-o", "json", "--as", "mallory").stdout)
    rights = {each["answer"] for each in answers if each["topic"] == "permission-to-install"}
    assert rights <= {"fail", "unknown"}


@pytest.mark.parametrize("command", ["get", "history", "status"])
def test_an_empty_namespace_is_no_error(run: Run, command: str) -> None:
    result = run(command)
    assert (result.exit_code, result.stdout) == (0, "")
