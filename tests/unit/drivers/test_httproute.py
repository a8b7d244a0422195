"""HTTPRoutes of the kinds people write, and what the driver makes of each."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Handle, Place, Problem, RouteProblem, Writer
from evenload.errors import InputError
from evenload.model.spec import TargetRef
from tests.unit.drivers.conformance import apply
from tests.unit.drivers.routes import ref, route, rule, written_by

DRIVER = driver_of("HTTPRoute")
SHOP = TargetRef(name="shop")


def view_of(manifest: dict[str, Any], target: TargetRef = SHOP) -> BalancerView:
    return DRIVER.backends(manifest, target)


def problem_with(manifest: dict[str, Any], target: TargetRef = SHOP) -> RouteProblem:
    with pytest.raises(RouteProblem) as raised:
        view_of(manifest, target)
    return raised.value


def test_an_unknown_kind_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"spec\.targetRef\.kind.*HTTPRoute"):
        driver_of("Ingress")


def test_a_missing_weight_counts_as_one() -> None:
    assert view_of(route(rule(ref("a"), ref("b", 3)))).weights == {"a": 1, "b": 3}


def test_a_weight_that_was_missing_is_added_and_one_that_was_there_is_replaced() -> None:
    manifest = route(rule(ref("a"), ref("b", 3)))
    operations = DRIVER.patch(manifest, SHOP, {"a": 2, "b": 4})
    assert [operation["op"] for operation in operations] == ["test", "test", "add", "test", "replace"]


def test_only_weights_that_differ_are_written() -> None:
    operations = DRIVER.patch(route(rule(ref("a", 1), ref("b", 3))), SHOP, {"a": 1, "b": 4})
    assert [operation["path"] for operation in operations if operation["op"] != "test"] == [
        "/spec/rules/0/backendRefs/1/weight"
    ]


@pytest.mark.parametrize(
    "replacement",
    [ref("b", 1), ref("a", 9), ref("a", 1, kind="TraefikService", group="traefik.io"), ref("a", 1, namespace="other")],
    ids=["another name", "another weight", "another kind", "another namespace"],
)
def test_a_patch_fails_on_another_backend_at_its_index_even_with_the_same_resource_version(
    replacement: dict[str, Any],
) -> None:
    operations = DRIVER.patch(route(rule(ref("a", 1), ref("b", 1))), SHOP, {"a": 2, "b": 4})
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(route(rule(replacement, ref("b", 1))), operations)


def test_rules_that_split_alike_are_written_together_and_single_backend_rules_are_left() -> None:
    manifest = route(
        rule(ref("a", 1), ref("b", 3)), rule(ref("admin", 5)), rule(ref("b", 3), ref("a", 1), name="images")
    )
    assert [(place.index, place.name) for place in view_of(manifest).rules] == [(0, None), (2, "images")]
    patched = apply(manifest, DRIVER.patch(manifest, SHOP, {"a": 7, "b": 8}))
    assert patched["spec"]["rules"][2]["backendRefs"] == [ref("b", 8), ref("a", 7)]
    assert patched["spec"]["rules"][1] == rule(ref("admin", 5))


def test_a_service_of_another_namespace_is_keyed_with_it() -> None:
    view = view_of(route(rule(ref("a", 1, namespace="shop"), ref("a", 2, namespace="blue"))))
    assert view.weights == {"a": 1, "blue/a": 2}
    assert view.services == {
        "a": Place(namespace="shop", name="a"),
        "blue/a": Place(namespace="blue", name="a"),
    }


def test_all_zero_weights_can_be_read_and_mended() -> None:
    manifest = route(rule(ref("a", 0), ref("b", 0)))
    assert view_of(manifest).weights == {"a": 0, "b": 0}
    assert apply(manifest, DRIVER.patch(manifest, SHOP, {"a": 1, "b": 1})) == route(rule(ref("a", 1), ref("b", 1)))


@pytest.mark.parametrize(
    ("manifest", "reason", "says"),
    [
        (route(rule()), Problem.NothingToBalance, "no rule of HTTPRoute shop/shop leads to a Service"),
        (route(), Problem.NothingToBalance, "give a rule a backendRef"),
        (route(rule(ref("a")), rule(ref("b"))), Problem.RuleAmbiguous, "rules 0 and 1 of HTTPRoute shop/shop lead to"),
        (route(rule(ref("a", 1)), rule(ref("a", 0))), Problem.RuleAmbiguous, "with different weights"),
        (route(rule(ref("a"), ref("a"))), Problem.BackendRepeated, "names Service a twice"),
        (
            route(rule(ref("a"), ref("b"), ref("x", 1, kind="TraefikService", group="traefik.io"))),
            Problem.BackendUnsupported,
            "TraefikService x a share",
        ),
        (
            route(rule(ref("a"), ref("b")), rule(ref("a"), ref("c"))),
            Problem.RuleAmbiguous,
            "lead to different Services",
        ),
        (
            route(rule(ref("a"), ref("b")), rule(ref("a", 9), ref("b"))),
            Problem.RuleAmbiguous,
            "the same Services with different weights; name the rule in spec.targetRef.ruleName",
        ),
        ({"spec": {}}, Problem.Unreadable, "metadata"),
        (route(rule(ref("a", -1), ref("b"))), Problem.Unreadable, "weight"),
    ],
)
def test_a_route_that_cannot_be_balanced_says_why_and_what_to_do(
    manifest: dict[str, Any], reason: Problem, says: str
) -> None:
    problem = problem_with(manifest)
    assert problem.reason is reason
    assert says in str(problem)


@pytest.mark.parametrize(
    ("manifest", "target"),
    [
        (route(rule(ref("a", 9)), rule(), rule(ref("a"))), SHOP),
        (route(rule(ref("a", 9), name="x"), rule(ref("b"), ref("c"))), TargetRef(name="shop", rule_name="x")),
    ],
    ids=["all rules", "a named one"],
)
def test_a_single_service_has_all_of_the_traffic_and_no_weight_to_write(
    manifest: dict[str, Any], target: TargetRef
) -> None:
    view = view_of(manifest, target)
    assert (view.weights, view.handles) == ({"a": 1}, (Handle.Isolate, Handle.Restart))
    assert DRIVER.patch(manifest, target, {"a": 1}) == []
    with pytest.raises(RouteProblem, match="has one backend"):
        DRIVER.patch(manifest, target, {"a": 2})


def test_a_rule_with_a_single_service_is_left_alone_beside_one_that_splits() -> None:
    assert view_of(route(rule(ref("c", 7)), rule(ref("a", 1), ref("b", 2)))).weights == {"a": 1, "b": 2}


def test_a_named_rule_is_chosen_among_differing_ones() -> None:
    manifest = route(rule(ref("a", 1), ref("b", 1), name="x"), rule(ref("c", 2), ref("d", 2), name="y"))
    target = TargetRef(name="shop", rule_name="y")
    assert view_of(manifest, target).weights == {"c": 2, "d": 2}
    patched = apply(manifest, DRIVER.patch(manifest, target, {"c": 3, "d": 1}))
    assert patched["spec"]["rules"][0] == manifest["spec"]["rules"][0]


@pytest.mark.parametrize(
    ("rules", "reason", "says"),
    [
        ([rule(ref("a"), ref("b"), name="x")], Problem.RuleNotFound, 'its named rules are "x"'),
        ([rule(ref("a"), ref("b"))], Problem.RuleNotFound, "set spec.rules[].name"),
        ([rule(name="main")], Problem.NothingToBalance, 'no rule "main"'),
    ],
)
def test_a_rule_name_that_does_not_lead_anywhere_says_so(
    rules: list[dict[str, Any]], reason: Problem, says: str
) -> None:
    problem = problem_with(route(*rules), TargetRef(name="shop", rule_name="main"))
    assert problem.reason is reason
    assert says in str(problem)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": [{"kind": "Canary", "name": "shop", "apiVersion": "flagger.app/v1beta1", "uid": "u"}]},
        {"labels": {"rollouts.argoproj.io/gatewayapi-canary": "in-progress"}},
    ],
)
def test_a_route_of_a_canary_controller_is_read_but_never_written(metadata: dict[str, Any]) -> None:
    manifest = route(rule(ref("a", 100), ref("b", 0)), **metadata)
    assert view_of(manifest).delivery is not None
    with pytest.raises(RouteProblem, match="does not write") as refused:
        DRIVER.patch(manifest, SHOP, {"a": 1, "b": 1})
    assert refused.value.reason is Problem.ProgressiveDelivery


def test_a_route_without_resource_version_is_never_patched() -> None:
    with pytest.raises(RouteProblem, match="resourceVersion"):
        DRIVER.patch(route(rule(ref("a"), ref("b")), resourceVersion=""), SHOP, {"a": 1, "b": 2})


def test_the_newest_owner_of_the_rules_is_the_writer_and_status_writers_are_not() -> None:
    manifest = written_by(
        written_by(route(rule(ref("a"), ref("b"))), "helm", "2026-11-23T05:00:00Z"), "late", "2026-11-23T06:00:00Z"
    )
    manifest["metadata"]["managedFields"][1]["subresource"] = "status"
    view = view_of(manifest)
    assert view.writer == view.rival == Writer(manager="helm", time=1795410000.0)


def test_an_owner_of_other_fields_is_no_writer() -> None:
    manifest = written_by(route(rule(ref("a"), ref("b"))), "labels", "2026-11-23T05:00:00Z")
    manifest["metadata"]["managedFields"][0]["fieldsV1"] = {
        "f:metadata": {"f:labels": {}},
        "f:spec": {"f:hostnames": {}},
    }
    assert view_of(manifest).writer is None


def status(*answers: tuple[str, str, int]) -> list[dict[str, Any]]:
    """One gateway a tuple: Accepted, ResolvedRefs, and the generation it looked at."""
    return [
        {
            "parentRef": {"name": f"gateway-{at}"},
            "conditions": [
                {"type": kind, "status": state, "observedGeneration": seen, "reason": "R", "message": "m"}
                for kind, state in (("Accepted", accepted), ("ResolvedRefs", resolved))
            ],
        }
        for at, (accepted, resolved, seen) in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("answers", "accepted", "resolved"),
    [
        ([], None, None),
        ([("True", "True", 3)], True, True),
        ([("True", "True", 2)], None, None),
        ([("True", "True", 3), ("False", "True", 3)], False, True),
        ([("True", "False", 3), ("True", "True", 2)], None, False),
        ([("Unknown", "True", 3)], None, True),
    ],
)
def test_a_route_is_accepted_when_every_gateway_accepted_this_generation(
    answers: list[tuple[str, str, int]], accepted: bool | None, resolved: bool | None
) -> None:
    view = view_of({**route(rule(ref("a"), ref("b"))), "status": {"parents": status(*answers)}})
    assert (view.accepted, view.resolved) == (accepted, resolved)


def test_a_gateway_that_gives_no_generation_is_believed() -> None:
    answer = status(("True", "True", 3))
    for condition in answer[0]["conditions"]:
        del condition["observedGeneration"]
    assert view_of({**route(rule(ref("a"), ref("b"))), "status": {"parents": answer}}).accepted is True


def test_what_a_gateway_complains_of_is_kept() -> None:
    view = view_of({**route(rule(ref("a"), ref("b"))), "status": {"parents": status(("True", "False", 3))}})
    assert [(parent.name, parent.detail) for parent in view.parents] == [("shop/gateway-0", "R: m")]
