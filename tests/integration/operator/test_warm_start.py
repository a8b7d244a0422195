"""The operator begins warm where Prometheus remembers the last minutes, and cold, at once, where it does not."""

from __future__ import annotations

import pytest

from evenload.clock import now
from tests.integration.operator.conftest import Start
from tests.support.fakeprometheus import Mode
from tests.support.town import WINDOW_SECONDS, Town
from tests.support.wait import until

LONG_ENOUGH = WINDOW_SECONDS + 5.0  # since the route was written: nothing older is shown to an engine


async def test_an_operator_that_begins_is_shown_the_last_minutes(town: Town, start: Start) -> None:
    shop = await town.open_shop()
    opened = now()
    town.prometheus.history = lambda time: dict(town.prometheus.pods)
    await until(lambda: now() > opened + LONG_ENOUGH, what="some history")
    operator = start(shop)
    await until(lambda: operator.lines("warm-start"), what="a warm start")
    assert [(line["warm"], line["cold"]) for line in operator.lines("warm-start")] == [(1, 0)]
    await shop.until(shop.healthy)


@pytest.mark.parametrize("mode", [Mode.Http500, Mode.Slow])
async def test_a_prometheus_that_cannot_answer_delays_nobody_for_long(town: Town, start: Start, mode: Mode) -> None:
    shop = await town.open_shop()
    opened = now()
    await until(lambda: now() > opened + LONG_ENOUGH, what="some history")
    town.prometheus.mode, town.prometheus.delay_seconds = mode, 600.0  # who waits for it, waits for longer than we do
    operator = start(shop)
    await until(lambda: operator.lines("cold-start"), what="a cold start")
    town.prometheus.mode = Mode.Ok
    await shop.until(shop.healthy)
    assert len(operator.lines("cold-start")) == 1
