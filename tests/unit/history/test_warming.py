"""Whoever begins with thousands of Balancers lets others have their turn meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from evenload.engine import Engine
from evenload.history.warming import WarmStarts
from tests.support.wait import until


@pytest.fixture
def ended() -> dict[int, Engine | None]:
    return {}


@pytest.fixture
async def warming(ended: dict[int, Engine | None]) -> AsyncIterator[WarmStarts[int]]:
    warming: WarmStarts[int] = WarmStarts(ended.__setitem__)
    yield warming
    warming.close()


async def test_the_loop_has_its_turn_between_two_of_thousands(
    warming: WarmStarts[int], ended: dict[int, Engine | None]
) -> None:
    looked: list[int] = []
    warming.begin(range(5000), looked.append, 0.0)
    turns = []
    while len(looked) < 5000:
        turns.append(len(looked))
        await asyncio.sleep(0)
    assert max(after - before for before, after in itertools.pairwise(turns)) <= 2
    await until(lambda: len(ended) == 5000, what="the end of every start")


async def test_all_are_under_way_from_the_first_moment_until_they_have_ended(
    warming: WarmStarts[int], ended: dict[int, Engine | None]
) -> None:
    warming.begin([1, 2], lambda key: None, 0.0)
    assert 1 in warming
    assert 2 in warming
    await until(lambda: ended == {1: None, 2: None}, what="a cold start of both")
    assert list(warming) == []


async def test_one_that_is_forgotten_before_its_turn_is_not_looked_at(
    warming: WarmStarts[int], ended: dict[int, Engine | None]
) -> None:
    looked: list[int] = []
    warming.begin([1, 2], looked.append, 0.0)
    warming.forget(2)
    await until(lambda: 1 in ended, what="the end of the other")
    assert (looked, list(ended)) == ([1], [1])
