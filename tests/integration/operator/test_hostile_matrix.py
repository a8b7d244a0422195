"""Every kind of hostile answer at every moment of asking, of tenants' own addresses and of the installation's own."""

from __future__ import annotations

import asyncio

import pytest

from tests.campaign.conftest import SCALE, tally
from tests.integration.operator.conftest import HEAVY, Start
from tests.support.apiproxy import ApiProxy
from tests.support.hostile import (
    HOSTILE,
    MOMENTS,
    PAIR,
    Answer,
    ask_there,
    hosts,
    redirect,
    reset,
)
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, Shop, Town
from tests.support.wait import until

pytestmark = [HEAVY]
EVIL_SHOPS = 5  # each has a share of the threads for what tenants decide, and one of the five slow kinds
MOST_BYTES = 512 << 20  # the chart's limit
MOST_THREADS = 60
LONGEST_TICK = "5.0"  # a bucket beyond the tests' deadline of 3 s
ABOUT = "hostile Prometheus"


@pytest.mark.timeout(900)
async def test_a_hostile_prometheus_harms_its_own_balancer_alone(town: Town, start: Start, proxy: ApiProxy) -> None:
    """Every kind at every moment, all at once."""
    good, *evils = await asyncio.gather(
        town.open_shop(), *(town.open_shop(balancer=False, backends=PAIR) for _ in range(EVIL_SHOPS))
    )
    async with hosts(*HOSTILE, moments=MOMENTS.values()) as hostile:
        for number, host in enumerate(hostile):
            await ask_there(evils[number // len(MOMENTS) % EVIL_SHOPS], f"evil-{number}", host.url)
        operator = start(good, *evils, prometheus_allowed_urls="*")
        await good.until(good.remembers_good_weights)
        assert (await operator.page("healthz"))[0] == 200
        await good.set_weights(BAD)
        await good.until(good.even, what="equal weights")
        print([number for number, host in enumerate(hostile) if not host.asked], "were not asked")  # noqa: T201
        assert {host.answer for host in hostile if host.asked} == set(HOSTILE)
        assert [line for host in hostile for line in host.asked if b"/elsewhere" in line] == []
        await bounded(operator)
        await operator.ends()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("answer", HOSTILE if SCALE > 1 else (reset, redirect))
async def test_the_operator_outlives_whatever_the_installations_own_prometheus_answers(
    town: Town, start: Start, proxy: ApiProxy, answer: Answer
) -> None:
    shop = await town.open_shop(backends=PAIR)
    async with hosts(answer, moments=MOMENTS.values()) as (read, warm):
        for host in (read, warm):
            operator = start(shop, prometheus_url=host.url)
            await operator.ready()
            await operator.ticked(6)
            await until(lambda host=host: host.asked, what="a question")
            assert (await operator.page("healthz"))[0] == 200
            await shop.until(lambda: _is(shop, "SignalsFresh", "False"), what="the word that nothing is known")
            await bounded(operator)
            await operator.ends()


async def _is(shop: Shop, kind: str, status: str) -> bool:
    return (await shop.condition(kind))[0] == status


async def bounded(operator: OperatorProcess) -> None:
    """Memory, threads, and how long a tick takes."""
    print(f"{operator.peak_bytes >> 20} MiB at most, {operator.threads} threads")  # noqa: T201
    assert operator.peak_bytes < MOST_BYTES
    assert operator.threads < MOST_THREADS
    all_ticks, quick = await operator.metrics(
        "evenload_tick_duration_seconds_count", f'evenload_tick_duration_seconds_bucket{{le="{LONGEST_TICK}"}}'
    )
    tally(ABOUT, ticks=round(all_ticks), writes=0, broken=0)
    assert quick == all_ticks
