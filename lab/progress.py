"""Progress of several things at once: bars on a terminal, plain lines elsewhere (at least one every ten seconds)."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

HEARTBEAT_SECONDS = 10.0


class Progress(Protocol):
    def start(self, task: str, what: str) -> None:
        """A task begins; `what` is shown beside its name."""

    def update(self, task: str, *, done: int | None = None, total: int | None = None, what: str | None = None) -> None:
        """Something moved: `done` of `total` units, or only a new description."""

    def finish(self, task: str, result: str) -> None:
        """The task ended; `result` is its last word."""


@dataclass
class _Task:
    what: str
    since: float
    done: int | None = None
    total: int | None = None
    spoke_at: float = 0.0

    def line(self, name: str) -> str:
        count = f" {self.done}/{self.total}" if self.done is not None and self.total else ""
        return f"  {name}: {self.what}{count} ({time.monotonic() - self.since:.0f} s)"


@dataclass
class PlainProgress:
    """One line when a task starts, one when it ends, and a heartbeat between."""

    tasks: dict[str, _Task] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def start(self, task: str, what: str) -> None:
        with self.guard:
            now = time.monotonic()
            self.tasks[task] = _Task(what=what, since=now, spoke_at=now)
            _say(f"  {task}: {what}")

    def update(self, task: str, *, done: int | None = None, total: int | None = None, what: str | None = None) -> None:
        with self.guard:
            state = self.tasks[task]
            if what is not None and what != state.what:
                state.what, state.spoke_at = what, time.monotonic()
                _say(state.line(task))
            state.done, state.total = done if done is not None else state.done, total or state.total

    def finish(self, task: str, result: str) -> None:
        with self.guard:
            state = self.tasks.pop(task)
            _say(f"✓ {task}: {result} ({time.monotonic() - state.since:.1f} s)")

    def beat(self) -> None:
        """Say something about every task that has been silent for a heartbeat."""
        with self.guard:
            for name, state in self.tasks.items():
                if time.monotonic() - state.spoke_at >= HEARTBEAT_SECONDS:
                    state.spoke_at = time.monotonic()
                    _say(state.line(name))


class RichProgress:
    """The same as bars; `bars` is a `rich.progress.Progress`, which may be missing when the lab is first run."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._ids: dict[str, Any] = {}
        self._since: dict[str, float] = {}

    def start(self, task: str, what: str) -> None:
        self._since[task] = time.monotonic()
        self._ids[task] = self._bars.add_task(task, what=what, total=None)

    def update(self, task: str, *, done: int | None = None, total: int | None = None, what: str | None = None) -> None:
        changes: dict[str, Any] = {"completed": done, "total": total}
        if what is not None:
            changes["what"] = what
        self._bars.update(self._ids[task], **{name: value for name, value in changes.items() if value is not None})

    def finish(self, task: str, result: str) -> None:
        self._bars.remove_task(self._ids.pop(task))
        self._bars.console.print(f"[green]✓[/] {task}: {result} ({time.monotonic() - self._since.pop(task):.1f} s)")


@contextlib.contextmanager
def showing() -> Iterator[Progress]:
    """Bars where standard error is a terminal and rich is installed, lines otherwise."""
    bars = _rich_bars() if sys.stderr.isatty() else None
    if bars is None:
        with _heartbeat(PlainProgress()) as plain:
            yield plain
    else:
        with bars:
            yield RichProgress(bars)


def _rich_bars() -> Any | None:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
    except ImportError:
        return None
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    return Bars(*columns, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def _heartbeat(plain: PlainProgress) -> Iterator[PlainProgress]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(1.0):
            plain.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield plain
    finally:
        stop.set()
        thread.join()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
