"""Who selects a pod by its labels, and which label isolates it: out of every Service, and let go of by its ReplicaSet.

A label isolates a pod where its Service and its ReplicaSet both select by it, so that the ReplicaSet makes another pod
at once; and where, without it, no other Service selects the pod (that one would go on sending it requests), and no
other controller does (that one would adopt it). Where none of its labels is such, the pod cannot be isolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from evenload.groups import Groups
from evenload.observe.pods import Labels, Partial

Key = tuple[str, str]
"""Namespace and name."""


class _Expression(Partial):
    key: str
    operator: str
    values: tuple[str, ...] | None = None


class Selector(Partial):
    """A LabelSelector. One that names nothing selects nothing here: controllers must not have it."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[_Expression, ...] | None = None

    def selects(self, labels: Mapping[str, str]) -> bool:
        equal, expressions = self.match_labels or {}, self.match_expressions or ()
        return bool(equal or expressions) and (
            equal.items() <= labels.items() and all(_holds(each, labels) for each in expressions)
        )


def _holds(expression: _Expression, labels: Mapping[str, str]) -> bool:
    """One that nobody knows is taken to hold: then it is in the way."""
    there, values = labels.get(expression.key), expression.values or ()
    match expression.operator:
        case "In":
            return there in values
        case "NotIn":
            return there not in values
        case "Exists":
            return there is not None
        case "DoesNotExist":
            return there is None
        case _:
            return True


class Selectors:
    """Of all objects of one or several kinds, found by a label that they select by."""

    def __init__(self) -> None:
        self._selectors: dict[tuple[str, Key], Selector] = {}  # by kind
        self._by_label: Groups[tuple[str, tuple[str, str] | None], tuple[str, Key]] = Groups()  # by namespace

    def change(self, kind: str, key: Key, after: Selector | None) -> bool:
        """An object of that kind selects so now (None: it is gone); whether that is news."""
        before = self._selectors.get((kind, key))
        if before == after:
            return False
        if before is not None:
            del self._selectors[kind, key]
            self._by_label.discard((key[0], _mark(before)), (kind, key))
        if after is not None:
            self._selectors[kind, key] = after
            self._by_label.add((key[0], _mark(after)), (kind, key))
        return True

    def of(self, kind: str, key: Key) -> Selector | None:
        return self._selectors.get((kind, key))

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> Iterator[tuple[str, Key]]:
        """The objects there that select a pod of these labels."""
        for mark in (None, *labels.items()):
            for found in self._by_label.of((namespace, mark)):
                if self._selectors[found].selects(labels):
                    yield found


def _mark(selector: Selector) -> tuple[str, str] | None:
    """One of the labels that it demands; None where it demands none by its value."""
    return min((selector.match_labels or {}).items(), default=None)


def isolating(
    labels: Labels, service: Selector, owner: Selector, selecting: Callable[[Mapping[str, str]], bool]
) -> str | None:
    """The label ("app=web") whose removal isolates a pod of `labels` that both select; None: there is none.

    `selecting`: whether any Service or controller would select a pod of these labels.
    """
    known = dict(labels)
    both = (service.match_labels or {}).items() & (owner.match_labels or {}).items() & known.items()
    for key, value in sorted(both):
        if not selecting({name: each for name, each in known.items() if name != key}):
            return f"{key}={value}"
    return None
