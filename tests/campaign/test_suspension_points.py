"""At every point where a tick, a run or a warm start gives the loop away, something happens to its Balancer.

The points are found by running: trials go on until a run has fewer of them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from evenload.history.warming import WarmStarts
from evenload.reconcile import Reconciler
from tests.campaign import mischief
from tests.campaign.conftest import SCALE
from tests.campaign.world import BAD, SHOP, World

pytestmark = pytest.mark.timeout(300 * SCALE)

MOST_POINTS = 1000
STRIDE = 28  # of a sample


class Points:
    """Counts the points at which the coroutines of interest wait, and does `then` at one of them."""

    def __init__(self, at: int, then: Callable[[], None]) -> None:
        self.passed = 0
        self._at = at
        self._then = then

    def of(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The same method, whose waiting is seen."""

        async def seen(*given: Any, **named: Any) -> Any:
            return await _Seen(self, method(*given, **named))

        assert inspect.iscoroutinefunction(method)
        return seen

    def reach(self) -> None:
        self.passed += 1
        if self.passed == self._at:
            self._then()


class _Seen:
    """An awaitable that tells of each time it waits."""

    def __init__(self, points: Points, inner: Awaitable[Any]) -> None:
        self._points = points
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        running = self._inner.__await__()
        sent, failure = None, None
        while True:
            try:
                waited = running.send(sent) if failure is None else running.throw(failure)
            except StopIteration as end:
                return end.value
            self._points.reach()
            sent, failure = None, None
            try:
                sent = yield waited
            except BaseException as error:  # it is for the inner one to say what becomes of it
                failure = error


async def _give_way() -> None:
    """Every call of the API server is waited for."""
    await asyncio.sleep(0)


SOURCES: dict[str, tuple[type, str]] = {
    "tick": (Reconciler, "tick"),
    "run": (Reconciler, "_run"),
    "warm start": (WarmStarts, "_run"),
}


async def trial(monkeypatch: pytest.MonkeyPatch, source: str, what: str, point: int) -> bool:
    """Whether there was such a point; all that must hold is asserted."""
    async with World("interruptions") as world:
        points = Points(point, lambda: mischief.ALL[what](world))
        world.api.pace = _give_way
        owner, name = SOURCES[source]
        with monkeypatch.context() as patching:
            if source == "run":  # the queue holds the bound method
                world.reconciler.queue._run = points.of(world.reconciler.reconcile)
            else:
                patching.setattr(owner, name, points.of(getattr(owner, name)))
            await world.pass_by(3)
            world.set_weights(SHOP, BAD)
            await world.pass_by(8)
        await world.pass_by(3)
        assert world.invariants.broken == []
        assert what == "deleted" or world.condition(SHOP, "Ready") == ("True", "Watching")
        if points.passed >= point and what in mischief.FINAL:
            before = world.invariants.looked_at
            await world.pass_by(3)
            assert world.invariants.looked_at == before
        return points.passed >= point


@pytest.mark.parametrize("what", sorted(mischief.ALL))
@pytest.mark.parametrize("source", sorted(SOURCES))
async def test_what_happens_while_it_waits_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, source: str, what: str
) -> None:
    stride = max(1, STRIDE // SCALE)
    point = 1
    while await trial(monkeypatch, source, what, point):
        point += stride
        assert point < MOST_POINTS
    assert point > 1
