"""Services of other namespaces: who has to agree, and names that could be mistaken for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Granted, Place, Problem, RouteProblem, refuse_foreign
from evenload.model.spec import TargetRef
from tests.unit.drivers.routes import ref, route, rule

SHOP = TargetRef(name="shop")
GRANTED, NOT_GRANTED = (lambda service: True), (lambda service: False)


def parent(name: str, resolved: str) -> dict[str, Any]:
    return {"parentRef": {"name": name}, "conditions": [{"type": "ResolvedRefs", "status": resolved}]}


RESOLVED, UNRESOLVED = [parent("web", "True")], [parent("web", "False")]
HALF = [*RESOLVED, {"parentRef": {"name": "inner"}, "conditions": []}]


def view(foreign: str = "victim", parents: list[dict[str, Any]] | None = None) -> BalancerView:
    manifest = route(rule(ref("a", 1), ref("dns", 1, namespace=foreign)))
    manifest["status"] = {"parents": parents or []}
    return driver_of("HTTPRoute").backends(manifest, SHOP)


def test_services_of_the_routes_own_namespace_need_nobodys_leave() -> None:
    refuse_foreign(view(foreign="shop"), None)


@pytest.mark.parametrize(
    ("granted", "parents", "why"),
    [
        (None, RESOLVED, "crossNamespaceBackends"),
        (NOT_GRANTED, RESOLVED, "no ReferenceGrant in namespace victim"),
        (GRANTED, [], "ResolvedRefs"),
        (GRANTED, UNRESOLVED, "ResolvedRefs"),
        (GRANTED, HALF, "ResolvedRefs"),
    ],
    ids=["not by the installation", "no grant", "no gateway", "unresolved", "by one gateway only"],
)
def test_a_service_of_another_namespace_is_refused(
    granted: Granted | None, parents: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(RouteProblem, match=why) as refused:
        refuse_foreign(view(parents=parents), granted)
    assert refused.value.reason is Problem.ForeignBackend
    assert "Service victim/dns" in str(refused.value)


def test_a_service_of_another_namespace_is_taken_where_all_agree() -> None:
    asked: list[Place] = []

    def granted(service: Place) -> bool:
        asked.append(service)
        return True

    refuse_foreign(view(parents=RESOLVED), granted)
    assert asked == [Place(namespace="victim", name="dns")]


@given(st.text(min_size=1, max_size=70), st.none() | st.text(min_size=1, max_size=70))
def test_whatever_a_reference_is_called_no_service_elsewhere_is_meant_by_its_name(
    name: str, namespace: str | None
) -> None:
    where = {} if namespace is None else {"namespace": namespace}
    try:
        seen = driver_of("HTTPRoute").backends(route(rule(ref("a", 1), ref(name, 1, **where))), SHOP)
    except RouteProblem:
        return
    (found,) = [service for service in seen.services.values() if service.name == name]
    assert found.namespace == (namespace or "shop")
    assert "/" not in name


@pytest.mark.parametrize("name", ["victim/dns", "../dns", "dns.victim", "DNS", "dns ", "-dns", "d" * 64])
def test_a_name_that_no_service_can_have_is_refused(name: str) -> None:
    with pytest.raises(RouteProblem, match=r"backendRefs\[\]\.name") as refused:
        driver_of("HTTPRoute").backends(route(rule(ref("a", 1), ref(name, 1))), SHOP)
    assert refused.value.reason is Problem.BackendUnsupported
