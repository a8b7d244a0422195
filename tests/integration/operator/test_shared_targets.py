"""Several Balancers over the same route or the same pods: one writer, one budget, whoever is deleted and made again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evenload.errors import KubeError
from evenload.kube.resources import BALANCERS, HTTPROUTES, Manifest
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import evictions, touched
from tests.support.apiproxy import ApiProxy
from tests.support.town import BACKENDS, HASTE, SIGNALS, STEP_SECONDS, Shop, Town, fake_prometheus, route, shares

SIX = tuple(f"shop-{letter}" for letter in "abcdef")
CLOCK_SECONDS = "600"  # ahead, so that pods are past their warm-up
ONE_AN_HOUR = HASTE | {
    "mode": "Auto",
    "guardrails": {"minWriteInterval": "1s", "restartsPerHour": 1, "workloadCooldown": "1h", "podCooldown": "1h"},
}


def sparing(backend: str) -> dict[str, object]:
    """A spec that gives one backend a third of what each of the others gets."""
    given = [{"backend": name, "weight": 1 if name == backend else 3} for name in BACKENDS]
    return {**HASTE, "mode": "Auto", "desired": {"type": "Explicit", "shares": given}}


async def test_of_two_balancers_on_one_route_the_older_one_works_and_then_the_other(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop(spec=sparing("shop-a"))
    shop.fragile = False
    await asyncio.sleep(1.1)  # creation times are whole seconds
    await shop.create_balancer(sparing("shop-b"), name="copy")
    operator = start(shop)
    await shop.until(lambda: _ready(shop, "copy", "RouteTaken"), what="a refusal")
    await shop.until(lambda: _spares(shop, "shop-a"), what="the shares of the older one")
    before = len(touched(proxy.writes(), shop))
    await operator.ticked(10)
    assert len(touched(proxy.writes(), shop)) == before
    assert {each["spec"]["balancerRef"]["name"] for each in await shop.remediations()} == {"shop"}
    await shop.delete_balancer()
    await shop.until(lambda: _ready(shop, "copy", "Watching"), what="a new owner")
    await shop.until(lambda: _spares(shop, "shop-b"), what="the shares of the other one")


async def test_two_balancers_over_the_same_pods_and_made_again_have_one_budget(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(CLOCK_SECONDS)
    shop = await town.open_shop(backends=SIX, balancer=False)
    twin = route(dict.fromkeys(SIX, 250))
    twin["metadata"]["name"] = "twin"
    await shop.client.create(HTTPROUTES, shop.namespace, twin)
    async with Reports(shop, sick="shop-c") as one, Reports(shop, sick="shop-d") as other:
        specs = {"shop": _spec("shop", one), "twin": _spec("twin", other)}
        for name, spec in specs.items():
            await shop.create_balancer(spec, name=name)
        operator = start(shop, clock=clock)
        await shop.until(lambda: evictions(proxy.writes(), shop), what="the one restart")
        await shop.until(lambda: _held_by_budget(shop), what="a restart held back by a budget")
        for name, spec in specs.items():
            await shop.client.delete(BALANCERS, shop.namespace, name)
            await shop.create_balancer(spec, name=name)
        for name in specs:
            await shop.until(lambda name=name: _ready(shop, name, "Watching"), what="one made again")
        await operator.ticked(30)
    assert len(evictions(proxy.writes(), shop)) == 1


class Reports:
    """A Prometheus that says of one backend that whatever pod it has fails, and of the others that all is well."""

    def __init__(self, shop: Shop, sick: str) -> None:
        self.shop, self.sick, self.prometheus = shop, sick, fake_prometheus()

    async def __aenter__(self) -> Self:
        await self.prometheus.__aenter__()
        self._task = asyncio.create_task(self._keep_telling())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.prometheus.__aexit__(kind, error, trace)

    async def _keep_telling(self) -> None:
        while True:
            with contextlib.suppress(KubeError):
                weights = await self.shop.weights()
                for pod in tuple(self.shop.pods.values()):
                    self._tell(pod, weights)
            await asyncio.sleep(STEP_SECONDS)

    def _tell(self, pod: Manifest, weights: Mapping[str, int]) -> None:
        backend = pod["metadata"]["labels"]["app"]
        requests = 1200.0 * weights[backend] / sum(weights.values())
        self.prometheus.pods[self.shop.namespace, pod["metadata"]["name"]] = {
            "requests": requests,
            "errors": 0.9 * requests if backend == self.sick else 0.0,
            "latency": 0.02,
            "cpu": 0.05,
            "memory": 5e7,
            "inFlight": 0.0,
        }


def _spec(name: str, reports: Reports) -> dict[str, Any]:
    signals = SIGNALS | {"prometheusUrl": reports.prometheus.url}
    return {**ONE_AN_HOUR, "targetRef": {"kind": "HTTPRoute", "name": name}, "signals": signals}


async def _ready(shop: Shop, balancer: str, reason: str) -> bool:
    return (await shop.condition("Ready", balancer))[1] == reason


async def _spares(shop: Shop, backend: str) -> bool:
    return abs(shares(await shop.weights())[backend] - 0.1) < 0.02


async def _held_by_budget(shop: Shop) -> bool:
    return any("Budget" in each.get("status", {}).get("held", "") for each in await shop.remediations())
