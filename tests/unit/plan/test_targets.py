"""Desired shares, and whole numbers that ask for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.model.fleet import Fleet
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Snapshot
from evenload.model.spec import Desired, DesiredType, Share
from evenload.plan.targets import desired_shares, fitted, restored, scaled_down, shares_of, weights_of
from tests.unit.engine.build import NOW, pod, snapshot
from tests.unit.engine.plant import spec

PARTS = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(0, 1e6) | st.integers(0, 100), min_size=1)


def fleet_of(sizes: dict[str, int], *, total: int | None = None, **changes: object) -> Fleet:
    backends = {
        name: Backend(weight=1, pods={f"{name}-{i}": pod(f"{name}-{i}", **changes) for i in range(size)})
        for name, size in sizes.items()
    }
    return Fleet(Snapshot(time=NOW, window=15.0, backends=backends, weights_total=total))


def policy(kind: DesiredType = DesiredType.Even, **shares: int) -> Policy:
    listed = tuple(Share(backend=name, weight=weight) for name, weight in shares.items())
    return Policy.of(spec(desired=Desired(type=kind, shares=listed)))


def test_even_means_even_for_every_ready_pod() -> None:
    assert desired_shares(fleet_of({"a": 2, "b": 1, "c": 0}), policy()).tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_explicit_shares_skip_backends_that_are_not_ready() -> None:
    fleet = fleet_of({"a": 1, "b": 1, "c": 0})
    assert desired_shares(fleet, policy(DesiredType.Explicit, a=30, b=10, c=60)).tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize("shares", [{"a": 1}, {"a": 1, "bb": 1}, {"a": 1, "b": 1, "c": 1}, {"a": 0, "b": 0}])
def test_explicit_shares_that_are_not_of_the_backends_leave_the_weights_as_they_are(shares: dict[str, int]) -> None:
    fleet = Fleet(snapshot({"a-0": {}, "b-0": {}}, weights={"a": 30, "b": 10}, backends="ab"))
    assert desired_shares(fleet, policy(DesiredType.Explicit, **shares)).tolist() == [0.75, 0.25]


def test_explicit_shares_of_none_that_is_ready_fall_back_to_even() -> None:
    fleet = fleet_of({"a": 1, "b": 1, "c": 0})
    assert desired_shares(fleet, policy(DesiredType.Explicit, a=0, b=0, c=100)).tolist() == [0.5, 0.5, 0.0]


def test_nobody_ready_deserves_nothing() -> None:
    assert desired_shares(fleet_of({"a": 0}), policy()).tolist() == [0.0]


def test_capacity_goes_by_annotation_then_by_cpu_limit_then_even() -> None:
    known = Policy.of(spec(desired=Desired(type=DesiredType.ByCapacity)))
    two = {"a": {"capacity": 3.0, "cpu_limit": 1.0}, "b": {"capacity": 1.0, "cpu_limit": 1.0}}

    def shares(**drop: object) -> list[float]:
        backends = {
            name: Backend(weight=1, pods={f"{name}-0": pod(f"{name}-0", **{**values, **drop})})
            for name, values in two.items()
        }
        found: list[float] = desired_shares(Fleet(Snapshot(time=NOW, window=15.0, backends=backends)), known).tolist()
        return found

    assert shares() == [0.75, 0.25]
    assert shares(capacity=None) == [0.5, 0.5]
    two["a"]["cpu_limit"] = 4.0
    assert shares(capacity=None) == [0.8, 0.2]
    assert shares(capacity=None, cpu_limit=None) == [0.5, 0.5]


def test_a_capacity_of_nothing_is_not_known() -> None:
    known = Policy.of(spec(desired=Desired(type=DesiredType.ByCapacity)))
    fleet = fleet_of({"a": 1, "b": 1}, capacity=0.0)
    assert desired_shares(fleet, known).tolist() == [0.5, 0.5]


def test_only_ready_pods_bring_capacity() -> None:
    known = Policy.of(spec(desired=Desired(type=DesiredType.ByCapacity)))
    pods = {"a-0": pod("a-0", capacity=3.0), "a-1": pod("a-1", capacity=3.0, ready=False)}
    backends = {
        "a": Backend(weight=1, pods=pods),
        "b": Backend(weight=1, pods={"b-0": pod("b-0", capacity=1.0)}),
    }
    fleet = Fleet(Snapshot(time=NOW, window=15.0, backends=backends))
    assert desired_shares(fleet, known).tolist() == [0.75, 0.25]


def test_whole_weights_keep_ratios_of_one_to_four_hundred() -> None:
    fleet = fleet_of({"a": 1, "b": 1})
    weights = weights_of(fleet, np.array([400 / 401, 1 / 401]))
    assert weights["a"] / weights["b"] == pytest.approx(400, rel=0.02)
    assert sum(weights.values()) == pytest.approx(2000, abs=2)


def test_a_share_above_nothing_never_becomes_weight_nothing_and_none_is_too_large() -> None:
    assert weights_of(fleet_of({"a": 1, "b": 1}), np.array([1.0, 1e-9])) == {"a": 2000, "b": 1}
    many = {f"b{i:04}": 1 for i in range(2000)}
    shares = np.zeros(2000)
    shares[0] = 1.0
    assert weights_of(fleet_of(many), shares)["b0000"] == 1_000_000


def test_only_proportions_count_and_of_nothing_comes_nothing() -> None:
    fleet = fleet_of({"a": 1, "b": 1})
    assert weights_of(fleet, np.array([0.3, 0.1])) == {"a": 1500, "b": 500}
    assert weights_of(fleet, np.zeros(2)) == {"a": 0, "b": 0}


def test_shares_of_weights_that_are_all_zero_are_zero() -> None:
    assert shares_of(fleet_of({"a": 1, "b": 1}), {"a": 0}).tolist() == [0.0, 0.0]


def test_known_good_weights_come_back_to_the_digit() -> None:
    assert restored(Fleet(snapshot()), policy(), {"a": 7, "b": 7, "c": 8, "d": 7}) == {"a": 7, "b": 7, "c": 8, "d": 7}


@pytest.mark.parametrize(
    "stale",
    [
        {"a": 900, "b": 10, "c": 10, "d": 10},  # not what is desired
        {"a": 2, "b": 1, "c": 1, "d": 1},  # one has too much, nobody too little
        {"a": 7, "b": 10, "c": 10, "d": 10},  # one has too little, nobody too much
        {"a": 1, "b": 1, "c": 1},  # another set of backends
        {"a": 1, "b": 1, "c": 1, "d": 0},  # a ready backend without weight
        None,
    ],
)
def test_known_good_weights_that_no_longer_fit_are_not_put_back(stale: dict[str, int] | None) -> None:
    assert restored(Fleet(snapshot()), policy(), stale) == dict.fromkeys("abcd", 1000)


def test_what_is_put_back_leaves_out_who_is_not_ready() -> None:
    fleet = Fleet(snapshot({"b-0": {"ready": False}}))
    assert restored(fleet, policy(), dict.fromkeys("abcd", 5)) == {"a": 5, "b": 0, "c": 5, "d": 5}


def test_a_fraction_of_small_weights_scales_all_up() -> None:
    assert scaled_down(dict.fromkeys("ab", 1), {"a": 0.1}) == {"a": 10, "b": 100}
    assert scaled_down(dict.fromkeys("ab", 100), {"a": 0.3}) == {"a": 30, "b": 100}


def test_whole_factors_give_the_base_to_the_digit_and_none_gives_zero() -> None:
    assert scaled_down({"a": 7, "b": 3}, {"a": 1.0}) == {"a": 7, "b": 3}
    assert scaled_down({"a": 7, "b": 3}, {"a": 0.0}) == {"a": 0, "b": 3}
    assert scaled_down({"a": 0, "b": 3}, {"a": 0.5}) == {"a": 0, "b": 3}


def test_a_factor_for_nobody_and_a_base_of_nothing_change_nothing() -> None:
    assert scaled_down({"a": 100}, {"gone": 0.5}) == {"a": 100}
    assert scaled_down({"a": 0}, {}) == {"a": 0}


def test_scaling_up_stops_at_the_largest_weight() -> None:
    assert scaled_down({"a": 1, "b": 1_000_000}, {"a": 0.1}) == {"a": 1, "b": 1_000_000}


@given(parts=PARTS)
def test_whole_per_cent_come_to_a_hundred_and_nobody_loses_all_or_gains_from_nothing(parts: dict[str, float]) -> None:
    whole = fitted(parts, 100)
    assert sum(whole.values()) == (100 if any(parts.values()) else 0)
    assert {name for name, weight in whole.items() if weight} == {name for name, part in parts.items() if part}


@given(parts=PARTS)
def test_whole_per_cent_are_off_by_less_than_one_where_everybody_deserves_one(parts: dict[str, float]) -> None:
    total = sum(parts.values())
    shares = {name: 100 * part / total for name, part in parts.items()} if total else {}
    if all(share >= 1 for share in shares.values()):
        assert all(abs(fitted(parts, 100)[name] - share) < 1 for name, share in shares.items())


@given(whole=PARTS.filter(lambda parts: any(parts.values())).map(lambda parts: fitted(parts, 100)))
def test_whole_per_cent_stay_as_they_are(whole: dict[str, int]) -> None:
    assert fitted(whole, 100) == whole


def test_the_largest_remainders_get_what_is_left_and_of_equal_ones_the_first_by_name() -> None:
    assert fitted({"c": 1, "b": 1, "a": 1}, 100) == {"a": 34, "b": 33, "c": 33}
    assert fitted({"a": 10.2, "b": 29.7, "c": 60.1}, 100) == {"a": 10, "b": 30, "c": 60}
    assert fitted({"a": 1, "b": 1, "c": 998}, 100) == {"a": 1, "b": 1, "c": 98}


def test_a_plane_without_a_total_and_more_backends_than_parts_leave_weights_as_they_are() -> None:
    assert fitted({"a": 3, "b": 4}, None) == {"a": 3, "b": 4}
    many = {f"b{at}": 2 for at in range(101)}
    assert fitted(many, 100) == many


def test_weights_of_a_plane_with_a_total_come_to_it() -> None:
    assert weights_of(fleet_of({"a": 1, "b": 1, "c": 1}, total=100), np.array([2.0, 1.0, 0.0])) == {
        "a": 67,
        "b": 33,
        "c": 0,
    }


def test_with_a_total_a_backend_held_back_leaves_its_share_to_the_others_and_gets_it_back_to_the_digit() -> None:
    base = {"a": 40, "b": 40, "c": 20}
    assert scaled_down(base, {"a": 0.05}, 100) == {"a": 3, "b": 65, "c": 32}
    assert scaled_down(base, {"a": 0.0}, 100) == {"a": 0, "b": 67, "c": 33}
    assert scaled_down({"a": 1, "b": 2}, {"a": 1.0}, 100) == {"a": 1, "b": 2}


def test_with_a_total_who_is_not_ready_leaves_its_share_and_known_good_weights_come_back_to_the_digit() -> None:
    known, ready = {"a": 1, "b": 1}, fleet_of({"a": 1, "b": 1}, total=100)
    assert restored(ready, policy(), known) == known
    assert restored(fleet_of({"a": 1, "b": 0}, total=100), policy(), known) == {"a": 100, "b": 0}
