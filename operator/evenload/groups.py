"""Keys by group, for every index that is kept beside the objects it is about."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

G = TypeVar("G", bound=Hashable)
K = TypeVar("K", bound=Hashable)


class Groups(Generic[G, K]):
    """A group without keys is not kept: what this holds is bounded by what is in it, not by what ever was."""

    def __init__(self) -> None:
        self._keys: dict[G, set[K]] = {}

    def add(self, group: G, key: K) -> None:
        self._keys.setdefault(group, set()).add(key)

    def discard(self, group: G, key: K) -> None:
        """Take `key` out of `group`, where it may not be."""
        keys = self._keys.get(group)
        if keys is None:
            return
        keys.discard(key)
        if not keys:
            del self._keys[group]

    def of(self, group: G) -> AbstractSet[K]:
        """The keys of `group`, in no order; not to be changed by the caller, and changed by the next call."""
        return self._keys.get(group) or frozenset()

    def pop(self, group: G) -> AbstractSet[K]:
        """The keys of `group`, which is forgotten."""
        return self._keys.pop(group, None) or frozenset()

    def clear(self) -> None:
        self._keys.clear()

    def __iter__(self) -> Iterator[G]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
