"""The demo inside the lab, from the installation to the last table. Runs in the lab's network namespace."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from evenload.errors import EvenloadError
from evenload.kube import config
from evenload.kube.client import Client
from lab import progress, state
from lab.demo import arms, cluster, live, outputs, summary
from lab.demo.incident import ALONE, EVENLOAD, Arm
from lab.demo.live import Broadcast
from lab.demo.script import Scene, Script, Stage
from lab.demo.summary import Figures, Results, Run
from lab.demo.watch import Watch, watching
from lab.errors import CommandFailed
from lab.shop.manifests import NAMESPACE
from lab.signals import STOPPING, Stopped
from lab.state import LabState

LOG_WIDTH: Final = 110
CHOICES: Final = {"both": (ALONE, EVENLOAD), "alone": (ALONE,), "evenload": (EVENLOAD,)}


def perform(script: Script, arm: str, seed: int, folder: Path, *, brief: bool) -> int:
    """Play the story's arms in the lab that the environment names; the exit code."""
    lab = state.load()
    outputs.clear(folder)
    try:
        return asyncio.run(_stoppable(_perform(lab, script, CHOICES[arm], seed, folder, brief=brief)))
    except EvenloadError as error:
        raise CommandFailed(f"The cluster did not do as asked: {error}") from error


async def _stoppable(work: Awaitable[int]) -> int:
    """Cancel the work at the first signal, and let nothing interrupt what that sets off; raises Stopped."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    stopped: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        stopped.append(number)
        if len(stopped) == 1:
            task.cancel()

    for number in STOPPING:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            raise Stopped(stopped[0]) from None
        raise


async def _perform(
    lab: LabState, script: Script, chosen: tuple[Arm, ...], seed: int, folder: Path, *, brief: bool
) -> int:
    started = time.monotonic()
    try:
        await _install(lab, script)
        async with Client(config.load(str(lab.kubeconfig))) as client:

            def stage(watch: Watch) -> Stage:
                return Stage(lab=lab, watch=watch, script=script, folder=folder, seed=seed, brief=brief)

            results = await _play(client, stage, script, chosen)
            code = await _finish(lab, client, script, results, seed, folder)
    except Exception:
        await cluster.save_logs(lab, folder / "logs")
        print(f"What the operator and the cluster said is in {folder / 'logs'}.", file=sys.stderr)
        raise
    _console().print(f"Took {time.monotonic() - started:.0f} s from the installation on.")
    return code


async def _install(lab: LabState, script: Script) -> None:
    with progress.showing() as shown:

        async def told(name: str, what: str, work: Awaitable[None]) -> None:
            shown.start(name, what)
            await work
            shown.finish(name, what)

        async def operator() -> None:
            await told("image", "the operator's, into the lab", cluster.load_operator_image(lab))
            await told("evenload", "by its Helm chart, maxMode Auto", cluster.install_operator(lab))

        # One image after the other: most of the second is the first's layers, which are then there already.
        await told("image", "the shop's, into the lab", cluster.load_shop_image(lab))
        shop = told("shop", script.installs, script.install(lab))
        await asyncio.gather(shop, operator())


async def _play(client: Client, stage_of: Callable[[Watch], Stage], script: Script, chosen: tuple[Arm, ...]) -> Results:
    results = Results()
    async with live.broadcasting(script) as broadcast, watching(client, broadcast.changed, script) as watch:
        stage = stage_of(watch)
        try:
            for arm in chosen:
                if arm.acts and results.alone is not None:
                    await _reset(stage, broadcast, arm)
                scene = await _arm(stage, broadcast, arm, results)
                if arm is ALONE:
                    broadcast.alone = scene
            if results.evenload is not None:
                await _sequel(stage, broadcast, results)
        finally:
            await script.close()
        live.save_picture(broadcast, stage.folder / "live-view.svg")
    return results


async def _reset(stage: Stage, broadcast: Broadcast, arm: Arm) -> None:
    scene = Scene(arm=arm)
    broadcast.begin(scene, stage.watch)
    await stage.script.reset(stage, scene)


async def _arm(stage: Stage, broadcast: Broadcast, arm: Arm, results: Results) -> Scene:
    before = Scene(arm=arm)
    broadcast.begin(before, stage.watch)
    await arms.settle(stage, before)
    scene = Scene(arm=arm)
    broadcast.begin(scene, stage.watch)
    setattr(results, arm.name, await arms.run(stage, scene))
    return scene


async def _sequel(stage: Stage, broadcast: Broadcast, results: Results) -> None:
    if stage.brief:
        return
    scene = Scene(arm=EVENLOAD)
    broadcast.begin(scene, stage.watch)
    if (played := await stage.script.sequel(stage, scene)) is not None:
        results.updates, results.rollback = played


async def _finish(lab: LabState, client: Client, script: Script, results: Results, seed: int, folder: Path) -> int:
    """Write everything down, then judge."""
    await cluster.save_logs(lab, folder / "logs")
    evenload, alone = (_figures(run, script) for run in (results.evenload, results.alone))
    judged = script.targets(results, evenload, alone) if evenload else ()
    about = {
        "periodSeconds": script.period_seconds,
        **script.about(seed, results),
        "versions": await asyncio.to_thread(outputs.versions, lab),
    }
    outputs.write_summary(folder, summary.document(evenload, alone, judged, about, results.updates))
    await _write_incidents(client, script, results, folder)
    outputs.print_results(_console(), evenload, alone, judged, folder, script, results.updates)
    return 0 if summary.passed(judged) else 1


async def _write_incidents(client: Client, script: Script, results: Results, folder: Path) -> None:
    tried = tuple(outputs.described(results.updates)) if results.updates else ()
    for run, where, alone in (
        (results.evenload, folder, results.alone),
        (results.rollback, folder / outputs.ROLLBACK, None),
    ):
        if run is not None and run.remediation is not None:
            records = await outputs.fetch_records(client, NAMESPACE, run.remediation)
            outputs.write_incident(where, records, run, alone, script, tried if run is results.evenload else ())


def _figures(run: Run | None, script: Script) -> Figures | None:
    return summary.figures(run, script.period_seconds) if run else None


def _console() -> Console:
    """A log has no width of its own."""
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
