"""Scenarios that take half a minute each and hardly any computing, all at once."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable


async def side_by_side(**scenarios: Awaitable[None]) -> None:
    """Run all to their ends; AssertionError naming each that failed, with its last lines."""
    results = await asyncio.gather(*scenarios.values(), return_exceptions=True)
    failed = {name: error for name, error in zip(scenarios, results, strict=True) if error is not None}
    assert not failed, "\n\n".join(
        f"== {name}\n{''.join(traceback.format_exception(error)[-6:])}" for name, error in failed.items()
    )
