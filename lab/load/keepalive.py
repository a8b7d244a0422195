"""Clients that keep their connections: one each, for as long as the server keeps it, and each with a rate of its own.

Each client's requests are due at random moments (Poisson), whether or not earlier ones came back; they queue for its
one connection, and their latency counts from when they were due. A connection that the server closes is opened anew
with the next request, and whatever balances connections places it.

A request that meets a connection which the server has just closed is sent once more on a fresh one, if nothing of an
answer came: so do real HTTP clients, and a GET may be repeated (RFC 9110, 9.2.2). Its record says so. Nothing else is
tried twice.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from lab.load.generator import SERVER_HEADER, STOP_GRACE_SECONDS, Dropped, Target, name_of, only_once
from lab.load.record import STOPPED, Record
from lab.load.schedule import MAX_DURATION_SECONDS, MAX_RATE, MAX_REQUESTS

MAX_CLIENTS: Final = 1_000
"""Each is an open connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Clients of one kind. `rate` is what all of them send together, in requests a second.

    `unevenness` is the standard deviation of ln(rate) of its clients: with 0 all are alike.
    """

    name: str
    clients: int
    rate: float
    unevenness: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise ValueError(f"{self.name} has {self.clients} clients; give 1 to {MAX_CLIENTS}")
        if not 0 < self.rate <= MAX_RATE:
            raise ValueError(f"{self.name} sends {self.rate}; give requests a second above 0, at most {MAX_RATE:.0f}")


def shares(group: Group, seed: int) -> tuple[float, ...]:
    """Each client's part of the group's rate; they sum to 1. The same seed gives the same."""
    dice = random.Random(f"{seed}/{group.name}")
    sizes = [math.exp(dice.gauss(0.0, group.unevenness)) for _ in range(group.clients)]
    return tuple(size / sum(sizes) for size in sizes)


@dataclass
class _Asked:
    """What is noted of one request on its way."""

    reused: bool = False
    retried: bool = False


class _Client:
    """One client and its connection; `get` waits until that is free."""

    def __init__(self, number: int, share: float, dice: random.Random, target: Target) -> None:
        self.number = number
        self._share = share
        self._dice = dice
        self._url = target.url
        self._rate = 0.0
        self._changed = asyncio.Event()
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_reused)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=MAX_DURATION_SECONDS),
            headers={"Host": target.host_header} if target.host_header else None,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(only_once,),
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[trace],
        )

    def set_rate(self, of_all: float) -> None:
        """Its part of what the group sends."""
        self._rate = of_all * self._share
        self._changed.set()

    def gap(self) -> float:
        """Seconds to the next request."""
        self._changed.clear()
        return self._dice.expovariate(self._rate)

    async def changes_before(self, due: float) -> bool:
        """Wait for the due time of the loop's clock; True at once if the rate changes earlier."""
        try:
            async with asyncio.timeout_at(due):
                return await self._changed.wait()
        except TimeoutError:
            return False

    async def get(self, asked: _Asked) -> tuple[int, str | None]:
        """Status and server."""
        try:
            return await self._once(asked)
        except Dropped:
            if not asked.reused:
                raise
        asked.retried = True
        return await self._once(asked)

    async def close(self) -> None:
        await self._session.close()

    async def _once(self, asked: _Asked) -> tuple[int, str | None]:
        async with self._session.get(self._url, allow_redirects=False, trace_request_ctx=asked) as response:
            await response.read()
            return response.status, response.headers.get(SERVER_HEADER)


async def _reused(session: aiohttp.ClientSession, context: Any, params: object) -> None:
    context.trace_request_ctx.reused = True


class Crowd:
    """All clients of one run, each request of which is reported once to `on_record`, on the event loop.

    Bounded as every load here: in clients, in requests and in time. Must be stopped.
    """

    def __init__(self, target: Target, on_record: Callable[[Record], None], seed: int) -> None:
        self.on_record = on_record
        self._target = target
        self._seed = seed
        self._groups: dict[str, list[_Client]] = {}
        self._living: set[asyncio.Task[None]] = set()
        self._out: set[asyncio.Task[None]] = set()
        self._problems: list[BaseException] = []
        self._sent = 0
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._started_unix = time.time()

    async def join(self, group: Group, *, seconds: float = 0.0) -> None:
        """The group's clients open their connections, each with a first request, and go on; returns when all have.

        They come one after another within so many seconds. Raises ValueError where they would be too many.
        """
        count = sum(len(clients) for clients in self._groups.values())
        if group.name in self._groups or count + group.clients > MAX_CLIENTS:
            raise ValueError(f"{group.name} is there already, or makes more than {MAX_CLIENTS} clients")
        clients = self._groups[group.name] = [
            _Client(count + place, share, random.Random(f"{self._seed}/{group.name}/{place}"), self._target)
            for place, share in enumerate(shares(group, self._seed))
        ]
        start, gap = self._clock(), seconds / group.clients
        await asyncio.gather(*(self._first(client, start + place * gap) for place, client in enumerate(clients)))
        self.change(group.name, group.rate)
        for client in clients:
            self._begin(self._living, self._live(client))

    def change(self, name: str, rate: float) -> None:
        """From now on the group sends `rate` requests a second in all; its connections stay as they are."""
        for client in self._groups[name]:
            client.set_rate(rate)

    async def stop(self) -> None:
        """No more requests; those still out get a moment to come back. Closes all connections.

        Raises what `on_record` raised, the first of it.
        """
        await _cancel(self._living)
        if self._out:
            await asyncio.wait(self._out, timeout=STOP_GRACE_SECONDS)
        await _cancel(self._out)
        for clients in self._groups.values():
            for client in clients:
                await client.close()
        problems, self._problems = self._problems, []
        if problems:
            raise problems[0]

    def _begin(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            tasks.discard(done)
            if not done.cancelled() and (problem := done.exception()) is not None:
                self._problems.append(problem)

        task.add_done_callback(over)

    async def _live(self, client: _Client) -> None:
        """The client's requests, each at its time."""
        last = self._clock()
        while self._clock() - self._started < MAX_DURATION_SECONDS and self._sent < MAX_REQUESTS:
            due = last + client.gap()
            if await client.changes_before(due):
                last = self._clock()  # arrivals have no memory: the gap may be drawn anew
            else:
                last = due
                self._begin(self._out, self._ask(client, due))

    async def _first(self, client: _Client, due: float) -> None:
        await asyncio.sleep(due - self._clock())
        await self._ask(client, due)

    async def _ask(self, client: _Client, due: float) -> None:
        """One request, reported whatever becomes of it."""
        number, self._sent = self._sent, self._sent + 1
        asked = _Asked()
        status = server = None
        error: str | None = STOPPED  # what is left standing when this task is cancelled
        try:
            async with asyncio.timeout_at(due + self._target.timeout_seconds):
                status, server = await client.get(asked)
            error = None
        except (aiohttp.ClientError, TimeoutError) as problem:
            error = name_of(problem)
        finally:
            self.on_record(
                Record(
                    number=number,
                    scheduled=self._started_unix + due - self._started,
                    latency_seconds=self._clock() - due,
                    status=status,
                    error=error,
                    server=server,
                    client=client.number,
                    retried=asked.retried,
                )
            )


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tuple(tasks), return_exceptions=True)
