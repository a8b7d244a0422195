"""Kill the operator right before and right after every API call of a whole remediation, each in turn."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

from evenload.kube.resources import HTTPROUTES, REMEDIATIONS
from tests.support.faults import Fault, Faulty, Killed
from tests.support.memory import MemoryCluster
from tests.support.scripted import Operator, check_outcome
from tests.unit.act.world import replace_missing, shop


def operator_of(cluster: MemoryCluster, through: Faulty | MemoryCluster, start: float = 1_795_000_000.25) -> Operator:
    return Operator(
        cluster=through,
        reader=cluster,
        namespace="shop",
        clock=iter(count(start)),
        between_ticks=lambda: replace_missing(cluster),
    )


async def check(cluster: MemoryCluster) -> None:
    remediations, _ = await cluster.list(REMEDIATIONS, "shop")
    check_outcome(remediations, await cluster.get(HTTPROUTES, "shop", "shop"), first_generation=1)
    assert len(cluster.evictions) == 1


async def calls_of_a_remediation() -> list[str]:
    cluster = await shop()
    counting = Faulty(cluster)
    await operator_of(cluster, counting).run()
    await check(cluster)
    return counting.calls


CALLS = asyncio.run(calls_of_a_remediation())


def test_a_whole_remediation_takes_no_more_calls_than_its_steps_need() -> None:
    """Two calls to open and one to close; phase, plan, read, write, record and verdict a step."""
    assert len(CALLS) <= 2 + 5 * 6 + 1


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(1, len(CALLS) + 1))
async def test_whatever_happens_at_any_call_the_next_operator_ends_it_and_doubles_nothing(
    at: int, fault: Fault
) -> None:
    cluster = await shop()
    faulty = Faulty(cluster, at=at, fault=fault)
    try:
        await operator_of(cluster, faulty).run()
    except Killed:
        await operator_of(cluster, cluster, start=1_795_000_900.5).run()
    assert len(faulty.calls) >= at
    await check(cluster)


@pytest.mark.parametrize("seed", range(40))
async def test_two_operators_at_once_take_each_step_once(seed: int) -> None:
    chance = random.Random(seed)
    cluster = await shop()

    async def interleave() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    cluster.pace = interleave
    await asyncio.gather(
        operator_of(cluster, cluster).run(), operator_of(cluster, cluster, start=1_795_000_000.75).run()
    )
    await check(cluster)
