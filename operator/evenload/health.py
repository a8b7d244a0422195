"""/healthz, /readyz and /metrics on one port.

kopf's own probe endpoint hangs when a probe raises and has no readiness or metrics, so this is ours. It answers from
values the rest of the process keeps; it asks nobody, so it stays quick while everything else is slow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

# None means fine; a sentence says what is wrong.
Check = Callable[[], str | None]


def application(*, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> web.Application:
    """The three pages. `metrics` gives the Prometheus text format."""

    def answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def page(_: web.Request) -> web.Response:
            problem = check()
            return web.Response(text=problem or "ok", status=503 if problem else 200)

        return page

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

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
