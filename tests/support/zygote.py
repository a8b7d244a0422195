"""Starts operator processes by forking one that has everything imported: a start costs milliseconds, not a second.

Reads a JSON line for each: {"environment": {...}, "log": path}; answers with the process id. What runs then is
`evenload.app.main`, exactly as `python -m evenload run` does. Ends, and all of them with it, at the end of its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

from evenload import app


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: no zombies
    started: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_operator(order["environment"], order["log"])
        started.append(pid)
        print(pid, flush=True)  # noqa: T201
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become_operator(environment: dict[str, str], log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    code = 1
    try:
        app.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
