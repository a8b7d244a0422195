"""The lab's own objects: rights as small as they can be, names that others rely on."""

from pathlib import Path
from typing import Any

import pytest

from lab import manifests
from lab.layout import GATEWAY_PORT, PROMETHEUS_SERVICE_ADDRESS, Layout


@pytest.fixture
def objects() -> list[dict[str, Any]]:
    return manifests.everything(Layout(name="lab", folder=Path("/f"), programs={}))


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def test_no_role_of_the_lab_has_a_wildcard(objects: list[dict[str, Any]]) -> None:
    rules = [rule for role in of_kind(objects, "ClusterRole") for rule in role["rules"]]
    assert rules
    assert not any("*" in (*rule["apiGroups"], *rule["resources"], *rule["verbs"]) for rule in rules)


def test_traefik_may_change_nothing_but_status(objects: list[dict[str, Any]]) -> None:
    role = next(each for each in of_kind(objects, "ClusterRole") if each["metadata"]["name"] == "lab:traefik")
    writing = [rule for rule in role["rules"] if not set(rule["verbs"]) <= {"get", "list", "watch"}]
    assert all(resource.endswith("/status") for rule in writing for resource in rule["resources"])


def test_the_gateway_takes_routes_from_every_namespace_at_traefik_s_port(objects: list[dict[str, Any]]) -> None:
    (gateway,) = of_kind(objects, "Gateway")
    (listener,) = gateway["spec"]["listeners"]
    assert listener["port"] == GATEWAY_PORT
    assert listener["allowedRoutes"] == {"namespaces": {"from": "All"}}


def test_prometheus_has_an_address_that_never_changes(objects: list[dict[str, Any]]) -> None:
    (service,) = of_kind(objects, "Service")
    assert service["spec"]["clusterIP"] == PROMETHEUS_SERVICE_ADDRESS
    assert "selector" not in service["spec"]


def test_the_slice_belongs_to_the_service(objects: list[dict[str, Any]]) -> None:
    (piece,) = of_kind(objects, "EndpointSlice")
    assert piece["metadata"]["labels"]["kubernetes.io/service-name"] == "prometheus"


def test_namespaces_come_before_what_is_in_them(objects: list[dict[str, Any]]) -> None:
    kinds = [each["kind"] for each in objects]
    namespaced = [index for index, each in enumerate(objects) if "namespace" in each["metadata"]]
    assert max(index for index, kind in enumerate(kinds) if kind == "Namespace") < min(namespaced)
