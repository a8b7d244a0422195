"""When a write that failed may be tried again: later and later, once a minute in the end.

What fails for good (an admission webhook that is down, a rule that refuses) would else be tried on every tick. And a
minute is soon enough for a write that could be made again. Whoever waits is told why, so that people are, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from evenload.kube.reflector import Backoff

FIRST_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 60.0
TOLD_TRIES: Final = 2
"""One failure may be the API server being restarted. From the second in a row on people are told."""


@dataclass(slots=True)
class Failing:
    """What failed in its last try, and is to be tried again from `until` on (by the clock of its Retries)."""

    why: str = ""
    tries: int = 0
    until: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def told(self) -> str:
        """Why it fails, for people; "" while it may be nothing."""
        return self.why if self.tries >= TOLD_TRIES else ""


class Retries:
    """Of everything that one process writes, by whatever names a write: say the Remediation's name and the step's."""

    def __init__(self, first_seconds: float = FIRST_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._first_seconds = min(first_seconds, LONGEST_SECONDS)
        self._clock = clock
        self._failing: dict[Hashable, Failing] = {}
        self._most = 64

    def waiting(self, what: Hashable) -> Failing | None:
        """How it failed, while it is too early to try again."""
        failing = self._failing.get(what)
        return failing if failing is not None and self._clock() < failing.until else None

    def failed(self, what: Hashable, why: str, retry_after_seconds: float | None = None) -> Failing:
        """It was tried and failed: now it has to wait, and not less than the API server asked for."""
        failing = self._failing.setdefault(what, Failing(backoff=Backoff(self._first_seconds, LONGEST_SECONDS)))
        failing.why, failing.tries = why, failing.tries + 1
        failing.until = self._clock() + failing.backoff.seconds(retry_after_seconds)
        self._forget_old()
        return failing

    def succeeded(self, what: Hashable) -> None:
        self._failing.pop(what, None)

    def _forget_old(self) -> None:
        """What nobody has tried again though he might have is wanted no more."""
        if len(self._failing) > self._most:
            old = self._clock() - LONGEST_SECONDS
            self._failing = {what: failing for what, failing in self._failing.items() if failing.until > old}
            self._most = 2 * len(self._failing) + 64
