"""The operator under the chart's own roles: each right that they give is used, and none is missed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from tests.integration.operator.conftest import Start
from tests.support.apiproxy import Answer, ApiProxy, Seen
from tests.support.chart import of_kind, rendered
from tests.support.kubectl import Kubectl
from tests.support.town import BAD, HASTE, Shop, Town

Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""

FOR_OTHER_WORKLOADS: set[Right] = {
    ("apps", "statefulsets", "get"),
    ("apps", "replicasets", "get"),
    ("argoproj.io", "rollouts", "watch"),
    ("rollouts.kruise.io", "rollouts", "watch"),
    ("apps.kruise.io", "clonesets", "watch"),
}
"""As for Deployments: an Event about a workload carries its UID. Here all pods are of Deployments, and
kinds that are not served are listed in vain."""
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


async def test_the_charts_roles_give_what_a_remediation_needs_and_no_more(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    """Three incidents: two that weights alone mend, so that the older one is pruned, and one with a restart."""
    shop = await town.open_shop(spec={"historyLimit": 1, "restart": {**HASTE["restart"], "when": "Never"}})
    granted, token = sign_in(shop)
    kubeconfig = proxy.write_kubeconfig(tmp_path / "under-roles", token=token)
    operator = start(shop, kubeconfig=kubeconfig, lease_name="evenload")
    await shop.until(shop.remembers_good_weights, seconds=60)
    conflict = Answer(409, message="the object has been modified")
    proxy.inject(conflict, method="PATCH", path=r"/remediations/[^/]+/status$")
    shop.fragile = False
    await remediate(shop)
    await remediate(shop)
    await shop.until(lambda: _one_left(shop), what="the older Remediation to be pruned")
    await shop.patch_balancer({"spec": {"restart": {"when": "Allowed"}}})
    shop.fragile = True
    await remediate(shop)
    assert {seen.status for seen in proxy.requests} & {401, 403} == set()
    assert used(proxy.requests) == granted - FOR_OTHER_WORKLOADS
    operator.terminate()
    await operator.gone()


async def remediate(shop: Shop) -> None:
    before = await _names(shop)
    await shop.set_weights(BAD)
    await shop.until(lambda: _another(shop, before), what="a new Remediation")
    await shop.until(shop.closed, seconds=100, what="its end")


async def _names(shop: Shop) -> set[str]:
    return {each["metadata"]["name"] for each in await shop.remediations()}


async def _another(shop: Shop, before: set[str]) -> bool:
    return bool(await _names(shop) - before)


async def _one_left(shop: Shop) -> bool:
    return len(await shop.remediations()) == 1


def sign_in(shop: Shop) -> tuple[set[Right], str]:
    """The rights of the chart's roles for that namespace alone, put in force there, and the operator's token."""
    kubectl = Kubectl(namespace=shop.namespace)
    manifests = of_kind(
        rendered(f"--set=maxMode=Auto,watchNamespaces={{{shop.namespace}}}", namespace=shop.namespace),
        "ServiceAccount",
        "Role",
        "RoleBinding",
    )
    kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))
    (account,) = of_kind(manifests, "ServiceAccount")
    bound = {
        binding["roleRef"]["name"]
        for binding in of_kind(manifests, "RoleBinding")
        if any(subject["name"] == account["metadata"]["name"] for subject in binding["subjects"])
    }
    rules = [rule for role in of_kind(manifests, "Role") if role["metadata"]["name"] in bound for rule in role["rules"]]
    rights = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    return rights, kubectl("create", "token", account["metadata"]["name"], "--duration=1h").strip()


def used(requests: Iterable[Seen]) -> set[Right]:
    """What was asked of the API server, as its authorizer sees it."""
    return {_right(seen) for seen in requests if "/namespaces/" in seen.path}


def _right(seen: Seen) -> Right:
    before, _, rest = seen.path.partition("/namespaces/")
    parts = before.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    _, resource, *names = rest.split("/")
    resource = "/".join([resource, *names[1:]])
    reading = "watch" if seen.is_watch else "get" if names else "list"
    return group, resource, VERBS.get(seen.method, reading)
