"""`status -w` waits for changes, and goes on waiting when a watch breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from evenload.cli.cluster import Access, connect
from evenload.cli.watching import LONGEST_SECONDS, Watching
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS
from tests.support.apiproxy import ApiProxy
from tests.support.kinds import install
from tests.support.wait import PATIENCE_SECONDS, until

QUIET_SECONDS = 1.5


async def idle(changes: Watching) -> bool:
    return not await asyncio.to_thread(changes.wait, QUIET_SECONDS)


async def seconds_until_told(changes: Watching, change: Callable[[], Awaitable[object]]) -> float:
    waiting = asyncio.create_task(asyncio.to_thread(changes.wait))
    began = time.monotonic()
    await change()
    assert await waiting
    return time.monotonic() - began


async def test_it_tells_of_a_change_at_once_and_of_nothing_else(
    client: Client, namespace: str, proxy: ApiProxy, tmp_path: Path
) -> None:
    await install(client)
    manifest = {"metadata": {"name": "shop"}, "spec": {"targetRef": {"name": "shop"}}}
    kind = {"apiVersion": BALANCERS.api_version, "kind": BALANCERS.kind}
    await client.create(BALANCERS, namespace, {**kind, **manifest})
    access = Access(kubeconfig=str(proxy.write_kubeconfig(tmp_path / "kubeconfig")), namespace=namespace)
    changes = Watching(connect(access), everywhere=False)
    await until(lambda: proxy.open_watches == 2, what="both watches")
    await until(lambda: idle(changes), what="calm after what was there already")

    async def pause() -> None:
        annotation = {"metadata": {"annotations": {"evenload.dev/paused": f"at {time.monotonic()}"}}}
        await client.patch_merge(BALANCERS, namespace, "shop", annotation)

    assert await seconds_until_told(changes, pause) < LONGEST_SECONDS
    # when both watches break, that is told too, and then it goes on
    proxy.drop_watches()
    assert await asyncio.to_thread(changes.wait, PATIENCE_SECONDS)
    await until(lambda: proxy.open_watches == 2, what="both watches again")
    await until(lambda: idle(changes), what="calm")
    assert await seconds_until_told(changes, pause) < LONGEST_SECONDS
