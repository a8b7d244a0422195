"""A status stays as it was when the operator is gone: get, status, why and check say that nobody is looking."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi
from tests.unit.cli.test_check import DEPLOYMENT, LEASE, deployment, lease

LISTING = "/apis/apps/v1/deployments"


@pytest.fixture
def installed(api: FakeApi) -> FakeApi:
    api.put(DEPLOYMENT, deployment())
    api.put(LEASE, lease())
    api.put_balancer(objects.healthy())
    return api


def scaled_to_none(api: FakeApi) -> None:
    none = deployment(ready=0)
    none["spec"]["replicas"] = 0
    api.put(DEPLOYMENT, none)


def lease_gone_stale(api: FakeApi) -> None:
    api.put(LEASE, lease(renewed=300))


@pytest.mark.parametrize(
    ("down", "why"),
    [
        (scaled_to_none, "the operator evenload/evenload has 0 of 0 replicas ready"),
        (lease_gone_stale, "the lease evenload/evenload is held by evenload-0, renewed 300 s ago"),
    ],
)
def test_without_an_operator_nothing_is_called_ready_or_balanced(
    run: Run, installed: FakeApi, down: Callable[[FakeApi], None], why: str
) -> None:
    down(installed)
    got = run("get")
    assert got.stdout.splitlines()[1].split()[:6] == ["shop", "Auto", "Unknown", "OperatorDown", "4/4", "Unknown"]
    assert f"warning: nobody is looking: {why}" in got.stderr
    for words in (("status",), ("why", "shop")):
        result = run(*words)
        assert result.exit_code == 3
        assert f"OperatorDown: nobody is looking: {why}. All that follows is from before." in result.stdout
    checked = run("check").stdout
    assert "? unknown shop/shop Ready: Unknown (OperatorDown)" in checked
    assert "shop/shop Ready: True" not in checked


def test_with_an_operator_that_leads_nothing_is_said(run: Run, installed: FakeApi) -> None:
    result = run("get")
    assert result.stderr == ""
    assert "OperatorDown" not in result.stdout
    assert run("status").exit_code == 0


def test_an_operator_that_does_not_watch_the_namespace_is_not_missed_there(run: Run, installed: FakeApi) -> None:
    other = deployment(ready=0, EVENLOAD_WATCH_NAMESPACES="web")
    other["metadata"] |= {"name": "other"}
    installed.put(DEPLOYMENT.removesuffix("evenload") + "other", other)
    assert run("status").exit_code == 0
    installed.put(DEPLOYMENT, deployment(EVENLOAD_WATCH_NAMESPACES="web"))
    assert run("status").exit_code == 0
    installed.put(DEPLOYMENT, deployment(ready=0, EVENLOAD_WATCH_NAMESPACES="shop,web"))
    assert run("status").exit_code == 3


@pytest.mark.parametrize("path", [LISTING, LEASE])
def test_who_may_not_see_the_operator_is_told_nothing_of_it(run: Run, installed: FakeApi, path: str) -> None:
    lease_gone_stale(installed)
    installed.refuse("GET", path, 403, "no")
    result = run("status")
    assert (result.exit_code, result.stderr) == (0, "")


def test_without_leader_election_ready_replicas_are_enough(run: Run, installed: FakeApi) -> None:
    installed.put(DEPLOYMENT, deployment(EVENLOAD_LEADER_ELECTION="false"))
    del installed.objects[LEASE]
    assert run("status").exit_code == 0


def test_objects_for_programs_stay_as_they_stand(run: Run, installed: FakeApi) -> None:
    lease_gone_stale(installed)
    assert '"OperatorDown"' not in run("get", "-o", "json").stdout
