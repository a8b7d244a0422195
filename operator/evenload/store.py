"""The newest known state of our own objects, Balancers and Remediations, whoever told us: a list, a watch or a write.

The newest resourceVersion wins, so a watch event that was on its way while we wrote cannot bring an older Remediation
back: acting on it could double a step. A deletion is remembered by that version too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Manifest = Mapping[str, Any]


class Key(NamedTuple):
    """Namespace and name of a Balancer."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(manifest: Manifest) -> Key:
    """The object's own namespace and name."""
    metadata = manifest["metadata"]
    return Key(metadata["namespace"], metadata["name"])


def _version(manifest: Manifest) -> int:
    return int(manifest["metadata"]["resourceVersion"])


class Objects:
    """Objects of one kind by key, and by group where `group_of` is given: every tick asks for each Balancer's own."""

    def __init__(self, group_of: Callable[[Manifest], Key] = key_of) -> None:
        self._objects: dict[Key, Manifest] = {}
        self._gone: dict[Key, int] = {}
        self._group_of = group_of
        self._groups: defaultdict[Key, set[Key]] = defaultdict(set)

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def all_keys(self) -> tuple[Key, ...]:
        return tuple(self._objects)

    def group(self, group: Key) -> Iterator[Manifest]:
        """The objects of one group, in no order."""
        return (self._objects[key] for key in self._groups.get(group, ()))

    def __iter__(self) -> Iterator[Manifest]:
        return iter(tuple(self._objects.values()))

    def put(self, manifest: Manifest) -> bool:
        """Keep `manifest` unless something newer is known; tell whether it was kept."""
        key, version = key_of(manifest), _version(manifest)
        known = self._objects.get(key)
        if version <= self._gone.get(key, -1) or (known is not None and version < _version(known)):
            return False
        self._gone.pop(key, None)
        self._objects[key] = manifest
        self._groups[self._group_of(manifest)].add(key)
        return True

    def remove(self, manifest: Manifest) -> None:
        """Forget a deleted object, unless a newer one of that name is known."""
        key, version = key_of(manifest), _version(manifest)
        known = self._objects.get(key)
        if known is not None and _version(known) > version:
            return
        self._gone[key] = version
        self._forget(key)

    def _forget(self, key: Key) -> None:
        manifest = self._objects.pop(key, None)
        if manifest is not None:
            self._groups[self._group_of(manifest)].discard(key)

    def sweep(self, listed: Iterable[Manifest], version: int, namespace: str | None = None) -> None:
        """Take a whole list, of one namespace or of all, as of `version`: what it lacks, and is no newer, is gone."""
        seen = set()
        for manifest in listed:
            seen.add(key_of(manifest))
            self.put(manifest)
        for key, manifest in tuple(self._objects.items()):
            if key not in seen and namespace in (None, key.namespace) and _version(manifest) <= version:
                self._forget(key)
        self._gone = {
            key: gone for key, gone in self._gone.items() if gone > version or namespace not in (None, key.namespace)
        }


class Store:
    """All Balancers, and the Remediations of each."""

    def __init__(self) -> None:
        self.balancers = Objects()
        self.remediations = Objects(group_of=balancer_of)

    def remediations_of(self, balancer: Key) -> tuple[Manifest, ...]:
        """Remediations of the Balancer of that name, oldest first (by name within a second)."""
        return tuple(
            sorted(
                self.remediations.group(balancer),
                key=lambda m: (m["metadata"]["creationTimestamp"], m["metadata"]["name"]),
            )
        )


def balancer_of(remediation: Manifest) -> Key:
    """The Balancer it is about, which may be gone."""
    return Key(remediation["metadata"]["namespace"], remediation["spec"]["balancerRef"]["name"])
