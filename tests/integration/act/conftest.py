"""The postmortem's shop on the real API server: a route after the bad update, and the sick server's ReplicaSet.

There is no kubelet: the controller manager makes the pods, and `Shop.run_pods` says they run, as a kubelet would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from evenload.kube.client import Client
from evenload.kube.resources import HTTPROUTES, PODS, REMEDIATIONS, REPLICASETS, Manifest
from tests.support.kinds import install
from tests.support.scripted import BACKENDS, BAD, SICK, check_outcome
from tests.support.wait import PATIENCE_SECONDS
from tests.unit.drivers.routes import ref, route, rule

DEADLINE_SECONDS = PATIENCE_SECONDS


@dataclass
class Shop:
    """What a test may do to the shop and ask of it."""

    client: Client
    namespace: str
    pods_seen: set[str] = field(default_factory=set)

    async def open(self) -> None:
        manifest = route(rule(*(ref(name, BAD[name]) for name in BACKENDS)))
        manifest["metadata"] = {"name": "shop"}
        await self.client.create(HTTPROUTES, self.namespace, manifest)
        await self.client.create(REPLICASETS, self.namespace, replica_set())
        await self.run_pods()

    async def run_pods(self) -> None:
        """Wait for the sick server's pod or its replacement, and have it run and be ready."""
        pod = await eventually(self._live_pod)
        self.pods_seen.add(pod["metadata"]["uid"])
        if not pod["status"].get("conditions"):
            name = pod["metadata"]["name"]
            await self.client.patch_merge(PODS, self.namespace, name, RUNNING, subresource="status")

    async def _live_pod(self) -> Manifest | None:
        pods, _ = await self.client.list(PODS, self.namespace)
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return alive[0] if alive else None

    async def route(self) -> Manifest:
        return await self.client.get(HTTPROUTES, self.namespace, "shop")

    async def remediation(self) -> Manifest:
        (only,), _ = await self.client.list(REMEDIATIONS, self.namespace)
        return only

    async def check(self) -> None:
        """Every step was taken, once; the sick pod was evicted, and its replacement was not."""
        remediations, _ = await self.client.list(REMEDIATIONS, self.namespace)
        check_outcome(remediations, await self.route(), first_generation=1)
        assert len(self.pods_seen) == 2


RUNNING = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


def replica_set() -> dict[str, Any]:
    labels = {"app": SICK}
    container = {"name": "server", "image": "shop.example/server:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": SICK},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def eventually(look: Callable[[], Awaitable[Manifest | None]]) -> Manifest:
    """The first answer that is one, within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        if (found := await look()) is not None:
            return found
        assert time.monotonic() < deadline, f"{look.__qualname__}: nothing within {DEADLINE_SECONDS:.0f} s"
        await asyncio.sleep(0.02)


@pytest.fixture
async def shop(client: Client, namespace: str) -> Shop:
    await install(client)
    shop = Shop(client, namespace)
    await shop.open()
    return shop
