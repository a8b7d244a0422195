from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evenload import clock
from evenload.cli import attendance, check, questions
from evenload.cli.findings import Answer
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

DEPLOYMENT = "/apis/apps/v1/namespaces/evenload/deployments/evenload"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/evenload/leases/evenload"
GATEWAY = "/apis/gateway.networking.k8s.io/v1"


def deployment(mode: str = "Auto", ready: int = 2, **environment: str) -> dict[str, Any]:
    variables = {"EVENLOAD_MAX_MODE": mode, "EVENLOAD_LEASE_NAME": "evenload", **environment}
    container = {"name": "evenload", "env": [{"name": name, "value": value} for name, value in variables.items()]}
    return {
        "metadata": {
            "name": "evenload",
            "namespace": "evenload",
            "labels": {"app.kubernetes.io/name": "evenload"},
        },
        "spec": {
            "replicas": 2,
            "template": {"spec": {"serviceAccountName": "evenload", "containers": [container]}},
        },
        "status": {"readyReplicas": ready},
    }


def lease(holder: str | None = "evenload-0", renewed: float = 3.0) -> dict[str, Any]:
    spec = {"leaseDurationSeconds": 15, "renewTime": clock.rfc3339(objects.NOW - renewed)}
    return {
        "metadata": {"name": "evenload", "namespace": "evenload"},
        "spec": spec | ({"holderIdentity": holder} if holder else {}),
    }


@pytest.fixture
def installed(api: FakeApi) -> FakeApi:
    """A cluster in which all is well."""
    api.documents["/version"] = {"major": "1", "minor": "34+", "gitVersion": "v1.34.1"}
    api.documents[GATEWAY] = {"resources": [{"name": "httproutes"}]}
    api.documents["/apis/evenload.dev"] = {"versions": [{"version": "v1alpha1"}]}
    api.put(DEPLOYMENT, deployment())
    api.put(LEASE, lease())
    api.put_balancer(objects.healthy())
    return api


def test_a_healthy_installation_is_all_ok(run: Run, installed: FakeApi) -> None:
    result = run("check")
    assert result.exit_code == 0
    check_golden("cli/check.txt", result.stdout.replace(str(installed.port), "PORT"))


def test_an_empty_cluster_fails_with_hints(run: Run, api: FakeApi) -> None:
    api.documents["/version"] = {"major": "1", "minor": "29", "gitVersion": "v1.29.0"}
    result = run("check")
    assert result.exit_code == 1
    check_golden("cli/check-empty.txt", result.stdout.replace(str(api.port), "PORT"))


def test_before_the_installation_missing_crds_are_fine(run: Run, installed: FakeApi) -> None:
    del installed.documents["/apis/evenload.dev"]
    result = run("check", "--pre")
    assert result.exit_code == 0
    check_golden("cli/check-pre.txt", result.stdout.replace(str(installed.port), "PORT"))


def test_before_the_installation_missing_rights_are_a_finding(run: Run, installed: FakeApi) -> None:
    installed.allowed = lambda spec: spec["resourceAttributes"]["resource"] != "clusterroles"
    result = run("check", "--pre")
    assert result.exit_code == 1
    assert "you may not create clusterroles.rbac.authorization.k8s.io" in result.stdout


def answers(run: Run) -> dict[str, tuple[str, str]]:
    """The last answer of each topic, and what it says."""
    results = json.loads(run("check", "-o", "json").stdout)
    return {result["topic"]: (result["answer"], result["what"]) for result in results}


def test_an_operator_without_ready_replicas_fails(run: Run, installed: FakeApi) -> None:
    installed.put(DEPLOYMENT, deployment(ready=0))
    assert answers(run)["operator"] == ("fail", "the operator evenload/evenload has 0 of 2 replicas ready")


def test_a_lease_nobody_renews_fails(run: Run, installed: FakeApi) -> None:
    installed.put(LEASE, lease(renewed=31))
    assert answers(run)["lease"][0] == "fail"


def test_a_lease_renewed_a_little_late_is_ok(run: Run, installed: FakeApi) -> None:
    installed.put(LEASE, lease(renewed=29))
    assert answers(run)["lease"][0] == "ok"


def test_a_lease_held_by_nobody_fails(run: Run, installed: FakeApi) -> None:
    installed.put(LEASE, lease(holder=None))
    assert answers(run)["lease"] == ("fail", "the lease evenload/evenload is held by nobody")


def test_without_leader_election_no_lease_is_asked_for(run: Run, installed: FakeApi) -> None:
    installed.put(DEPLOYMENT, deployment(EVENLOAD_LEADER_ELECTION="false"))
    del installed.objects[LEASE]
    assert answers(run)["lease"][0] == "skipped"


def test_a_right_that_the_operator_lacks_is_named(run: Run, installed: FakeApi) -> None:
    installed.allowed = lambda spec: spec["resourceAttributes"].get("subresource") != "eviction"
    answer, what = answers(run)["rbac"]
    assert answer == "fail"
    assert what == "system:serviceaccount:evenload:evenload may not: create pods/eviction"


def test_an_operator_that_only_observes_needs_no_right_to_act(run: Run, installed: FakeApi) -> None:
    installed.put(DEPLOYMENT, deployment(mode="Observe"))
    installed.allowed = lambda spec: spec["resourceAttributes"].get("subresource") != "eviction"
    assert answers(run)["rbac"][0] == "ok"


def test_rights_are_asked_for_in_each_watched_namespace(run: Run, installed: FakeApi) -> None:
    installed.put(DEPLOYMENT, deployment(EVENLOAD_WATCH_NAMESPACES="shop,web"))
    installed.allowed = lambda spec: spec["resourceAttributes"]["namespace"] == "shop"
    results = json.loads(run("check", "-o", "json").stdout)
    assert [result["answer"] for result in results if result["topic"] == "rbac"] == ["ok", "fail"]


def test_rights_that_this_person_may_not_ask_for_are_unknown_not_ok(run: Run, installed: FakeApi) -> None:
    installed.refuse("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", 403, "no")
    result = run("check")
    assert result.exit_code == 3
    assert "unknown" in result.stdout


def test_the_operator_itself_asks_about_its_own_rights(run: Run, installed: FakeApi) -> None:
    installed.user = "system:serviceaccount:evenload:evenload"
    installed.refuse("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", 403, "no")
    assert answers(run)["rbac"][0] == "ok"


def test_who_may_not_look_everywhere_looks_in_the_namespace_at_hand(run: Run, installed: FakeApi) -> None:
    installed.refuse("GET", "/apis/apps/v1/deployments", 403, "no")
    results = json.loads(run("check", "-n", "evenload", "-o", "json").stdout)
    assert ("operator", "ok") in [(result["topic"], result["answer"]) for result in results]


def test_a_balancer_without_signals_is_a_finding_with_the_operators_own_words(run: Run, installed: FakeApi) -> None:
    blind = objects.healthy()
    blind["status"]["conditions"][2] = objects.condition("SignalsFresh", "False", "Stale", "is Prometheus scraping?")
    installed.put_balancer(blind)
    result = run("check")
    assert result.exit_code == 1
    assert "hint: is Prometheus scraping?" in result.stdout


def test_an_imbalance_is_no_finding_of_check(run: Run, installed: FakeApi) -> None:
    installed.put_balancer(objects.skewed())
    assert run("check").exit_code == 0


def test_a_prometheus_that_answers_is_ok(run: Run, installed: FakeApi) -> None:
    installed.documents["/api/v1/query"] = {"status": "success", "data": {}}
    result = run("check", "--prometheus", f"http://127.0.0.1:{installed.port}")
    assert result.exit_code == 0
    assert "answers" in result.stdout.splitlines()[-1]


def test_an_html_page_is_no_prometheus(run: Run, installed: FakeApi) -> None:
    result = run("check", "--prometheus", f"http://127.0.0.1:{installed.port}/grafana")
    assert result.exit_code == 1


def test_every_topic_has_a_section_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / check.DOCS).read_text()
    anchors = set(re.findall(r"^## (\S+)$", page, re.MULTILINE))
    source = "".join(Path(str(each.__file__)).read_text() for each in (questions, attendance))
    topics = set(re.findall(r'\b(?:ok|fail|unknown)\(\s*"([a-z-]+)"', source)) | set(
        re.findall(r'topic="([a-z-]+)"', source)
    )
    assert topics
    assert topics <= anchors


def test_every_answer_has_a_symbol_beside_its_word() -> None:
    assert set(check.SYMBOLS) == set(Answer)
