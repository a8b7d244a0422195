"""Explicit shares are of exactly the backends that there are, or they say nothing."""

from __future__ import annotations

import math

import msgspec
import pytest

from evenload.drivers.base import BalancerView, Problem, RouteProblem, check_shares
from evenload.errors import InputError
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.spec import Desired, DesiredType, Share
from tests.unit.engine.plant import spec

BACKENDS = ("shop-a", "shop-b", "shop-c")


def policy(shares: dict[str, float], kind: DesiredType = DesiredType.Explicit) -> Policy:
    listed = tuple(Share(backend=name, weight=weight) for name, weight in shares.items())  # type: ignore[arg-type]
    return Policy.of(spec(desired=Desired(type=kind, shares=listed)))


def told(**shares: float) -> str | None:
    named = {name.replace("_", "-"): weight for name, weight in shares.items()}
    return shares_problem(policy(named), BACKENDS, "HTTPRoute shop")


def test_each_backend_once_is_right_and_0_is_a_share() -> None:
    assert told(shop_a=2, shop_b=1, shop_c=0) is None


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    assert told(shop_a=1, shop_b=1, shop_c=1, shop_d=1) == (
        'spec.desired.shares: "shop-d" is not a backend of HTTPRoute shop; its backends are shop-a, shop-b, shop-c'
    )
    assert '"shop-d", "shop-e" are not backends of' in str(told(shop_a=1, shop_b=1, shop_c=1, shop_d=1, shop_e=1))


def test_a_backend_that_is_left_out_is_told() -> None:
    assert told(shop_a=1, shop_b=1) == (
        "spec.desired.shares: no share is given for shop-c; name every backend, 0 to send it nothing"
    )


def test_a_misspelt_name_is_both() -> None:
    assert told(shop_aa=1, shop_b=1, shop_c=1) == (
        'spec.desired.shares: "shop-aa" is not a backend of HTTPRoute shop; its backends are shop-a, shop-b, shop-c; '
        "no share is given for shop-a; name every backend, 0 to send it nothing"
    )


def test_all_0_would_fail_every_request() -> None:
    assert told(shop_a=0, shop_b=0, shop_c=0) == (
        "spec.desired.shares: every share is 0; leave at least one backend above 0"
    )


@pytest.mark.parametrize("kind", [DesiredType.Even, DesiredType.ByCapacity])
def test_shares_that_nobody_reads_are_nobodys_problem(kind: DesiredType) -> None:
    assert shares_problem(policy({"shop-x": 1}, kind), BACKENDS) is None


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf])
def test_a_share_that_is_no_number_from_0_up_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match=r"spec\.desired\.shares: the share of shop-a is"):
        policy({"shop-a": weight})


def test_one_backend_twice_is_refused() -> None:
    twice = Desired(type=DesiredType.Explicit, shares=(Share(backend="a", weight=1), Share(backend="a", weight=2)))
    with pytest.raises(InputError, match=r"spec\.desired\.shares: a is named twice"):
        Policy.of(spec(desired=twice))


def test_a_route_with_other_backends_is_a_problem_of_its_own() -> None:
    view = BalancerView(
        kind="HTTPRoute",
        namespace="shop",
        name="shop",
        uid="u",
        resource_version="1",
        generation=1,
        weights=dict.fromkeys(BACKENDS, 1),
        services={},
        rules=(),
    )
    right = policy(dict.fromkeys(BACKENDS, 1))
    assert check_shares(right, view) is view
    with pytest.raises(RouteProblem, match='"shop-x" is not a backend of HTTPRoute shop') as raised:
        check_shares(policy({"shop-x": 1}), view)
    assert raised.value.reason is Problem.SharesInvalid
    renamed = msgspec.structs.replace(view, weights={"till/shop-x": 1})
    assert check_shares(policy({"till/shop-x": 1}), renamed) is renamed
