"""SIGKILL right before and right after every API write of a whole remediation, on a real API server, each in turn."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from evenload.act.execution import Cluster
from evenload.kube.client import Client
from tests.integration.act.conftest import Shop
from tests.support.faults import Fault, Faulty, Killed
from tests.support.scripted import Operator
from tests.unit.act.test_crash_points import calls_of_a_remediation

CALLS = asyncio.run(calls_of_a_remediation())
WRITES = [at for at, verb in enumerate(CALLS, start=1) if verb != "get"]


def operator_of(shop: Shop, through: Cluster, start: float = 1_795_000_000.25) -> Operator:
    return Operator(
        cluster=through,
        reader=shop.client,
        namespace=shop.namespace,
        clock=iter(count(start)),
        between_ticks=shop.run_pods,
    )


async def test_a_remediation_that_nobody_disturbs_makes_the_calls_that_were_expected(shop: Shop) -> None:
    counting = Faulty(shop.client)
    await operator_of(shop, counting).run()
    await shop.check()
    assert counting.calls == CALLS


@pytest.mark.parametrize("fault", [Fault.KilledBefore, Fault.KilledAfter])
@pytest.mark.parametrize("at", WRITES)
async def test_killed_at_any_write_the_next_operator_ends_it_and_doubles_nothing(
    shop: Shop, at: int, fault: Fault
) -> None:
    with pytest.raises(Killed):
        await operator_of(shop, Faulty(shop.client, at=at, fault=fault)).run()
    await operator_of(shop, shop.client, start=1_795_000_900.5).run()
    await shop.check()


async def test_two_operators_at_once_take_each_step_once(shop: Shop, client: Client) -> None:
    first = operator_of(shop, client)
    second = operator_of(shop, client, start=1_795_000_000.75)
    await asyncio.gather(first.run(), second.run())
    await shop.check()
