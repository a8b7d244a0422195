"""The health and metrics pages, on a real socket."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.test_utils import TestClient, TestServer

from evenload import health
from tests.support.wait import until


async def page(path: str, *, healthy: str | None = None, ready: str | None = None) -> tuple[int, str]:
    app = health.application(healthy=lambda: healthy, ready=lambda: ready, metrics=lambda: b"evenload_up 1\n")
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path)
        return answer.status, await answer.text()


async def test_a_check_without_a_problem_answers_200() -> None:
    assert await page("/healthz") == (200, "ok")


async def test_a_problem_answers_503_and_says_what_is_wrong() -> None:
    assert await page("/readyz", ready="pods are not listed yet") == (503, "pods are not listed yet")


async def test_not_ready_is_not_unhealthy() -> None:
    assert await page("/healthz", ready="pods are not listed yet") == (200, "ok")


async def test_metrics_are_served_as_prometheus_text() -> None:
    assert await page("/metrics") == (200, "evenload_up 1\n")


def test_metrics_are_made_anew_a_tenth_of_the_time_at_most() -> None:
    now, made = 0.0, 0

    def make() -> bytes:
        nonlocal now, made
        now, made = now + 0.5, made + 1
        return b"evenload_up %d\n" % made

    kept = health.Exposition(make, lambda: now)
    assert kept.text() == b"evenload_up 1\n"
    now = 5.4
    assert kept.text() == b"evenload_up 1\n"
    now = 5.6
    assert kept.text() == b"evenload_up 2\n"


async def test_those_who_do_not_read_keep_only_so_many_places_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READ_SECONDS", 0.3)
    monkeypatch.setattr(health, "MOST_AT_ONCE", 2)
    large = b"# " + b"x" * (32 << 20) + b"\n"
    app = health.application(healthy=lambda: None, ready=lambda: None, metrics=lambda: large)
    async with TestClient(TestServer(app)) as client:
        idle = [socket.create_connection((client.host, client.port)) for _ in range(2)]
        for each in idle:
            each.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

        async def refused() -> bool:
            async with client.get("/metrics") as answer:
                return answer.status == 503

        async def served() -> bool:
            return not await refused()

        await until(refused, what="a refusal while the places are taken")
        assert (await client.get("/healthz")).status == 200
        await until(served, what="a place")
        for each in idle:
            each.close()
        await asyncio.sleep(0)
