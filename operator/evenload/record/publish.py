"""The two writes of recording: a status that changed, and an Event. Nobody's action waits for either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from evenload.api.mergepatch import difference
from evenload.api.v1alpha1 import BalancerStatus
from evenload.kube.resources import BALANCERS, Manifest, Resource


class Sink(Protocol):
    """What is asked of the API server: evenload.kube.client.Client, say."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, object]) -> Manifest: ...

    async def patch_merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, object],
        *,
        subresource: str | None = None,
    ) -> Manifest: ...


def known_status(manifest: Mapping[str, object]) -> BalancerStatus:
    """The status as told so far. One that this version cannot read counts as none, and is told anew."""
    try:
        return msgspec.convert(manifest.get("status") or {}, BalancerStatus)
    except msgspec.ValidationError:
        return BalancerStatus()


async def publish(sink: Sink, manifest: Manifest, status: BalancerStatus) -> Manifest:
    """Write what changed of the status, on the very Balancer `manifest`; no call at all where nothing did.

    Raises Conflict if the Balancer changed since (the next tick tells it), NotFound if it is gone, KubeError else.
    """
    patch = difference(msgspec.to_builtins(known_status(manifest)), msgspec.to_builtins(status))
    if not patch:
        return manifest
    metadata = manifest["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": patch}
    return await sink.patch_merge(BALANCERS, metadata["namespace"], metadata["name"], body, subresource="status")
