"""The cluster seen as the operator sees it, for commands that only look: the same lists and watches, no write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from evenload import clock
from evenload.cli.cluster import Access
from evenload.cli.signing import PrometheusAccess
from evenload.errors import InputError, Unavailable
from evenload.history.live import Onlooker
from evenload.kube import config
from evenload.kube.client import Client
from evenload.kube.resources import Manifest
from evenload.observe.cluster import ClusterView
from evenload.observe.prometheus import SignalReader

LISTING_SECONDS = 30.0
PAUSE_SECONDS = 0.05


@asynccontextmanager
async def onlooking(
    access: Access,
    manifest: Manifest,
    scrape_seconds: float,
    prometheus: PrometheusAccess,
    *,
    applied: bool = True,
) -> AsyncIterator[Onlooker]:
    """For what the operator would see of that Balancer. Raises InputError naming the field that cannot be met."""
    async with observing(access, manifest["metadata"]["namespace"]) as (client, view):
        with reading(prometheus) as reader:
            yield onlooker(client, view, reader, manifest, scrape_seconds, prometheus, applied=applied)


@contextmanager
def reading(prometheus: PrometheusAccess) -> Iterator[SignalReader]:
    """A reader that signs in as this person."""
    reader = SignalReader(trusted_url=prometheus.url, access=prometheus.access)
    try:
        yield reader
    finally:
        reader.close()


def onlooker(
    client: Client,
    view: ClusterView,
    reader: SignalReader,
    manifest: Manifest,
    scrape_seconds: float,
    prometheus: PrometheusAccess,
    *,
    applied: bool,
) -> Onlooker:
    """Raises InputError naming the field that cannot be met."""
    return Onlooker(
        client,
        view,
        reader,
        manifest,
        prometheus_url=prometheus.url,
        matchers=prometheus.matchers,
        presets=prometheus.presets,
        scrape_seconds=scrape_seconds,
        now=clock.now,
        applied=applied,
    )


@asynccontextmanager
async def observing(access: Access, namespace: str) -> AsyncIterator[tuple[Client, ClusterView]]:
    """One namespace, read once and watched from then on. Raises Unavailable where it cannot be listed in time."""
    if access.as_user:
        raise InputError("--as: this command watches the cluster as yourself; it cannot impersonate")
    async with Client(config.load(access.kubeconfig, access.context)) as client:
        view = ClusterView(client, [namespace])
        watching = asyncio.create_task(view.run())
        try:
            await _listed(view, watching)
            yield client, view
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _listed(view: ClusterView, watching: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LISTING_SECONDS
    while not view.synced:
        if watching.done():
            watching.result()
        if loop.time() > deadline:
            told = "; ".join(view.troubles) or "no list was answered"
            raise Unavailable(f"the namespace could not be read within {LISTING_SECONDS:g}s: {told}")
        await asyncio.sleep(PAUSE_SECONDS)
