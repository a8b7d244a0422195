"""Ten thousand objects take ten times what a thousand take: no rule searches through all of them for each."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.audit import behind, routes, services
from evenload.audit import field, world
from evenload.audit.run import audit
from tests.unit.audit.cases import ALL, CASES, Manifest


def steps(monkeypatch: pytest.MonkeyPatch, manifests: list[Manifest]) -> Counter[str]:
    """How often a field was read and a selector compared. They are what rules and indexes are made of."""
    counted: Counter[str] = Counter()
    matches, child = world.Selector.matches, field.Field.__getitem__

    def read(self: field.Field, key: str) -> field.Field:
        counted["fields"] += 1
        return child(self, key)

    def compare(self: world.Selector, labels: Any) -> bool:
        counted["selectors"] += 1
        return matches(self, labels)

    with monkeypatch.context() as patch:
        patch.setattr(field.Field, "__getitem__", read)
        patch.setattr(world.Selector, "matches", compare)
        audit(world.World(world.objects_of(manifests), ALL, "2026-11-28"))
    return counted


def of(size: int) -> list[Manifest]:
    """All in one namespace, which is the worst case."""
    made = [*routes(size // 10, size), *services(size), *behind(size), *copies(size // 10)]
    return [{**each, "metadata": {**each["metadata"], "namespace": "n"}} for each in made]


def copies(count: int) -> list[Manifest]:
    """The bad objects of all rules, again and again under other names."""
    bad = [manifest for case in CASES.values() for manifest in case.bad]
    return [
        {
            **each,
            "metadata": {
                **each["metadata"],
                "name": f"{each['metadata']['name']}-{index}",
                "labels": {"app": f"x{index}"},
            },
        }
        for index in range(count)
        for each in bad
        if each["kind"] not in ("PodDisruptionBudget", "Service", "Deployment")
    ]


def test_the_cost_grows_with_the_objects_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = steps(monkeypatch, of(50)), steps(monkeypatch, of(200))
    for what, count in large.items():
        assert count < 5 * small[what], what
