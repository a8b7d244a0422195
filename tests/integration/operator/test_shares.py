"""Explicit shares that are not of the route's backends: Ready is False, says which, and no weight is ever written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenload.kube.resources import HTTPROUTES
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BACKENDS, BAD, Shop, Town, shares

DESIRED = {"shop-a": 200, "shop-b": 100, "shop-c": 100, "shop-d": 100}
LEFT_OUT = {"shop-a": 200, "shop-b": 100, "shop-d": 100}
MISSPELT = {"shop-aa": 200, **dict.fromkeys(BACKENDS[1:], 100)}
THOSE_THERE = "its backends are shop-a, shop-b, shop-c, shop-d"
NO_SHARE = "name every backend, 0 to send it nothing"


def desired(given: Mapping[str, int]) -> dict[str, Any]:
    listed = [{"backend": name, "weight": weight} for name, weight in given.items()]
    return {"desired": {"type": "Explicit", "shares": listed}}


class Day:
    def __init__(self, shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
        self.shop, self.operator, self.proxy = shop, operator, proxy

    async def refused(self, *sentences: str) -> None:
        """Told, and nothing written to the route whatever the traffic does."""
        await self.shop.until(self.told, what="Ready False SharesInvalid")
        message = await self.shop.message("Ready")
        assert all(sentence in message for sentence in sentences), message
        await self.operator.ticked(4)
        await self.shop.set_weights(BAD)
        await self.operator.ticked(6)
        assert await self.shop.weights() == BAD
        assert not touched(self.proxy.writes(), self.shop)
        assert await self.shop.remediations() == []

    async def told(self) -> bool:
        return await self.shop.condition("Ready") == ("False", "SharesInvalid")

    async def works(self) -> bool:
        return await self.shop.condition("Ready") == ("True", "Watching")

    async def has(self, wanted: Mapping[str, int]) -> bool:
        return shares(await self.shop.weights()) == shares(wanted)


async def misspelt(day: Day) -> None:
    await day.refused(
        f'spec.desired.shares: "shop-aa" is not a backend of HTTPRoute shop; {THOSE_THERE}',
        f"no share is given for shop-a; {NO_SHARE}",
    )


async def left_out(day: Day) -> None:
    """And once it is named, the weights become what is desired."""
    await day.refused(f"spec.desired.shares: no share is given for shop-c; {NO_SHARE}")
    await day.shop.patch_balancer({"spec": desired(DESIRED)})
    await day.shop.until(day.works, what="Ready True")
    await day.shop.until(lambda: day.has(DESIRED), what="the desired weights")


async def added_later(day: Day) -> None:
    """By a pipeline, say: what its share should be is nobody's to guess."""
    await day.shop.until(day.works, what="Ready True")
    added = {"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": {"name": "shop-e", "port": 80, "weight": 1}}
    await day.shop.client.patch_json(HTTPROUTES, day.shop.namespace, "shop", [added])
    await day.shop.until(day.told, what="Ready False SharesInvalid")
    written = len(touched(day.proxy.writes(), day.shop))
    assert f"no share is given for shop-e; {NO_SHARE}" in await day.shop.message("Ready")
    await day.operator.ticked(4)
    await day.shop.set_weights({**BAD, "shop-e": 1})
    await day.operator.ticked(6)
    assert len(touched(day.proxy.writes(), day.shop)) == written


async def test_shares_that_are_not_of_the_backends_are_told_and_nothing_is_written(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shops = {
        **{mode: await town.open_shop(mode=mode, spec=desired(MISSPELT)) for mode in ("Observe", "Approve", "Auto")},
        "left_out": await town.open_shop(spec=desired(LEFT_OUT)),
        "added_later": await town.open_shop(spec=desired(DESIRED)),
    }
    operator = start(*shops.values())
    for shop in shops.values():
        shop.fragile = False  # what is asked here is of weights: nobody is to be restarted
    days = {name: Day(shop, operator, proxy) for name, shop in shops.items()}
    await side_by_side(
        **{mode: misspelt(days[mode]) for mode in ("Observe", "Approve", "Auto")},
        left_out=left_out(days["left_out"]),
        added_later=added_later(days["added_later"]),
    )
