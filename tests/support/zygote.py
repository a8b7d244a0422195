"""Starts operator processes by forking one that has everything imported: a start costs milliseconds, not a second.

Reads a JSON line for each: {"environment": {...}, "log": path, "clock": path, "lease": [seconds, renew deadline]};
answers with the process id. What runs then is `evenload.app.main`, as `python -m evenload run` does, but for the length
of the lease; or, with a clock, the same operator whose wall clock is off by as many seconds as that file says. Ends,
and all of them with it, at the end of its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from evenload import app, clock
from evenload.kube.lease import LeaderElector
from evenload.record.log import configure
from evenload.settings import Settings


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: no zombies
    started: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            hold_lease_for(*order["lease"])
            _become_operator(order["environment"], order["log"], order["clock"])
        started.append(pid)
        print(pid, flush=True)  # noqa: T201
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def hold_lease_for(seconds: float, renew_deadline: float) -> None:
    """For this process: a machine so busy that a lease is lost ends an operator, and nobody here starts it again."""
    defaults = LeaderElector.__init__.__kwdefaults__
    assert defaults is not None
    defaults |= {"lease_seconds": seconds, "renew_deadline_seconds": renew_deadline}


def _become_operator(environment: dict[str, str], log: str, clock_file: str | None) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    code = 1
    try:
        if clock_file is None:
            app.main()
        else:
            _run_by(Path(clock_file))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run_by(clock_file: Path) -> None:
    settings = Settings.from_environment()
    configure(settings.log_format, settings.log_level)
    operator = app.Operator(settings, now=lambda: clock.now() + float(clock_file.read_text()))
    sys.exit(asyncio.run(operator.run()))


if __name__ == "__main__":
    main()
