"""A Service and routes over it: whose are its pods? One owner, the same whoever asks and in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evenload.drivers.base import BalancerView, Place, RulePlace
from evenload.overlap import Overlap


class Namespace:
    """Balancers, oldest first, each by name with its target: "a" is Service a, "a+b" a route over Services a and b,
    "mesh:a+b" a VirtualService over them, "ingress:a+b" an IngressRoute."""

    def __init__(self, **targets: str | None) -> None:
        self.targets = targets
        self.manifests = {name: manifest(name, at) for at, name in enumerate(targets)}
        self.losers: set[str] = set()  # over the rules of a route
        self.overlap = Overlap(
            lambda _: self.manifests.values(), self.view_of, lambda each, _: _name(each) in self.losers
        )

    def view_of(self, each: Any) -> BalancerView | None:
        target = self.targets[_name(each)]
        return None if target is None else view(target)

    def taken(self, name: str, turn: int = 1) -> str | None:
        target = self.targets[name]
        assert target is not None
        return self.overlap.taken(self.manifests[name], view(target), turn)

    def refused(self, turn: int = 1) -> set[str]:
        return {name for name, target in self.targets.items() if target is not None and self.taken(name, turn)}


def manifest(name: str, at: int) -> dict[str, Any]:
    created = f"2026-11-01T00:00:{at:02}Z"
    return {"metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 1, "creationTimestamp": created}}


def _name(each: Any) -> str:
    return str(each["metadata"]["name"])


def view(target: str) -> BalancerView:
    prefix, _, services = target.rpartition(":")
    names = services.split("+")
    kinds = {"mesh": "VirtualService", "ingress": "IngressRoute", "": "Service" if len(names) == 1 else "HTTPRoute"}
    return BalancerView(
        kind=kinds[prefix],
        namespace="shop",
        name=target,
        uid="r",
        resource_version="1",
        generation=1,
        weights=dict.fromkeys(names, 1),
        services={name: Place(namespace="far" if name == "far" else "shop", name=name) for name in names},
        rules=(RulePlace(index=0),),
    )


def test_of_a_service_and_a_route_over_it_the_older_one_owns_the_pods() -> None:
    assert Namespace(route="a+b", service="a").refused() == {"service"}
    assert Namespace(service="a", route="a+b").refused() == {"route"}


def test_the_refusal_names_the_owner_and_the_fix() -> None:
    assert Namespace(route="a+b", service="a").taken("service") == (
        "the pods of Service shop/a are already looked after by Balancer shop/route (of HTTPRoute a+b), which is "
        "older; delete one of the two"
    )


def test_two_routes_over_the_same_services_refuse_each_other_nothing() -> None:
    assert Namespace(one="a+b", other="a+b", service="c").refused() == set()


def test_of_a_route_and_a_virtual_service_over_one_service_the_older_one_owns_its_pods() -> None:
    assert Namespace(route="a+b", mesh="mesh:b+c", other="c+d").refused() == {"mesh"}
    assert Namespace(mesh="mesh:b+c", route="a+b", service="c", more="mesh:c+d").refused() == {"route", "service"}


def test_an_ingress_route_excludes_a_service_and_a_virtual_service_and_no_other_route() -> None:
    assert Namespace(ingress="ingress:a+b", route="a+b", service="a", mesh="mesh:b+c").refused() == {"service", "mesh"}
    assert Namespace(service="a", ingress="ingress:a+b").refused() == {"ingress"}


def test_a_loser_locks_nobody_out() -> None:
    assert Namespace(first="a", second="a+b", third="b").refused() == {"second"}
    beaten = Namespace(route="a+b", service="a")
    beaten.losers = {"route"}
    assert beaten.refused() == set()


def test_what_reads_nothing_or_is_being_deleted_owns_nothing() -> None:
    assert Namespace(route=None, service="a").refused() == set()
    ending = Namespace(route="a+b", service="a")
    ending.manifests["route"]["metadata"]["deletionTimestamp"] = "2026-11-02T00:00:00Z"
    assert ending.refused() == set()


def test_a_service_of_another_namespace_is_not_the_one_of_that_name_here() -> None:
    assert Namespace(route="far+b", service="far").refused() == set()


def test_ownership_moves_on_the_next_tick() -> None:
    shop = Namespace(route="a+b", service="a")
    assert shop.refused() == {"service"}
    shop.targets["route"] = None
    assert shop.refused() == {"service"}
    assert shop.refused(turn=2) == set()


def test_one_that_comes_within_a_tick_is_judged_too() -> None:
    shop = Namespace(route="a+b")
    assert shop.refused() == set()
    shop.targets["late"] = "a"
    shop.manifests["late"] = manifest("late", 9)
    assert shop.refused() == {"late"}


TARGETS = st.lists(st.sampled_from(["a", "b", "c", "a+b", "b+c", "a+c", "a+b+c"]), max_size=7)


@given(TARGETS)
def test_no_service_is_looked_after_both_by_itself_and_behind_a_route(targets: list[str]) -> None:
    shop = Namespace(**{f"b{at}": target for at, target in enumerate(targets)})
    working = [shop.targets[name] for name in shop.targets.keys() - shop.refused()]
    themselves = {target for target in working if target is not None and "+" not in target}
    behind = {name for target in working if target is not None and "+" in target for name in target.split("+")}
    assert not themselves & behind


@given(TARGETS)
def test_who_is_refused_lost_to_an_older_one_that_works(targets: list[str]) -> None:
    shop = Namespace(**{f"b{at}": target for at, target in enumerate(targets)})
    refused = shop.refused()
    for name in refused:
        (owner,) = [other for other in shop.targets if f"Balancer shop/{other} " in str(shop.taken(name))]
        assert owner not in refused
        assert int(owner[1:]) < int(name[1:])
