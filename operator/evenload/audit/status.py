"""Conditions, as all of Kubernetes writes them."""

from __future__ import annotations

from collections.abc import Iterator

from evenload.audit.field import Field
from evenload.audit.finding import Hit
from evenload.audit.world import Object


def current(object_: Object, where: Field) -> Iterator[Field]:
    """The conditions below `where` that speak of the object as it is now."""
    generation = _generation(object_)
    for each in where["conditions"].each():
        observed = each["observedGeneration"].number
        if observed is None or observed >= generation:
            yield each


def stale(object_: Object, where: Field) -> Iterator[Hit]:
    """The first condition below `where` that is of an older generation."""
    generation = _generation(object_)
    for each in where["conditions"].each():
        observed = each["observedGeneration"].number
        if observed is not None and observed < generation:
            yield Hit(each, f"{each['type'].text} is of generation {observed}; the object is at {generation}")
            return


def holds(condition: Field, type_: str, status: str) -> bool:
    return condition["type"].text == type_ and condition["status"].text == status


def reason_of(condition: Field) -> str:
    """ "NoMatchingParent: no listener fits"."""
    return ": ".join(filter(None, (condition["reason"].text, condition["message"].text))) or "without a reason"


def _generation(object_: Object) -> int:
    return object_.root["metadata"]["generation"].number or 0
