"""The lab that `make e2e` brings up, the way back to a lab without an Evenload, and pods that are old in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import clients, images, state
from lab.demo import cluster
from tests.e2e import fragile

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "manifests"
NAMESPACE = "evenload"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that leave the shop alone first, while `old_pods` get old; then the one that needs those; then the rest."""
    items.sort(key=lambda item: needs(item, "clean") and (1 if needs(item, "old_pods") else 2))


def needs(item: pytest.Item, fixture: str) -> bool:
    return isinstance(item, pytest.Function) and fixture in item.fixturenames


@pytest.fixture(scope="session")
def lab() -> state.LabState:
    """The lab these tests run in, with this checkout's shop."""
    current = state.load()
    images.load_image(current, images.shop())
    return current


@pytest.fixture(scope="session")
def operator(lab: state.LabState) -> None:
    """This checkout's operator, as an image in the lab."""
    images.load_image(lab, images.operator())


@pytest.fixture(scope="session")
def old_pods(lab: state.LabState) -> None:
    """The pods of the fragile shop, idle, and as old as this session. A test that needs them older waits for that."""
    asyncio.run(cluster.apply(lab, fragile.objects()))


@pytest.fixture(scope="session", autouse=True)
def begin(request: pytest.FixtureRequest) -> None:
    """What has to get old begins before the first test."""
    if any(needs(item, "old_pods") for item in request.session.items):
        request.getfixturevalue("old_pods")


@pytest.fixture
def clean(lab: state.LabState, operator: None) -> Iterator[state.LabState]:
    """The lab, without any Evenload afterwards."""
    yield lab
    clients.helm(lab, "uninstall", "evenload", f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
    clients.kubectl(lab, "delete", "namespace", "shop", "--ignore-not-found", "--wait=true")
    # A namespace whose pods are still there is looked at again only after half their grace period.
    clients.kubectl(lab, "delete", "deployments", "--all", f"--namespace={NAMESPACE}", "--cascade=foreground", "--wait")
    clients.kubectl(lab, "delete", f"--filename={MANIFESTS}", "--ignore-not-found", "--wait=true")
