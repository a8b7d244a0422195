"""Nodes without a kubelet: whoever plays it says now and then that they live, or their pods are taken for dead."""

from __future__ import annotations

import asyncio
import contextlib

from evenload.clock import now, rfc3339
from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.resources import Resource

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
HEARTBEAT_SECONDS = 10.0


async def beat(client: Client, node: str) -> None:
    moment = rfc3339(now())[:19] + "Z"
    ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": moment}
    await client.patch_merge(NODES, None, node, {"status": {"conditions": [ready]}}, subresource="status")


async def keep_beating(client: Client, node: str) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with contextlib.suppress(KubeError):
            await beat(client, node)
