"""One tick, measured: each fact alone."""

from __future__ import annotations

import math

import pytest

from evenload.diagnose.facts import overloaded_pods, slowness
from evenload.diagnose.memory import Memory
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.fleet import Fleet
from evenload.model.snapshot import Backend, Snapshot
from tests.unit.diagnose.measured import facts
from tests.unit.engine.build import NOW, pod, snapshot


@pytest.mark.parametrize(("before", "steady"), [(83.0, True), (84.0, False), (49.3, True), (49.0, False), (None, True)])
def test_traffic_is_steady_within_three_tenths_of_the_tick_before(before: float | None, steady: bool) -> None:
    memory = Memory()
    memory.rps = before  # it is 64 a second now
    assert facts(memory=memory).steady is steady


@pytest.mark.parametrize(("seconds_ago", "clean"), [(17.5, True), (17.4, False)])
def test_a_window_is_clean_once_it_lies_after_the_change_and_the_proxys_delay(seconds_ago: float, clean: bool) -> None:
    assert facts(told=NOW - seconds_ago).clean is clean


@pytest.mark.parametrize(("age", "target"), [(17.5, 0.25), (17.4, 0.0)])
def test_a_pod_is_judged_once_it_served_a_whole_window(age: float, target: float) -> None:
    assert facts(snapshot({"a-0": {"age": age}})).pod_targets.tolist() == [target, 0.25, 0.25, 0.25]


def test_ready_pods_share_what_their_backend_should_have() -> None:
    pods = {"a-0": pod("a-0"), "a-1": pod("a-1"), "a-2": pod("a-2", ready=False)}
    sight = Snapshot(
        time=NOW,
        window=15.0,
        backends={"a": Backend(weight=1, pods=pods), "b": Backend(weight=1, pods={"b-0": pod("b-0")})},
    )
    assert facts(sight).pod_targets.tolist() == [0.25, 0.25, 0.0, 0.5]


def test_a_backend_whose_ready_pods_just_changed_is_not_judged() -> None:
    memory = Memory()
    memory.watch(NOW - 5, Fleet(snapshot({"b-0": {"ready": False}})))
    assert facts(memory=memory).pod_targets.tolist() == [0.25, 0.0, 0.25, 0.25]


def test_weights_are_wrong_beyond_the_tolerance_where_somebody_is_ready() -> None:
    assert facts(snapshot(weights={"a": 150})).wrong_by_backend.tolist() == [True, False, False, False]
    assert not facts(snapshot(weights={"a": 140})).wrong_by_backend.any()
    assert not facts(snapshot({"a-0": {"ready": False}}, weights={"a": 900})).wrong_by_backend.any()
    assert not facts(snapshot(weights={"a": 900}), ours=True, compensating=True).wrong_by_backend.any()
    assert facts(snapshot(weights={"a": 900}), ours=True).wrong_by_backend.any()


def test_a_backend_is_starved_by_our_own_weights_and_only_where_traffic_starves_it_too() -> None:
    little: dict[str, object] = {"requests": 80.0}
    sight = snapshot({"a-0": little}, weights={"a": 40})
    assert facts(sight, ours=True).starved_by_backend.tolist() == [True, False, False, False]
    assert not facts(sight).starved_by_backend.any()
    assert not facts(sight, ours=True, compensating=True).starved_by_backend.any()
    assert not facts(snapshot(weights={"a": 40}), ours=True).starved_by_backend.any()
    assert not facts(snapshot({"a-0": little}, weights={"a": 45}), ours=True).starved_by_backend.any()
    unready = snapshot({"a-0": {**little, "ready": False}}, weights={"a": 40})
    assert not facts(unready, ours=True).starved_by_backend.any()


def test_all_weights_at_nothing_are_wrong_too() -> None:
    known = facts(snapshot(weights=dict.fromkeys("abcd", 0)))
    assert known.all_zero
    assert known.weights_wrong
    assert not facts().weights_wrong


def test_a_pod_is_young_for_three_minutes_unless_a_skew_overloaded_it() -> None:
    sight = snapshot({"a-0": {"age": 179.0}, "b-0": {"age": 180.0}, "c-0": {"age": 10.0}, "d-0": {"age": 10.0}})
    known = facts(sight, overloaded={"c-0": "uid-c-0", "d-0": "uid-old"})
    assert known.young.tolist() == [True, False, False, True]
    assert known.marked.tolist() == [False, False, True, False]


@pytest.mark.parametrize(("usual", "limit"), [(None, 0.05), (0.009, 0.05), (0.02, 0.1)])
def test_errors_are_bad_beyond_five_percent_or_five_times_the_usual(usual: float | None, limit: float) -> None:
    memory = Memory()
    memory.baseline.learn_health(usual, None)
    assert facts(memory=memory).error_limit == pytest.approx(limit)


def test_the_share_of_bad_pods_is_of_those_with_twenty_requests() -> None:
    bad: dict[str, object] = {"requests": 20.0, "errors": 2.0}
    assert facts(snapshot({"a-0": bad, "b-0": bad})).bad_ratio == 0.5
    assert facts(snapshot({"a-0": bad, "b-0": {"requests": 19.0, "errors": 2.0}})).bad_ratio == pytest.approx(1 / 3)
    assert facts(snapshot({"a-0": {"requests": 20.0, "errors": 1.0}})).bad_ratio == 0.0


def test_medians_are_of_pods_that_take_traffic() -> None:
    idle = snapshot({"a-0": {"requests": 0.0, "latency": 9.0}, "b-0": {"latency": 0.04}, "c-0": {"latency": 0.03}})
    assert facts(idle).median_latency == 0.03
    leaving = snapshot({"a-0": {"ready": False, "cpu": 0.25}, "b-0": {"cpu": 0.1}, "c-0": {"cpu": None}})
    assert facts(leaving).median_utilization == pytest.approx((0.4 + 0.32) / 2)


@pytest.mark.parametrize(
    ("change", "busy"),
    [
        ({"cpu": 0.22}, True),
        ({"cpu": 0.21}, False),
        ({"latency": 0.051}, True),
        ({"latency": 0.05}, False),
        ({"errors": 13.0}, True),
        ({"errors": 12.0}, False),
    ],
)
def test_cpu_at_its_limit_slow_answers_or_errors_each_show_overload(change: dict[str, object], busy: bool) -> None:
    assert facts(snapshot({"b-0": change})).busy.tolist() == [False, busy, False, False]


def test_a_pod_with_more_than_its_share_is_not_called_slow() -> None:
    assert facts(snapshot({"b-0": {"latency": 0.2}})).slow.tolist() == [False, True, False, False]
    assert not facts(snapshot({"b-0": {"latency": 0.2, "requests": 310.0}})).slow.any()
    assert not facts(snapshot({"b-0": {"latency": 0.2, "errors": 100.0}})).slow.any()


SLOW = Diagnosis(label=Label.Slow, pods=("b-0",))


def slow(**changes: object) -> list[float]:
    found: list[float] = slowness(facts(snapshot({"b-0": {"latency": 0.06, **changes}})), SLOW).tolist()
    return found


def test_slowness_is_the_backends_median_over_that_of_all() -> None:
    assert slow() == pytest.approx([1.0, 3.0, 1.0, 1.0])


@pytest.mark.parametrize("change", [{"cpu": 0.24}, {"requests": 400.0}, {"latency": None}, {"requests": 0.0}])
def test_who_is_busy_has_more_than_its_share_or_says_nothing_is_not_blamed(change: dict[str, object]) -> None:
    assert math.isnan(slow(**change)[1])


def test_only_who_was_named_slow_is_blamed() -> None:
    sight = snapshot({"b-0": {"latency": 0.06}})
    named = Diagnosis(label=Label.Slow, pods=("c-0",))
    assert math.isnan(slowness(facts(sight), named)[1])
    assert math.isnan(slowness(facts(sight), Diagnosis(label=Label.Failing, pods=("b-0",)))[1])


HOT = {"a-0": {"requests": 930.0, "cpu": 0.25}, **{f"{n}-0": {"requests": 10.0} for n in "bcd"}}
SKEWED = Diagnosis(label=Label.LoadBalancerSkew, pods=("a-0",), cause=SkewCause.WeightsWrong)


def marked(
    changed: dict[str, object] | None = None, diagnosis: Diagnosis = SKEWED, weight: int = 900
) -> dict[str, str]:
    sight = snapshot({**HOT, "a-0": {**HOT["a-0"], **(changed or {})}}, weights={"a": weight})
    return overloaded_pods(facts(sight, overloaded={"d-0": "uid-d-0"}), diagnosis)


def test_a_hot_pod_that_shows_overload_is_marked_beside_those_known() -> None:
    assert marked() == {"d-0": "uid-d-0", "a-0": "uid-a-0"}
    assert marked({"cpu": None}) == {"d-0": "uid-d-0", "a-0": "uid-a-0"}


def test_nobody_is_marked_who_stood_it_well_has_no_uid_or_is_hot_no_longer() -> None:
    known = {"d-0": "uid-d-0"}
    assert marked({"cpu": 0.1}) == known
    assert marked({"uid": ""}) == known
    assert marked(weight=100) == known  # the weights are right again: what is hot is lingering
    assert marked(diagnosis=Diagnosis(label=Label.Surge, pods=("a-0",))) == known
    assert marked(diagnosis=Diagnosis(label=Label.LoadBalancerSkew, cause=SkewCause.WeightsWrong)) == known


def test_what_a_pod_that_is_not_ready_tells_is_left_out() -> None:
    seen = facts(snapshot({"a-0": {"ready": False, "requests": 240.0}})).requests
    assert math.isnan(seen[0])
    assert seen[1:].tolist() == [240.0] * 3


@pytest.mark.parametrize(("seconds_ago", "target"), [(17.4, 0.0), (17.6, 0.25)])
def test_a_backend_is_judged_again_once_its_ready_pods_were_the_same_for_a_window(
    seconds_ago: float, target: float
) -> None:
    seen = facts()
    seen.memory.ready_moved_at[0] = NOW - seconds_ago
    assert seen.pod_targets[0] == target


@pytest.mark.parametrize(
    ("errors", "uid", "undecided"), [(120.0, "uid-a-0", True), (0.0, "uid-a-0", False), (120.0, "other", False)]
)
def test_whether_a_pod_recovers_is_open_while_it_fails_and_a_skew_is_why(
    errors: float, uid: str, undecided: bool
) -> None:
    seen = facts(snapshot({"a-0": {"errors": errors}}), told=NOW - 1, overloaded={"a-0": uid})
    assert seen.undecided.tolist() == [undecided, False, False, False]
