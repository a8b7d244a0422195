"""`python3 -m lab.load` as a program: its file, its signals, its refusals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lab.load.__main__ import main
from lab.load.record import Record, read

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60.0


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(headers={"X-Shop-Server": "shop-a"})

    application = web.Application()
    application.router.add_get("/", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


async def start(url: str, out: Path, *arguments: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "lab.load", "--url", url, "--out", str(out), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)


async def lines_in(out: Path, count: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(records_of(out)) < count:  # noqa: ASYNC110  # the condition lives in another process
            await asyncio.sleep(0.02)


def records_of(out: Path) -> list[Record]:
    return list(read(out.read_text().splitlines())) if out.exists() else []


async def test_it_writes_every_request_and_prints_the_totals(tmp_path: Path) -> None:
    out = tmp_path / "load.jsonl"
    async with shop() as url:
        process = await start(url, out, "--rate", "100", "--duration", "1", "--seed", "5", "--shape", "constant")
        printed, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert process.returncode == 0
    assert len(records_of(out)) == 100
    summary = json.loads(printed)
    assert (summary["requests"], summary["failed"], summary["outcomes"]) == (100, 0, {"200": 100})
    assert summary["servers"] == [{"server": "shop-a", "requests": 100, "share": 1.0, "failed": 0}]


async def test_sigterm_ends_it_cleanly_and_early(tmp_path: Path) -> None:
    out = tmp_path / "load.jsonl"
    async with shop() as url:
        process = await start(url, out, "--rate", "50", "--duration", "600")
        await lines_in(out, 10)
        process.send_signal(signal.SIGTERM)
        printed, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert process.returncode == 0
    assert json.loads(printed)["requests"] == len(records_of(out)) >= 10


async def test_sigkill_leaves_what_was_answered_before(tmp_path: Path) -> None:
    out = tmp_path / "load.jsonl"
    async with shop() as url:
        process = await start(url, out, "--rate", "50", "--duration", "600")
        await lines_in(out, 10)
        process.kill()
        await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    numbers = sorted(record.number for record in records_of(out))
    assert len(numbers) >= 10
    assert len(set(numbers)) == len(numbers)  # one that was slower may be missing in between


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://shop.example/"], "--host-header shop.example"),
        (["--url", "http://127.0.0.1/", "--rate", "-1"], "rate is -1.0"),
        (["--url", "http://127.0.0.1/", "--duration", "1e9"], "at most 3600"),
        (["--url", "http://127.0.0.1/", "--timeout", "0"], "timeout is 0.0"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_line_before_anything_is_sent(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "load.jsonl"
    assert main([*arguments, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "no-such-folder" / "load.jsonl"
    assert main(["--url", "http://127.0.0.1/", "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err
