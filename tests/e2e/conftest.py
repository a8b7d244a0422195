"""The lab that `make e2e` brings up, and the way back to a lab without an Evenload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import clients, images, state

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "manifests"
NAMESPACE = "evenload"


@pytest.fixture(scope="session")
def lab() -> state.LabState:
    """The lab these tests run in, with this checkout's images."""
    current = state.load()
    for make in (images.operator, images.shop):
        images.load_image(current, make())
    return current


@pytest.fixture
def clean(lab: state.LabState) -> Iterator[state.LabState]:
    """The lab, without any Evenload afterwards."""
    yield lab
    clients.helm(lab, "uninstall", "evenload", f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
    clients.kubectl(lab, "delete", "namespace", "shop", "--ignore-not-found", "--wait=true")
    # A namespace whose pods are still there is looked at again only after half their grace period.
    clients.kubectl(lab, "delete", "deployments", "--all", f"--namespace={NAMESPACE}", "--cascade=foreground", "--wait")
    clients.kubectl(lab, "delete", f"--filename={MANIFESTS}", "--ignore-not-found", "--wait=true")
