"""The watch of each kind, by itself, stalls, lags, tells the past again or loses deletions, amid an incident.

As tests/campaign/test_views.py, with the real API server (and so its versions, controllers and garbage collection), the
operator's own clients and kopf. Meanwhile the object changes, or is deleted and made again under its name. Whatever is
believed then, no write breaks an invariant, the process lives, and once all is seen again traffic is served.

Several shops share one operator: each watch is of one namespace, so each shop has a trouble of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import pytest

from evenload.errors import NotFound
from evenload.kube.resources import (
    BALANCERS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HPAS,
    HTTPROUTES,
    PODS,
    REFERENCEGRANTS,
    REMEDIATIONS,
    REPLICASETS,
    SERVICES,
    Manifest,
    Resource,
)
from tests.campaign.conftest import SCALE, tally
from tests.integration.operator.conftest import HEAVY, Start
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.invariants import Invariants
from tests.support.town import BAD, Shop, Town, route

ABOUT = "late views, real API server"
BLIND_TICKS = 8
LAG_SECONDS = 3.0
SETTLING_SECONDS = 120.0  # a second remediation may have to follow
pytestmark = [HEAVY, pytest.mark.timeout(900)]

EXTRA: Mapping[Resource, Manifest] = {
    HPAS: {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-b"},
        "maxReplicas": 2,
    },
    REFERENCEGRANTS: {
        "from": [{"group": HTTPROUTES.group, "kind": "HTTPRoute", "namespace": "elsewhere"}],
        "to": [{"group": "", "kind": "Service"}],
    },
}
"""Specs of what a shop has not by itself."""

NAMES: Mapping[Resource, str] = {
    BALANCERS: "shop",
    HTTPROUTES: "shop",
    SERVICES: "shop-a",
    DEPLOYMENTS: "shop-a",
    HPAS: "shop-b",
    REFERENCEGRANTS: "shop",
}
"""Made again by us; the others by their controllers."""

KINDS = (*NAMES, REMEDIATIONS, ENDPOINTSLICES, PODS, REPLICASETS)

Trouble = Callable[[ApiProxy, str], object]
WAYS: Mapping[str, Trouble] = {
    "stalled": ApiProxy.stall_watches,
    "late": lambda proxy, path: proxy.delay_watches(path, LAG_SECONDS),
    "replayed": ApiProxy.replay_watches,
    "past": ApiProxy.show_past,
    "deletions lost": ApiProxy.lose_deletions,
}


def batches() -> list[list[tuple[str, Resource]]]:
    """Ways and kinds, each with each other once in the campaign; in each batch every way once."""
    pick = random.Random(20)
    kinds = {way: pick.sample(KINDS, len(KINDS)) for way in WAYS}
    number = 1 if SCALE == 1 else len(KINDS)
    return [[(way, kinds[way][at]) for way in WAYS] for at in range(number)]


@pytest.mark.parametrize("batch", batches(), ids=lambda batch: "-".join(kind.plural for _, kind in batch))
async def test_no_view_of_one_kind_leads_to_harm(
    batch: list[tuple[str, Resource]], town: Town, start: Start, proxy: ApiProxy, invariants: Invariants
) -> None:
    shops = await asyncio.gather(*(town.open_shop() for _ in batch))
    for shop, (_, kind) in zip(shops, batch, strict=True):
        if kind in EXTRA:
            await create(shop, kind, EXTRA[kind])
    operator = start(*shops, cross_namespace_backends=True)

    async def blind(seconds: float) -> None:
        await operator.ticked(BLIND_TICKS, seconds=seconds)

    await side_by_side(
        **{
            f"{kind.plural} {way}": trial(shop, proxy, way, kind, blind)
            for shop, (way, kind) in zip(shops, batch, strict=True)
        }
    )
    assert operator.alive
    assert (await operator.page("healthz"))[0] == 200
    assert '"level": "error"' not in operator.log.read_text()
    assert invariants.looked_at >= len(batch)
    ticks = await operator.metric("evenload_tick_duration_seconds_count")
    broken = len(invariants.broken)
    tally(ABOUT, trials=len(batch), ticks=round(ticks), writes=invariants.looked_at, broken=broken)


async def trial(
    shop: Shop, proxy: ApiProxy, way: str, kind: Resource, blind: Callable[[float], Awaitable[None]]
) -> None:
    path = f"/namespaces/{shop.namespace}/{kind.plural}$"
    shop.fragile = kind is not REMEDIATIONS  # without the record, a pod so young would count as one that warms up
    await shop.until(shop.remembers_good_weights)
    await shop.set_weights(BAD)
    # A record that is deleted between its plan and the write is missed by the write: that is no view's fault.
    await shop.until(lambda: began(shop), what="the first step of an incident")
    WAYS[way](proxy, path)
    await change(shop, kind)
    await blind(60)
    proxy.see(path)
    await shop.until(lambda: served(shop), seconds=SETTLING_SECONDS, what=f"traffic served after {kind.plural} {way}")


async def began(shop: Shop) -> bool:
    return any(state != "Planned" for _, _, state in await shop.steps())


async def change(shop: Shop, kind: Resource) -> None:
    """Delete it, and see it made again."""
    client, namespace = shop.client, shop.namespace
    if kind in NAMES:
        was = await client.get(kind, namespace, NAMES[kind])
        await client.delete(kind, namespace, NAMES[kind])
        await shop.until(lambda: gone(shop, kind, was), what=f"the end of the {kind.kind}")
        await create(shop, kind, route(BAD)["spec"] if kind is HTTPROUTES else written(was["spec"]))
        return
    found, _ = await client.list(kind, namespace)
    doomed = [each for each in found if kind is REMEDIATIONS or each["metadata"]["name"].startswith("shop-b")]
    assert doomed
    for each in doomed:
        await client.delete(kind, namespace, each["metadata"]["name"])


async def create(shop: Shop, kind: Resource, spec: Manifest) -> None:
    about = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": NAMES[kind]}}
    await shop.client.create(kind, shop.namespace, {**about, "spec": spec})


def written(spec: Manifest) -> Manifest:
    """As a person would write it again: without what the API server gave a Service."""
    return {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}


async def gone(shop: Shop, kind: Resource, was: Manifest) -> bool:
    try:
        now = await shop.client.get(kind, shop.namespace, was["metadata"]["name"])
    except NotFound:
        return True
    return bool(now["metadata"]["uid"] != was["metadata"]["uid"])


async def served(shop: Shop) -> bool:
    """Its Balancer works, and hardly any request fails."""
    numbers = [numbers for (namespace, _), numbers in shop.prometheus.pods.items() if namespace == shop.namespace]
    asked, failed = (sum(each[what] for each in numbers) for what in ("requests", "errors"))
    working = (await shop.condition("Ready"))[0] == "True"
    return working and len(numbers) >= len(shop.backends) and failed < 0.05 * asked
