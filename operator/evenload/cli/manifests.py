"""Balancers that need not be applied anywhere: from a file or a pipe, or made up on the spot."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from evenload.errors import InputError
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.spec import BalancerSpec

if TYPE_CHECKING:
    import yaml

_NEWEST: Final = "9999-12-31T23:59:59Z"
_LATEST_VERSION: Final = str(2**63 - 1)


class Located(NamedTuple):
    """An object of a file. `node`: what the parser read it from, with the lines of every field."""

    manifest: Any
    file: Path
    node: yaml.Node

    def line(self, keys: Iterable[str | int]) -> int:
        """The line of that field, or of the nearest one above it that is there."""
        import yaml

        node, line = self.node, self.node.start_mark.line
        for key in keys:
            if isinstance(key, int) and isinstance(node, yaml.SequenceNode) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line
                continue
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            found = next((pair for pair in pairs if pair[0].value == key), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        return line + 1


def located_in(file: Path) -> Iterator[Located]:
    """All documents of a YAML or JSON file, Lists taken apart; "-" is stdin. Raises InputError naming file and line."""
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        while loader.check_node():
            node = loader.get_node()
            yield from _apart(Located(loader.construct_document(node), file, node))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{file}: not YAML: {where}{error.problem or error.context or 'it ends too early'}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not YAML: {error}") from error


def _apart(document: Located) -> Iterator[Located]:
    """The items of a List, or the document itself."""
    import yaml

    manifest, node = document.manifest, document.node
    items = manifest.get("items") if isinstance(manifest, dict) and str(manifest.get("kind")).endswith("List") else None
    if not isinstance(items, list) or not isinstance(node, yaml.MappingNode):
        yield document
        return
    (nodes,) = [value.value for key, value in node.value if key.value == "items"][-1:]
    for item, each in zip(items, nodes, strict=True):
        yield Located(item, document.file, each)


def documents_in(file: Path) -> list[Manifest]:
    """The objects of a YAML file that have a name; "-" is stdin. Raises InputError naming the file."""
    return [each.manifest for each in located_in(file) if isinstance(each.manifest, dict) and _named(each.manifest)]


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
