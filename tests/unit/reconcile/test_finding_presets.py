"""A Balancer that does not say whose metrics its pods have: the operator looks, and says what it found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.inprocess import Site

SHOP = "market"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(SHOP, {"signals": {"preset": None}})
        yield site


async def ticks(site: Site, count: int) -> dict[str, Any]:
    """The Balancer's status after them."""
    for _ in range(count):
        site.send_traffic(SHOP)
        await site.tick()
    status: dict[str, Any] = site.api.objects["Balancer", SHOP, "shop"].get("status", {})
    return status


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


async def test_what_is_found_is_in_the_status_and_used_from_the_next_tick(site: Site) -> None:
    status = await ticks(site, 5)
    assert (status["resolved"]["signals"], status["resolved"]["code"]) == ("app", "code")
    assert condition(status, "Balanced")[:2] == ("True", "Healthy")


async def test_it_is_looked_for_once(site: Site) -> None:
    await ticks(site, 6)
    assert sum('"app/code"' in query for query in site.prometheus.queries) == 1


async def test_where_none_answers_it_says_what_it_looked_for(site: Site) -> None:
    site.prometheus.preset = "house/result"
    status = await ticks(site, 3)
    state, _, message = condition(status, "SignalsFresh")
    assert state == "False"
    assert "http_requests_total (app)" in message
    assert "istio_requests_total (istio)" in message


async def test_it_goes_on_looking_until_one_answers(site: Site) -> None:
    site.prometheus.preset = "house/result"
    await ticks(site, 3)
    site.prometheus.preset = "istio/response_code"
    status = await ticks(site, 3)
    assert status["resolved"]["signals"] == "istio"
