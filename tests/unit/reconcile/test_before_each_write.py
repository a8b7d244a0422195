"""The Balancer is read live before each write: what the watches have not brought yet stops it all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from evenload.errors import Unavailable
from evenload.kube.resources import BALANCERS, Manifest, Resource
from tests.support.inprocess import Site

SHOP = "market"
UNEVEN = {"desired": {"type": "Explicit", "shares": [{"backend": "a", "weight": 3}, {"backend": "b", "weight": 1}]}}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(SHOP, UNEVEN)
        site.send_traffic(SHOP)
        await site.tick()
        yield site


def written(site: Site) -> bool:
    return site.weights(SHOP) != {"a": 250, "b": 250}


async def ticks(site: Site, number: int = 8) -> None:
    """The watch of Balancers is broken without a sign."""
    for _ in range(number):
        site.sync("HTTPRoute", "Remediation")
        site.send_traffic(SHOP)
        await site.tick(sync=False)


async def test_weights_are_written_while_nothing_is_against_it(site: Site) -> None:
    await ticks(site)
    assert written(site)


CHANGES: dict[str, Callable[[Site], object]] = {
    "suspended": lambda site: site.edit("Balancer", SHOP, "shop", suspend=True),
    "set to Observe": lambda site: site.edit("Balancer", SHOP, "shop", mode="Observe"),
    "another spec": lambda site: site.edit("Balancer", SHOP, "shop", desired={"type": "Even"}),
    "remade": lambda site: site.add_balancer(SHOP, uid="another"),
    "paused": lambda site: site.add_balancer(SHOP, UNEVEN, annotations={"evenload.dev/paused": "by me"}),
    "being deleted": lambda site: site.add_balancer(SHOP, UNEVEN, deletionTimestamp="2026-11-27T00:00:00Z"),
    "deleted": lambda site: site.remove("Balancer", SHOP, "shop"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_written_once_the_balancer_says_otherwise(site: Site, change: str) -> None:
    CHANGES[change](site)
    await ticks(site)
    assert not written(site)


async def test_nothing_is_written_while_the_balancer_cannot_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = site.api.get

    async def get(resource: Resource, namespace: str | None, name: str) -> Manifest:
        if resource is BALANCERS:
            raise Unavailable("the API server cannot be reached")
        return await real(resource, namespace, name)

    monkeypatch.setattr(site.api, "get", get)
    await ticks(site)
    assert not written(site)
    assert site.condition(SHOP, "Remediating") == ("False", "WriteFailed")
    assert "the Balancer could not be read before the write" in site.message(SHOP, "Remediating")
    monkeypatch.undo()
    await ticks(site)
    assert written(site)
    assert site.condition(SHOP, "Remediating")[1] != "WriteFailed"


async def test_a_pause_that_ends_lets_writes_go_on(site: Site) -> None:
    site.edit("Balancer", SHOP, "shop", suspend=True)
    await ticks(site)
    site.edit("Balancer", SHOP, "shop", suspend=False)
    for _ in range(8):
        site.send_traffic(SHOP)
        await site.tick()
    assert written(site)
