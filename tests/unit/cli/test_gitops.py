from __future__ import annotations

import json

import pytest

from evenload.kube.resources import HTTPROUTES, SERVICES, TRAEFIKSERVICES, Manifest, Resource
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

ROUTE_SPEC = {"rules": [{"backendRefs": [{"name": name, "port": 80, "weight": 1} for name in ("shop-a", "shop-b")]}]}
TRAEFIK_SPEC = {"weighted": {"services": [{"name": name, "port": 80} for name in ("shop-a", "shop-b")]}}


def put(api: FakeApi, resource: Resource, spec: Manifest) -> None:
    """The target, and a Balancer of it."""
    balancer = objects.skewed()
    balancer["spec"]["targetRef"] = {"kind": resource.kind, "name": "shop"}
    api.put_balancer(balancer)
    metadata = {"name": "shop", "namespace": "shop", "uid": "u-1", "generation": 1}
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    api.put(resource.path("shop", "shop"), {**kind, "metadata": metadata, "spec": spec})


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_the_rules_of_a_route_can_be_pasted(run: Run, api: FakeApi, tool: str) -> None:
    put(api, HTTPROUTES, ROUTE_SPEC)
    result = run("gitops", tool, "shop", "-n", "shop")
    assert result.exit_code == 0
    check_golden(f"cli/gitops-{tool}.txt", result.stdout)
    assert api.writes() == []


def test_a_traefikservice_has_rules_of_its_own(run: Run, api: FakeApi) -> None:
    put(api, TRAEFIKSERVICES, TRAEFIK_SPEC)
    rules = json.loads(run("gitops", "argocd", "shop", "-n", "shop", "-o", "json").stdout)["spec"]
    [rule] = rules["ignoreDifferences"]
    assert (rule["group"], rule["jqPathExpressions"]) == ("traefik.io", [".spec.weighted.services[]?.weight"])


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_what_is_never_written_needs_no_rule(run: Run, api: FakeApi, tool: str) -> None:
    put(api, SERVICES, {"selector": {"app": "shop"}, "ports": [{"port": 80}]})
    result = run("gitops", tool, "shop", "-n", "shop")
    assert (result.exit_code, result.stdout) == (0, "# Nothing is written to Service shop/shop: no rule is needed.\n")


def test_a_route_that_is_not_there_is_named(run: Run, api: FakeApi) -> None:
    put(api, HTTPROUTES, ROUTE_SPEC)
    del api.objects[HTTPROUTES.path("shop", "shop")]
    result = run("gitops", "flux", "shop", "-n", "shop")
    assert result.exit_code == 2
    assert 'HTTPRoute "shop" is not in namespace "shop"' in result.stderr
