"""SIGKILL of the whole operator right before and right after every API write of a whole remediation, each in turn.

An undisturbed remediation tells which writes there are, in order. They are dealt out to lanes, each a shop of its own
with operators that watch it alone: the first of them dies right before its lane's first write, its successor right
after that very write, the next one right before the lane's second write, and so on; the last has to end it. So every
operator begins on what one killed operator or several left, and each write meets both kinds of death.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, weight_of_sick, weights_written
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy, Seen, Side
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, shares

LANES = 6


class Lane:
    """One shop, broken by the bad update before anybody looks after it."""

    def __init__(self, shop: Shop, proxy: ApiProxy, start: Start) -> None:
        self.shop, self.proxy, self.start = shop, proxy, start
        self.pods: set[str] = set()
        self.kills: list[str] = []
        self.points: list[str] = []  # what an undisturbed one writes, in order

    async def break_down(self) -> None:
        self.pods = set(self.shop.pods)
        await self.shop.set_weights(BAD)
        await self.shop.until(lambda: self.shop.sick_pods, what="a sick pod")

    def operator(self) -> OperatorProcess:
        """Without a lease: a takeover takes 15 s, and has tests of its own."""
        return self.start(self.shop, leader_election=False)

    async def killed(self, target: str, side: Side) -> None:
        """An operator begins, and dies there; or later, at the first write about a step that passes it by.

        Whether a phase or a verdict is written by itself depends on how fast the machine is.
        """
        process: list[OperatorProcess] = []
        point = self.proxy.kill_at(
            side=side,
            kill=lambda: process[0].kill(),
            matching=lambda seen: self.mine(seen) and self.reached(kind(seen), target),
        )
        process.append(self.operator())
        where = f"{side.value} {target}"
        await self.shop.until(lambda: point.hits, what=f"death {where}, after {self.kills}")
        await process[0].gone()
        self.kills.append(where)

    async def ended(self) -> None:
        """An operator lives until the Remediation is closed."""
        process = self.operator()
        await self.shop.until(self.shop.closed, what=f"the end, after {self.kills}")
        process.kill()
        await process.gone()

    def reached(self, found: str, target: str) -> bool:
        about_a_step = found[0].isdigit() and found in self.points
        return found == target or (about_a_step and self.points.index(found) > self.points.index(target))

    def mine(self, seen: Seen) -> bool:
        return f"/namespaces/{self.shop.namespace}/" in seen.path

    def writes(self) -> list[Seen]:
        return [seen for seen in self.proxy.writes() if self.mine(seen)]

    async def check(self) -> None:
        """The end is right, each step was taken once, and one pod was evicted."""
        shop, writes = self.shop, self.writes()
        remediation = await shop.remediation()
        assert remediation["status"]["phase"] == "Succeeded"
        assert purposes(remediation) == WHOLE
        written = weights_written(writes, shop, BAD)
        assert weight_of_sick(written) == [1.0, 0.0, 0.1, 0.3, 0.6, 1.0]
        assert (await shop.route())["metadata"]["generation"] == 2 + len(written), "no write but those"
        assert shares(await shop.weights()) == shares(EQUAL)
        assert len(evictions(writes, shop)) == 1
        assert len(self.pods - set(shop.pods)) == 1
        assert shop.sick_pods == []


async def whole(lane: Lane) -> None:
    await lane.break_down()
    await lane.ended()
    await lane.check()


async def killed(lane: Lane, points: list[str], targets: Sequence[str]) -> None:
    lane.points = points
    await lane.break_down()
    for target in targets:
        await lane.killed(target, Side.Before)
        await lane.killed(target, Side.After)
    await lane.ended()
    await lane.check()


@pytest.mark.timeout(1800)
async def test_killed_at_any_write_the_next_operator_ends_it_and_doubles_nothing(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    undisturbed, *lanes = [
        Lane(shop, proxy, start) for shop in await asyncio.gather(*(town.open_shop() for _ in range(1 + LANES)))
    ]
    await whole(undisturbed)
    points = list(dict.fromkeys(kind(seen) for seen in undisturbed.writes()))
    assert len(points) > len(WHOLE) * 3, points
    await side_by_side(**{f"lane {at}": killed(lane, points, points[at::LANES]) for at, lane in enumerate(lanes)})
    assert sum(len(lane.kills) for lane in lanes) == 2 * len(points)


def kind(seen: Seen) -> str:
    """What a write is about: "2-drain Applied", "the route [0]", "the eviction"."""
    body = json.loads(seen.body or b"{}")
    if seen.path.endswith("/eviction"):
        return "the eviction"
    if "/httproutes/" in seen.path:
        return f"the route {[operation['value'] for operation in body if operation['op'] != 'test']}"
    if "/balancers/" in seen.path:
        return "the Balancer's status"
    if seen.method == "POST":
        return "the Remediation"
    status = body.get("status", {})
    if "closedAt" in status:
        return "the end"
    if not status.get("steps"):
        return f"the phase {status.get('phase', '')}"
    return f"{status['steps'][-1]['name']} {status['steps'][-1]['state']}"
