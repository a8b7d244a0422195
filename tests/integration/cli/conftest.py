"""The command line against a real API server, as a person would use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from evenload.cli.main import app
from tests.support.kubectl import Kubectl, kinds, kubectl  # noqa: F401  # fixtures
from tests.unit.cli import objects

Manifest = dict[str, Any]
Run = Callable[..., Result]


@pytest.fixture
def run(kubectl: Kubectl) -> Run:  # noqa: F811
    """Run a command in the test's own namespace."""

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(
            app, [*arguments, "-n", kubectl.namespace], prog_name="evenload", catch_exceptions=False
        )

    return call


def store(kubectl: Kubectl, manifest: Manifest) -> Manifest:  # noqa: F811
    """Create the object and give it its status, as the operator would; what the API server then holds."""
    kept = {"name", "labels"}
    metadata = {key: value for key, value in manifest["metadata"].items() if key in kept}
    kubectl.create({**manifest, "metadata": metadata})
    name = f"{manifest['kind'].lower()}/{metadata['name']}"
    status = json.dumps({"status": manifest["status"]})
    answer = kubectl("patch", name, "--subresource=status", "--type=merge", f"--patch={status}", "--output=json")
    stored: Manifest = json.loads(answer)
    return stored


@pytest.fixture
def skewed(kubectl: Kubectl) -> None:  # noqa: F811
    """A Balancer that waits for approval, and its Remediation."""
    balancer = store(kubectl, objects.skewed())
    remediation = objects.waiting()
    remediation["spec"]["balancerRef"]["uid"] = balancer["metadata"]["uid"]
    store(kubectl, remediation)


def stored(kubectl: Kubectl, name: str) -> Manifest:  # noqa: F811
    found: Manifest = json.loads(kubectl("get", name, "--output=json"))
    return found
