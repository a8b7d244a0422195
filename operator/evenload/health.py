"""/healthz, /readyz and /metrics on one port.

kopf's own probe endpoint hangs when a probe raises and has no readiness or metrics, so this is ours. It answers from
values the rest of the process keeps; it asks nobody, so it stays quick while everything else is slow.

The port is open, and /metrics is made on the event loop that renews the Lease. So it is made anew a tenth of the time
at most, however many ask for it; and only a few may read it at once, each for a few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

# None means fine; a sentence says what is wrong.
Check = Callable[[], str | None]


MOST_AT_ONCE: Final = 8
"""Answers to /metrics under way: each holds megabytes for as long as its client likes."""
READ_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 1.0
KEPT_TIMES: Final = 10  # as long as it took to make


class Exposition:
    """The text of /metrics, kept for a while."""

    def __init__(self, make: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._text = b""
        self._good_until = -1.0

    def text(self) -> bytes:
        began = self._clock()
        if began >= self._good_until:
            self._text = self._make()
            took = self._clock() - began
            self._good_until = began + took + max(KEPT_SECONDS, KEPT_TIMES * took)
        return self._text


def application(*, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> web.Application:
    """The three pages. `metrics` gives the Prometheus text format."""

    def answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def page(_: web.Request) -> web.Response:
            problem = check()
            return web.Response(text=problem or "ok", status=503 if problem else 200)

        return page

    kept, under_way = Exposition(metrics), 0

    async def exposition(request: web.Request) -> web.StreamResponse:
        nonlocal under_way
        if under_way >= MOST_AT_ONCE:
            return web.Response(text=f"{MOST_AT_ONCE} others are reading the metrics; ask again", status=503)
        under_way += 1
        response = web.Response(body=kept.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
        try:
            async with asyncio.timeout(READ_SECONDS):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        finally:
            under_way -= 1
        return response

    app = web.Application()
    app.router.add_get("/healthz", answer(healthy))
    app.router.add_get("/readyz", answer(ready))
    app.router.add_get("/metrics", exposition)
    return app


async def serve(app: web.Application, port: int, host: str | None = None) -> web.AppRunner:
    """Start serving; the caller cleans the runner up."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
