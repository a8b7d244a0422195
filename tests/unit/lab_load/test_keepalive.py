"""Clients that keep their connections, against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from lab.load.generator import Target
from lab.load.keepalive import MAX_CLIENTS, Crowd, Group, shares
from lab.load.record import STOPPED, Record
from tests.support.wait import until

DEADLINE_SECONDS = 60.0
ONE = Group(name="one", clients=1, rate=100.0)
FEW = Group(name="few", clients=3, rate=150.0)


class Server:
    """Answers by `handle`, and knows who came over which connection."""

    def __init__(self) -> None:
        self.handle: Callable[[web.Request], Awaitable[web.Response]] = good
        self.connections: list[object] = []

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport
        self.connections.append(request.transport.get_extra_info("peername"))
        return await self.handle(request)


async def good(request: web.Request) -> web.Response:
    return web.Response(text="thank you", headers={"X-Shop-Server": "web-1"})


async def refuse(request: web.Request) -> web.Response:
    return web.Response(status=503)


async def drop(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def serving(timeout_seconds: float = 60.0) -> AsyncIterator[tuple[Server, Crowd, list[Record]]]:
    server, records = Server(), list[Record]()
    application = web.Application()
    application.router.add_get("/", server.answer)
    async with TestServer(application) as running:
        crowd = Crowd(Target(url=str(running.make_url("/")), timeout_seconds=timeout_seconds), records.append, seed=1)
        try:
            yield server, crowd, records
        finally:
            await crowd.stop()


async def answered(records: list[Record], count: int) -> None:
    await until(lambda: len(records) >= count, seconds=DEADLINE_SECONDS, what=f"{count} answers")


async def test_each_client_keeps_the_one_connection_that_it_opened_when_it_came() -> None:
    async with serving() as (server, crowd, records):
        await crowd.join(FEW)
        assert len(set(server.connections)) == len(server.connections) == FEW.clients
        await answered(records, 30)
        assert len(set(server.connections)) == FEW.clients
        assert {(record.status, record.server, record.retried) for record in records} == {(200, "web-1", False)}
        assert {record.client for record in records} == {0, 1, 2}


async def test_a_refusal_costs_no_client_its_connection() -> None:
    async with serving() as (server, crowd, records):
        server.handle = refuse
        await crowd.join(ONE)
        await answered(records, 10)
        assert len(set(server.connections)) == 1
        assert all(record.failed and not record.retried for record in records)


async def test_a_connection_that_the_server_ends_with_an_answer_is_opened_anew_and_nothing_fails() -> None:
    async def last(request: web.Request) -> web.Response:
        response = await good(request)
        response.force_close()
        return response

    async with serving() as (server, crowd, records):
        server.handle = last
        await crowd.join(ONE)
        await answered(records, 5)
        assert len(set(server.connections)) == len(server.connections)
        assert not any(record.failed or record.retried for record in records)


async def test_a_kept_connection_that_is_dropped_without_an_answer_is_tried_once_more_on_a_fresh_one() -> None:
    async def first_two_of_each(request: web.Request) -> web.Response:
        assert request.transport
        here = request.transport.get_extra_info("peername")
        return await (good if server.connections.count(here) <= 2 else drop)(request)

    async with serving() as (server, crowd, records):
        server.handle = first_two_of_each
        await crowd.join(ONE)
        await until(lambda: any(each.retried for each in records), seconds=DEADLINE_SECONDS, what="a second try")
        assert not any(record.failed for record in records)


async def test_what_a_fresh_connection_drops_has_failed() -> None:
    async with serving() as (server, crowd, records):
        server.handle = drop
        await crowd.join(ONE)
        await answered(records, 3)
        assert {(record.error, record.retried) for record in records} == {("disconnected", False)}
        assert len(set(server.connections)) == len(server.connections)


async def test_nobody_who_answers_is_a_failed_connect() -> None:
    records: list[Record] = []
    crowd = Crowd(Target(url=f"http://127.0.0.1:{unused_port()}/"), records.append, seed=1)
    await crowd.join(ONE)
    await crowd.stop()
    assert records[0].error == "connect"


async def test_requests_wait_for_their_clients_connection_and_those_who_wait_too_long_fail() -> None:
    go = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        await go.wait()
        return await good(request)

    async with serving(timeout_seconds=0.5) as (server, crowd, records):
        await crowd.join(ONE)
        server.handle = hold
        await until(lambda: any(each.failed for each in records), seconds=DEADLINE_SECONDS, what="a failure")
        failed = next(record for record in records if record.failed)
        assert failed.error == "timeout"
        assert failed.latency_seconds >= 0.5
        go.set()


async def test_clients_get_busier_over_the_connections_they_have() -> None:
    async with serving() as (server, crowd, records):
        await crowd.join(Group(name="calm", clients=3, rate=0.001))
        assert len(records) == 3
        crowd.change("calm", 300.0)
        await answered(records, 30)
        assert len(set(server.connections)) == 3


async def test_what_is_out_when_the_crowd_stops_neither_succeeded_nor_failed() -> None:
    go = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        await go.wait()
        return await good(request)

    async with serving() as (server, crowd, records):
        await crowd.join(ONE)
        server.handle = hold
        before = len(server.connections)
        await until(lambda: len(server.connections) > before, seconds=DEADLINE_SECONDS, what="one that is out")
        await crowd.stop()
        go.set()
        assert records[-1].error == STOPPED
        assert len({record.number for record in records}) == len(records)


async def test_a_record_that_cannot_be_kept_ends_in_an_error_and_not_in_silence() -> None:
    async with serving() as (_, crowd, records):
        await crowd.join(ONE)

        def full(record: Record) -> None:
            crowd.on_record = records.append
            raise OSError("no space left on device")

        crowd.on_record = full
        await until(lambda: crowd.on_record != full, seconds=DEADLINE_SECONDS, what="a record")
        with pytest.raises(OSError, match="no space"):
            await crowd.stop()


async def test_a_group_comes_once_and_there_are_bounds() -> None:
    async with serving() as (_, crowd, _records):
        await crowd.join(FEW)
        with pytest.raises(ValueError, match="few is there already"):
            await crowd.join(FEW)
        with pytest.raises(ValueError, match="more than"):
            await crowd.join(Group(name="many", clients=MAX_CLIENTS, rate=1.0))


@pytest.mark.parametrize(("clients", "rate"), [(0, 1.0), (MAX_CLIENTS + 1, 1.0), (1, 0.0), (1, 1e6)])
def test_a_group_without_bounds_is_refused(clients: int, rate: float) -> None:
    with pytest.raises(ValueError, match="wild"):
        Group(name="wild", clients=clients, rate=rate)


def test_the_parts_of_a_group_are_those_of_its_seed_and_make_up_the_whole() -> None:
    uneven = Group(name="web", clients=50, rate=20.0, unevenness=0.5)
    assert sum(shares(uneven, 7)) == pytest.approx(1.0)
    assert shares(uneven, 7) == shares(uneven, 7) != shares(uneven, 8)
    assert max(shares(uneven, 7)) > 1.5 / 50
    assert shares(FEW, 7) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
