"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from evenload.audit.field import Field, Keys
from evenload.audit.world import Object, World
from evenload.model.base import Value


class Severity(StrEnum):
    """How sure it is that something is wrong, the worst first."""

    error = "error"  # requests, evictions or scaling fail because of it
    warning = "warning"  # load will be uneven, or a fault will be worse than it need be
    info = "info"  # worth knowing where load is uneven; often meant


ORDER = {severity: place for place, severity in enumerate(Severity)}
"""The worst is 0."""


class Hit(NamedTuple):
    """One place where a rule does not hold: the field, and a sentence with the values that stand there."""

    field: Field
    what: str


Check = Callable[[Object, World], Iterator[Hit]]


class Rule(NamedTuple):
    """One small question about objects of `kinds`.

    `needs`: other kinds without which it says nothing. Where a rule would say that something is missing, it asks the
    world whether all objects of that kind are known (`World.complete`). `passing`: in the moment after a change it may
    find what is over in the next.
    """

    id: str
    severity: Severity
    kinds: tuple[str, ...]
    meaning: str
    fix: str
    check: Check
    needs: tuple[str, ...] = ()
    passing: bool = False


class Finding(Value, frozen=True, kw_only=True):
    """A hit of a rule on an object: `path` is the field, `keys` the same for programs, `place` the object's number.

    `suppressed`: the reason that the object gives for leaving it so.
    """

    rule: str
    severity: Severity
    kind: str
    namespace: str
    name: str
    path: str
    keys: Keys
    place: int
    what: str
    fix: str
    suppressed: str | None = None
