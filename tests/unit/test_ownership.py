"""Who owns a rule of a route: one Balancer at most, the same one whoever asks and in whatever order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evenload.drivers.base import BalancerView, RulePlace
from evenload.ownership import Claim, Ownership, owners, taken

RULES = st.frozensets(st.integers(0, 4), min_size=1, max_size=4)
BIRTHS = st.integers(0, 3).map(lambda hour: f"2026-11-01T0{hour}:00:00Z")


def claim(uid: str, rules: frozenset[int], created: str = "2026-11-01T00:00:00Z") -> Claim:
    return Claim(namespace="shop", name=f"bal-{uid}", uid=uid, created=created, rules=rules)


CLAIMS = st.lists(st.tuples(RULES, BIRTHS), max_size=8).map(
    lambda drawn: [claim(f"u{at}", rules, created) for at, (rules, created) in enumerate(drawn)]
)


def view(*rules: int, version: str = "1") -> BalancerView:
    return BalancerView(
        kind="HTTPRoute",
        namespace="shop",
        name="shop",
        uid="r",
        resource_version=version,
        generation=1,
        weights={},
        services={},
        rules=tuple(RulePlace(index=index) for index in rules),
    )


@given(CLAIMS, st.randoms(use_true_random=False))
def test_owners_do_not_depend_on_the_order_of_claims(claims: list[Claim], dice: random.Random) -> None:
    shuffled = list(claims)
    dice.shuffle(shuffled)
    assert owners(shuffled) == owners(claims)


@given(CLAIMS)
def test_each_balancer_owns_all_its_rules_or_none(claims: list[Claim]) -> None:
    owned = owners(claims)
    for each in claims:
        assert {rule for rule, owner in owned.items() if owner == each} in (set(), set(each.rules))


@given(CLAIMS)
def test_who_owns_nothing_lost_to_an_older_one_that_works(claims: list[Claim]) -> None:
    owned = owners(claims)
    for each in claims:
        reason = taken(view(*sorted(each.rules)), each.uid, owned)
        if each in owned.values():
            assert reason is None
        else:
            assert reason is not None
            assert any(owned[rule].seniority < each.seniority for rule in each.rules & owned.keys())


@given(CLAIMS)
def test_the_oldest_is_never_refused(claims: list[Claim]) -> None:
    if claims:
        oldest = min(claims, key=lambda each: each.seniority)
        assert {owners(claims)[rule] for rule in oldest.rules} == {oldest}


@given(CLAIMS, RULES)
def test_a_younger_balancer_changes_nothing_for_those_before_it(claims: list[Claim], rules: frozenset[int]) -> None:
    newcomer = claim("z", rules, "2026-11-01T09:00:00Z")
    before = owners(claims)
    after = owners([*claims, newcomer])
    assert {rule: after[rule] for rule in before} == before


@given(CLAIMS)
def test_one_that_owns_nothing_changes_nothing_by_going(claims: list[Claim]) -> None:
    owned = owners(claims)
    assert owners(each for each in claims if each in owned.values()) == owned


def test_the_refusal_names_the_rule_the_owner_and_the_fix() -> None:
    assert taken(view(0, 1), "u2", owners([claim("u1", frozenset({1}))])) == (
        "HTTPRoute shop: rule 1 is already balanced by Balancer shop/bal-u1, which is older; delete one of the two, or "
        "give each its own rule in spec.targetRef.ruleName"
    )


@pytest.mark.parametrize("kind", ["TraefikService", "IngressRoute", "Service"])
def test_where_rules_have_no_names_none_is_asked_for(kind: str) -> None:
    refusal = taken(replace(view(0), kind=kind), "u2", owners([claim("u1", frozenset({0}))])) or ""
    assert refusal.endswith("which is older; delete one of the two")


def test_at_the_same_second_the_uid_decides() -> None:
    both = [claim("b", frozenset({0})), claim("a", frozenset({0}))]
    assert owners(both)[0].uid == "a"


class Namespace:
    """The Balancers of one route; `reads`: by name, the rules each reads, or None."""

    def __init__(self, **reads: tuple[int, ...] | None) -> None:
        self.reads = reads
        self.manifests = [self.manifest(at, name) for at, name in enumerate(reads)]
        self.read = 0
        self.ownership = Ownership(lambda view: self.manifests, self.view_of)

    def manifest(self, at: int, name: str) -> dict[str, Any]:
        created = f"2026-11-01T00:00:{at:02}Z"
        return {
            "metadata": {"namespace": "shop", "name": name, "uid": name, "generation": 1, "creationTimestamp": created}
        }

    def view_of(self, manifest: Any) -> BalancerView | None:
        self.read += 1
        rules = self.reads[manifest["metadata"]["name"]]
        return None if rules is None else view(*rules)

    def refused(self, turn: int = 1, version: str = "1") -> set[str]:
        names = {each["metadata"]["name"]: each for each in self.manifests if self.reads[each["metadata"]["name"]]}
        return {
            name
            for name, each in names.items()
            if self.ownership.taken(each, view(*(self.reads[name] or ()), version=version), turn)
        }


def test_rules_of_their_own_refuse_nobody() -> None:
    assert Namespace(first=(0,), second=(1,)).refused() == set()


def test_an_unnamed_rule_overlaps_with_a_named_one() -> None:
    assert Namespace(first=(0, 1), second=(1,)).refused() == {"second"}
    assert Namespace(first=(1,), second=(0, 1)).refused() == {"second"}


def test_a_loser_locks_nobody_out_of_its_other_rules() -> None:
    assert Namespace(first=(0,), second=(0, 1), third=(1,)).refused() == {"second"}


def test_a_balancer_that_cannot_read_the_route_owns_nothing() -> None:
    assert Namespace(first=None, second=(0,), third=(0,)).refused() == {"third"}


def test_a_balancer_that_is_being_deleted_owns_nothing() -> None:
    shop = Namespace(first=(0,), second=(0,))
    shop.manifests[0]["metadata"]["deletionTimestamp"] = "2026-11-02T00:00:00Z"
    assert shop.ownership.taken(shop.manifests[1], view(0), 1) is None


def test_ownership_moves_on_the_next_tick() -> None:
    shop = Namespace(first=(0,), second=(0,))
    assert shop.refused() == {"second"}
    shop.reads["first"] = None
    assert shop.refused(turn=2) == set()


def test_within_a_tick_there_is_one_owner_though_the_first_one_goes() -> None:
    shop = Namespace(first=(0,), second=(0,))
    assert shop.refused() == {"second"}
    del shop.manifests[0]
    assert shop.refused() == {"second"}
    assert shop.refused(turn=2) == set()


def test_a_route_that_changed_within_a_tick_is_read_anew() -> None:
    shop = Namespace(first=(0,), second=(1,))
    assert shop.refused() == set()
    shop.reads["second"] = (0,)
    assert shop.refused(version="2") == {"second"}


def test_many_balancers_of_one_route_are_read_once_a_tick() -> None:
    shop = Namespace(**{f"b{at}": (0,) for at in range(50)})
    assert len(shop.refused()) == 49
    assert shop.read == 50


def test_a_route_with_one_balancer_is_not_read_again() -> None:
    shop = Namespace(only=(0,))
    assert shop.refused() == set()
    assert shop.read == 0


def test_balancers_that_are_edited_one_after_the_other_are_asked_anew_and_no_others() -> None:
    contenders = {
        f"b{at}": {
            "metadata": {
                "namespace": "shop",
                "name": f"b{at}",
                "uid": f"u{at}",
                "generation": 1,
                "creationTimestamp": f"2026-11-23T05:00:{at:02}Z",
            }
        }
        for at in range(50)
    }
    asked: list[str] = []

    def view_of(manifest: Mapping[str, Any]) -> BalancerView:
        asked.append(manifest["metadata"]["name"])
        return view(0)

    ownership = Ownership(lambda _: contenders.values(), view_of)
    assert ownership.taken(contenders["b1"], view(0), 1)
    assert len(asked) == 50
    for name in ("b3", "b4", "b5"):
        contenders[name]["metadata"]["generation"] = 2
        assert ownership.taken(contenders[name], view(0), 1)
    assert asked[50:] == ["b3", "b4", "b5"]
    assert ownership.taken(contenders["b0"], view(0), 2) is None
    assert len(asked) == 103  # another tick asks everybody
