"""A tenant's own Prometheus means harm: the neighbour is served, health is true, and the process ends when asked to."""

from __future__ import annotations

import asyncio
import time

from evenload.kube.lease import RETRY_SECONDS
from evenload.kube.resources import LEASES
from tests.integration.operator.conftest import Start
from tests.support.apiproxy import ApiProxy
from tests.support.hostile import (
    PAIR,
    ask_there,
    dripping_body,
    endless_continue,
    hosts,
    silence,
    trickled_headers,
)
from tests.support.processes import EXIT_SECONDS
from tests.support.town import BAD, SIGNALS, Town
from tests.support.wait import until


async def test_a_hostile_prometheus_harms_its_own_balancer_alone(town: Town, start: Start, proxy: ApiProxy) -> None:
    good, evil = await asyncio.gather(town.open_shop(), town.open_shop(balancer=False, backends=PAIR))
    async with hosts(trickled_headers, dripping_body, endless_continue, silence) as hostile:
        for number, host in enumerate(hostile):
            await ask_there(evil, f"evil-{number}", host.url)
        operator = start(good, evil, prometheus_allowed_urls="*")
        await good.until(good.remembers_good_weights)
        assert (await operator.page("healthz"))[0] == 200
        await good.set_weights(BAD)
        await good.until(good.even, what="equal weights")
        await operator.ends()


async def test_a_lost_lease_ends_the_process_though_a_prometheus_does_not_answer(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    async with hosts(trickled_headers) as (host,):
        shop = await town.open_shop(backends=PAIR, spec={"signals": {**SIGNALS, "prometheusUrl": host.url}})
        operator = start(shop, prometheus_allowed_urls="*")
        await operator.ready()
        await operator.ticked(2)
        usurper = {"spec": {"holderIdentity": "another"}}
        await shop.client.patch_merge(LEASES, shop.namespace, "evenload", usurper)
        taken = time.monotonic()
        await until(lambda: not operator.alive, what="the end of the operator")
        # It looks every two seconds, and may have sent a renewal just before.
        assert time.monotonic() - taken < 2 * RETRY_SECONDS + EXIT_SECONDS
