"""One arm of a story: customers come, the fault begins, and we watch until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from evenload.api.v1alpha1 import ConditionType, Remediation
from lab.demo.incident import Arm
from lab.demo.script import Scene, Script, Stage
from lab.demo.summary import Restart, Run
from lab.demo.watch import Facts, Watch
from lab.errors import CommandFailed
from lab.load.record import Record, to_line

HEALTHY_DEADLINE_SECONDS: Final = 180.0


async def settle(stage: Stage, scene: Scene) -> None:
    """Customers come until Evenload, in the arm's mode, sees a healthy shop; raises CommandFailed if it does not."""
    script, watch = stage.script, stage.watch
    await script.set_balancer(stage.lab, scene.arm.mode)
    scene.text = "waiting until Evenload sees a healthy shop"
    async with script.earlier_load(stage, scene, scene.tally.add):
        await watch.until(
            "Evenload to see a healthy shop",
            lambda: healthy(script, watch, scene.arm),
            seconds=HEALTHY_DEADLINE_SECONDS,
        )


async def run(stage: Stage, scene: Scene) -> Run:
    """Play the incident; the scene's tally must be fresh."""
    script = stage.script
    with (stage.folder / f"load-{scene.arm.name}.jsonl").open("w", buffering=1, encoding="utf-8") as file:

        def keep(record: Record) -> None:
            scene.tally.add(record)
            file.write(to_line(record) + "\n")

        async with script.load(stage, keep):
            scene.text = "all is well"
            await asyncio.sleep(script.healthy_seconds)
            scene.onset = await script.begin_fault(stage, scene)
            await _play(stage, scene, scene.onset)
            facts, end = stage.watch.facts, time.time()
            if scene.arm.acts and not stage.brief:
                await script.follow_up(stage, scene)
    records = [record for record in scene.tally.records if record.scheduled < end]
    return outcome(stage.watch, scene.onset, records, since=scene.begun, facts=facts)


def outcome(
    watch: Watch, onset: float, records: list[Record], *, since: float | None = None, facts: Facts | None = None
) -> Run:
    """What became of it. A route's write that began it is the first of the writes that were seen."""
    facts = watch.facts if facts is None else facts
    remediation = watch.remediation_since(onset if since is None else since)
    status = remediation.status if remediation else None
    return Run(
        records=records,
        onset=onset,
        detected=_opened_at(remediation),
        resolved=status.closed_at.timestamp() if status and status.closed_at else None,
        remediation=remediation.metadata.name if remediation else None,
        phase=str(status.phase) if status and status.phase else None,
        restarted=[
            Restart(time=each.time, server=each.subject) for each in (*facts.departures, *facts.container_restarts)
        ],
        weight_writes=max(0, len(facts.weight_writes) - 1),
        most_leaving=facts.most_leaving,
        cause=remediation.spec.diagnosis.cause if remediation else None,
        sentence=remediation.spec.diagnosis.sentence if remediation else "",
    )


async def _play(stage: Stage, scene: Scene, onset: float) -> None:
    scene.text = "Evenload at work" if scene.arm.acts else "nobody acts"
    script = stage.script
    if scene.arm.acts:
        remaining = onset + script.timeout_seconds - time.time()
        with contextlib.suppress(CommandFailed):  # a figure that is missed, not a demo that broke
            await stage.watch.until("the end", lambda: is_over(stage, scene), seconds=remaining)
        scene.text = "it is over" if is_over(stage, scene) else "time is up"
        await asyncio.sleep(script.tail_seconds)
    await asyncio.sleep(max(0.0, onset + script.period_seconds - time.time()))


def healthy(script: Script, watch: Watch, arm: Arm) -> bool:
    """Whether Evenload, in the arm's mode, sees a healthy shop and has nothing to do."""
    balancer = watch.balancer
    return (
        balancer is not None
        and balancer.status.mode == arm.mode
        and script.staffed(watch)
        and watch.holds(ConditionType.Ready)
        and watch.holds(ConditionType.Balanced)
        and balancer.status.active_remediation is None
    )


def is_over(stage: Stage, scene: Scene) -> bool:
    """Whether Evenload has done all it does about the scene's fault."""
    return scene.begun is not None and stage.script.is_over(stage.watch, scene.begun)


def _opened_at(remediation: Remediation | None) -> float | None:
    if remediation is None:
        return None
    opened = remediation.status.opened_at or remediation.metadata.creation_timestamp
    return opened.timestamp() if opened else None
