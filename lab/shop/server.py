"""The HTTP side: sockets around the rules of `model`, and a departure that drops nobody.

All state lives on the event loop's thread; only the burning of CPU happens in worker threads. Health checks and metrics
do not pass the queue, so a busy or sick server stays ready: that is what fooled the people in the postmortem.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web

from lab.shop.metrics import CONTENT_TYPE, Metrics
from lab.shop.model import OK, OVERFLOWED, Shop
from lab.shop.settings import Settings
from lab.shop.work import burn

SERVER_HEADER: Final = "X-Shop-Server"
LINGER_SECONDS: Final = 0.3
"""Idle this long, the server leaves: a request may be on the wire when the last answer goes out."""
AGE_SPREAD: Final = 0.1
BODIES: Final = {OK: "thank you\n", OVERFLOWED: "the queue is full, come back later\n"}


class Server:
    """One shop server; `handle` answers customers, `drain` is the way out."""

    def __init__(self, settings: Settings, burn: Callable[[float], None] = burn) -> None:
        self._settings = settings
        self._shop = Shop(settings)
        self._metrics = Metrics()
        self._burn = burn
        self._worker = asyncio.Semaphore(settings.workers)  # wakes its waiters in the order they came
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="worker")
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._ends = WeakKeyDictionary[asyncio.Transport, float]()  # connections, and when each has lived long enough
        self._dice = random.Random(f"{settings.seed}/{settings.name}/connections")

    def application(self) -> web.Application:
        """The routes; whatever is not health or metrics is a customer."""
        application = web.Application()
        application.router.add_get("/livez", self._healthy)
        application.router.add_get("/readyz", self._healthy)
        application.router.add_get("/metrics", self._scrape)
        application.router.add_route("*", "/{page:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one customer: 503 at once when the queue is full, else after waiting and working."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        status = await self._serve() if self._shop.admit(arrived) else self._turn_away()
        self._metrics.answered(status=status, method=request.method, seconds=clock() - arrived)
        return self._answer(status, last=self._draining or self._old(request, arrived))

    async def drain(self, grace_seconds: float) -> bool:
        """Go on answering until nobody has been inside for a moment; False if the grace time ended first."""
        self._draining = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
                while not await self._stays_idle():
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let the threads go; work not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _turn_away(self) -> int:
        self._metrics.sick.set(self._shop.sick)
        return OVERFLOWED

    async def _serve(self) -> int:
        self._idle.clear()
        self._metrics.in_flight.inc()
        try:
            return await self._work()
        finally:
            self._metrics.in_flight.dec()
            self._shop.leave()
            if self._shop.queue.inside == 0:
                self._idle.set()

    async def _work(self) -> int:
        async with self._worker:
            job = self._shop.next_job()
            await asyncio.get_running_loop().run_in_executor(self._threads, self._burn, job.cpu_seconds)
        return job.status

    async def _stays_idle(self) -> bool:
        await asyncio.sleep(LINGER_SECONDS)
        return self._idle.is_set()

    def _old(self, request: web.Request, now_seconds: float) -> bool:
        """Whether its connection has lived long enough: not all of them at the same moment, as gRPC has it, too."""
        lifetime, connection = self._settings.connection_seconds, request.transport
        if not lifetime or connection is None:
            return False
        spread = self._dice.uniform(1 - AGE_SPREAD, 1 + AGE_SPREAD)
        return now_seconds >= self._ends.setdefault(connection, now_seconds + lifetime * spread)

    def _answer(self, status: int, *, last: bool) -> web.Response:
        body = BODIES.get(status, "something went wrong\n")
        response = web.Response(status=status, text=body, headers={SERVER_HEADER: self._settings.name})
        if last:
            response.force_close()  # the client shall not send its next request down a connection that is about to end
        return response

    async def _healthy(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers={SERVER_HEADER: self._settings.name})

    async def _scrape(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def serve(settings: Settings, say: Callable[[str], None] = print) -> bool:
    """Run until SIGTERM or SIGINT, then leave; False if requests were dropped. Raises OSError if the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(settings)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        say(f"{settings.name} listens on {host}:{port}")
        await stop.wait()
        finished = await server.drain(settings.grace_seconds)
        say(f"{settings.name} leaves, {'nothing dropped' if finished else 'the grace time is over'}")
        return finished
    finally:
        await runner.cleanup()
        server.close()


def main(settings: Settings) -> int:
    """Exit code: 0 after a graceful end, 1 otherwise."""
    try:
        return 0 if asyncio.run(serve(settings, lambda line: print(line, flush=True))) else 1
    except OSError as error:
        print(
            f"the shop cannot listen on {settings.host}:{settings.port}: {error}; choose another --port",
            file=sys.stderr,
        )
        return 1
