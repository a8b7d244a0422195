"""The API server on its bad days, and a cluster that changes under the operator's hands. One operator, many shops."""

from __future__ import annotations

import asyncio
import contextlib

from evenload.errors import NotFound
from evenload.kube.resources import HTTPROUTES, PODS
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, touched, weight_of_sick, weights_written
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import Answer, ApiProxy, Call, Fault, LoseAnswer, Seen
from tests.support.processes import OperatorProcess
from tests.support.town import BACKENDS, BAD, EQUAL, HASTE, Shop, Town, shares

WRITES = ("/httproutes/shop$", "/remediations$", "/remediations/[^/]*/status$", "/balancers/shop/status$", "/eviction$")


class Day:
    """One shop of the day; what is injected hits no other."""

    def __init__(self, shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
        self.shop, self.operator, self.proxy = shop, operator, proxy

    def inject(self, fault: Fault, path: str, *, times: int = 1, after: int = 0) -> None:
        for method in ("PATCH", "POST"):
            self.proxy.inject(
                fault, method=method, path=f"/{self.shop.namespace}/.*{path[1:]}", times=times, after=after
            )

    async def mended_once(self) -> None:
        """Everything was done, and nothing twice."""
        await self.shop.until(self.shop.closed)
        remediation = await self.shop.remediation()
        assert remediation["status"]["phase"] == "Succeeded"
        assert purposes(remediation) == WHOLE
        assert shares(await self.shop.weights()) == shares(EQUAL)
        assert self.shop.sick_pods == []


async def every_write_fails_twice(day: Day, fault: Fault) -> None:
    for path in WRITES:
        day.inject(fault, path, times=2)
    await day.shop.set_weights(BAD)
    await day.mended_once()
    written = weights_written(day.proxy.writes(), day.shop, BAD)
    assert weight_of_sick(written) == [1.0, 0.0, 0.1, 0.3, 0.6, 1.0]
    assert len(evictions(day.proxy.writes(), day.shop)) == 1


async def throttled(day: Day) -> None:
    await every_write_fails_twice(day, Answer(429, headers={"Retry-After": "1"}))


async def broken(day: Day) -> None:
    await every_write_fails_twice(day, Answer(500, message="etcdserver: request timed out"))


async def conflicting(day: Day) -> None:
    await every_write_fails_twice(day, Answer(409, message="the object has been modified", reason="Conflict"))


async def lost_answers(day: Day) -> None:
    """Each was done, and nobody heard of it."""
    await every_write_fails_twice(day, LoseAnswer())


async def pod_vanishes(day: Day) -> None:
    """Between the decision and the eviction somebody else deletes the pod."""
    shop = day.shop

    async def vanish(seen: Seen) -> None:
        name = seen.path.split("/")[-2]
        with contextlib.suppress(NotFound):
            await shop.client.delete(PODS, shop.namespace, name, grace_seconds=0)

    day.inject(Call(before=vanish), "/eviction$")
    await shop.set_weights(BAD)
    await day.mended_once()
    assert evictions(day.proxy.writes(), shop) == []


async def route_deleted(day: Day) -> None:
    """In the middle of a remediation; then it comes back as its chart has it."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(day.proxy.writes(), shop), what="the restored weights")
    await shop.until(lambda: _applied(shop), what="an applied step")
    await shop.client.delete(HTTPROUTES, shop.namespace, "shop")
    await shop.until(lambda: _ready_is(shop, "TargetNotFound"), what="Ready False TargetNotFound")
    assert "spec.targetRef" in await shop.message("Ready")
    before = len(touched(day.proxy.writes(), shop))
    await day.operator.ticked(3)
    assert len(touched(day.proxy.writes(), shop)) == before
    await shop.create_route(EQUAL)
    await day.mended_once()
    await shop.until(lambda: _watches(shop), what="Ready True Watching")


async def weights_of_zero(day: Day) -> None:
    """Everybody gets 503: the weights come back although nothing can be measured."""
    shop = day.shop
    await shop.set_weights(dict.fromkeys(BACKENDS, 0))
    await shop.until(shop.even, what="equal weights")
    await shop.until(shop.closed)
    assert await shop.phase() == "Succeeded"
    assert evictions(day.proxy.writes(), shop) == []


async def points_at_nothing(day: Day) -> None:
    shop = day.shop
    await shop.create_balancer({"targetRef": {"kind": "HTTPRoute", "name": "nowhere"}, "mode": "Auto"}, name="nothing")
    await shop.until(lambda: _told(shop, "nothing", "TargetNotFound"), what="Ready False TargetNotFound")


async def points_at_another_namespace(day: Day, other: Shop) -> None:
    """Who may write Balancers here need not be allowed to change routes there."""
    target = {"kind": "HTTPRoute", "name": "shop", "namespace": other.namespace}
    await day.shop.create_balancer({**HASTE, "targetRef": target, "mode": "Auto"}, name="stranger")
    await day.shop.until(lambda: _told(day.shop, "stranger", "OtherNamespace"), what="Ready False OtherNamespace")
    await other.set_weights(BAD)
    await day.operator.ticked(6)
    assert not touched(day.proxy.writes(), other)


async def has_one_backend(day: Day) -> None:
    """A route that splits nothing any more: its pods are looked after, it is not written to."""
    shop = day.shop
    operations = [{"op": "remove", "path": "/spec/rules/0/backendRefs/1"}] * 3
    await shop.client.patch_json(HTTPROUTES, shop.namespace, "shop", operations)
    await shop.until(lambda: _handles_are(shop, ["Isolate", "Restart"]), what="handles without Weights")
    await day.operator.ticked(2)
    assert not touched(day.proxy.writes(), shop)


async def watches_break(proxy: ApiProxy) -> None:
    """Now and then all of them, in both ways."""
    while True:
        await asyncio.sleep(8)
        proxy.drop_watches()
        await asyncio.sleep(8)
        proxy.expire_watches()


async def test_bad_days_of_the_api_server(town: Town, start: Start, proxy: ApiProxy) -> None:
    scenarios = (throttled, broken, conflicting, lost_answers, pod_vanishes, route_deleted, weights_of_zero)
    misfits = (points_at_nothing, has_one_backend)
    days = {each.__name__: each for each in (*scenarios, *misfits)}
    opened = await asyncio.gather(*(town.open_shop() for _ in days), town.open_shop(balancer=False))
    *shops, other = opened
    operator = start(*opened)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights) for shop in shops))
    breaking = asyncio.create_task(watches_break(proxy))
    ready = {name: Day(shop, operator, proxy) for name, shop in zip(days, shops, strict=True)}
    stranger = points_at_another_namespace(ready["points_at_nothing"], other)
    try:
        await side_by_side(**{name: day(ready[name]) for name, day in days.items()}, other_namespace=stranger)
    finally:
        breaking.cancel()


async def _told(shop: Shop, name: str, reason: str) -> bool:
    return await shop.condition("Ready", balancer=name) == ("False", reason)


async def _ready_is(shop: Shop, reason: str) -> bool:
    return await shop.condition("Ready") == ("False", reason)


async def _watches(shop: Shop) -> bool:
    return await shop.condition("Ready") == ("True", "Watching")


async def _handles_are(shop: Shop, handles: list[str]) -> bool:
    resolved = (await shop.balancer()).get("status", {}).get("resolved", {})
    return bool(resolved.get("handles") == handles)


async def _applied(shop: Shop) -> bool:
    steps = await shop.steps()
    return bool(steps) and steps[0][2] in ("Applied", "Verified")
