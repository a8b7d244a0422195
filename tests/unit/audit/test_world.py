"""Fields of objects that may hold anything, and the indexes over all objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.audit.field import Field
from evenload.audit.world import Scope, Selector, World, host_service, objects_of, selector_of, workload_of
from tests.unit.audit.cases import Manifest, pod, service


def test_a_field_knows_where_it_stands() -> None:
    root = Field(
        {"spec": {"rules": [{}, {"backendRefs": [{"name": "a"}]}]}, "metadata": {"annotations": {"a/b.c": "x"}}}
    )
    rule = list(root["spec"]["rules"].each())[1]
    (ref,) = rule["backendRefs"].each()
    assert ref["name"].path == "spec.rules[1].backendRefs[0].name"
    assert ref["name"].keys == ("spec", "rules", 1, "backendRefs", 0, "name")
    assert root.at("metadata", "annotations", "a/b.c").path == 'metadata.annotations["a/b.c"]'


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1], {"a": 1}, {1: 2}, 2**64])
def test_a_field_of_another_type_is_as_if_it_were_absent(value: Any) -> None:
    field = Field({"x": value})["x"]
    assert field.text == (value if isinstance(value, str) else "")
    assert field.number == (3 if value == 3 else None)
    assert field.true is (value is True)
    assert len(list(field.each())) == (1 if isinstance(value, list) else 0)
    assert [key for key, _ in field.entries()] == (["a"] if value == {"a": 1} else [])
    assert field["nothing"].given is False


# Selectors.


@pytest.mark.parametrize(
    ("expression", "labels", "holds"),
    [
        (("In", ["a", "b"]), {"k": "a"}, True),
        (("In", ["a", "b"]), {}, False),
        (("NotIn", ["a"]), {"k": "b"}, True),
        (("NotIn", ["a"]), {}, True),  # as Kubernetes has it
        (("NotIn", ["a"]), {"k": "a"}, False),
        (("Exists", []), {"k": ""}, True),
        (("Exists", []), {}, False),
        (("DoesNotExist", []), {}, True),
        (("DoesNotExist", []), {"k": "a"}, False),
    ],
)
def test_expressions_are_read_as_kubernetes_reads_them(
    expression: tuple[str, list[str]], labels: dict[str, str], holds: bool
) -> None:
    operator, values = expression
    selector = selector_of(Field({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}))
    assert selector is not None
    assert selector.matches(labels) is holds


def test_an_empty_selector_is_all_and_none_is_nothing() -> None:
    everything = selector_of(Field({}))
    assert everything is not None
    assert everything.matches({"a": "b"})
    assert selector_of(Field(None)) is None
    assert selector_of(Field({"matchExpressions": [{"key": "k", "operator": "Gt", "values": ["1"]}]})) is None


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


@given(st.lists(LABELS, max_size=8), LABELS)
def test_the_index_of_labels_finds_what_a_search_through_all_finds(
    pods: list[dict[str, str]], wanted: dict[str, str]
) -> None:
    manifests = [
        {**pod(f"a-{index}"), "metadata": {"name": f"a-{index}", "labels": labels}} for index, labels in enumerate(pods)
    ]
    found = World(objects_of(manifests)).pods("default", Selector(wanted))
    assert [each.name for each in found] == [
        f"a-{index}" for index, labels in enumerate(pods) if wanted.items() <= labels.items()
    ]


# What is known to be all there is.


@pytest.mark.parametrize(
    ("scope", "lacks"),
    [
        (Scope(), False),
        (Scope(kinds=frozenset({"Service"})), True),
        (Scope(kinds=frozenset({"Service"}), namespaces=frozenset({"shop"})), True),
        (Scope(kinds=frozenset({"Service"}), namespaces=frozenset({"web"})), False),
        (Scope(kinds=frozenset({"Pod"})), False),
    ],
)
def test_an_object_is_missing_only_where_all_of_its_kind_are_known(scope: Scope, lacks: bool) -> None:
    world = World(objects_of([service("a")]), scope)
    assert world.lacks("Service", "shop", "b") is lacks
    assert world.lacks("Service", "shop", "a") is False


# Names.


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("a", ("shop", "a")),
        ("a.web.svc", ("web", "a")),
        ("a.web.svc.cluster.local", ("web", "a")),
        ("a.web", None),  # or a domain
        ("example.com", None),
        ("a.web.svc.example.com", None),
        ("*.web.svc.cluster.local", None),
        ("", None),
    ],
)
def test_a_host_of_istio_is_a_service_only_where_nothing_else_can_be_meant(
    host: str, meant: tuple[str, str] | None
) -> None:
    assert host_service(host, "shop") == meant


@pytest.mark.parametrize(
    ("owner", "labels", "workload"),
    [
        ({"kind": "ReplicaSet", "name": "a-5f6d", "controller": True}, {"pod-template-hash": "5f6d"}, "Deployment a"),
        ({"kind": "ReplicaSet", "name": "a", "controller": True}, {}, "ReplicaSet a"),
        ({"kind": "StatefulSet", "name": "a", "controller": True}, {}, "StatefulSet a"),
        ({"kind": "StatefulSet", "name": "a"}, {}, None),
    ],
)
def test_a_pod_belongs_to_what_controls_it(owner: Manifest, labels: dict[str, str], workload: str | None) -> None:
    manifest = {**pod(), "metadata": {"name": "a-1", "labels": labels, "ownerReferences": [owner]}}
    (found,) = objects_of([manifest])
    assert workload_of(found) == workload
