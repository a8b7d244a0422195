"""Our CRDs, put on a real API server once a test run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Resource

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
MANIFESTS = Path(__file__).parents[2] / "manifests" / "crds"
DEADLINE_SECONDS = 20.0

_installed: set[str] = set()


async def install(client: Client) -> None:
    """Apply them and wait until both kinds are served; at once if that was done for this API server."""
    if client.connection.url in _installed:
        return
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            await client.apply(CRDS, None, crd["metadata"]["name"], crd, force=True)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await _served(client):
        assert time.monotonic() < deadline, f"the CRDs are not served after {DEADLINE_SECONDS:.0f} s"
        await asyncio.sleep(0.05)
    _installed.add(client.connection.url)


async def _served(client: Client) -> bool:
    try:
        for resource in (BALANCERS, REMEDIATIONS):
            await client.list(resource)
    except KubeError:
        return False
    return True
