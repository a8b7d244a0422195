"""A real API server: `make integration` brings one up. Without one these tests fail, they never pass by being skipped.

A KUBECONFIG alone is not enough: it may name somebody's production. The lab says that it is one, and
EVENLOAD_TEST_KUBECONFIG is how a person says so of a cluster of their own.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator

import pytest

from evenload.errors import NotFound
from evenload.kube.client import Client
from evenload.kube.config import Connection, load
from evenload.kube.resources import NAMESPACES
from lab.control_plane import OWN_CLUSTER
from lab.state import VARIABLE as LAB
from tests.support.apiproxy import ApiProxy
from tests.support.namespaces import create_namespace
from tests.support.wait import PATIENCE_SECONDS

CLIENT_SECONDS = 30.0  # for one request through the proxy
HOW_TO = "these tests need a real API server: run `make integration` (it brings one up), or name a test cluster in "


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Most of them wait, so several run at a time: those that wait longest begin first, or they would end alone."""
    for item in items:
        if "tests/integration" in item.path.as_posix():
            item.add_marker(pytest.mark.integration)
    items.sort(key=_patience, reverse=True)


def _patience(item: pytest.Item) -> float:
    """Its own time limit; the usual one is shorter."""
    limit = item.get_closest_marker("timeout")
    return float(limit.args[0]) if limit else 0.0


@pytest.fixture(scope="session")
def connection() -> Connection:
    """The test cluster's API server, as its administrator."""
    own = os.environ.get(OWN_CLUSTER)
    if own:
        return load(os.path.expanduser(own))
    if not (os.environ.get(LAB) and os.environ.get("KUBECONFIG")):
        pytest.fail(HOW_TO + OWN_CLUSTER, pytrace=False)
    return load(os.environ["KUBECONFIG"])


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[Client]:
    """Straight to the API server."""
    async with Client(connection, timeout_seconds=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
async def proxy(connection: Connection) -> AsyncIterator[ApiProxy]:
    """To the API server through a proxy that misbehaves when told to."""
    async with ApiProxy(connection) as proxy:
        yield proxy


@pytest.fixture
async def proxied(proxy: ApiProxy) -> AsyncIterator[Client]:
    """A client behind `proxy`."""
    async with Client(proxy.connection(), timeout_seconds=CLIENT_SECONDS) as client:
        yield client


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    """A namespace of the test's own, deleted afterwards (which takes its time, and nobody waits for it)."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    await create_namespace(client, name)
    yield name
    with contextlib.suppress(NotFound):
        await client.delete(NAMESPACES, None, name)
