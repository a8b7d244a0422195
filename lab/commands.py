"""Runs a program to its end, turns failure into a sentence, and stops what is running when we are interrupted."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lab.errors import CommandFailed

LAST_LINES = 15  # of a failed program's output: enough to hold its error, short enough to be read
GRACE_SECONDS = 1.0

_running: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """Run to the end and return standard output; raises CommandFailed with the last lines said."""
    with _process(argv, env=env, cwd=cwd, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.communicate()
            raise CommandFailed(f"{_shown(argv)} did not end within {timeout_seconds:.0f} s.") from None
    if process.returncode != 0:
        raise CommandFailed(_failure(argv, process.returncode, err or out))
    return out


def follow(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run to the end, handing over each line (both streams) as it comes; raises CommandFailed like `run`."""
    said: list[str] = []
    with _process(argv, env=env, cwd=cwd, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = [*said[-LAST_LINES:], line]
            on_line(line.rstrip())
        process.wait()
    if process.returncode != 0:
        raise CommandFailed(_failure(argv, process.returncode, "".join(said)))


def stop_all() -> None:
    """End every program still running; for the way out after an interrupt."""
    with _guard:
        processes = list(_running)
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in processes:
        _signal(process, signal.SIGKILL)


@contextlib.contextmanager
def _process(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None, cwd: Path | None, stderr: int
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(argument) for argument in argv],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with _guard:
        _running.add(process)
    try:
        with process:
            if stderr == subprocess.STDOUT and process.stdin is not None:
                process.stdin.close()  # only `run` has something to say to the program
            yield process
    except BaseException:
        _signal(process, signal.SIGKILL)
        raise
    finally:
        with _guard:
            _running.discard(process)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """To its whole group: what a program started could outlive it, and holds the pipes we read."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _failure(argv: Sequence[str | Path], code: int, said: str) -> str:
    tail = "\n".join(said.strip().splitlines()[-LAST_LINES:])
    return f"{_shown(argv)} ended with code {code}:\n{tail}"


def _shown(argv: Sequence[str | Path]) -> str:
    text = shlex.join(str(argument) for argument in argv)
    return text if len(text) <= 200 else f"{text[:200]}…"
