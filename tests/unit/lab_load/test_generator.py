"""The load generator against a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from lab.load.generator import Target, run
from lab.load.record import STOPPED, Record
from lab.load.schedule import poisson

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEADLINE_SECONDS = 60.0


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


async def quick(request: web.Request) -> web.Response:
    return web.Response(text="thank you", headers={"X-Shop-Server": "shop-a"})


async def drop(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


class Held:
    """A server that answers nobody until told to, and knows how many have come."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.go = asyncio.Event()
        self._more = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        self.arrivals.append(asyncio.get_running_loop().time())
        async with self._more:
            self._more.notify_all()
        await self.go.wait()
        return web.Response()

    async def until(self, arrivals: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), self._more:
            await self._more.wait_for(lambda: len(self.arrivals) >= arrivals)


async def test_each_request_of_the_schedule_is_recorded_exactly_once() -> None:
    schedule = poisson(rate=200, duration_seconds=1, seed=4)
    records: list[Record] = []
    async with answering(quick) as url:
        assert await run(Target(url=url), schedule, records.append) == len(schedule)
    assert sorted(record.number for record in records) == list(range(len(schedule)))
    assert {(record.status, record.server, record.error) for record in records} == {(200, "shop-a", None)}
    first = min(record.scheduled for record in records) - schedule[0]
    for record in records:
        assert record.scheduled - first == pytest.approx(schedule[record.number], abs=1e-5)
        assert 0 < record.latency_seconds < DEADLINE_SECONDS


async def test_requests_leave_on_time_though_no_earlier_one_has_come_back() -> None:
    held = Held()
    records: list[Record] = []
    schedule = [place / 100 for place in range(100)]
    async with answering(held.answer) as url:
        began = asyncio.get_running_loop().time()
        load = asyncio.create_task(run(Target(url=url, timeout_seconds=60), schedule, records.append))
        await held.until(len(schedule))
        assert records == [], "open loop: all have left, none has returned"
        held.go.set()
        assert await load == len(schedule)
    assert len(records) == len(schedule)
    assert held.arrivals[-1] - began >= 0.9, "not earlier than scheduled either"


async def test_latency_counts_from_the_scheduled_time_even_if_the_generator_is_late() -> None:
    records: list[Record] = []
    async with answering(quick) as url:
        await run(Target(url=url), [-3.0, 0.0], records.append)
    late, punctual = sorted(records, key=lambda record: record.number)
    assert late.latency_seconds >= 3.0 > punctual.latency_seconds


async def test_a_silent_server_is_a_timeout_and_a_closed_port_a_failed_connect() -> None:
    held = Held()
    records: list[Record] = []
    async with answering(held.answer) as url:
        await run(Target(url=url, timeout_seconds=0.2), [0.0], records.append)
        held.go.set()
    await run(Target(url=f"http://127.0.0.1:{unused_port()}/"), [0.0], records.append)
    assert [(record.status, record.error) for record in records] == [(None, "timeout"), (None, "connect")]


async def test_a_dropped_connection_is_recorded_and_never_asked_again() -> None:
    asked = 0

    async def good_once(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return await (quick if asked == 1 else drop)(request)

    records: list[Record] = []
    async with answering(good_once) as url:
        await run(Target(url=url), [0.0, 0.2], records.append)
    assert [record.status or record.error for record in records] == [200, "disconnected"]
    assert asked == 2, "the second one came on the kept connection, where aiohttp would have tried again by itself"


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://192.0.2.1/")

    records: list[Record] = []
    async with answering(elsewhere) as url:
        await run(Target(url=url), [0.0], records.append)
    assert [record.status for record in records] == [302]


async def test_connections_are_kept_and_the_host_header_is_sent() -> None:
    seen: set[tuple[str, object]] = set()

    async def look(request: web.Request) -> web.Response:
        assert request.transport
        seen.add((request.headers["Host"], request.transport.get_extra_info("peername")))
        return web.Response()

    async with answering(look) as url:
        await run(
            Target(url=url, host_header="shop.example"), [0.0, 2.0], lambda record: None
        )  # the second when the first is back
    assert [host for host, _ in seen] == ["shop.example"], "two requests, one connection"


async def test_a_stop_ends_the_schedule_lets_answers_in_and_records_what_is_still_out() -> None:
    held = Held()
    records: list[Record] = []
    stop = asyncio.Event()
    schedule = [0.0, 0.01, 0.02, *range(1000, 2000)]
    async with answering(held.answer) as url:
        load = asyncio.create_task(run(Target(url=url, timeout_seconds=60), schedule, records.append, stop))
        await held.until(3)
        stop.set()
        assert await asyncio.wait_for(load, DEADLINE_SECONDS) == 3
        held.go.set()
    assert [(record.number, record.error) for record in sorted(records, key=lambda r: r.number)] == [
        (0, STOPPED),
        (1, STOPPED),
        (2, STOPPED),
    ]


async def test_a_callback_that_raises_ends_the_run() -> None:
    def broken(record: Record) -> None:
        raise OSError("disk full")

    async with answering(quick) as url:
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(run(Target(url=url), [0.0, 1000.0], broken), DEADLINE_SECONDS)
    assert raised.group_contains(OSError, match="disk full")


def test_a_stranger_cannot_be_a_target() -> None:
    with pytest.raises(ValueError, match="neither loopback nor private"):
        Target(url="http://198.51.100.7/")
    with pytest.raises(ValueError, match="timeout is 0"):
        Target(url="http://127.0.0.1/", timeout_seconds=0)
