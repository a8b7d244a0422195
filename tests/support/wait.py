"""Waiting for a condition with a deadline: tests never sleep and hope."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""For what comes at once on an idle machine: a deadline says that it does not come at all, not that it is late."""


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str = "the condition",
    pause: float = 0.01,
) -> None:
    """Return once `condition()` (plain or async) is true; AssertionError naming `what` after `seconds`, never less."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds:g} s")
        await asyncio.sleep(pause)
