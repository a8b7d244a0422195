"""Under whatever load of its loop, the leader renews its Lease in time, or stops writing and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import aiohttp
import pytest

from evenload.kube.lease import RENEW_DEADLINE_SECONDS
from evenload.kube.resources import LEASES
from tests.campaign.conftest import SCALE, tally
from tests.integration.operator.conftest import HEAVY, Start
from tests.integration.operator.outcome import touched
from tests.support.apiproxy import ApiProxy
from tests.support.processes import EXIT_SECONDS, OperatorProcess
from tests.support.town import BAD, SIGNALS, Shop, Town
from tests.support.wait import until

pytestmark = [HEAVY]
BALANCERS = 200 * min(SCALE, 5)
READERS = 10  # of /metrics, each as often as it can
LOADED_SECONDS = 15.0
PAIR = ("shop-a", "shop-b")


@pytest.mark.timeout(900)
async def test_many_readers_of_the_metrics_of_many_balancers_do_not_cost_the_lease(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop(backends=PAIR)
    for first in range(0, BALANCERS, 20):
        names = [f"more-{number}" for number in range(first, first + 20)]
        await asyncio.gather(*(shop.create_balancer({"signals": SIGNALS}, name) for name in names))
    operator = start(shop)
    await operator.ready(90)
    await operator.ticked(2, seconds=120)
    ends = time.monotonic() + LOADED_SECONDS
    *answers, longest = await asyncio.gather(*(read(operator, ends) for _ in range(READERS)), longest_gap(shop, ends))
    tally("leadership under load", ticks=0, writes=0, broken=0)
    assert sum(answers) > READERS
    assert operator.alive
    assert longest < RENEW_DEADLINE_SECONDS
    assert operator.lines("leadership-lost") == []


async def read(operator: OperatorProcess, ends: float) -> int:
    """How often it was answered."""
    answers = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while time.monotonic() < ends:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"http://127.0.0.1:{operator.port}/metrics") as answer:
                    await answer.read()
                    answers += 1
    return answers


async def longest_gap(shop: Shop, ends: float) -> float:
    """Seconds between two renewals, as others see them."""
    longest, changed, version = 0.0, time.monotonic(), ""
    while time.monotonic() < ends:
        lease = await shop.client.get(LEASES, shop.namespace, "evenload")
        now = time.monotonic()
        if lease["metadata"]["resourceVersion"] != version:
            changed, version = now, lease["metadata"]["resourceVersion"]
        longest = max(longest, now - changed)
        await asyncio.sleep(0.2)
    return longest


async def test_a_leader_that_stood_still_beyond_its_deadline_ends_and_writes_nothing(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    """As under a loop that somebody hogs, or on a machine that was suspended."""
    shop = await town.open_shop()
    operator = start(shop)
    await shop.until(shop.remembers_good_weights)
    os.kill(operator.pid, signal.SIGSTOP)
    try:
        await shop.set_weights(BAD)
        stopped = time.monotonic()
        deadline = RENEW_DEADLINE_SECONDS + 2
        await until(lambda: time.monotonic() > stopped + deadline, seconds=deadline + 5, what="the deadline", pause=0.2)
    finally:
        os.kill(operator.pid, signal.SIGCONT)
    await until(lambda: not operator.alive, seconds=EXIT_SECONDS, what="the end of the operator")
    tally("leadership under load", ticks=0, writes=0, broken=0)
    assert touched(proxy.writes(), shop) == []
