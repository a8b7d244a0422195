"""Prometheus on its bad days: nothing is written, the reason is told, no tick waits, and work goes on after."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.integration.operator.conftest import HEAVY, Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.fakeprometheus import FakePrometheus, Mode
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, fake_prometheus, shares

pytestmark = [HEAVY, pytest.mark.timeout(900)]
REASONS = {
    Mode.Slow: "Missing",
    Mode.Drip: "Missing",
    Mode.NaN: "NaN",
    Mode.Stale: "Stale",
    Mode.Empty: "Missing",
    Mode.Half: "Partial",
    Mode.Http500: "Missing",
    Mode.Html: "Missing",
    Mode.Garbage: "Missing",
    Mode.Cut: "Missing",
}
MENDED_AFTERWARDS = (Mode.Slow, Mode.NaN, Mode.Cut)  # the others come back no other way: they stay as they are
QUERY_SECONDS = 5.0  # the deadline given to the operator: a tick that waited for an answer took longer
QUICK_SECONDS = 2.5  # a bucket of the metric


async def bad_day(mode: Mode, shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
    # given that Prometheus fails in this way
    shop.prometheus.mode = mode
    await shop.until(lambda: _signals_are(shop, REASONS[mode]), what=f"SignalsFresh False {REASONS[mode]}")
    # when the bad update comes, then nothing is touched
    await _bad_update_that_nobody_sees(shop, operator, proxy)
    # and with the numbers back it is mended
    if mode in MENDED_AFTERWARDS:
        shop.prometheus.mode = Mode.Ok
        await _mended(shop, proxy)


async def down(shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
    """Nobody listens there at all; later it is up again."""
    await shop.prometheus.go_down()
    await shop.until(lambda: _signals_are(shop, "Missing"), what="SignalsFresh False Missing")
    words = "Prometheus does not answer"
    await shop.until(lambda: shop.says("SignalsFresh", words), what=words)
    await _bad_update_that_nobody_sees(shop, operator, proxy)
    await shop.prometheus.come_up()
    await _mended(shop, proxy)


async def _bad_update_that_nobody_sees(shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
    await shop.set_weights(BAD)
    await operator.ticked(4)
    assert not touched(proxy.writes(), shop)
    assert await shop.condition("Balanced") == ("Unknown", "NoData")
    assert await shop.condition("Ready") == ("True", "Watching")
    assert await shop.remediations() == []


async def gone_in_the_middle(shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
    # given a remediation that restored the weights
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(proxy.writes(), shop), what="the restored weights")
    # when the numbers stop
    shop.prometheus.mode = Mode.Http500
    await shop.until(lambda: _signals_are(shop, "Missing"), what="SignalsFresh False")
    before = len(touched(proxy.writes(), shop))
    await operator.ticked(8)
    # then it stands still, and goes on when they come back, doing nothing twice
    assert len(touched(proxy.writes(), shop)) == before
    shop.prometheus.mode = Mode.Ok
    await _mended(shop, proxy)


async def test_bad_days_of_prometheus(town: Town, start: Start, proxy: ApiProxy) -> None:
    async with AsyncExitStack() as stack:
        sources = [await stack.enter_async_context(_prometheus()) for _ in range(len(REASONS) + 2)]
        shops = await asyncio.gather(*(town.open_shop(prometheus=source) for source in sources))
        operator = start(*shops, query_timeout_seconds=QUERY_SECONDS)
        await asyncio.gather(*(shop.until(shop.healthy) for shop in shops))
        scenarios = {
            mode.name: bad_day(mode, shop, operator, proxy) for mode, shop in zip(REASONS, shops, strict=False)
        }
        others = {
            each.__name__: each(shop, operator, proxy)
            for each, shop in zip((down, gone_in_the_middle), shops[-2:], strict=True)
        }
        await side_by_side(**scenarios, **others)
        # and all the while no tick waited for those who do not answer; the machine may have been busy for a moment
        name = "evenload_tick_duration_seconds"
        ticks, quick, total = await operator.metrics(
            f"{name}_count", f'{name}_bucket{{le="{QUICK_SECONDS}"}}', f"{name}_sum"
        )
        print(f"ticks {ticks:.0f}, {total / ticks:.3f} s each, {quick:.0f} within {QUICK_SECONDS} s")  # noqa: T201
        assert quick > 0.8 * ticks


def _prometheus() -> FakePrometheus:
    prometheus = fake_prometheus()
    prometheus.delay_seconds = 60.0
    return prometheus


async def _mended(shop: Shop, proxy: ApiProxy) -> None:
    await shop.until(shop.closed, seconds=200)
    assert await shop.phase() == "Succeeded"
    assert purposes(await shop.remediation()) == WHOLE
    assert shares(await shop.weights()) == shares(EQUAL)
    assert len(evictions(proxy.writes(), shop)) == 1


async def _signals_are(shop: Shop, reason: str) -> bool:
    return await shop.condition("SignalsFresh") == ("False", reason)
