"""The kinds on a real API server, through kubectl: what a person sees is what tests read. Fixtures included."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from evenload.api.crd import crds
from evenload.kube.config import Connection

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """kubectl's words, where the API server said no."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """kubectl in one namespace, as one user (None: the administrator)."""

    namespace: str
    user: str | None = None

    def run(self, *arguments: str, stdin: str | None = None) -> str | Refusal:
        """What it printed, or the refusal."""
        signed_in = [] if self.user is None else [f"--as={self.user}", "--as-group=system:authenticated"]
        done = subprocess.run(
            ["kubectl", f"--namespace={self.namespace}", *signed_in, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout if done.returncode == 0 else Refusal(text=done.stderr)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it printed; AssertionError where the API server said no."""
        result = self.run(*arguments, stdin=stdin)
        assert isinstance(result, str), result.text
        return result

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """The words of the refusal; AssertionError where there was none."""
        result = self.run(*arguments, stdin=stdin)
        assert isinstance(result, Refusal), f"was accepted: {result}"
        return result.text

    def create(self, manifest: Manifest) -> Manifest:
        """The object as the API server stored it, defaults and all."""
        answer = self("create", "--filename=-", "--output=json", stdin=yaml.safe_dump(manifest))
        stored: Manifest = json.loads(answer)
        return stored

    def create_refused(self, manifest: Manifest) -> str:
        return self.refused("create", "--filename=-", stdin=yaml.safe_dump(manifest))

    def as_user(self, user: str) -> Kubectl:
        return Kubectl(namespace=self.namespace, user=user)


def apply_cluster_wide(manifests: list[Manifest]) -> None:
    Kubectl(namespace="default")(
        "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=yaml.safe_dump_all(manifests)
    )


@pytest.fixture(scope="session")
def kinds(connection: Connection) -> None:
    """Both CRDs, established."""
    apply_cluster_wide(list(crds().values()))
    Kubectl(namespace="default")(
        "wait", "--for=condition=established", "--timeout=60s", *map(crd_name, crds().values())
    )


def crd_name(manifest: Manifest) -> str:
    return f"crd/{manifest['metadata']['name']}"


@pytest.fixture
def kubectl(kinds: None) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, deleted afterwards without waiting for it."""
    admin = Kubectl(namespace=f"test-{uuid.uuid4().hex[:10]}")
    admin("create", "namespace", admin.namespace)
    yield admin
    admin.run("delete", "namespace", admin.namespace, "--wait=false")
