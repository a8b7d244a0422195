"""What a preset that counts by Service cannot show is said on the Balancer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.inprocess import Site

SHOP = "market"
SPEC = {"signals": {"preset": "traefik"}}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        yield site


async def test_with_a_single_backend_nothing_can_be_compared(site: Site) -> None:
    site.add_shop(SHOP, SPEC, backends="a")
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("True", "Limited")
    assert "the preset traefik counts by Service, and there is a single one: nothing can be compared" in site.message(
        SHOP
    )


async def test_with_several_backends_it_is_no_limit(site: Site) -> None:
    site.add_shop(SHOP, SPEC)
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("True", "Watching")


async def test_two_services_that_read_alike_are_told_of_by_name(site: Site) -> None:
    """Service a of market, and another one: rows name market-x/y and market/x-y alike."""
    site.add_shop(SHOP, SPEC)
    site.add_backend(SHOP, "x-y")
    site.add_route(SHOP, [{"name": name, "port": 80, "weight": 250} for name in ("a", "x-y")])
    site.add_backend("market-x", "y")
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("True", "Limited")
    said = "cannot tell Service x-y from Service y of namespace market-x: x-y has no numbers"
    assert said in site.message(SHOP)


async def test_a_preset_that_counts_by_pod_has_none_of_these_limits(site: Site) -> None:
    site.add_shop(SHOP, backends="a")
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("True", "Watching")
