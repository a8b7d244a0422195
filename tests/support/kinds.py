"""CRDs, ours and others', put on a real API server once a test run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.resources import (
    ARGO_ROLLOUTS,
    BALANCERS,
    DESTINATIONRULES,
    INGRESSROUTES,
    REMEDIATIONS,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)
from lab import parts
from tests.support.wait import PATIENCE_SECONDS

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
_ARGO = {"analysisruns": "AnalysisRun", "analysistemplates": "AnalysisTemplate", "experiments": "Experiment"}
ARGO_KINDS = (
    ARGO_ROLLOUTS,
    *(Resource("argoproj.io", "v1alpha1", plural, kind) for plural, kind in _ARGO.items()),
    Resource("argoproj.io", "v1alpha1", "clusteranalysistemplates", "ClusterAnalysisTemplate", namespaced=False),
)
MANIFESTS = Path(__file__).parents[2] / "manifests" / "crds"
DEADLINE_SECONDS = PATIENCE_SECONDS

_installed: set[str] = set()


async def install_traefik(client: Client) -> None:
    """Apply Traefik's CRDs and wait until its TraefikServices and IngressRoutes are served."""
    await _install_part(client, "traefik-crds", TRAEFIKSERVICES, INGRESSROUTES)


async def install_istio(client: Client) -> None:
    """Apply Istio's CRDs and wait until its VirtualServices and DestinationRules are served."""
    await _install_part(client, "istio-crds", VIRTUALSERVICES, DESTINATIONRULES)


async def install_argo_rollouts(client: Client) -> None:
    """Apply the CRDs of Argo Rollouts and wait until Rollouts are served."""
    await _install_part(client, "argo-rollouts", *ARGO_KINDS)


async def _install_part(client: Client, part: str, *kinds: Resource) -> None:
    """The CRDs of these kinds as the lab's part has them; at once if that was done for this API server."""
    done = f"{client.connection.url} {part}"
    if done not in _installed:
        names = {f"{kind.plural}.{kind.group}" for kind in kinds}
        crds = (parts.folder(part) / "crds.yaml").read_text()
        for crd in yaml.load_all(crds, yaml.CSafeLoader):  # Istio's are a megabyte: 0.2 s instead of 1.3 s
            if crd and crd["metadata"]["name"] in names:
                await client.apply(CRDS, None, crd["metadata"]["name"], crd, force=True)
        await _until_served(client, *kinds)
        _installed.add(done)


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
