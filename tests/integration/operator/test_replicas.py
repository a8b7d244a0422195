"""Two replicas, one Lease: the leader is killed in the middle of its work, and the other goes on with it."""

from __future__ import annotations

import time

from evenload.kube.resources import LEASES
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, touched, weight_of_sick, weights_written
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import SHORT_LEASE, OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, shares


async def killed_leader(shop: Shop, start: Start, proxy: ApiProxy) -> None:
    """The other one follows when the lease is dead, and does nothing twice."""
    # given two replicas, of which one has begun to mend the postmortem
    replicas = [start(shop, lease=SHORT_LEASE) for _ in range(2)]
    for replica in replicas:
        await replica.ready()
    await shop.until(shop.healthy)
    leader, other = await _roles(replicas)
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(proxy.writes(), shop), what="the restored weights")
    # when it is killed
    leader.kill()
    killed_at = time.monotonic()
    # then the other one leads, and ends it
    await shop.until(lambda: _leads(other), what="the other's leadership")
    took = time.monotonic() - killed_at
    print(f"takeover after {took:.1f} s")  # noqa: T201
    assert str(other.pid) in await _holder(shop)
    await shop.until(shop.closed)
    remediation = await shop.remediation()
    assert remediation["status"]["phase"] == "Succeeded"
    assert purposes(remediation) == WHOLE
    assert weight_of_sick(weights_written(proxy.writes(), shop, BAD)) == [1.0, 0.0, 0.1, 0.3, 0.6, 1.0]
    assert len(evictions(proxy.writes(), shop)) == 1
    assert shares(await shop.weights()) == shares(EQUAL)


async def two_leaders(shop: Shop, start: Start, proxy: ApiProxy) -> None:
    """The lease failed us and both believe to lead: they do nothing twice all the same."""
    # given that both see the bad update
    replicas = [start(shop, leader_election=False) for _ in range(2)]
    for replica in replicas:
        await replica.ready()
    await shop.until(shop.healthy)
    await shop.set_weights(BAD)
    # then the preconditions of each write let one of them win
    await shop.until(shop.closed)
    remediation = await shop.remediation()
    assert remediation["status"]["phase"] == "Succeeded"
    assert purposes(remediation) == WHOLE
    assert weight_of_sick(weights_written(proxy.writes(), shop, BAD)) == [1.0, 0.0, 0.1, 0.3, 0.6, 1.0]
    # an eviction holds for one UID: two at the same moment are one, of a pod that is going already
    assert len(set(evictions(proxy.writes(), shop))) == 1


async def test_two_replicas_do_everything_once(town: Town, start: Start, proxy: ApiProxy) -> None:
    one, other = [await town.open_shop() for _ in range(2)]
    await side_by_side(
        killed_leader=killed_leader(one, start, proxy),
        two_leaders=two_leaders(other, start, proxy),
    )


async def test_a_leader_that_cannot_renew_ends_before_it_could_write_again(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop()
    operator = start(shop)
    await shop.until(shop.healthy)
    # when another takes the lease by force
    usurper = {"spec": {"holderIdentity": "usurper", "leaseDurationSeconds": 3600}}
    await shop.client.patch_merge(LEASES, shop.namespace, "evenload", usurper)
    # then the process ends, and has written nothing about what came after
    await operator.gone()
    await shop.set_weights(BAD)
    assert operator.lines("leadership-lost")
    assert not touched(proxy.writes(), shop)


async def _roles(replicas: list[OperatorProcess]) -> tuple[OperatorProcess, OperatorProcess]:
    first, second = replicas
    if await _leads(first):
        return first, second
    assert await _leads(second)
    return second, first


async def _leads(replica: OperatorProcess) -> bool:
    return await replica.metric("evenload_leader") == 1


async def _holder(shop: Shop) -> str:
    lease = await shop.client.get(LEASES, shop.namespace, "evenload")
    return str(lease["spec"]["holderIdentity"])
