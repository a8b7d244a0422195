"""What the operator would see of a balancer that is not applied yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from evenload.cli.foreseeing import Question, route_after
from evenload.cli.rehearsal import Change, documents_of
from evenload.foresight import Answer
from evenload.kube.resources import DESTINATIONRULES, Manifest, Resource
from tests.unit.drivers.istio import destination_rule, rule, to, virtual_service

CANARY = virtual_service(rule(to("web", 90, subset="v1"), to("web", 10, subset="v2")))
SPEC = {"targetRef": {"kind": "VirtualService", "name": "shop"}}


class View:
    """Of a cluster that has these DestinationRules."""

    def __init__(self, *rules: Manifest) -> None:
        self.rules = rules

    def beside(self, resource: Resource, namespace: str) -> Iterator[Manifest]:
        assert (resource, namespace) == (DESTINATIONRULES, "shop")
        return iter(self.rules)


def question(folder: Path, after: Manifest) -> Question:
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(after))
    ((document,), _) = documents_of([file], "shop")
    change = Change(document, None, after, "kubectl", Answer.accepted)
    return Question(change, {"metadata": {"name": "shop", "namespace": "shop"}, "spec": SPEC}, applied=True)


def test_the_pods_of_a_subset_are_those_of_its_destination_rule(tmp_path: Path) -> None:
    view = View(destination_rule(subsets={"v1": {"version": "1"}, "v2": {"version": "2"}}))
    found = route_after(view, question(tmp_path, CANARY))  # type: ignore[arg-type]
    assert found is not None
    assert {key: place.labels for key, place in found.services.items()} == {
        "web/v1": (("version", "1"),),
        "web/v2": (("version", "2"),),
    }


@pytest.mark.parametrize("rules", [(), (destination_rule(subsets={"v1": {"version": "1"}}),)])
def test_where_nothing_describes_a_subset_nobody_knows_its_pods(rules: tuple[Manifest, ...], tmp_path: Path) -> None:
    assert route_after(View(*rules), question(tmp_path, CANARY)) is None  # type: ignore[arg-type]


def test_an_object_that_no_driver_can_read_leads_nowhere(tmp_path: Path) -> None:
    assert route_after(View(), question(tmp_path, virtual_service())) is None  # type: ignore[arg-type]
