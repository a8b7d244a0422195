"""Namespaces in which pods can be created."""

from __future__ import annotations

from collections.abc import Mapping

from evenload.errors import NotFound
from evenload.kube.client import Client
from evenload.kube.resources import NAMESPACES, Resource
from tests.support.wait import until

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


async def create_namespace(client: Client, name: str, labels: Mapping[str, str] | None = None) -> None:
    """With its default service account: before a busy controller made that one, the API server refuses every pod."""
    await client.create(NAMESPACES, None, {"metadata": {"name": name, "labels": dict(labels or {})}})

    async def has_account() -> bool:
        try:
            await client.get(SERVICE_ACCOUNTS, name, "default")
        except NotFound:
            return False
        return True

    await until(has_account, what=f"the default service account of {name}")
