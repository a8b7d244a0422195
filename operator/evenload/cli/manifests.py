"""Balancers that need not be applied anywhere: from a file or a pipe, or made up on the spot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from evenload.errors import InputError
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.spec import BalancerSpec

_NEWEST: Final = "9999-12-31T23:59:59Z"
_LATEST_VERSION: Final = str(2**63 - 1)


def documents_in(file: Path) -> list[Manifest]:
    """The objects of a YAML file that have a name; "-" is stdin. Raises InputError naming the file."""
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return [each for each in yaml.safe_load_all(text) if isinstance(each, dict) and _named(each)]
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {error}") from error


def balancers_of(documents: list[Manifest], file: Path) -> list[Manifest]:
    """Those among the objects of `file`: at least one. Raises InputError naming the file."""
    found = [each for each in documents if each.get("kind") == BALANCERS.kind]
    if not found:
        raise InputError(f"{file}: holds no Balancer (kind: Balancer, with metadata.name)")
    return found


def spec_of(balancer: Manifest) -> BalancerSpec:
    """Raises InputError naming the Balancer and the field."""
    try:
        return msgspec.convert(balancer.get("spec"), BalancerSpec)
    except msgspec.ValidationError as error:
        raise InputError(f'Balancer "{balancer["metadata"]["name"]}": {error}') from error


def proposed(name: str, namespace: str, spec: Manifest) -> Manifest:
    """A Balancer as if it had just been applied: newer than one of its name, younger than all others."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": "proposed",
        "generation": 1,
        "resourceVersion": _LATEST_VERSION,
        "creationTimestamp": _NEWEST,
    }
    return {"apiVersion": BALANCERS.api_version, "kind": BALANCERS.kind, "metadata": metadata, "spec": spec}


def _named(document: Manifest) -> bool:
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("name"))
