"""One arm of the incident: customers come, the bad release goes out, and we watch until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evenload.api.v1alpha1 import ConditionType, Remediation
from evenload.model.episode import FINAL_PHASES
from lab.demo import cluster, incident
from lab.demo.incident import Arm
from lab.demo.summary import Restart, Run
from lab.demo.tally import Tally
from lab.demo.watch import Facts, Watch
from lab.errors import CommandFailed, NotUp
from lab.load import generator
from lab.load.record import Record, to_line
from lab.shop import manifests as shop
from lab.state import LabState

HEALTHY_DEADLINE_SECONDS: Final = 180.0
CUSTOMER_PATIENCE_SECONDS: Final = 5.0


@dataclass
class Scene:
    """What the screen shows of the arm that runs; changed as it goes on."""

    arm: Arm
    text: str = "about to begin"
    onset: float | None = None
    tally: Tally = field(default_factory=Tally)

    def seconds(self, now: float) -> float | None:
        return None if self.onset is None else now - self.onset


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where arms are run: the lab, the view of it, and the folder for the customers' records."""

    lab: LabState
    watch: Watch
    folder: Path
    seed: int


async def settle(stage: Stage, scene: Scene) -> None:
    """Customers come until Evenload, in the arm's mode, sees a healthy shop; raises CommandFailed if it does not."""
    await cluster.set_balancer(stage.lab, scene.arm.mode)
    scene.text = "waiting until Evenload sees a healthy shop"
    async with customers(stage, incident.earlier_customers(stage.seed, HEALTHY_DEADLINE_SECONDS + 10), scene.tally.add):
        await stage.watch.until(
            "Evenload to see a healthy shop", lambda: healthy(stage.watch, scene.arm), seconds=HEALTHY_DEADLINE_SECONDS
        )


async def run(stage: Stage, scene: Scene) -> Run:
    """Play the incident; the scene's tally must be fresh."""
    with (stage.folder / f"load-{scene.arm.name}.jsonl").open("w", buffering=1, encoding="utf-8") as file:

        def keep(record: Record) -> None:
            scene.tally.add(record)
            file.write(to_line(record) + "\n")

        async with customers(stage, incident.schedule(stage.seed), keep):
            scene.text = "all is well"
            await asyncio.sleep(incident.HEALTHY_SECONDS)
            scene.text = "a bad balancer update"
            scene.onset = time.time()
            scene.onset = await _bad_update(stage)  # the same to a second: what is shown need not wait for it
            await _play(stage, scene, scene.onset)
    return outcome(stage.watch, scene.onset, scene.tally.records)


async def _bad_update(stage: Stage) -> float:
    """Make it; the Unix time that everything counts from: not after it took effect, so no figure is flattered."""
    stage.watch.facts = facts = Facts()
    begun = time.time()
    await cluster.release(stage.lab, incident.BAD_WEIGHTS)
    await stage.watch.until("the bad update to be seen", lambda: bool(facts.weight_writes), seconds=60)
    return max(begun, facts.weight_writes[0].told or begun)


async def reset(stage: Stage, scene: Scene) -> None:
    """What people would do at last: put the weights back, and replace the server that stays sick."""
    scene.text = "weights put back, sick server replaced by hand"
    await cluster.release(stage.lab, incident.GOOD_WEIGHTS)
    await cluster.replace_pods(stage.lab, incident.FLOODED)
    await stage.watch.until("the new server", lambda: stage.watch.has_ready(incident.FLOODED), seconds=180)


def outcome(watch: Watch, onset: float, records: list[Record]) -> Run:
    """What became of it. The bad update itself is the first of the writes that were seen."""
    remediation = watch.remediation_since(onset)
    status = remediation.status if remediation else None
    return Run(
        records=records,
        onset=onset,
        detected=_opened_at(remediation),
        resolved=status.closed_at.timestamp() if status and status.closed_at else None,
        remediation=remediation.metadata.name if remediation else None,
        phase=str(status.phase) if status and status.phase else None,
        restarted=[
            Restart(time=each.time, server=each.subject)
            for each in (*watch.facts.departures, *watch.facts.container_restarts)
        ],
        weight_writes=max(0, len(watch.facts.weight_writes) - 1),
    )


async def _play(stage: Stage, scene: Scene, onset: float) -> None:
    scene.text = "Evenload at work" if scene.arm.acts else "nobody acts"
    if scene.arm.acts:
        remaining = onset + incident.TIMEOUT_SECONDS - time.time()
        with contextlib.suppress(CommandFailed):  # a figure that is missed, not a demo that broke
            await stage.watch.until("the end", lambda: is_over(stage.watch, onset), seconds=remaining)
        scene.text = "it is over" if is_over(stage.watch, onset) else "time is up"
        await asyncio.sleep(incident.TAIL_SECONDS)
    await asyncio.sleep(max(0.0, onset + incident.PERIOD_SECONDS - time.time()))


@contextlib.asynccontextmanager
async def customers(stage: Stage, schedule: tuple[float, ...], keep: Callable[[Record], None]) -> AsyncIterator[None]:
    """Load on the gateway while the block runs."""
    if stage.lab.gateway_url is None:
        raise NotUp(f"{stage.lab.name} has no gateway; the demo needs the whole lab (`python -m lab up`).")
    target = generator.Target(
        url=f"{stage.lab.gateway_url}/", host_header=shop.HOSTNAME, timeout_seconds=CUSTOMER_PATIENCE_SECONDS
    )
    stop = asyncio.Event()
    load = asyncio.create_task(generator.run(target, schedule, keep, stop))
    try:
        yield
        stop.set()
        await load
    finally:
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await load


def healthy(watch: Watch, arm: Arm) -> bool:
    """Whether Evenload, in the arm's mode, sees a healthy shop and has nothing to do."""
    balancer = watch.balancer
    return (
        balancer is not None
        and balancer.status.mode == arm.mode
        and watch.all_ready
        and watch.holds(ConditionType.Ready)
        and watch.holds(ConditionType.Balanced)
        and balancer.status.active_remediation is None
    )


def is_over(watch: Watch, onset: float) -> bool:
    """Whether the Remediation of what began at `onset` (Unix seconds) has ended."""
    remediation = watch.remediation_since(onset)
    return remediation is not None and remediation.status.phase in FINAL_PHASES


def _opened_at(remediation: Remediation | None) -> float | None:
    if remediation is None:
        return None
    opened = remediation.status.opened_at or remediation.metadata.creation_timestamp
    return opened.timestamp() if opened else None
