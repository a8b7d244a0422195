"""How a rule of a route splits traffic over backends, whatever the plane calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from evenload.audit.field import Field
from evenload.audit.finding import Hit
from evenload.audit.world import Object, World
from evenload.drivers.metadata import Metadata
from evenload.model.wording import listing, percent

CONCENTRATED: Final = 0.8
"""Of the weight: of three backends or more, one with more than this is a mistake more often than a canary, which has
two."""


class Share(NamedTuple):
    """A backend and its weight; None: it holds something that is no weight."""

    name: str
    weight: int | None
    field: Field


def split_of(shares: Iterable[Share]) -> list[Share] | None:
    """The backends of a rule; None where one has no weight that can be read."""
    found = list(shares)
    return None if any(each.weight is None or each.weight < 0 for each in found) else found


class Splits(NamedTuple):
    """Where the objects of a plane split traffic, and the rules that hold for each split of any plane."""

    lists: Callable[[Object], Iterable[Field]]  # of references that share traffic
    shares: Callable[[Field], list[Share] | None]  # of one list; None where it cannot be read
    owner: Callable[[Object, World], str | None]  # the canary controller that sets the weights

    def all_zero(self, object_: Object, world: World) -> Iterator[Hit]:
        """Nobody gets anything."""
        for field, split in self._read(object_):
            if not any(each.weight for each in split):
                yield Hit(field, f"the weight of {_names(split)} is 0, so every request of this rule fails")

    def all_on_one(self, object_: Object, world: World) -> Iterator[Hit]:
        """Of several, one has it all; not where a canary controller sets the weights."""
        for field, split in self._read(object_):
            bearing = [each for each in split if each.weight]
            if len(split) > 1 and len(bearing) == 1 and not self.owner(object_, world):
                idle = [each for each in split if not each.weight]
                yield Hit(field, f"{bearing[0].name} has all of the weight, and {_names(idle)} nothing")

    def concentrated(self, object_: Object, world: World) -> Iterator[Hit]:
        """Of three or more, one has nearly all; not where a canary controller sets the weights."""
        for field, split in self._read(object_):
            bearing = [each for each in split if each.weight]
            if len(bearing) < 3 or self.owner(object_, world):
                continue
            most = max(bearing, key=lambda each: each.weight or 0)
            share = (most.weight or 0) / sum(each.weight or 0 for each in split)
            if share > CONCENTRATED:
                yield Hit(field, f"{most.name} has {percent(share)} of the weight of {len(split)} backends")

    def _read(self, object_: Object) -> Iterator[tuple[Field, list[Share]]]:
        """Those that hold something, and can be read."""
        for field in self.lists(object_):
            if split := self.shares(field):
                yield field, split


def owner_of(world: World, object_: Object, field: str) -> str | None:
    """The canary controller that sets the weights in `spec.<field>`: "Canary/shop"."""
    if rollout := world.rollout_of(object_):
        return rollout
    try:
        metadata = msgspec.convert(object_.root["metadata"].value, Metadata)
    except msgspec.ValidationError:
        return None
    return metadata.delivery(metadata.writers(field))


def _names(shares: list[Share]) -> str:
    return listing([each.name for each in shares], most=8)
