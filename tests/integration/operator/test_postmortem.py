"""The postmortem from end to end: a bad update, and the operator mends it as it was designed to, once."""

from __future__ import annotations

import time

from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, weights_written
from tests.support.apiproxy import ApiProxy
from tests.support.town import BAD, EQUAL, SICK, Shop, Town, shares
from tests.support.wait import until

LARGEST_MEMORY_BYTES = 150e6
LARGEST_CORE_SHARE = 0.04  # here at a tick of one second, the shortest there is; 0.028 on an idle machine
MEASURED_SECONDS = 10.0


async def test_a_healthy_balancer_costs_the_api_server_nothing_but_the_lease(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop()
    operator = start(shop, whole=True)
    await shop.until(shop.healthy)
    await shop.until(shop.remembers_good_weights)
    before = len(proxy.writes(leases=True))
    began, spent = time.monotonic(), operator.cpu_seconds
    await until(lambda: time.monotonic() > began + MEASURED_SECONDS, seconds=30, pause=1.0)  # it is not asked meanwhile
    assert operator.cpu_seconds - spent < LARGEST_CORE_SHARE * (time.monotonic() - began)
    await operator.ticked(5)
    kinds = {seen.path.split("/")[-2] for seen in proxy.writes(leases=True)[before:]}
    assert kinds == {"leases"}
    assert operator.memory_bytes < LARGEST_MEMORY_BYTES


async def test_the_postmortem_is_mended_in_one_go(town: Town, start: Start, proxy: ApiProxy) -> None:
    # given a shop that Evenload looks after, as the chart runs it
    shop = await town.open_shop()
    operator = start(shop, whole=True)
    await shop.until(shop.remembers_good_weights)
    before = dict(shop.pods)
    # when an update gives one server nearly everything, and that server falls sick of it
    await shop.set_weights(BAD, manager="ci-deploy")
    await shop.until(lambda: shop.sick_pods, what="a sick pod")
    (sick,) = shop.sick_pods
    await shop.until(shop.closed)
    # then the weights came back in one step, the sick pod was drained, evicted once, replaced and ramped up
    remediation = await shop.remediation()
    assert remediation["status"]["phase"] == "Succeeded"
    assert purposes(remediation) == WHOLE
    written = weights_written(proxy.writes(), shop, BAD)
    assert written[:2] == [EQUAL, {**EQUAL, SICK: 0}]
    assert evictions(proxy.writes(), shop) == [before[sick]["metadata"]["name"]]
    assert before.keys() - shop.pods.keys() == {sick}
    assert shares(await shop.weights()) == shares(EQUAL)
    assert shop.sick_pods == []
    # and people are told who broke it and what was done
    diagnosis = remediation["spec"]["diagnosis"]
    assert (diagnosis["label"], diagnosis["cause"], diagnosis["manager"]) == (
        "LoadBalancerSkew",
        "WeightsWrong",
        "ci-deploy",
    )
    assert remediation["status"]["outcome"]["restarts"] == 1
    assert remediation["status"]["recording"]
    await shop.until(lambda: _told(shop, 4), what="an Event for each thing that happened")
    await shop.until(shop.rests, what="a status that says that all is well")
    # and it ends at once when it is told to, handing the lease back
    operator.terminate()
    await operator.gone()


async def _told(shop: Shop, things: int) -> bool:
    return len(set(await shop.event_reasons())) >= things
