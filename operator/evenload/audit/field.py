"""A field of an object that may hold anything: asked for what it should be, it gives that, or nothing.

A tenant's object is whatever a tenant wrote, so no rule reads a dict itself: a field that is absent and one of another
type look alike, nothing here raises, and each field knows where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_LARGEST: Final = 2**63 - 1

Keys = tuple[str | int, ...]


class Field:
    """A value and its place in the object."""

    __slots__ = ("_key", "_parent", "value")

    def __init__(self, value: object, parent: Field | None = None, key: str | int = "") -> None:
        self.value = value
        self._parent = parent
        self._key = key

    def __getitem__(self, key: str) -> Field:
        return Field(self.value.get(key) if isinstance(self.value, dict) else None, self, key)

    def at(self, *keys: str) -> Field:
        """`field.at("spec", "rules")` is `field["spec"]["rules"]`."""
        found = self
        for key in keys:
            found = found[key]
        return found

    def each(self) -> Iterator[Field]:
        """The items of a list."""
        if isinstance(self.value, list):
            for index, item in enumerate(self.value):
                yield Field(item, self, index)

    def entries(self) -> Iterator[tuple[str, Field]]:
        """The items of a map whose keys are text."""
        if isinstance(self.value, dict):
            for key, item in self.value.items():
                if isinstance(key, str):
                    yield key, Field(item, self, key)

    def texts(self) -> dict[str, str]:
        """A map of text to text, as labels are; what is none is left out."""
        return {key: item.value for key, item in self.entries() if isinstance(item.value, str)}

    @property
    def given(self) -> bool:
        return self.value is not None

    @property
    def true(self) -> bool:
        return self.value is True

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else ""

    @property
    def number(self) -> int | None:
        """A whole number, of those that JSON's readers agree about."""
        number = self.value
        if isinstance(number, int) and not isinstance(number, bool) and -_LARGEST <= number <= _LARGEST:
            return number
        return None

    @property
    def keys(self) -> Keys:
        """The way to it from the object."""
        found: list[str | int] = []
        field: Field | None = self
        while field is not None and field._parent is not None:
            found.append(field._key)
            field = field._parent
        return tuple(reversed(found))

    @property
    def path(self) -> str:
        """ "spec.rules[0].backendRefs", as people write it."""
        return path_of(self.keys)


def path_of(keys: Keys) -> str:
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text
