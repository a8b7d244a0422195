"""Our CRDs, and of others as much as tests need, put on a real API server once a test run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, REMEDIATIONS, TRAEFIKSERVICES, Manifest, Resource
from tests.support.wait import PATIENCE_SECONDS

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
MANIFESTS = Path(__file__).parents[2] / "manifests" / "crds"
DEADLINE_SECONDS = PATIENCE_SECONDS

_installed: set[str] = set()


def traefik_service_crd() -> Manifest:
    """Traefik's own, as far as weights go; what is not spelled out here is kept as it is."""
    kind = TRAEFIKSERVICES
    service = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "kind": {"type": "string", "enum": ["Service", "TraefikService"]},
            "namespace": {"type": "string"},
            "port": {"x-kubernetes-int-or-string": True},
            "weight": {"type": "integer", "minimum": 0},
        },
        "x-kubernetes-preserve-unknown-fields": True,
    }
    weighted = {
        "type": "object",
        "properties": {"services": {"type": "array", "items": service}},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    spec = {"type": "object", "properties": {"weighted": weighted}, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower(), "listKind": f"{kind.kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def install_traefik_services(client: Client) -> None:
    """Apply Traefik's kind and wait until it is served."""
    crd = traefik_service_crd()
    await client.apply(CRDS, None, crd["metadata"]["name"], crd, force=True)
    await _until_served(client, TRAEFIKSERVICES)


async def install(client: Client) -> None:
    """Apply them and wait until both kinds are served; at once if that was done for this API server."""
    if client.connection.url in _installed:
        return
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            await client.apply(CRDS, None, crd["metadata"]["name"], crd, force=True)
    await _until_served(client, BALANCERS, REMEDIATIONS)
    _installed.add(client.connection.url)


async def _until_served(client: Client, *resources: Resource) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await _served(client, resources):
        assert time.monotonic() < deadline, f"the CRDs are not served after {DEADLINE_SECONDS:.0f} s"
        await asyncio.sleep(0.05)


async def _served(client: Client, resources: Iterable[Resource]) -> bool:
    try:
        for resource in resources:
            await client.list(resource)
    except KubeError:
        return False
    return True
