"""The chart (or another), rendered by the real helm."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from manifests.generate import find_helm

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts/evenload"

Manifest = dict[str, Any]


helm = functools.cache(find_helm)


@functools.cache
def helm_template(*options: str, release: str = "evenload", namespace: str = "evenload", chart: Path = CHART) -> str:
    """What `helm template` prints. Raises AssertionError with helm's own words where it refuses."""
    done = subprocess.run(
        [helm(), "template", release, str(chart), "--namespace", namespace, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(
    *options: str, release: str = "evenload", namespace: str = "evenload", chart: Path = CHART
) -> list[Manifest]:
    """The same as manifests."""
    text = helm_template(*options, release=release, namespace=namespace, chart=chart)
    return [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]  # ten times as fast


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]
