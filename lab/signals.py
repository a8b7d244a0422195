"""Ctrl-C and `kill`, so that whatever was started is stopped again: once, wholly, and not interrupted halfway."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], None]


class Stopped(BaseException):
    """We were asked to stop. Not an Exception: nothing but the way out may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """The first signal raises Stopped; those after it are only remarked on, so the clean-up it starts gets done."""

    def first(number: int, frame: FrameType | None) -> None:
        for each in STOPPING:
            signal.signal(each, _remark)
        raise Stopped(number)

    with _handling(first):
        yield


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Nothing interrupts the block."""
    with _handling(_remark):
        yield


def to_the_end(work: Callable[[], int]) -> NoReturn:
    """Run the program's work and end the process with its code, even if Ctrl-C is pressed once more on the way out.

    The interpreter takes its handlers back before it has ended, and then a signal would kill; what is ignored stays so.
    """
    for number in STOPPING:
        signal.signal(number, _remark)
    code = work()
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def in_foreground(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command on our terminal and return its exit code as a shell would.

    Ctrl-C reaches it without us (same process group), so it decides; other stop signals are passed on.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # signals that came before there was anybody to pass them on to

    def pass_on(number: int, frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        elif number != signal.SIGINT:
            process.send_signal(number)

    with _handling(pass_on):
        process = subprocess.Popen(argv, env=environment)
        for number in early:
            process.send_signal(number)
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _remark(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):  # after a hang-up there is no terminal to tell
        print("Still cleaning up; this takes a few seconds.", file=sys.stderr, flush=True)
