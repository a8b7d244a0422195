"""The operator under the chart's own roles: each right that they give is used, and none is missed.

What was asked is what the API server's audit log says; all other tests here run under the same rules (`start`).
"""

from __future__ import annotations

from pathlib import Path

from evenload.drivers import DRIVERS, name_of
from evenload.kube.resources import DEPLOYMENTS, HTTPROUTES
from tests.integration.operator.conftest import Start
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.rights import Right, audited, sign_in
from tests.support.town import BAD, HASTE, Shop, Town

FOR_OTHER_WORKLOADS: set[Right] = {
    ("apps", "statefulsets", "get"),
    ("apps", "replicasets", "get"),
    ("argoproj.io", "rollouts", "watch"),
    ("rollouts.kruise.io", "rollouts", "watch"),
    ("apps.kruise.io", "clonesets", "watch"),
}
"""As for Deployments: an Event about a workload carries its UID. Here all pods are of Deployments, and
kinds that are not served are listed in vain."""


async def test_the_charts_roles_give_what_a_remediation_needs_and_no_more(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    """Four incidents: two that weights alone mend, so that the older one is pruned, one with a restart, one of a pod
    that has a sibling."""
    shop = await town.open_shop(spec={"historyLimit": 1, "restart": {**HASTE["restart"], "when": "Never"}})
    others = [name_of(driver) for driver in DRIVERS.values() if driver.kind != HTTPROUTES.kind]
    granted, token = sign_in(shop, *(f"--set=drivers.{name}.enabled=false" for name in others))
    kubeconfig = proxy.write_kubeconfig(tmp_path / "under-roles", token=token)
    operator = start(shop, kubeconfig=kubeconfig, lease_name="evenload", disabled_drivers=",".join(others))
    await shop.until(shop.remembers_good_weights)
    conflict = Answer(409, message="the object has been modified")
    proxy.inject(conflict, method="PATCH", path=r"/remediations/[^/]+/status$")
    shop.fragile = False
    await remediate(shop)
    await remediate(shop)
    await shop.until(lambda: _one_left(shop), what="the older Remediation to be pruned")
    await shop.patch_balancer({"spec": {"restart": {"when": "Allowed"}}})
    shop.fragile = True
    await remediate(shop)
    await isolate_one_of_two(shop)
    operator.terminate()
    await operator.gone()
    asked = audited(f"system:serviceaccount:{shop.namespace}:evenload")
    assert [each.text for each in asked if not each.allowed] == []
    assert {each.right for each in asked} == granted - FOR_OTHER_WORKLOADS


async def remediate(shop: Shop) -> None:
    before = await _names(shop)
    await shop.set_weights(BAD)
    await shop.until(lambda: _another(shop, before), what="a new Remediation")
    await shop.until(shop.closed, what="its end")


async def isolate_one_of_two(shop: Shop) -> None:
    await shop.client.patch_merge(DEPLOYMENTS, shop.namespace, "shop-a", {"spec": {"replicas": 2}})
    await shop.until(lambda: len(_pods_of(shop, "shop-a")) == 2, what="a second pod of shop-a")
    await shop.grow_old()
    await shop.until(shop.rests)
    before = await _names(shop)
    shop.servers[_pods_of(shop, "shop-a")[0]].sick = True
    await shop.until(lambda: _another(shop, before), what="a new Remediation")
    await shop.until(shop.closed, what="its end")
    assert ("Isolate", "", "Verified") in await shop.steps()


def _pods_of(shop: Shop, backend: str) -> list[str]:
    """UIDs of those that are asked, the oldest first."""
    found = [pod for pod in shop.pods.values() if pod["metadata"]["labels"].get("app") == backend]
    found.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return [pod["metadata"]["uid"] for pod in found if pod["metadata"]["uid"] in shop.servers]


async def _names(shop: Shop) -> set[str]:
    return {each["metadata"]["name"] for each in await shop.remediations()}


async def _another(shop: Shop, before: set[str]) -> bool:
    return bool(await _names(shop) - before)


async def _one_left(shop: Shop) -> bool:
    return len(await shop.remediations()) == 1
