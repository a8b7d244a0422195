"""A tenant with whatever objects the API server takes, beside one who has an incident: the second notices nothing.

The neighbour's whole story (weights, statuses, Remediations, tick by tick) is compared with the one of a run in which
the first tenant does not exist.
"""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from evenload.kube.resources import Manifest
from tests.campaign.conftest import SCALE
from tests.campaign.generated import ROUTES, specs
from tests.campaign.world import BAD, SHOP, World

pytestmark = pytest.mark.timeout(300 * SCALE)

TENANT = "tenant"
TICKS = 10
TRIALS = 6 * SCALE
Story = list[str]


def story(world: World) -> str:
    """All that the API server holds of the neighbour, without what numbers all objects of a cluster."""
    return json.dumps([_own(each) for key, each in sorted(world.api.objects.items()) if key[1] == SHOP], sort_keys=True)


def _own(manifest: Manifest) -> Manifest:
    told = copy.deepcopy(manifest)
    for field in ("resourceVersion", "uid", "creationTimestamp"):
        told["metadata"].pop(field, None)
    return told


async def lived(spec: Manifest | None, route: dict[str, Any] | None) -> Story:
    """The neighbour's story, beside a tenant with that Balancer and that route, or alone."""
    told = []
    async with World("odd objects of a neighbour") as world:
        if spec is not None:
            world.open_shop(TENANT)
            world.edit("Balancer", TENANT, "shop", **spec)
        await world.pass_by(3)
        world.set_weights(SHOP, BAD)
        for tick in range(TICKS):
            if tick == 2 and route is not None:
                spoil(world, route)
            await world.pass_by(1)
            told.append(story(world))
        assert world.invariants.broken == []
        assert world.condition(SHOP, "Ready") == ("True", "Watching")
    return told


def spoil(world: World, route: dict[str, Any]) -> None:
    changed = copy.deepcopy(world.api.objects["HTTPRoute", TENANT, "shop"])
    changed["spec"], changed["status"] = route["spec"], route["status"]
    changed["metadata"] |= {"managedFields": route["managedFields"], "generation": 2}
    world.touch("HTTPRoute", TENANT, "shop", changed)
    world.shops.remove(TENANT)  # nobody serves a route of that shape


@pytest.fixture(scope="module")
def alone() -> Story:
    return asyncio.run(lived(None, None))


@settings(max_examples=TRIALS, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=specs(), route=ROUTES)
def test_no_object_of_a_tenant_changes_what_becomes_of_another(alone: Story, spec: Manifest, route: Any) -> None:
    assert asyncio.run(lived(spec, route)) == alone


async def ended(*between: Manifest) -> Any:
    """What a Balancer of a plain spec says in the end, after it had these for a while."""
    async with World("odd specs that come and go") as world:
        plain = copy.deepcopy(world.api.objects["Balancer", SHOP, "shop"]["spec"])
        await world.pass_by(3)
        for each in between:
            world.edit("Balancer", SHOP, "shop", **each)
            await world.pass_by(4)
        world.api.objects["Balancer", SHOP, "shop"]["spec"] = {}
        world.edit("Balancer", SHOP, "shop", **plain)
        await world.pass_by(8)
        status = world.status(SHOP)
        assert world.invariants.broken == []
        said = [(each["type"], each["status"], each["reason"]) for each in status["conditions"]]
        return said, status.get("resolved"), world.weights(SHOP)


@pytest.fixture(scope="module")
def plain_end() -> Any:
    return asyncio.run(ended())


@settings(max_examples=TRIALS, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=specs())
def test_a_spec_that_came_and_went_leaves_nothing_behind(plain_end: Any, spec: Manifest) -> None:
    """A -> B -> A is as fresh A: conditions, and what is resolved."""
    assert asyncio.run(ended(spec)) == plain_end
