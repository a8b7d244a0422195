"""The shop's server on real sockets."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from lab.shop.server import SERVER_HEADER, Server
from lab.shop.settings import Settings

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60.0


class Gate:
    """Work that takes until the gate opens, so that a test decides how long a request is in flight."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def wait(self, cpu_seconds: float) -> None:
        assert self._open.wait(DEADLINE_SECONDS), "nobody opened the gate"


class Client:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str = "/") -> tuple[int, str, str | None]:
        async with self._session.get(self._url + path) as response:
            return response.status, await response.text(), response.headers.get(SERVER_HEADER)

    async def status(self, path: str = "/") -> int:
        return (await self.get(path))[0]

    async def is_last(self) -> bool:
        """Whether the server ends the connection with its answer."""
        async with self._session.get(self._url) as response:
            return response.headers.get("Connection") == "close"

    async def metric(self, name: str) -> float:
        text = (await self.get("/metrics"))[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, f"no metric {name} in\n{text}"
        return float(found[1])

    async def until(self, name: str, value: float) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await self.metric(name) != value:  # noqa: ASYNC110  # the condition lives in another process
                await asyncio.sleep(0.01)


@asynccontextmanager
async def shop(settings: Settings, burn: Callable[[float], None]) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(settings, burn)
    async with TestServer(server.application()) as listening, aiohttp.ClientSession() as session:
        yield server, Client(session, str(listening.make_url("")).rstrip("/"))
    server.close()


async def in_background(*calls: Coroutine[Any, Any, int]) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(call) for call in calls]


async def test_a_full_queue_answers_503_at_once_and_the_others_are_served_in_the_end() -> None:
    gate = Gate()
    async with shop(Settings(name="shop-a", queue_length=2), gate.wait) as (_, client):
        waiting = await in_background(*(client.status() for _ in range(3)))
        await client.until("http_requests_in_flight", 3)
        assert await client.get() == (503, "the queue is full, come back later\n", "shop-a")
        assert not any(task.done() for task in waiting)
        gate.open()
        assert await asyncio.gather(*waiting) == [200, 200, 200]
        assert await client.status() == 200, "there is room again"


async def test_health_and_metrics_answer_beside_a_full_queue_even_when_sick() -> None:
    gate = Gate()
    async with shop(Settings(queue_length=0, sick_rejections=2), gate.wait) as (_, client):
        waiting = await in_background(client.status())
        await client.until("http_requests_in_flight", 1)
        for _ in range(3):
            assert await client.status() == 503
        assert await client.metric("shop_sick") == 1
        assert [await client.status(path) for path in ("/readyz", "/livez")] == [200, 200]
        gate.open()
        assert await asyncio.gather(*waiting) == [200]


async def test_the_metrics_count_customers_by_status_and_nobody_else() -> None:
    gate = Gate()
    async with shop(Settings(queue_length=0), gate.wait) as (_, client):
        assert await client.metric('http_requests_total{code="503",method="GET"}') == 0, "there before it happens"
        waiting = await in_background(client.status("/cart?item=3"))
        await client.until("http_requests_in_flight", 1)
        await client.status()
        await client.status("/readyz")
        gate.open()
        await asyncio.gather(*waiting)
        assert await client.metric('http_requests_total{code="200",method="GET"}') == 1
        assert await client.metric('http_requests_total{code="503",method="GET"}') == 1
        assert await client.metric("http_request_duration_seconds_count") == 2
        assert await client.metric('http_request_duration_seconds_bucket{le="5.0"}') == 2
        assert await client.metric("http_requests_in_flight") == 0


async def test_a_sick_server_fails_at_a_gentle_pace_and_a_new_one_does_not() -> None:
    gate = Gate()
    settings = Settings(queue_length=0, sick_rejections=2)
    async with shop(settings, gate.wait) as (_, client):
        waiting = await in_background(client.status())
        await client.until("http_requests_in_flight", 1)
        assert [await client.status() for _ in range(3)] == [503, 503, 503]
        gate.open()
        await asyncio.gather(*waiting)
        statuses = [await client.status() for _ in range(300)]
        assert set(statuses) == {200, 500}
        assert 0.30 <= statuses.count(500) / 300 <= 0.40
    async with shop(settings, gate.wait) as (_, client):
        assert {await client.status() for _ in range(100)} == {200}


async def test_a_draining_server_goes_on_answering_until_it_has_been_idle() -> None:
    gate = Gate()
    async with shop(Settings(queue_length=5), gate.wait) as (server, client):
        before = await in_background(client.status(), client.status())
        await client.until("http_requests_in_flight", 2)
        leaving = asyncio.create_task(server.drain(DEADLINE_SECONDS))
        after = await in_background(client.status())
        await client.until("http_requests_in_flight", 3)
        assert not leaving.done()
        assert await client.status("/readyz") == 200
        gate.open()
        assert await asyncio.gather(*before, *after) == [200, 200, 200]
        assert await leaving is True


async def test_a_connection_ends_with_the_first_answer_after_its_age_and_a_new_one_begins() -> None:
    async with shop(Settings(connection_seconds=0.2), lambda cpu_seconds: None) as (_, client):
        first = await client.is_last()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await client.is_last():
                pass
        assert (first, await client.is_last()) == (False, False)


async def test_without_an_age_a_connection_lives_on() -> None:
    async with shop(Settings(), lambda cpu_seconds: None) as (_, client):
        assert [await client.is_last() for _ in range(20)] == [False] * 20


async def test_a_drain_gives_up_after_its_grace_time_and_says_so() -> None:
    gate = Gate()
    async with shop(Settings(), gate.wait) as (server, client):
        stuck = await in_background(client.status())
        await client.until("http_requests_in_flight", 1)
        assert await server.drain(0.05) is False
        gate.open()
        await asyncio.gather(*stuck)


@contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python3 -m lab.shop` as the container runs it, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.shop", "--host", "127.0.0.1", "--port", "0", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.search(r"listens on (\S+)", line)
            assert found, f"it said {line!r}"
            yield process, f"http://{found[1]}"
        finally:
            process.kill()


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: process.wait(DEADLINE_SECONDS))


async def test_sigterm_finishes_every_request_in_the_queue_and_then_ends_well() -> None:
    with program("--cost-cpu-ms", "250") as (process, url):
        async with aiohttp.ClientSession() as session:
            client = Client(session, url)
            waiting = await in_background(*(client.status() for _ in range(4)))
            await client.until("http_requests_in_flight", 4)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.gather(*waiting) == [200, 200, 200, 200]
            assert await ended(process) == 0
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.status()


async def test_sigterm_ends_an_idle_server_soon() -> None:
    with program() as (process, _):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(ended(process), DEADLINE_SECONDS) == 0


async def test_a_503_does_not_wait_for_the_worker_that_burns_cpu() -> None:
    with program("--cost-cpu-ms", "1000", "--queue-length", "0") as (_, url):
        async with aiohttp.ClientSession() as session:
            client = Client(session, url)
            waiting = await in_background(client.status())
            await client.until("http_requests_in_flight", 1)
            assert await client.status() == 503
            assert not waiting[0].done()
            assert await waiting[0] == 200


def test_a_port_in_use_is_explained_in_one_line() -> None:
    with program() as (_, url):
        port = url.rpartition(":")[2]
        second = subprocess.run(
            [sys.executable, "-m", "lab.shop", "--host", "127.0.0.1", "--port", port],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
        assert "choose another --port" in second.stderr
        assert "Traceback" not in second.stderr
