"""VirtualServices of the kinds people write, with DestinationRules, and what the driver makes of each."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Handle, Manifest, Place, Problem, RouteProblem
from evenload.kube.resources import DESTINATIONRULES, Resource
from evenload.model.spec import TargetRef
from tests.unit.drivers.conformance import apply
from tests.unit.drivers.istio import SHOP, destination_rule, rule, split, to, virtual_service

DRIVER = driver_of("VirtualService")
SUBSETS = virtual_service(rule(to("web", 90, subset="v1"), to("web", 10, subset="v2")))
TWO = {"v1": {"version": "v1"}, "v2": {"version": "v2", "track": "new"}}


def located(*rules: Manifest, of: Manifest = SUBSETS) -> BalancerView:
    def beside(resource: Resource) -> tuple[Manifest, ...]:
        assert resource == DESTINATIONRULES
        return rules

    return DRIVER.located(DRIVER.backends(of, SHOP), beside)


def test_a_destination_without_a_weight_gets_nothing_beside_others() -> None:
    assert DRIVER.backends(virtual_service(rule(to("a", 100), to("b"))), SHOP).weights == {"a": 100, "b": 0}


@pytest.mark.parametrize("weight", [None, 0, 7, 100])
def test_a_single_destination_has_all_of_the_traffic_and_no_weight_to_write(weight: int | None) -> None:
    manifest = virtual_service(rule(to("a", weight)))
    view = DRIVER.backends(manifest, SHOP)
    assert (view.weights, view.handles) == ({"a": 1}, (Handle.Isolate, Handle.Restart))
    with pytest.raises(RouteProblem, match="has one backend"):
        DRIVER.patch(manifest, SHOP, {"a": 100})


def test_a_host_in_full_is_the_service_of_that_name() -> None:
    view = DRIVER.backends(virtual_service(rule(to("a.shop.svc.cluster.local", 60), to("b", 40))), SHOP)
    assert view.weights == {"a": 60, "b": 40}
    assert view.services["a"] == Place(namespace="shop", name="a")


def test_the_rule_that_is_named_is_the_one_that_is_weighted() -> None:
    manifest = virtual_service(rule(to("a", 50), to("b", 50), name="main"), rule(to("x", 30), to("y", 70), name="rest"))
    view = DRIVER.backends(manifest, TargetRef(kind="VirtualService", name="shop", rule_name="rest"))
    assert (view.weights, view.rules[0].index, view.rules[0].name) == ({"x": 30, "y": 70}, 1, "rest")


@pytest.mark.parametrize(
    ("manifest", "reason", "says"),
    [
        (virtual_service(rule(to("a", 50), to("a", 50))), Problem.BackendRepeated, "destination a twice"),
        (
            virtual_service(rule(to("a", 50, subset="v1"), to("a.shop.svc.cluster.local", 50, subset="v1"))),
            Problem.BackendRepeated,
            r"\(subset v1\) twice",
        ),
        (
            virtual_service(rule(to("a", 50), to("b.other.svc.cluster.local", 50))),
            Problem.ForeignBackend,
            "Service other/b, which is in another namespace",
        ),
        (
            virtual_service(rule(to("a", 50), to("b", 30), to("api.example.com", 20))),
            Problem.BackendUnsupported,
            "host 'api.example.com' is no Service",
        ),
        (virtual_service(rule(to("a", 50), to("b", 30), to("c.shop", 20))), Problem.BackendUnsupported, "'c.shop'"),
        (virtual_service(rule(to("api.example.com"))), Problem.NothingToBalance, "leads to a Service"),
        (
            virtual_service({"delegate": {"name": "inner", "namespace": "team"}}),
            Problem.BackendUnsupported,
            "delegates to VirtualService team/inner, where the weights stand; name that one",
        ),
        (
            virtual_service(tcp=[{"route": [to("a", 50), to("b", 50)]}]),
            Problem.NothingToBalance,
            "routes of tcp and tls are not looked after",
        ),
        (virtual_service(), Problem.NothingToBalance, "no rule of VirtualService shop/shop leads to a Service"),
        (
            virtual_service(rule(to("a", 50), to("b", 50)), rule(to("a", 60), to("b", 40))),
            Problem.RuleAmbiguous,
            "rules 0 and 1",
        ),
        (split(a=-1, b=101), Problem.Unreadable, "not a VirtualService"),
        (split(**{f"a{at}": 1 for at in range(101)}), Problem.BackendUnsupported, "101 destinations"),
    ],
)
def test_what_cannot_be_weighted_is_refused_with_a_sentence(
    manifest: dict[str, Any], reason: Problem, says: str
) -> None:
    with pytest.raises(RouteProblem, match=says) as refused:
        DRIVER.backends(manifest, SHOP)
    assert refused.value.reason is reason


def test_a_rule_that_is_named_and_delegates_is_refused_though_others_split() -> None:
    manifest = virtual_service({"delegate": {"name": "inner"}, "name": "main"}, rule(to("a", 50), to("b", 50)))
    with pytest.raises(RouteProblem, match="VirtualService shop/inner") as refused:
        DRIVER.backends(manifest, TargetRef(kind="VirtualService", name="shop", rule_name="main"))
    assert refused.value.reason is Problem.BackendUnsupported


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (split(a=1, b=2), "the weights of rule 0 come to 3, not to 100"),
        (virtual_service(rule(to("a", 50), to("b", 50), mirror={"host": "c"})), "rule 0 mirrors requests"),
        (virtual_service(rule(to("a", 50), to("b", 50), mirrors=[{"destination": {"host": "c"}}])), "mirrors requests"),
        (virtual_service(rule(to("a", 50), to("b", 50)), {"delegate": {"name": "inner"}}), "delegate to another"),
        (virtual_service(rule(to("a", 50), to("b", 50)), tcp=[{"route": [to("a")]}]), "tcp and tls"),
    ],
)
def test_what_limits_us_and_is_no_reason_to_refuse_is_noted(manifest: dict[str, Any], says: str) -> None:
    [note] = DRIVER.backends(manifest, SHOP).notes
    assert says in note


def test_nothing_is_noted_of_whole_per_cent() -> None:
    assert DRIVER.backends(split(a=90, b=10), SHOP).notes == ()


def test_a_subset_is_the_pods_of_its_service_that_have_its_labels() -> None:
    view = located(destination_rule(subsets=TWO))
    assert view.weights == {"web/v1": 90, "web/v2": 10}
    assert view.services == {
        "web/v1": Place(namespace="shop", name="web", subset="v1", labels=(("version", "v1"),)),
        "web/v2": Place(namespace="shop", name="web", subset="v2", labels=(("track", "new"), ("version", "v2"))),
    }


@pytest.mark.parametrize("host", ["web", "web.shop.svc.cluster.local"])
def test_a_destination_rule_may_name_its_host_either_way(host: str) -> None:
    assert located(destination_rule(host, TWO)).services["web/v1"].labels == (("version", "v1"),)


def test_subsets_of_a_host_may_stand_in_several_destination_rules() -> None:
    one, other = ({name: labels} for name, labels in TWO.items())
    assert (
        located(destination_rule(subsets=one), destination_rule(subsets=other, name="more")).services["web/v2"].labels
    )


def test_a_destination_of_the_whole_service_needs_no_destination_rule() -> None:
    view = DRIVER.backends(split(a=50, b=50), SHOP)
    assert DRIVER.located(view, lambda _: pytest.fail("nothing needs to be read")) is view


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ((), "names subset v1 of Service web, and no DestinationRule of namespace shop for host web has subsets"),
        ((destination_rule("cart", TWO),), "no DestinationRule of namespace shop for host web"),
        ((destination_rule("*.shop.svc.cluster.local", TWO),), "no DestinationRule of namespace shop for host web"),
        (
            (destination_rule(subsets={"v2": {"version": "v2"}}, name="mine"),),
            "DestinationRule mine has no such subset, only v2; add it to spec.subsets there",
        ),
        (
            (
                destination_rule(subsets=TWO, name="one"),
                destination_rule(subsets={"v1": {"version": "old"}}, name="two"),
            ),
            "DestinationRules one, two describe differently",
        ),
        (
            (destination_rule(subsets=TWO, workloadSelector={"matchLabels": {"app": "client"}}),),
            "no DestinationRule of namespace shop",
        ),
        (({"metadata": {"name": "odd"}, "spec": {"host": 7}},), "no DestinationRule of namespace shop"),
        (({"metadata": {"name": "odd"}},), "no DestinationRule of namespace shop"),
        ((destination_rule(subsets=TWO, workloadSelector=7),), "no DestinationRule of namespace shop"),
    ],
)
def test_a_subset_that_nothing_describes_is_refused_with_a_sentence(rules: tuple[Manifest, ...], says: str) -> None:
    with pytest.raises(RouteProblem, match=says) as refused:
        located(*rules)
    assert refused.value.reason is Problem.SubsetUnknown


@pytest.mark.parametrize("replacement", [to("b", 50), to("a", 9), to("a", 50, subset="v1")])
def test_a_patch_fails_on_another_destination_at_its_index_even_with_the_same_resource_version(
    replacement: dict[str, Any],
) -> None:
    operations = DRIVER.patch(split(a=50, b=50), SHOP, {"a": 30, "b": 70})
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(virtual_service(rule(replacement, to("b", 50))), operations)
