"""TraefikServices of the kinds people write, and what the driver makes of each."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from evenload.drivers import driver_of
from evenload.drivers.base import Handle, Problem, RouteProblem
from evenload.model.spec import TargetRef
from tests.unit.drivers.conformance import apply
from tests.unit.drivers.traefik import SHOP, service, traefik_service, weighted

DRIVER = driver_of("TraefikService")


def test_a_missing_weight_counts_as_one() -> None:
    assert DRIVER.backends(weighted(service("a"), service("b", 3)), SHOP).weights == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("manifest", "reason", "says"),
    [
        (traefik_service(mirroring={"name": "a"}), Problem.BackendUnsupported, "spec.mirroring"),
        (traefik_service(failover={"service": {}}), Problem.BackendUnsupported, "spec.failover"),
        (traefik_service(highestRandomWeight={"services": []}), Problem.BackendUnsupported, "highestRandomWeight"),
        (traefik_service(), Problem.NothingToBalance, "spec.weighted.services"),
        (weighted(service("other", 0, kind="TraefikService")), Problem.NothingToBalance, "leads to no Service"),
        (weighted(service("a"), service("a", port=81)), Problem.BackendRepeated, "Service a twice"),
        (
            weighted(service("a"), service("b"), service("c", kind="TraefikService")),
            Problem.BackendUnsupported,
            "TraefikService c a share",
        ),
        (weighted(service("a"), service("b", namespace="other")), Problem.ForeignBackend, "Service other/b"),
        (weighted(service("a"), service("b@file")), Problem.BackendUnsupported, "no name that a Service can have"),
        (weighted(service("a"), service("b", -1)), Problem.Unreadable, "not a TraefikService"),
    ],
)
def test_what_cannot_be_weighted_is_refused_with_a_sentence(
    manifest: dict[str, Any], reason: Problem, says: str
) -> None:
    with pytest.raises(RouteProblem, match=says) as refused:
        DRIVER.backends(manifest, SHOP)
    assert refused.value.reason is reason


def test_a_single_service_has_all_of_the_traffic_and_no_weight_to_write() -> None:
    manifest = weighted(service("a", 7))
    view = DRIVER.backends(manifest, SHOP)
    assert (view.weights, view.handles) == ({"a": 1}, (Handle.Isolate, Handle.Restart))
    with pytest.raises(RouteProblem, match="has one backend"):
        DRIVER.patch(manifest, SHOP, {"a": 7})


def test_a_rule_name_is_refused_for_there_are_no_rules() -> None:
    with pytest.raises(RouteProblem, match="has no rules") as refused:
        DRIVER.backends(weighted(service("a"), service("b")), TargetRef(name="shop", rule_name="main"))
    assert refused.value.reason is Problem.RuleNotFound


def test_stickiness_is_noted() -> None:
    plain = weighted(service("a"), service("b"))
    sticky = weighted(service("a"), service("b"), sticky={"cookie": {}})
    assert DRIVER.backends(plain, SHOP).notes == ()
    assert "sticky cookie" in DRIVER.backends(sticky, SHOP).notes[0]


@pytest.mark.parametrize("replacement", [service("b", 1), service("a", 9), service("a", 1, kind="TraefikService")])
def test_a_patch_fails_on_another_service_at_its_index_even_with_the_same_resource_version(
    replacement: dict[str, Any],
) -> None:
    operations = DRIVER.patch(weighted(service("a", 1), service("b", 1)), SHOP, {"a": 2, "b": 4})
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(weighted(replacement, service("b", 1)), operations)
