"""The health and metrics pages, on a real socket."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from evenload import health


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
