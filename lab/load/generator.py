"""Sends the requests of a schedule, each at its time, and tells what became of each the moment it is known.

How many connections there are is bounded by rate x timeout, not by a pool: with a pool, one slow server would sooner or
later hold all its places and the load on the healthy ones would stop, which no real crowd of customers does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from lab.load.record import STOPPED, Record
from lab.load.target import check_target

SERVER_HEADER: Final = "X-Shop-Server"
STOP_GRACE_SECONDS: Final = 1.0
"""What requests still out get to come back after a stop; the rest is recorded as stopped."""
IDLE_CONNECTION_SECONDS: Final = 30.0
"""Shorter than any server or proxy here keeps one: a request never meets a connection that is just being closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask, and for how long to wait; raises ForbiddenTarget for a URL load may not be sent to."""

    url: str
    host_header: str | None = None
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", check_target(self.url))
        if not 0 < self.timeout_seconds <= 60:
            raise ValueError(f"timeout is {self.timeout_seconds}; give seconds above 0, at most 60")


async def run(
    target: Target,
    schedule: Sequence[float],
    on_record: Callable[[Record], None],
    stop: asyncio.Event | None = None,
) -> int:
    """Send one request at each offset of the schedule (seconds from now) and report each as its answer comes.

    Ends when all were answered or timed out, or soon after `stop` is set; returns how many were sent. `on_record` is
    called exactly once for each, in the order of the answers, on the event loop: it must be quick. What it raises ends
    the run, in an ExceptionGroup.
    """
    stop = stop or asyncio.Event()
    out: set[asyncio.Task[None]] = set()
    sent = 0
    async with _session(target) as session:
        customers = _Customers(target.url, session, on_record)
        cutter = asyncio.create_task(_cut_off(out, stop))
        try:
            async with asyncio.TaskGroup() as group:
                while sent < len(schedule) and not await _stops_before(stop, customers.started + schedule[sent]):
                    task = group.create_task(customers.ask(sent, schedule[sent]))
                    out.add(task)
                    task.add_done_callback(out.discard)
                    sent += 1
        finally:
            cutter.cancel()
    return sent


class _Customers:
    """One run's clock and connections."""

    def __init__(self, url: str, session: aiohttp.ClientSession, on_record: Callable[[Record], None]) -> None:
        self._url = url
        self._session = session
        self._on_record = on_record
        self._clock = asyncio.get_running_loop().time
        self._started_unix = time.time()
        self.started = self._clock()

    async def ask(self, number: int, offset: float) -> None:
        """One request, reported whatever becomes of it."""
        status = server = None
        error: str | None = STOPPED  # what is left standing when this task is cancelled
        try:
            status, server = await self._get()
            error = None
        except (aiohttp.ClientError, TimeoutError) as problem:
            error = name_of(problem)
        finally:
            self._on_record(
                Record(
                    number=number,
                    scheduled=self._started_unix + offset,
                    latency_seconds=self._clock() - (self.started + offset),
                    status=status,
                    error=error,
                    server=server,
                )
            )

    async def _get(self) -> tuple[int, str | None]:
        async with self._session.get(self._url, allow_redirects=False) as response:
            await response.read()
            return response.status, response.headers.get(SERVER_HEADER)


def _session(target: Target) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS),
        timeout=aiohttp.ClientTimeout(total=target.timeout_seconds),
        headers={"Host": target.host_header} if target.host_header else None,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(only_once,),
    )


class Dropped(aiohttp.ClientError):
    """The connection ended before the answer."""


async def only_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from asking again by itself when a connection breaks: that would hide a failed request."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
        raise Dropped from broken


def name_of(problem: Exception) -> str:
    """What went wrong, in the words of `Record.error`."""
    match problem:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "connect"
        case Dropped() | aiohttp.ClientOSError() | aiohttp.ClientPayloadError():
            return "disconnected"
        case _:
            return type(problem).__name__


async def _stops_before(stop: asyncio.Event, due: float) -> bool:
    """Wait for the due time of the loop's clock; True at once if told to stop earlier."""
    try:
        async with asyncio.timeout_at(due):
            return await stop.wait()
    except TimeoutError:
        return stop.is_set()


async def _cut_off(out: set[asyncio.Task[None]], stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(STOP_GRACE_SECONDS)
    for task in tuple(out):
        task.cancel()
