"""Burning CPU for real, in measured amounts, without holding up the event loop.

A request's cost is CPU time of the thread that serves it (not wall time: the pod may be throttled just then, its
neighbours busy), so a request costs the same share of a pod's limit on slow machines and fast ones. The work is PBKDF2
in small pieces until that time is used: each piece is one C call that lets go of the interpreter lock and touches no
memory to speak of, so health checks and 503s are answered while it runs. Nothing is calibrated at start-up: pods that
measured the machine at different moments cost up to a third more or less than each other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Final

PIECE_ITERATIONS: Final = 500
"""About 0.2 ms: short against a request's cost of 6 ms, long against the clock's grain of a microsecond."""


def hash_piece() -> None:
    """Use the CPU for a moment, letting other threads run meanwhile."""
    hashlib.pbkdf2_hmac("sha256", b"shop", b"salt", PIECE_ITERATIONS)


def burn(
    cpu_seconds: float,
    *,
    piece: Callable[[], None] = hash_piece,
    cpu_clock: Callable[[], float] = time.thread_time,
) -> None:
    """Use this much CPU time in the calling thread; returns later than that where the CPU is limited."""
    end = cpu_clock() + cpu_seconds
    while cpu_clock() < end:
        piece()
