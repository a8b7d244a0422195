"""The wall clock jumps under a running operator: while all is well, and in the middle of a remediation."""

from __future__ import annotations

from pathlib import Path

from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, shares

HOUR, MONTH = 3600.0, 30 * 24 * 3600.0


class Clock:
    """By how many seconds an operator's clock is off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jump(0)

    def jump(self, seconds: float) -> None:
        whole = self.path.with_suffix(".new")
        whole.write_text(str(seconds))
        whole.replace(self.path)


async def at_rest(shop: Shop, operator: OperatorProcess, clock: Clock, proxy: ApiProxy) -> None:
    """On, back and far on: nothing is touched, nothing is opened, and it says that all is well again."""
    for jump in (HOUR, -HOUR, MONTH):
        clock.jump(jump)
        await operator.ticked(6)
        await shop.until(shop.healthy)
    assert not touched(proxy.writes(), shop)
    assert await shop.remediations() == []


async def back_in_the_middle(shop: Shop, clock: Clock, proxy: ApiProxy) -> None:
    """What was begun is ended as fast as ever, and nothing is done twice."""
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(proxy.writes(), shop), what="the restored weights")
    clock.jump(-HOUR)
    await shop.until(shop.closed)
    remediation = await shop.remediation()
    assert remediation["status"]["phase"] == "Succeeded"
    assert purposes(remediation) == WHOLE
    assert len(evictions(proxy.writes(), shop)) == 1
    assert shares(await shop.weights()) == shares(EQUAL)


async def on_in_the_middle(shop: Shop, operator: OperatorProcess, clock: Clock, proxy: ApiProxy) -> None:
    """How old the pods and what was done are can no longer be told: it goes on or waits, and doubles nothing."""
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(proxy.writes(), shop), what="the restored weights")
    clock.jump(HOUR)
    await operator.ticked(25)
    remediation = await shop.remediation()
    # Samples from before the jump look old enough to be of the new weights: a correction too many may be made.
    made = [purpose for purpose in purposes(remediation) if purpose != "Rebalance"]
    assert made == WHOLE[: len(made)]
    assert len(evictions(proxy.writes(), shop)) <= 1
    assert await shop.weights() != BAD


async def test_a_clock_that_jumps_neither_stops_nor_doubles_anything(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shops = [await town.open_shop() for _ in range(3)]
    clocks = [Clock(tmp_path / f"clock-{number}") for number in range(3)]
    operators = [
        start(shop, clock=clock.path, leader_election=False) for shop, clock in zip(shops, clocks, strict=True)
    ]
    for shop in shops:
        await shop.until(shop.remembers_good_weights)
    await side_by_side(
        at_rest=at_rest(shops[0], operators[0], clocks[0], proxy),
        on_in_the_middle=on_in_the_middle(shops[1], operators[1], clocks[1], proxy),
        back_in_the_middle=back_in_the_middle(shops[2], clocks[2], proxy),
    )
