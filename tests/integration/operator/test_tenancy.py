"""Who may edit one namespace has no say in another, and what one says of his own is heard at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from evenload.kube.resources import HTTPROUTES, REFERENCEGRANTS, Manifest
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import evictions, touched
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.town import BACKENDS, BAD, HASTE, SICK, Shop, Town
from tests.support.wait import until

PAIR = ("shop-a", "shop-b")


def route_to(other: Shop) -> Manifest:
    """A route of one namespace over the Services of another."""
    names = [{"name": name, "namespace": other.namespace, "port": 80, "weight": 250} for name in BACKENDS]
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": HTTPROUTES.kind,
        "metadata": {"name": "far"},
        "spec": {"rules": [{"backendRefs": names}]},
    }


async def look_after_from(shop: Shop, other: Shop) -> None:
    """A Balancer in `shop`'s namespace, in Auto, whose backends are `other`'s."""
    await shop.client.create(HTTPROUTES, shop.namespace, route_to(other))
    await shop.create_balancer({**HASTE, "targetRef": {"kind": "HTTPRoute", "name": "far"}, "mode": "Auto"}, name="far")


def later(folder: Path) -> Path:
    """A clock by which the pods are ten minutes old, so that nobody takes them for warming up."""
    clock = folder / "clock"
    clock.write_text("600")
    return clock


def fall_ill(shop: Shop) -> None:
    """One pod fails most of its requests until its process ends."""
    (uid,) = [uid for uid, pod in shop.pods.items() if pod["metadata"]["labels"]["app"] == SICK]
    shop.servers[uid].sick = True


async def says(shop: Shop, reason: str, words: str) -> bool:
    manifest = await shop.balancer("far")
    ready = next((c for c in manifest.get("status", {}).get("conditions", ()) if c["type"] == "Ready"), None)
    return ready is not None and ready["reason"] == reason and words in ready["message"]


async def test_a_balancer_cannot_reach_pods_of_another_namespace(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    """Its owner may edit routes and Balancers in a namespace of his own, and nothing in the other."""
    near, far = await asyncio.gather(town.open_shop(balancer=False, backends=PAIR), town.open_shop(balancer=False))
    await look_after_from(near, far)
    operator = start(near, far, clock=later(tmp_path))
    await near.until(lambda: says(near, "ForeignBackend", "crossNamespaceBackends"), what="a refusal")
    fall_ill(far)
    await operator.ticked(15)
    assert not touched(proxy.writes(), far)
    assert not touched(proxy.writes(), near)


async def test_backends_of_another_namespace_that_grants_it_get_weights_and_are_never_evicted(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    near, far = await asyncio.gather(town.open_shop(balancer=False, backends=PAIR), town.open_shop(balancer=False))
    await look_after_from(near, far)
    operator = start(near, far, clock=later(tmp_path), cross_namespace_backends=True)
    await near.until(lambda: says(near, "ForeignBackend", "no ReferenceGrant"), what="a refusal for want of a grant")
    await grant(far, near)
    await near.until(lambda: says(near, "ForeignBackend", "ResolvedRefs"), what="a refusal until it is resolved")
    await resolve(near)
    await near.until(lambda: says(near, "Watching", ""), what="Ready")
    await operator.ticked(5)
    fall_ill(far)
    await near.until(lambda: spared(near), what="less weight for the sick one")
    await operator.ticked(20)
    assert evictions(proxy.writes(), far) == []
    assert not touched(proxy.writes(), far)


async def grant(far: Shop, near: Shop) -> None:
    source = {"group": HTTPROUTES.group, "kind": HTTPROUTES.kind, "namespace": near.namespace}
    spec = {"from": [source], "to": [{"group": "", "kind": "Service"}]}
    body = {"apiVersion": REFERENCEGRANTS.api_version, "kind": REFERENCEGRANTS.kind, "metadata": {"name": "near"}}
    await far.client.create(REFERENCEGRANTS, far.namespace, {**body, "spec": spec})


async def resolve(shop: Shop) -> None:
    """What a gateway says of the route."""
    condition = {
        "type": "ResolvedRefs",
        "status": "True",
        "reason": "ResolvedRefs",
        "message": "",
        "lastTransitionTime": "2026-11-27T00:00:00Z",
    }
    parent = {"parentRef": {"name": "web"}, "controllerName": "example.dev/gateway", "conditions": [condition]}
    status = {"status": {"parents": [parent]}}
    await shop.client.patch_merge(HTTPROUTES, shop.namespace, "far", status, subresource="status")


async def spared(shop: Shop) -> bool:
    route = await shop.client.get(HTTPROUTES, shop.namespace, "far")
    weights = {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]}
    return bool(weights[SICK] < weights["shop-a"])


async def test_a_suspended_balancer_is_left_alone_though_the_watch_of_balancers_is_broken(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop()
    operator = start(shop)
    await shop.until(shop.remembers_good_weights)
    broken = proxy.inject(Answer(429), method="GET", path=r"/balancers$", times=None)
    proxy.drop_watches()
    await until(lambda: broken.hits > 0, what="a list of Balancers that is refused")
    await shop.patch_balancer({"spec": {"suspend": True}})
    await shop.set_weights(BAD)
    await shop.until(lambda: _opened(shop), what="a Remediation")
    await operator.ticked(10)
    assert not touched(proxy.writes(), shop)
    proxy.remove(broken)
    await shop.patch_balancer({"spec": {"suspend": False}})
    await shop.until(shop.closed, what="the end of the incident")
    assert await shop.phase() == "Succeeded"


async def _opened(shop: Shop) -> bool:
    return bool(await shop.remediations())
