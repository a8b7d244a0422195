"""After the incident: the same update with the guard on, and a bad one that the guard cannot see."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from lab.demo import arms, cluster, incident
from lab.demo.customers import customers
from lab.demo.script import Scene, Stage
from lab.demo.summary import Run, Updates
from lab.demo.watch import Facts
from lab.errors import CommandFailed
from lab.load.analysis import totals
from lab.shop.manifests import NEXT

GUARDED_SECONDS: Final = 20.0  # until the API server knows of the guard's new mode
PAUSE_SECONDS: Final = 0.5
SHOWN_SECONDS: Final = 15.0  # after the rollback: a window that shows it helped
ENDING_SECONDS: Final = 90.0  # until the Remediation is closed


async def play(stage: Stage, scene: Scene) -> tuple[Updates, Run]:
    """Both, while customers come; the second ends with the route as it was before."""
    scene.text = "what if the guard had been on? (spec.guard.mode: Deny)"
    async with customers(stage.lab, incident.schedule(stage.seed + 2), scene.tally.add):
        refused = await _guarded(stage)
        scene.text = "refused by the API server" if refused else "NOT refused"
        await cluster.install_next_server(stage.lab)
        await stage.watch.until(
            "a healthy shop", lambda: arms.healthy(stage.script, stage.watch, scene.arm), seconds=60
        )
        scene.text = f"an update that the guard cannot see: {NEXT}, which fails, gets its fair share"
        stage.watch.facts = Facts()
        begun = time.time()
        await cluster.release(stage.lab, incident.NEXT_WEIGHTS)
        scene.onset = begun
        with contextlib.suppress(CommandFailed):  # a figure that is missed, not a demo that broke
            await stage.watch.until("the rollback", lambda: _rolled_back(stage), seconds=incident.ROLLBACK_SECONDS)
        done = time.time() if _rolled_back(stage) else None
        scene.text = "taken back" if done else "NOT taken back"
        await asyncio.sleep(SHOWN_SECONDS)
        scene.text = "the release pipeline corrects its update"
        if done is None:  # the guard lets nobody drop a server that has a share
            await cluster.release(stage.lab, {**incident.GOOD_WEIGHTS, NEXT: 0})
        await cluster.release(stage.lab, incident.GOOD_WEIGHTS)
        with contextlib.suppress(CommandFailed):
            await stage.watch.until("the end", lambda: stage.script.is_over(stage.watch, begun), seconds=ENDING_SECONDS)
    run = arms.outcome(stage.watch, begun, scene.tally.records)
    period = totals(run.records, begun, begun + incident.PERIOD_SECONDS)
    updates = Updates(
        refusal=refused,
        rolled_back_seconds=None if done is None else done - begun,
        requests=period.requests,
        failed=period.failed,
    )
    return updates, run


async def _guarded(stage: Stage) -> str | None:
    """What the API server says to the update of the incident once it knows that the guard is on."""
    await cluster.set_balancer(stage.lab, incident.balancer(incident.EVENLOAD.mode, guard="Deny"))
    deadline = time.monotonic() + GUARDED_SECONDS
    while time.monotonic() < deadline:
        if await cluster.refusal(stage.lab, incident.BAD_WEIGHTS, dry_run=True):
            return await cluster.refusal(stage.lab, incident.BAD_WEIGHTS)
        await asyncio.sleep(PAUSE_SECONDS)
    return None


def _rolled_back(stage: Stage) -> bool:
    """Whether the new server gets nothing any more."""
    return stage.watch.weights.get(NEXT) == 0
