"""IngressRoutes of the kinds people write, and what the driver makes of each."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from evenload.drivers import driver_of
from evenload.drivers.base import Handle, Problem, RouteProblem
from evenload.model.spec import TargetRef
from tests.unit.drivers.conformance import apply
from tests.unit.drivers.traefik import ROUTED, ingress_route, service

DRIVER = driver_of("IngressRoute")
OTHER = service("other", kind="TraefikService")


def test_a_missing_weight_counts_as_one() -> None:
    assert DRIVER.backends(ingress_route([service("a"), service("b", 3)]), ROUTED).weights == {"a": 1, "b": 3}


def test_routes_with_a_single_service_are_left_alone_beside_one_that_splits() -> None:
    manifest = ingress_route([service("admin", 7)], [service("a", 2), service("b", 3)], [OTHER])
    view = DRIVER.backends(manifest, ROUTED)
    assert (view.weights, [rule.index for rule in view.rules]) == ({"a": 2, "b": 3}, [1])
    assert DRIVER.weights_at(manifest, ROUTED) == (
        "/spec/routes/1/services/0/weight",
        "/spec/routes/1/services/1/weight",
    )


@pytest.mark.parametrize("weight", [None, 0, 7])
def test_a_single_service_has_all_of_the_traffic_whatever_its_weight_and_none_is_written(weight: int | None) -> None:
    manifest = ingress_route([service("a", weight)])
    view = DRIVER.backends(manifest, ROUTED)
    assert (view.weights, view.handles) == ({"a": 1}, (Handle.Isolate, Handle.Restart))
    with pytest.raises(RouteProblem, match="has one backend"):
        DRIVER.patch(manifest, ROUTED, {"a": 7})


@pytest.mark.parametrize(
    ("manifest", "reason", "says"),
    [
        (ingress_route(), Problem.NothingToBalance, "no rule of IngressRoute shop/shop leads to a Service"),
        (ingress_route([]), Problem.NothingToBalance, "give one of spec.routes a service"),
        (ingress_route([service("api@internal", kind="TraefikService")]), Problem.NothingToBalance, "spec.routes"),
        (
            ingress_route([OTHER]),
            Problem.BackendUnsupported,
            "leads to TraefikService shop/other, where the weights stand; name that one in spec.targetRef",
        ),
        (ingress_route([service("a"), service("a", port=81)]), Problem.BackendRepeated, "rule 0 .* Service a twice"),
        (
            ingress_route([service("a"), service("b"), OTHER]),
            Problem.BackendUnsupported,
            "rule 0 of IngressRoute shop/shop gives TraefikService other a share",
        ),
        (ingress_route([service("a"), OTHER]), Problem.BackendUnsupported, "TraefikService other a share"),
        (ingress_route([service("a"), service("b", namespace="other")]), Problem.ForeignBackend, "Service other/b"),
        (ingress_route([service("b", namespace="other")]), Problem.ForeignBackend, "Service other/b"),
        (ingress_route([service("a"), service("b@file")]), Problem.BackendUnsupported, "no name that a Service"),
        (
            ingress_route([service("a"), service("b")], [service("a"), service("b", 2)]),
            Problem.RuleAmbiguous,
            "the same Services with different weights; make them alike, or give each an object",
        ),
        (ingress_route([service("a"), service("b", -1)]), Problem.Unreadable, "not an IngressRoute"),
        (ingress_route(routes="all"), Problem.Unreadable, r"\$.spec.routes"),
    ],
)
def test_what_cannot_be_weighted_is_refused_with_a_sentence(
    manifest: dict[str, Any], reason: Problem, says: str
) -> None:
    with pytest.raises(RouteProblem, match=says) as refused:
        DRIVER.backends(manifest, ROUTED)
    assert refused.value.reason is reason


@pytest.mark.parametrize("manifest", [ingress_route([service("a"), service("b")]), ingress_route([OTHER])])
def test_a_rule_name_is_refused_for_routes_have_none(manifest: dict[str, Any]) -> None:
    with pytest.raises(RouteProblem, match="have no names; leave it out") as refused:
        DRIVER.backends(manifest, TargetRef(kind="IngressRoute", name="shop", rule_name="main"))
    assert refused.value.reason is Problem.RuleNotFound


def test_stickiness_inside_a_service_that_is_weighted_is_noted() -> None:
    plain, sticky = [service("a"), service("b")], [service("a", sticky={"cookie": {}}), service("b")]
    elsewhere = ingress_route(plain, [service("x", sticky={"cookie": {}})])
    assert DRIVER.backends(ingress_route(plain), ROUTED).notes == ()
    assert DRIVER.backends(elsewhere, ROUTED).notes == ()
    assert "sticky cookie" in DRIVER.backends(ingress_route(sticky), ROUTED).notes[0]


@pytest.mark.parametrize("replacement", [service("b", 1), service("a", 9), service("a", 1, kind="TraefikService")])
def test_a_patch_fails_on_another_service_at_its_index_even_with_the_same_resource_version(
    replacement: dict[str, Any],
) -> None:
    operations = DRIVER.patch(ingress_route([service("a", 1), service("b", 1)]), ROUTED, {"a": 2, "b": 4})
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(ingress_route([replacement, service("b", 1)]), operations)
