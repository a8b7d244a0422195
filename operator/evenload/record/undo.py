"""The command by which a person puts back what an update of a balancer changed besides weights. Pure.

It stands in the Balancer's status, so it holds no value that may be secret: where filters, headers or query parameters
are concerned there is none, and the update has to be taken back where it came from.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from evenload.api.v1alpha1 import LONGEST_UNDO
from evenload.kube.resources import Resource

_MAY_BE_SECRET: Final = frozenset({"filters", "headers", "queryParams"})


class _Absent(NamedTuple):
    """There is nothing at a place."""


_ABSENT: Final = _Absent()


def command(resource: Resource, before: Mapping[str, Any], now: Mapping[str, Any], places: Sequence[str]) -> str:
    """A `kubectl patch` that makes `now` as `before` was, at `places` (JSON Pointers); "" where that may not be shown.

    `before` and `now`: whole objects.
    """
    metadata = now["metadata"]
    operations = [*_operations(before, now, places)]
    if not operations or any(_secret(place, before) for place in places):
        return ""
    name, namespace = shlex.quote(metadata["name"]), shlex.quote(metadata["namespace"])
    kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    patch = shlex.quote(json.dumps(operations, separators=(",", ":"), ensure_ascii=True))
    text = f"kubectl patch {kind} {name} -n {namespace} --type=json -p {patch}"
    return text if len(text) <= LONGEST_UNDO else ""


def _operations(before: Mapping[str, Any], now: Mapping[str, Any], places: Sequence[str]) -> Iterator[dict[str, Any]]:
    for place in places:
        old, new = _at(before, place), _at(now, place)
        if isinstance(old, _Absent):
            yield {"op": "remove", "path": place}
        else:
            yield {"op": "add" if isinstance(new, _Absent) else "replace", "path": place, "value": old}


def _at(manifest: Any, place: str) -> Any:
    for part in _parts(place):
        try:
            manifest = manifest[int(part) if isinstance(manifest, list) else part]
        except (LookupError, ValueError, TypeError):
            return _ABSENT
    return manifest


def _parts(place: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in place.split("/")[1:]]


def _secret(place: str, before: Mapping[str, Any]) -> bool:
    return not _MAY_BE_SECRET.isdisjoint(_parts(place)) or _holds_secret(_at(before, place))


def _holds_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(key in _MAY_BE_SECRET or _holds_secret(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_holds_secret, value))
