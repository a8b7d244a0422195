"""What others do while the operator works or is shown the past: people, controllers, tenants, rivals."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from evenload.api.v1alpha1 import PAUSED_ANNOTATION
from tests.campaign.world import BAD, SHOP, World

Mischief = Callable[[World], None]


def _balancer(world: World, **spec: Any) -> None:
    if ("Balancer", SHOP, "shop") in world.api.objects:
        world.edit("Balancer", SHOP, "shop", **spec)


def suspend(world: World) -> None:
    _balancer(world, suspend=True)


def observe(world: World) -> None:
    _balancer(world, mode="Observe")


def pause(world: World) -> None:
    if balancer := copy.deepcopy(world.api.objects.get(("Balancer", SHOP, "shop"))):
        balancer["metadata"]["annotations"] = {PAUSED_ANNOTATION: "true"}
        world.touch("Balancer", SHOP, "shop", balancer)


def delete(world: World) -> None:
    world.api.objects.pop(("Balancer", SHOP, "shop"), None)


def remake(world: World) -> None:
    """Deleted and created again under its name: another Balancer."""
    balancer = world.api.objects.get(("Balancer", SHOP, "shop"))
    if balancer is not None:
        uid = f"{balancer['metadata']['uid']}-again"
        world.add_balancer(SHOP, balancer["spec"], uid=uid)


def edit(world: World) -> None:
    _balancer(world, guardrails={"minWriteInterval": "2s"})


def deny(world: World) -> None:
    """A person says no to whatever is open."""
    for (kind, namespace, name), each in list(world.api.objects.items()):
        if kind == "Remediation" and "closedAt" not in each.get("status", {}):
            changed = copy.deepcopy(each)
            changed["spec"]["approval"] = {"decision": "Denied", "by": "ann"}
            world.touch(kind, namespace, name, changed)


def rival(world: World) -> None:
    world.set_weights(SHOP, BAD, manager="flux")


def remake_pods(world: World) -> None:
    for backend in "abcd":
        world.remake_pod(SHOP, backend)


def lose_slices(world: World) -> None:
    """No endpoint is ready any more, for all that the slices say."""
    for backend in "abcd":
        part = copy.deepcopy(world.api.objects["EndpointSlice", SHOP, f"{backend}-x"])
        for endpoint in part["endpoints"]:
            endpoint["conditions"] = {"ready": False}
        world.touch("EndpointSlice", SHOP, f"{backend}-x", part)


def heal_slices(world: World) -> None:
    for backend in "abcd":
        part = copy.deepcopy(world.api.objects["EndpointSlice", SHOP, f"{backend}-x"])
        for endpoint in part["endpoints"]:
            endpoint["conditions"] = {"ready": True}
        world.touch("EndpointSlice", SHOP, f"{backend}-x", part)


FINAL: Mapping[str, Mischief] = {
    "suspended": suspend,
    "observing": observe,
    "paused": pause,
    "deleted": delete,
}
"""After these nothing is written any more."""

PASSING: Mapping[str, Mischief] = {
    "nothing": lambda world: None,
    "remade": remake,
    "edited": edit,
    "rival": rival,
    "pods remade": remake_pods,
}
"""After these all is to be well again in the end."""

ALL: Mapping[str, Mischief] = {**FINAL, **PASSING, "denied": deny}
