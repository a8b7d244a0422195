"""A kind that may not be listed is known as that, and is used as soon as it may be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from evenload.errors import Refused, Unavailable
from evenload.kube.client import Page
from evenload.kube.reflector import Reflector
from evenload.kube.resources import HPAS
from tests.support.wait import until


class Server:
    """Answers each list with the next of `answers`, and watches for as long as anybody likes."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    async def pages(self, *arguments: Any) -> AsyncIterator[Page]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            raise answer
        yield msgspec.convert({"metadata": {"resourceVersion": "1"}}, Page)

    async def watch(self, *arguments: Any, opened: Any, **options: Any) -> AsyncIterator[bytes]:
        opened()
        await asyncio.Event().wait()
        yield b""


@contextlib.asynccontextmanager
async def reflecting(server: Server) -> AsyncIterator[Reflector[dict[str, Any]]]:
    reflector: Reflector[dict[str, Any]] = Reflector(server, HPAS, dict, ["shop"], longest_backoff_seconds=0.01)  # type: ignore[arg-type]
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_403_is_an_answer_and_the_kind_is_denied_there() -> None:
    async with reflecting(Server(Refused("forbidden", status=403))) as reflector:
        await until(lambda: reflector.tried)
        assert reflector.answered
        assert reflector.denied_in("shop")
        assert not reflector.denied_in("elsewhere")
        assert not reflector.synced


async def test_what_is_allowed_later_is_used() -> None:
    async with reflecting(Server(Refused("forbidden", status=403), None)) as reflector:
        await until(lambda: reflector.synced)
        assert not reflector.denied_in("shop")


async def test_another_failure_is_still_waited_for() -> None:
    async with reflecting(Server(Unavailable("down", status=503))) as reflector:
        await until(lambda: reflector.tried)
        assert not reflector.answered
        assert not reflector.denied_in("shop")
