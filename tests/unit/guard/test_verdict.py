"""What the guard says of an update, in Python: the table that its CEL is held to as well (tests/integration/guard)."""

from __future__ import annotations

import pytest

from evenload.drivers.base import RouteProblem
from evenload.guard.verdict import Verdict, rules_of, sentence, verdict
from evenload.model.spec import GuardMode, TargetRef
from tests.support.guardcases import CASES, KINDS, Case, drawn, made, of_each_kind

BAD = next(case for case in CASES if case.name == "nearly-all-to-one")


def said(case: Case, kind: str, mode: str = "Deny") -> Verdict:
    return verdict(*case.objects(kind, "shop"), case.balancer(kind, "shop", mode=mode))


@pytest.mark.parametrize(
    ("case", "kind"), [pytest.param(*each, id=f"{each[0].name}-{each[1]}") for each in of_each_kind()]
)
def test_each_update_of_the_table_is_judged_as_it_says(case: Case, kind: str) -> None:
    found = said(case, kind)
    assert found.sentence == (sentence("shop", case.said) if case.said else "")
    assert found.override == case.override
    assert found.refused == (bool(case.said) and not case.override)


def test_a_mistake_under_a_guard_that_warns_is_not_refused() -> None:
    found = said(BAD, "HTTPRoute", "Warn")
    assert found.mode is GuardMode.Warn
    assert found.mistakes
    assert not found.refused


def test_a_balancer_without_the_field_warns() -> None:
    balancer = BAD.balancer("HTTPRoute", "shop")
    del balancer["spec"]["guard"]
    assert verdict(*BAD.objects("HTTPRoute", "shop"), balancer).mode is GuardMode.Warn


@pytest.mark.parametrize("changed", ["namespace", "kind", "deleted"])
def test_a_balancer_of_something_else_has_no_say(changed: str) -> None:
    balancer = BAD.balancer(
        "GRPCRoute" if changed == "kind" else "HTTPRoute", "other" if changed == "namespace" else "shop"
    )
    if changed == "deleted":
        balancer["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not verdict(*BAD.objects("HTTPRoute", "shop"), balancer).mistakes


@pytest.mark.parametrize("manager", ["flagger", "gatewayAPI", "kruise-rollout"])
@pytest.mark.parametrize(
    ("kind", "field"), [("HTTPRoute", "rules"), ("TraefikService", "weighted"), ("IngressRoute", "routes")]
)
def test_what_a_canary_controller_wrote_is_its_own(manager: str, kind: str, field: str) -> None:
    before, after = BAD.objects(kind, "shop")
    after["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": {"f:spec": {f"f:{field}": {}}}}]
    assert not verdict(before, after, BAD.balancer(kind, "shop")).mistakes


def test_a_canary_controller_that_wrote_a_status_owns_no_weights() -> None:
    before, after = BAD.objects("HTTPRoute", "shop")
    entry = {"manager": "flagger", "subresource": "status", "fieldsV1": {"f:spec": {"f:rules": {}}}}
    after["metadata"]["managedFields"] = [entry]
    assert verdict(before, after, BAD.balancer("HTTPRoute", "shop")).refused


def test_the_rules_are_those_that_the_driver_looks_after() -> None:
    """Where the driver reads weights at all, the guard reads the same."""
    compared = 0
    for case, kind in drawn(7, 500):
        manifest = case.objects(kind, "shop")[0]
        driver = KINDS[kind]
        assert driver.split is not None
        try:
            view = driver.backends(manifest, TargetRef(kind=kind, name="shop"))
        except RouteProblem:
            continue
        compared += 1
        for rule in rules_of(manifest, driver.split, ""):
            weights = {each.backend: each.weight for each in rule}
            assert weights == view.weights or len(weights) == 1
    assert compared > 50


def test_what_a_driver_writes_to_make_it_even_passes() -> None:
    """However uneven it was: no backend gets more than its share."""
    for case, kind in drawn(11, 300):
        before = made(KINDS[kind], "shop", "shop", case.before[:1], {})
        even = [{**each, "weight": 1000} for each in case.before[0]]
        after = made(KINDS[kind], "shop", "shop", [even], {})
        assert not verdict(before, after, Case("even", [], []).balancer(kind, "shop")).mistakes
