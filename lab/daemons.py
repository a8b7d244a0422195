"""Starts long-running programs and waits until they answer; keeps their logs for the message when they do not."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import control_groups
from lab.components import Program
from lab.errors import CommandFailed
from lab.layout import Layout

POLL_SECONDS = 0.05
LOG_LINES = 12


@dataclass
class Daemons:
    """The programs started for one layout."""

    layout: Layout
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, program: Program) -> None:
        """Write the program's files and start it, in the lab's control group and network namespace if there are any."""
        for path, content in program.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        with self.log(program.name).open("ab") as log:
            self.started[program.name] = subprocess.Popen(
                wrapped(self.layout, program.argv),
                env={**os.environ, **program.environment},
                cwd=self.layout.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to handle, in order
            )

    def log(self, name: str) -> Path:
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        return self.layout.logs / f"{name}.log"

    def wait(self, what: str, ready: Callable[[], bool], *, seconds: float, needs: Sequence[str] = ()) -> None:
        """Wait until `ready()`; raises CommandFailed when time is up or a program it needs has ended."""
        deadline = time.monotonic() + seconds
        while not ready():
            for name in needs:
                if self.started[name].poll() is not None:
                    raise CommandFailed(f"{name} ended while waiting for {what}.\n{self.last_words(name)}")
            if time.monotonic() > deadline:
                words = "\n".join(self.last_words(name) for name in needs)
                raise CommandFailed(f"Waited {seconds:.0f} s for {what} in vain.\n{words}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([f"--- the end of {log}:", *lines[-LOG_LINES:]])

    def kill(self) -> None:
        """End what was started, newest first, and collect it. Nothing here holds data that anyone needs later."""
        for process in reversed(self.started.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.started.values():
            process.wait()
        self.started.clear()


def wrapped(layout: Layout, argv: Sequence[str]) -> list[str]:
    """The command line that starts `argv` inside the lab's control group and network namespace.

    Only the network namespace: `ip netns exec` would change the mounts as well, and the kubelet must see the machine's.
    """
    inside = [] if layout.namespace is None else ["nsenter", f"--net={layout.namespace}", "--"]
    return [*control_groups.joining(layout.control_group), *inside, *argv]
