"""The newest known state of our own objects, Balancers and Remediations, whoever told us: a list, a watch or a write.

The newest resourceVersion wins, so a watch event that was on its way while we wrote cannot bring an older Remediation
back: acting on it could double a step. A deletion is remembered by that version too, the latest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from evenload.act.ledger import Ledger
from evenload.act.recordings import without_recording
from evenload.drivers import DRIVERS, PLANES
from evenload.groups import Groups
from evenload.model.episode import StepState
from evenload.model.spec import DEFAULT_KIND

MOST_GONE: Final = 10_000
"""Deletions remembered between two sweeps. An event that is so late that more have been told since is undone by the
next sweep."""

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


class Target(NamedTuple):
    """The object that a Balancer balances; it is in the Balancer's own namespace."""

    namespace: str
    kind: str
    name: str


OnChange = Callable[[Key, Manifest | None], None]
"""Told (key, after) of each change; None: it is gone."""


class Objects:
    """Objects of one kind by key, and by the group that `group_of` names: every tick asks for each Balancer's own."""

    def __init__(
        self,
        group_of: Callable[[Manifest], Hashable] = key_of,
        on_change: OnChange = lambda key, after: None,
        kept: Callable[[Manifest], Manifest] = lambda manifest: manifest,
    ) -> None:
        """`kept`: what is to be kept of an object."""
        self._objects: dict[Key, Manifest] = {}
        self._gone: dict[Key, int] = {}  # the oldest deletion first
        self._group_of = group_of
        self._groups: Groups[Hashable, Key] = Groups()
        self._group: dict[Key, Hashable] = {}  # where each stands in `_groups`, whatever becomes of the object
        self._on_change = on_change
        self._kept = kept

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def all_keys(self) -> tuple[Key, ...]:
        return tuple(self._objects)

    def group(self, group: Hashable) -> Iterator[Manifest]:
        """The objects of one group, in no order."""
        return iter([self._objects[key] for key in self._groups.of(group)])

    def __iter__(self) -> Iterator[Manifest]:
        return iter(tuple(self._objects.values()))

    def put(self, manifest: Manifest) -> bool:
        """Keep `manifest` unless something newer is known; tell whether it was kept."""
        key, version = key_of(manifest), _version(manifest)
        known = self._objects.get(key)
        if version <= self._gone.get(key, -1) or (known is not None and version < _version(known)):
            return False
        self._gone.pop(key, None)
        self._replace(key, self._kept(manifest))
        return True

    def remove(self, manifest: Manifest) -> None:
        """Forget a deleted object, unless a newer one of that name is known."""
        key, version = key_of(manifest), _version(manifest)
        known = self._objects.get(key)
        if known is not None and _version(known) > version:
            return
        self._remember_gone(key, version)
        self._replace(key, None)

    def _remember_gone(self, key: Key, version: int) -> None:
        self._gone[key] = max(version, self._gone.pop(key, -1))
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _replace(self, key: Key, manifest: Manifest | None) -> None:
        """The one place that changes objects and groups: an object may come back in another group."""
        group = None if manifest is None else self._group_of(manifest)
        if self._objects.pop(key, None) is not None:
            self._groups.discard(self._group.pop(key), key)
        elif manifest is None:
            return
        if manifest is not None:
            self._objects[key], self._group[key] = manifest, group
            self._groups.add(group, key)
        self._on_change(key, manifest)

    def sweep(self, listed: Iterable[Manifest], version: int, namespace: str | None = None) -> None:
        """Take a whole list, of one namespace or of all, as of `version`: what it lacks, and is no newer, is gone."""
        seen = set()
        for manifest in listed:
            seen.add(key_of(manifest))
            self.put(manifest)
        self.sweep_out(seen, version, namespace)

    def outdated(self, manifest: Manifest) -> bool:
        """Whether less is known than this metadata tells: the object itself should be read."""
        key, version = key_of(manifest), _version(manifest)
        known = self._objects.get(key)
        return version > self._gone.get(key, -1) and (known is None or version > _version(known))

    def sweep_out(self, seen: Collection[Key], version: int, namespace: str | None = None) -> None:
        """Forget what a list as of `version` does not hold, unless it is newer."""
        for key, manifest in tuple(self._objects.items()):
            if key not in seen and namespace in (None, key.namespace) and _version(manifest) <= version:
                self._replace(key, None)
        self._gone = {
            key: gone for key, gone in self._gone.items() if gone > version or namespace not in (None, key.namespace)
        }


class Store:
    """All Balancers, by what they target, and the Remediations of each, without their recordings; `ledger`: what these
    did, for budgets."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.balancers = Objects(group_of=target_of, on_change=self._balancer_changed)
        self._of_plane = {plane: Groups[str, Key]() for plane in PLANES}  # by namespace
        self.remediations = Objects(group_of=balancer_of, on_change=self._remediation_changed, kept=without_recording)
        self._isolating: dict[Key, Key] = {}  # Remediations with a step that isolates a pod, and whose they are
        self._isolating_of: Groups[Key, Key] = Groups()  # by Balancer
        self.unlisted: set[str] = set()
        """Namespaces whose Balancers or Remediations are not known yet: nothing there is looked after."""

    def _balancer_changed(self, key: Key, after: Manifest | None) -> None:
        driver = DRIVERS.get(target_of(after).kind) if after is not None else None
        for plane, group in self._of_plane.items():
            (group.add if driver is not None and driver.plane == plane else group.discard)(key.namespace, key)

    def _remediation_changed(self, key: Key, after: Manifest | None) -> None:
        self.ledger.changed(key, after)
        if (known := self._isolating.pop(key, None)) is not None:
            self._isolating_of.discard(known, key)
        if after is not None and isolates(after):
            balancer = self._isolating[key] = balancer_of(after)
            self._isolating_of.add(balancer, key)

    def isolating_of(self, balancer: Key) -> tuple[Manifest, ...]:
        """Remediations of the Balancer of that name with a step that isolates a pod, and that was not taken back."""
        found = (self.remediations.get(key) for key in sorted(self._isolating_of.of(balancer)))
        return tuple(each for each in found if each is not None)

    @property
    def isolating(self) -> Iterator[Key]:
        """Balancers, also those that are gone, that have such Remediations."""
        return iter(self._isolating_of)

    def across_planes(self, namespace: str) -> Iterator[Manifest]:
        """All Balancers of a namespace whose targets are of several planes, else none: they may meet over pods."""
        found = [keys for group in self._of_plane.values() if (keys := group.of(namespace))]
        meeting = found if len(found) > 1 else ()
        return iter([each for keys in meeting for key in keys if (each := self.balancers.get(key)) is not None])

    def remediations_of(self, balancer: Key) -> tuple[Manifest, ...]:
        """Remediations of the Balancer of that name, oldest first (by name within a second)."""
        return tuple(
            sorted(
                self.remediations.group(balancer),
                key=lambda m: (m["metadata"]["creationTimestamp"], m["metadata"]["name"]),
            )
        )

    def left_behind(self) -> Iterator[Manifest]:
        """Remediations whose Balancer is gone."""
        return (each for each in self.remediations if self.balancers.get(balancer_of(each)) is None)


def isolates(remediation: Manifest) -> bool:
    """Whether it has a step that isolates a pod, and was not taken back. Total, too."""
    status = remediation.get("status")
    steps = status.get("steps") if isinstance(status, Mapping) else None
    return isinstance(steps, list) and any(
        isinstance(step, Mapping) and step.get("action") == "Isolate" and step.get("state") != StepState.Reverted
        for step in steps
    )


def balancer_of(remediation: Manifest) -> Key:
    """The Balancer it is about, which may be gone. Total: it sorts what CRDs of another version may have let in."""
    return Key(remediation["metadata"]["namespace"], _text(remediation, "balancerRef", "name"))


def target_of(balancer: Manifest) -> Target:
    """What it targets. Total, too."""
    kind = _text(balancer, "targetRef", "kind") or DEFAULT_KIND
    return Target(balancer["metadata"]["namespace"], kind, _text(balancer, "targetRef", "name"))


def _text(manifest: Manifest, field: str, name: str) -> str:
    """Of the reference in that field of the spec; "" where there is none."""
    found: Any = manifest.get("spec")
    for step in (field, name):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
