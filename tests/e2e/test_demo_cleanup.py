"""However the demo ends, nothing of it stays: no process, mount, namespace, control group or folder."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import cluster, state, teardown
from lab.demo.__main__ import PASSING_NAME, clear_killed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STARTING = "containerd, etcd and the API server"
INSTALLING = "evenload: by its Helm chart"
LOADED = "waiting until Evenload sees a healthy shop"


@dataclass
class Demo:
    """A demo that runs beside us, in a process group of its own as a terminal would give it."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]
    said: list[str]

    @property
    def name(self) -> str:
        return f"{PASSING_NAME}{self.process.pid}"

    def wait_for(self, text: str, *, seconds: float) -> None:
        """Until a line of its output holds the text."""
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.said):
            try:
                self.said.append(self.lines.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                pytest.fail(f"the demo did not say {text!r} in {seconds:.0f} s but:\n{''.join(self.said)}")

    def leftovers(self) -> list[str]:
        return teardown.leftovers(cluster.unique(self.name), cluster.folder_of(self.name))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    environment = {key: value for key, value in os.environ.items() if key not in (state.VARIABLE, "KUBECONFIG")}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lab.demo", "--arm", "alone", "--out", str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    started = Demo(process=process, lines=lines, said=[])
    yield started
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    cluster.down(started.name)
    reader.join(timeout=10)
    assert process.stdout is not None
    process.stdout.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)


@pytest.mark.parametrize("moment", [STARTING, LOADED])
def test_ctrl_c_leaves_nothing_even_when_pressed_twice(demo: Demo, moment: str) -> None:
    demo.wait_for(moment, seconds=300)
    for _ in range(2):
        os.killpg(demo.process.pid, signal.SIGINT)
        time.sleep(0.2)  # a person's second thought
    assert demo.process.wait(timeout=120) == 128 + signal.SIGINT
    assert demo.leftovers() == []


def test_a_polite_kill_of_the_first_process_alone_leaves_nothing(demo: Demo) -> None:
    demo.wait_for(INSTALLING, seconds=300)
    assert demo.leftovers() != []
    demo.process.terminate()
    assert demo.process.wait(timeout=120) == 128 + signal.SIGTERM
    assert demo.leftovers() == []


def test_what_a_demo_that_was_killed_outright_left_is_cleared_by_the_next(demo: Demo) -> None:
    demo.wait_for(INSTALLING, seconds=300)
    demo.process.kill()
    demo.process.wait()
    assert demo.leftovers() != []
    clear_killed()
    assert demo.leftovers() == []
