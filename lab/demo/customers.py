"""Customers at the lab's gateway, each with a connection of their own for as long as it is of use."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from lab.demo.script import Keep
from lab.errors import NotUp
from lab.load import generator
from lab.shop import manifests as shop
from lab.state import LabState

PATIENCE_SECONDS: Final = 5.0


@contextlib.asynccontextmanager
async def customers(
    lab: LabState, schedule: tuple[float, ...], keep: Keep, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[None]:
    """Load on the gateway while the block runs."""
    if lab.gateway_url is None:
        raise NotUp(f"{lab.name} has no gateway; the demo needs the whole lab (`python -m lab up`).")
    target = generator.Target(url=f"{lab.gateway_url}/", host_header=shop.HOSTNAME, timeout_seconds=patience_seconds)
    stop = asyncio.Event()
    load = asyncio.create_task(generator.run(target, schedule, keep, stop))
    try:
        yield
        stop.set()
        await load
    finally:
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await load
