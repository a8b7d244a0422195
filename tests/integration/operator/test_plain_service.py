"""The commonest shape there is, one Service with many pods: a Balancer of the Service itself, from end to end."""

from __future__ import annotations

import asyncio

from evenload.kube.resources import SERVICES
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import done, evictions
from tests.support.apiproxy import ApiProxy
from tests.support.town import Shop, Town

WEB = {"targetRef": {"kind": "Service", "name": "web"}}


async def test_a_pod_of_a_plain_service_that_stays_sick_is_restarted_and_the_service_is_left_alone(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop(backends=("web",), replicas=4, spec=WEB)
    await shop.grow_old()
    start(shop)
    await shop.until(shop.healthy)
    assert (await shop.balancer())["status"]["resolved"]["handles"] == ["Isolate", "Restart"]
    before = await shop.client.get(SERVICES, shop.namespace, "web")
    uid, pod = next(iter(shop.pods.items()))
    shop.servers[uid].sick = True
    await shop.until(lambda: evictions(proxy.writes(), shop), what="a restart")
    assert evictions(proxy.writes(), shop) == [pod["metadata"]["name"]]
    await shop.until(shop.closed)
    await shop.until(shop.rests)
    assert await shop.steps() == [("Isolate", "", "Verified"), ("RestartPod", "", "Verified")]
    assert await shop.client.get(SERVICES, shop.namespace, "web") == before
    written = {seen.path.split(f"/{shop.namespace}/")[1].split("/")[0] for seen in done(proxy.writes(), shop)}
    assert written <= {"pods", "events", "balancers", "remediations"}


async def test_of_a_service_and_a_route_over_it_the_older_balancer_works_and_then_the_other(
    town: Town, start: Start
) -> None:
    shop = await town.open_shop(backends=("web",), replicas=2, spec=WEB)
    await asyncio.sleep(1.1)  # creation times are whole seconds
    await shop.create_balancer({**WEB, "targetRef": {"kind": "HTTPRoute", "name": "shop"}}, name="route")
    start(shop)
    await shop.until(lambda: _ready(shop, "route", "RouteTaken"), what="a refusal")
    await shop.until(lambda: _ready(shop, "shop", "Watching"), what="an owner")
    await shop.delete_balancer()
    await shop.until(lambda: _ready(shop, "route", "Watching"), what="a new owner")


async def _ready(shop: Shop, balancer: str, reason: str) -> bool:
    return (await shop.condition("Ready", balancer))[1] == reason
