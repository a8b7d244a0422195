"""The postmortem's shop in memory, right after the bad update."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from evenload.errors import Conflict
from evenload.kube.resources import HTTPROUTES, PODS
from tests.support.memory import MemoryCluster
from tests.support.scripted import BACKENDS, BAD, SICK
from tests.unit.drivers.routes import ref, route, rule


async def shop() -> MemoryCluster:
    cluster = MemoryCluster()
    await cluster.create(HTTPROUTES, "shop", route(rule(*(ref(name, BAD[name]) for name in BACKENDS))))
    await cluster.create(PODS, "shop", pod(f"{SICK}-1"))
    return cluster


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app": SICK},
            "ownerReferences": [{"kind": "ReplicaSet", "name": SICK, "controller": True}],
            **metadata,
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


async def replace_missing(cluster: MemoryCluster) -> None:
    """What the ReplicaSet does: a new pod for one that is gone."""
    if not any(kind == PODS.kind for kind, _, _ in cluster.objects):
        with suppress(Conflict):  # the other operator's test loop was quicker
            await cluster.create(PODS, "shop", pod(f"{SICK}-{len(cluster.evictions) + 1}"))
