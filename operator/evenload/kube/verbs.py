"""What the stages ask of the API server, so that a test can stand between them and it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evenload.kube.resources import Manifest, Resource


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
