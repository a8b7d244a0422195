"""When each request is due: a pure function of rate, duration and seed, so both arms of an incident meet one crowd."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Final

MAX_RATE: Final = 1_000.0
MAX_DURATION_SECONDS: Final = 3_600.0
MAX_REQUESTS: Final = 200_000
"""A day of play must not become a flood: 200,000 requests are 52 minutes at the demo's 64 a second."""


def poisson(*, rate: float, duration_seconds: float, seed: int) -> tuple[float, ...]:
    """Independent customers: exponential gaps with mean 1/rate. Offsets in seconds from the start, ascending.

    Raises ValueError outside the bounds above; never more than MAX_REQUESTS.
    """
    dice = random.Random(seed)

    def arrivals() -> Iterator[float]:
        due = dice.expovariate(rate)
        while True:
            yield due
            due += dice.expovariate(rate)

    _check(rate, duration_seconds)
    return tuple(islice(takewhile(lambda due: due < duration_seconds, arrivals()), MAX_REQUESTS))


def constant(*, rate: float, duration_seconds: float, seed: int, jitter: float = 0.5) -> tuple[float, ...]:
    """One customer in each 1/rate seconds, placed at random within the first `jitter` (0 to 1) of it.

    Raises ValueError outside the bounds above; never more than MAX_REQUESTS.
    """
    _check(rate, duration_seconds)
    if not 0 <= jitter <= 1:
        raise ValueError(f"jitter is {jitter}; give a share of the gap from 0 to 1")
    dice = random.Random(seed)
    slots = min(int(rate * duration_seconds), MAX_REQUESTS)
    return tuple((slot + jitter * dice.random()) / rate for slot in range(slots))


SHAPES: Final[dict[str, Callable[..., tuple[float, ...]]]] = {"poisson": poisson, "constant": constant}


def _check(rate: float, duration_seconds: float) -> None:
    if not 0 < rate <= MAX_RATE:
        raise ValueError(f"rate is {rate}; give requests a second above 0, at most {MAX_RATE:.0f}")
    if not 0 < duration_seconds <= MAX_DURATION_SECONDS:
        raise ValueError(f"duration is {duration_seconds}; give seconds above 0, at most {MAX_DURATION_SECONDS:.0f}")
