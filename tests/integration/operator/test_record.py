"""`evenload record` and `backtest` beside a real API server: they see what the operator sees, and only look."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from evenload import recording
from evenload.clock import now
from evenload.model.diagnosis import Label
from evenload.replay import replay
from tests.integration.operator.commands import command
from tests.integration.operator.conftest import Start
from tests.support.apiproxy import ApiProxy
from tests.support.town import BAD, WINDOW_SECONDS, Shop, Town
from tests.support.wait import until


async def recorded_lines(file: Path) -> int:
    found = await asyncio.to_thread(lambda: file.read_bytes().count(b"\n") if file.exists() else 0)
    return max(0, found - 1)


def recorder(town: Town, shop: Shop, file: Path, *more: str) -> tuple[str, ...]:
    where = "-n", shop.namespace, "--prometheus", town.prometheus.url
    return ("record", "shop", *where, "--tick", "2s", "-o", str(file), *more)


async def test_a_recording_ends_cleanly_with_ctrl_c_and_replays_to_what_happened(
    town: Town, proxy: ApiProxy, tmp_path: Path
) -> None:
    shop = await town.open_shop(mode="Observe")
    file = tmp_path / "shop.jsonl"
    async with command(proxy, tmp_path, *recorder(town, shop, file)) as process:
        await until(lambda: recorded_lines(file), what="a first line")
        await shop.set_weights(BAD, manager="ci-deploy")
        before = await recorded_lines(file)

        async def enough() -> bool:
            return await recorded_lines(file) >= before + 6

        await until(enough, what="six more lines")
        process.send_signal(signal.SIGINT)
        _, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    assert b"Recorded" in complaints
    assert b"Traceback" not in complaints
    text = await asyncio.to_thread(file.read_bytes)
    labels = [decision.diagnosis.label for decision in replay(recording.read(text.splitlines()))]
    assert labels[-1] is Label.LoadBalancerSkew
    assert proxy.writes() == []


async def test_a_recording_ends_by_itself_after_its_duration(town: Town, proxy: ApiProxy, tmp_path: Path) -> None:
    shop = await town.open_shop(mode="Observe")
    file = tmp_path / "shop.jsonl"
    async with command(proxy, tmp_path, *recorder(town, shop, file, "--duration", "3s")) as process:
        _, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    assert 1 <= await recorded_lines(file) <= 2  # the first look may take so long that it is the only one


async def test_what_is_recorded_beside_the_operator_replays_to_its_decisions(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shop = await town.open_shop(mode="Observe")
    operator = start(shop, tick_seconds=2.0)
    await shop.until(shop.healthy)
    file = tmp_path / "shop.jsonl"
    async with command(proxy, tmp_path, *recorder(town, shop, file)) as process:
        await until(lambda: recorded_lines(file), what="a first line")
        await shop.set_weights(BAD, manager="ci-deploy")
        await until(
            lambda: any(line.get("diagnosis") == "LoadBalancerSkew" for line in operator.lines("decision")),
            what="the operator's diagnosis",
        )
        before = await recorded_lines(file)

        async def enough() -> bool:
            return await recorded_lines(file) >= before + 3

        await until(enough, what="three more lines")
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 120)
    text = await asyncio.to_thread(file.read_bytes)
    last = list(replay(recording.read(text.splitlines())))[-1]
    assert last.diagnosis.label is Label.LoadBalancerSkew
    assert last.diagnosis.manager == "ci-deploy"
    assert [held.reason.value for held in last.held] == ["ObserveMode"]


@pytest.mark.parametrize("named", [True, False])
async def test_a_backtest_asks_the_cluster_only_who_is_there(
    town: Town, proxy: ApiProxy, tmp_path: Path, named: bool
) -> None:
    shop = await town.open_shop(mode="Observe")
    opened = now()
    town.prometheus.history = lambda time: dict(town.prometheus.pods)
    await until(lambda: now() > opened + WINDOW_SECONDS, what="some history")
    names = ("shop",) if named else ()
    where = "-n", shop.namespace, "--prometheus", town.prometheus.url, "--scrape", "2s", "--since", "5m"
    async with command(proxy, tmp_path, "backtest", *names, *where, "-o", "json") as process:
        answer, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()
    (result,) = json.loads(answer)
    assert (result["name"], result["ticks"]) == ("shop", 150)
    assert result["episodes"] == []
    assert "as in HTTPRoute shop today" in result["assumptions"][0]
    assert proxy.writes() == []


async def test_signals_are_shown_as_the_operator_would_read_them(town: Town, proxy: ApiProxy, tmp_path: Path) -> None:
    shop = await town.open_shop(mode="Observe", spec={"signals": {"window": f"{WINDOW_SECONDS:g}s"}})
    where = ("-n", shop.namespace, "--prometheus", town.prometheus.url, "--scrape", "2s")

    async def shown(*more: str) -> tuple[int | None, str]:
        async with command(proxy, tmp_path, "signals", "shop", *where, *more) as process:
            said, complaints = await asyncio.wait_for(process.communicate(), 120)
        assert complaints == b""
        return process.returncode, said.decode()

    code, table = await shown("--queries")
    assert code == 0
    assert 'shop: preset app (status in the label "code")' in table
    assert "increase(http_requests_total{" in table
    code, text = await shown("-o", "json")
    answer = json.loads(text)
    assert (answer["preset"], answer["code"]) == ("app", "code")
    assert answer["signals"]["requests"]["state"] == "Fresh"
    assert len(answer["signals"]["requests"]["pods"]) == len(shop.backends)
    assert all(pod in table for pod in answer["signals"]["requests"]["pods"])
    assert proxy.writes() == []
