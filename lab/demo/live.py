"""Puts the arm that runs on the terminal: a live view where there is one, a timestamped log elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live

from lab.demo import story
from lab.demo.script import Scene, Script
from lab.demo.tally import RECENT_SECONDS, Tally, of_server
from lab.demo.view import HISTORY_SECONDS, Happening, Server, State, height, percent, render
from lab.demo.watch import Watch

REFRESH_SECONDS: Final = 0.5
"""Each picture costs ~15 ms of a core that the lab needs too."""
HEARTBEAT_SECONDS: Final = 5.0
PICTURE_WIDTH: Final = 108


class Screen(Protocol):
    """Where States go."""

    def happened(self, happening: Happening, scene: Scene) -> None:
        """Something is news."""

    def show(self, state: State) -> None:
        """This is how things stand; called every `REFRESH_SECONDS`."""


class Terminal:
    """The live view."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def happened(self, happening: Happening, scene: Scene) -> None:
        """It is in the next State."""

    def show(self, state: State) -> None:
        self._live.update(render(state), refresh=True)


class Log:
    """One line a happening, and one every few seconds on how things stand."""

    def __init__(self) -> None:
        self._told_at = 0.0
        self._scene = ""

    def happened(self, happening: Happening, scene: Scene) -> None:
        say(f"{scene.arm.name:<8} {_clock(happening.seconds)} * {happening.text}")

    def show(self, state: State) -> None:
        now = time.monotonic()
        if now - self._told_at >= HEARTBEAT_SECONDS or state.scene != self._scene:
            self._told_at, self._scene = now, state.scene
            say(heartbeat(state))


class Broadcast:
    """Listens to the watch and draws what it learns. `alone` is the arm that was left alone, once it is over."""

    def __init__(self, screen: Screen, script: Script) -> None:
        self.screen = screen
        self.script = script
        self.scene: Scene | None = None
        self.watch: Watch | None = None
        self.alone: Scene | None = None
        self.pictures: dict[str, State] = {}
        """States worth keeping, by what was under way."""
        self._look = story.Look()
        self._happenings: list[Happening] = []

    def begin(self, scene: Scene, watch: Watch) -> None:
        """A new arm."""
        self.scene, self.watch = scene, watch
        self._look = self._looked(watch, scene)
        self._happenings = []

    def changed(self) -> None:
        """The watch has news."""
        if self.scene is None or self.watch is None:
            return
        before, self._look = self._look, self._looked(self.watch, self.scene)
        for happening in story.news(before, self._look, self.scene.seconds(time.time())):
            self._happenings.append(happening)
            self.screen.happened(happening, self.scene)

    async def run(self) -> None:
        """Draw until cancelled."""
        while True:
            self.changed()
            if self.scene is not None and self.watch is not None:
                self._draw(self.scene, self.watch)
            await asyncio.sleep(REFRESH_SECONDS)

    def _draw(self, scene: Scene, watch: Watch) -> None:
        state = self.state(scene, watch, time.time())
        if state.doing and scene.arm.acts:
            self.pictures[state.doing] = state
        self.screen.show(state)

    def state(self, scene: Scene, watch: Watch, now: float) -> State:
        """All that is shown, put together."""
        recent = scene.tally.recent(now)
        everybody = of_server(recent)
        return State(
            headline=self.script.headline,
            counted=self.script.counted,
            title=f"The incident, {scene.arm.title}",
            scene=scene.text,
            seconds=scene.seconds(now),
            requests_per_second=everybody.requests / RECENT_SECONDS,
            failed_share=everybody.failed_share,
            failed_history=scene.tally.failed_history(now, HISTORY_SECONDS),
            servers=tuple(self._server(name, scene.tally, watch, now) for name in self.script.servers(watch)),
            diagnosis=self._look.diagnosis,
            sentence=self._look.sentence,
            doing=story.doing(self._look),
            failed=_failed(scene, now) or 0,
            failed_alone=self._failed_alone(scene, now),
            failed_alone_in_all=_failed(self.alone, float("inf")) if self.alone else None,
            happenings=tuple(self._happenings),
        )

    def _failed_alone(self, scene: Scene, now: float) -> int | None:
        """At the same moment of the other arm."""
        if self.alone is None or self.alone.onset is None:
            return None
        return _failed(self.alone, self.alone.onset + (scene.seconds(now) or 0.0))

    def _looked(self, watch: Watch, scene: Scene) -> story.Look:
        pods = [pod for server in self.script.servers(watch) for pod in watch.pods_of(server)]
        remediation = watch.remediation_since(scene.begun) if scene.begun is not None else None
        return story.look(watch.weights, watch.balancer, remediation, pods, scene.cause)

    def _server(self, name: str, tally: Tally, watch: Watch, now: float) -> Server:
        figures = of_server(tally.recent(now), name)
        return Server(
            name=self.script.short(name),
            count=self.script.count(watch, tally, name),
            share=figures.share,
            failed_share=figures.failed_share,
            latency_p95=figures.latency_p95,
            pod=", ".join(story.pod_state(pod) for pod in watch.pods_of(name)),
        )


def _failed(scene: Scene, end: float) -> int | None:
    return None if scene.onset is None else scene.tally.failed_since(scene.onset, end)


def heartbeat(state: State) -> str:
    """How things stand, in one line."""
    servers = " | ".join(_server_text(server) for server in state.servers)
    alone = "" if state.failed_alone is None else f", alone {state.failed_alone}"
    counted = "" if state.seconds is None else f" (so far {state.failed}{alone})"
    words = [f"{state.scene}: {percent(state.failed_share)} fail{counted}", servers, state.diagnosis or "no diagnosis"]
    return f"         {_clock(state.seconds)}   {'; '.join(words)}"


def _server_text(server: Server) -> str:
    """Share of requests, and how many of them fail."""
    failing = "" if not server.failed_share else f", {percent(server.failed_share)} fail"
    return f"{server.name} {percent(server.share)}{failing}"


def picture(state: State, command: str) -> str:
    """The live view as an SVG that loads nothing from anywhere, under the command that shows it."""
    tall = height(state)
    console = Console(record=True, width=PICTURE_WIDTH, height=tall, file=StringIO(), force_terminal=True)
    console.print(render(state), height=tall)
    svg = console.export_svg(title=command)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def say(line: str) -> None:
    """A line of the log."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {line}", flush=True)


def _clock(seconds: float | None) -> str:
    return " " * 8 if seconds is None else f"{seconds:+6.1f} s"


@contextlib.asynccontextmanager
async def broadcasting(script: Script) -> AsyncIterator[Broadcast]:
    """Drawing goes on while the block runs."""
    with contextlib.ExitStack() as stack:
        if sys.stdout.isatty():
            live = stack.enter_context(Live(auto_refresh=False, screen=True))
            broadcast = Broadcast(Terminal(live), script)
        else:
            broadcast = Broadcast(Log(), script)
        drawing = asyncio.create_task(broadcast.run())
        try:
            yield broadcast
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing


def save_picture(broadcast: Broadcast, path: Path) -> None:
    """The moment a pod was being restarted, or else the last moment of work; nothing if there was none."""
    restarts = [state for doing, state in broadcast.pictures.items() if doing.startswith("restart")]
    chosen = (restarts or list(broadcast.pictures.values()))[-1:]
    for state in chosen:
        path.write_text(picture(state, broadcast.script.command))
