"""A tenant's own Prometheus means harm: the neighbour is served, health is true, and the process ends when told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from evenload.kube.lease import RETRY_SECONDS
from evenload.kube.resources import HTTPROUTES, LEASES
from tests.integration.operator.conftest import Start
from tests.support.apiproxy import ApiProxy
from tests.support.town import BAD, EQUAL, SIGNALS, Shop, Town, route, shares
from tests.support.wait import until

EXIT_SECONDS = 5.0 + 3.0  # and a moment for a busy machine
PAIR = ("shop-a", "shop-b")
LONGEST_SECONDS = 120.0  # no hostile answer goes on for longer

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def trickled_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    await _every_second(writer, b"a")


async def dripping_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n")
    await _every_second(writer, b" ")


async def endless_continue(writer: asyncio.StreamWriter) -> None:
    await _every_second(writer, b"HTTP/1.1 103 Early Hints\r\n\r\n")


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(LONGEST_SECONDS)


async def _every_second(writer: asyncio.StreamWriter, text: bytes) -> None:
    for _ in range(int(LONGEST_SECONDS)):
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(1)


HOSTILE: tuple[Answer, ...] = (trickled_headers, dripping_body, endless_continue, silence)


@pytest.fixture
async def hostile() -> AsyncIterator[list[str]]:
    """An address of each kind."""
    tasks: set[asyncio.Task[object]] = set()

    def serve(answer: Answer) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.transport.abort()

        return handle

    servers = [await asyncio.start_server(serve(answer), "127.0.0.1", 0) for answer in HOSTILE]
    yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_hostile_prometheus_harms_its_own_balancer_alone(
    town: Town, start: Start, proxy: ApiProxy, hostile: list[str]
) -> None:
    good, evil = await asyncio.gather(town.open_shop(), town.open_shop(balancer=False, backends=PAIR))
    for number, url in enumerate(hostile):
        name = f"evil-{number}"
        await evil.client.create(
            HTTPROUTES, evil.namespace, route(dict.fromkeys(PAIR, 1)) | {"metadata": {"name": name}}
        )
        target = {"kind": "HTTPRoute", "name": name}
        await evil.create_balancer({"targetRef": target, "signals": {**SIGNALS, "prometheusUrl": url}}, name=name)
    operator = start(good, evil, prometheus_allowed_urls="*")
    await good.until(good.remembers_good_weights, seconds=60)
    assert (await operator.page("healthz"))[0] == 200
    await good.set_weights(BAD)
    await good.until(lambda: _even(good), seconds=40, what="equal weights")
    async with asyncio.timeout(EXIT_SECONDS):
        operator.terminate()
        await until(lambda: not operator.alive, seconds=EXIT_SECONDS, what="the end of the operator")


async def test_a_lost_lease_ends_the_process_though_a_prometheus_does_not_answer(
    town: Town, start: Start, proxy: ApiProxy, hostile: list[str]
) -> None:
    shop = await town.open_shop(backends=PAIR, spec={"signals": {**SIGNALS, "prometheusUrl": hostile[0]}})
    operator = start(shop, prometheus_allowed_urls="*")
    await operator.ready()
    await operator.ticked(2)
    lease = await shop.client.get(LEASES, shop.namespace, "evenload")
    lease["spec"]["holderIdentity"] = "another"
    await shop.client.replace(LEASES, shop.namespace, "evenload", lease)
    taken = time.monotonic()
    await until(lambda: not operator.alive, seconds=30, what="the end of the operator")
    # It looks every two seconds, and may have sent a renewal just before.
    assert time.monotonic() - taken < 2 * RETRY_SECONDS + EXIT_SECONDS


async def _even(shop: Shop) -> bool:
    return shares(await shop.weights()) == shares(EQUAL)
