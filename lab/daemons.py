"""Starts long-running programs and waits until they answer; keeps their logs for the message when they do not."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import borrowed, components, control_groups, network
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
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        with self.log(program.name).open("ab") as log:
            self.started[program.name] = subprocess.Popen(
                self._command_line(program),
                env={**os.environ, **program.environment},
                cwd=self.layout.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to handle, in order
            )

    def _command_line(self, program: Program) -> list[str]:
        """Each piece becomes the next (`exec`), so the process we started ends up as the program itself."""
        group = control_groups.joining(self.layout.control_group)
        match program.mounts:
            case components.MACHINE:
                mounts = []
            case components.PRIVATE:
                mounts = borrowed.private_mounts(self.layout.folder)
            case other:
                mounts = ["nsenter", f"--mount=/proc/{self.started[other].pid}/ns/mnt", "--"]
        return [*group, *self.layout.entering, *mounts, *program.argv]

    def log(self, name: str) -> Path:
        """Where the program's log is; asking makes no folder, for a thread may still ask while the lab is removed."""
        return self.layout.logs / f"{name}.log"

    def wait(self, what: str, ready: Callable[[], bool], *, seconds: float, needs: Sequence[str] = ()) -> None:
        """Wait until `ready()`, asked from inside the network namespace.

        Raises CommandFailed when time is up or a program it needs has ended.
        """
        if self.layout.namespace is None:
            self._poll(what, ready, seconds, needs)
        else:
            network.inside(self.layout.namespace, lambda: self._poll(what, ready, seconds, needs))

    def _poll(self, what: str, ready: Callable[[], bool], seconds: float, needs: Sequence[str]) -> None:
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
