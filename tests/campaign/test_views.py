"""Every watch is, for itself, late, frozen or shows the past, while what it would show changes (as in Sieve, OSDI '22).

Whatever the operator believes meanwhile, no write breaks an invariant; and once it sees again, it does what is right.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from evenload.kube.resources import (
    BALANCERS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPROUTES,
    PODS,
    REMEDIATIONS,
    REPLICASETS,
    SERVICES,
)
from tests.campaign import mischief
from tests.campaign.conftest import SCALE
from tests.campaign.world import BACKENDS, BAD, SHOP, World

pytestmark = pytest.mark.timeout(300 * SCALE)

KINDS = tuple(
    resource.kind
    for resource in (PODS, ENDPOINTSLICES, SERVICES, HTTPROUTES, REPLICASETS, DEPLOYMENTS, BALANCERS, REMEDIATIONS)
)
WAYS = ("late", "very late", "frozen", "back and forth")
LONGEST_TICKS = 20  # of an incident
SETTLING_TICKS = 75  # a freeze after an undo lasts sixty


def trials(count: int, seed: int) -> list[tuple[str, str, str, int]]:
    """Kind, way, what happens meanwhile, and in which tick of the incident: every kind and way before any again."""
    pick = random.Random(seed)
    grid = [(kind, way) for kind in KINDS for way in WAYS]
    pick.shuffle(grid)
    return [
        (*grid[at % len(grid)], pick.choice(sorted(mischief.ALL)), pick.randrange(LONGEST_TICKS)) for at in range(count)
    ]


async def blind(world: World, kind: str, way: str) -> None:
    """Some ticks in which the watch of that kind shows something else than what there is."""
    if way == "frozen":
        world.freeze(kind)
        await world.pass_by(12)  # until well after a view is too old to act on
        return
    for lag in {"late": [1] * 4, "very late": [6] * 8, "back and forth": [4, 0, 5, 0, 6, 0]}[way]:
        world.delay(kind, lag)
        await world.pass_by(1)


@pytest.mark.parametrize(("kind", "way", "what", "moment"), trials(16 * SCALE, seed=11))
async def test_no_late_view_breaks_an_invariant(kind: str, way: str, what: str, moment: int) -> None:
    async with World("late views") as world:
        await world.pass_by(8)
        world.set_weights(SHOP, BAD)
        await world.pass_by(moment)
        mischief.ALL[what](world)
        await blind(world, kind, way)
        world.see()
        await settled(world, way, what)
        assert world.invariants.broken == []


async def settled(world: World, way: str, what: str) -> None:
    """What is right in the end."""
    before = world.invariants.looked_at
    await world.pass_by(6)
    assert what == "deleted" or world.condition(SHOP, "Ready") == ("True", "Watching")
    if what in mischief.FINAL:
        assert world.invariants.looked_at == before
    elif way == "back and forth" or what == "denied":
        return  # a rival seemed to write twice, which ends the contest; and what a person stops stays as it is
    else:
        await until_well(world, lambda: mitigated(world) if what == "rival" else healed(world))


async def until_well(world: World, well: Callable[[], bool]) -> None:
    for _ in range(SETTLING_TICKS):
        if well():
            return
        await world.pass_by(1)
    raise AssertionError(f"after {SETTLING_TICKS} ticks: {world.weights(SHOP)}, {world.message(SHOP, 'Balanced')}")


def healed(world: World) -> bool:
    return len(set(world.weights(SHOP).values())) == 1 and world.condition(SHOP, "Balanced") == ("True", "Healthy")


def mitigated(world: World) -> bool:
    """Its second overload made the pod sick again, and no pod is restarted twice in a short time."""
    numbers = [world.prometheus.pods[SHOP, f"{backend}-1"] for backend in BACKENDS]
    return sum(each["errors"] for each in numbers) < 0.05 * sum(each["requests"] for each in numbers)
