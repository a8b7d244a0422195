from __future__ import annotations

import json

import pytest

from evenload.kube.resources import Manifest
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi
from tests.unit.report import story


@pytest.fixture
def log(api: FakeApi) -> list[Manifest]:
    """One of each kind of change, newest first."""
    wider = {**story.EVEN, "shop-e": 250}
    entries: list[Manifest] = [
        {
            "manager": "evenload",
            "time": objects.at(60),
            "before": story.BAD,
            "after": story.EVEN,
            "remediation": "shop-7k2fq",
            "writes": 5,
        },
        {
            "manager": "deploy-pipeline",
            "time": objects.at(0),
            "before": story.EVEN,
            "after": story.BAD,
            "probation": "Failed",
            "remediation": "shop-7k2fq",
        },
        {
            "manager": "argocd-controller",
            "time": objects.at(-600),
            "before": wider,
            "after": story.EVEN,
            "elsewhere": ["/spec/rules/0/backendRefs", "/spec/rules/0/timeouts"],
            "cause": "commit 4f1c2ab",
            "override": "ticket 4711",
            "brought": ["route-backend-missing", "route-no-weight"],
            "probation": "Passed",
        },
        {"manager": "helm", "time": objects.at(-3600), "after": wider},
    ]
    balancer = objects.healthy()
    balancer["status"]["changes"] = entries
    api.put_balancer(balancer)
    return entries


def test_who_changed_what_is_listed_with_why(run: Run, log: list[Manifest]) -> None:
    result = run("changes", "shop")
    assert result.exit_code == 0
    check_golden("cli/changes.txt", result.stdout)


def test_json_has_every_field_and_the_balancer(run: Run, log: list[Manifest]) -> None:
    listed = json.loads(run("changes", "-o", "json").stdout)
    assert [each["manager"] for each in listed] == [each["manager"] for each in log]
    assert listed[2]["elsewhere"] == log[2]["elsewhere"]
    assert {(each["namespace"], each["balancer"]) for each in listed} == {("shop", "shop")}


def test_of_all_namespaces_the_newest_is_first(run: Run, api: FakeApi, log: list[Manifest]) -> None:
    other = objects.healthy(name="web", namespace="web")
    other["status"]["changes"] = [{"manager": "kubectl-edit", "time": objects.at(30), "after": story.EVEN}]
    api.put_balancer(other)
    rows = run("changes", "-A").stdout.splitlines()
    assert rows[0].split()[:2] == ["NAMESPACE", "WHEN"]
    assert [row.split()[0] for row in rows[1:3]] == ["shop", "web"]


def test_nothing_seen_yet_is_said(run: Run, api: FakeApi) -> None:
    balancer = objects.healthy()
    balancer["status"].pop("changes", None)
    api.put_balancer(balancer)
    result = run("changes", "shop")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No changes were seen yet." in result.stderr
