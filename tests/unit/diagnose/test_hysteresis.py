"""From one window to what is believed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.diagnose.hysteresis import (
    Confirmed,
    confirm,
    depends,
    empty_with_weight,
    flooded,
    slow_together,
    stopped,
    surging,
)
from evenload.diagnose.memory import Memory
from evenload.model.snapshot import Snapshot
from tests.unit.diagnose.measured import facts, usual
from tests.unit.engine.build import HALF_WINDOW, NOW, later, snapshot


def confirmed(sight: Snapshot, ticks: int, memory: Memory | None = None, **changes: object) -> Confirmed:
    """The last of so many looks at the same sight, half a window apart."""
    known, last = memory or Memory(), None
    for number in range(ticks):
        last = confirm(facts(later(sight, HALF_WINDOW * number), known, **changes), known)
    assert last is not None
    return last


@pytest.mark.parametrize(("rps", "surges"), [(42.0, True), (43.0, False)])
def test_one_and_a_half_times_the_usual_is_a_surge(rps: float, surges: bool) -> None:
    assert surging(facts(memory=usual(rps))) is surges
    assert not surging(facts())


@pytest.mark.parametrize(("requests", "over"), [(1.0, True), (5.0, False)])
def test_traffic_stopped_below_a_fiftieth_of_the_usual(requests: float, over: bool) -> None:
    quiet = snapshot({f"{n}-0": {"requests": requests} for n in "abcd"})
    assert stopped(facts(quiet, usual(64.0))) is over


@pytest.mark.parametrize(("rps", "enough"), [(80 / 15, True), (79 / 15, False)])
def test_it_can_only_stop_where_there_usually_is_enough_to_tell(rps: float, enough: bool) -> None:
    silent = snapshot({f"{n}-0": {"requests": 0.0} for n in "abcd"})
    assert stopped(facts(silent, usual(rps))) is enough
    assert not stopped(facts(silent))


def fails(count: int, cpu: float = 0.08) -> Snapshot:
    return snapshot(
        {f"{n}-0": {"errors": 60.0, "cpu": cpu} if i < count else {"cpu": cpu} for i, n in enumerate("abcde")},
        backends="abcde",
    )


@pytest.mark.parametrize(("count", "common"), [(3, True), (2, False)])
def test_three_fifths_failing_together_have_a_cause_in_common(count: int, common: bool) -> None:
    assert depends(facts(fails(count), usual(64.0))) is common


@pytest.mark.parametrize(("cpu", "explains"), [(0.21, True), (0.2, False)])
def test_a_surge_that_uses_up_the_cpu_explains_it_by_itself(cpu: float, explains: bool) -> None:
    assert depends(facts(fails(5, cpu), usual(40.0))) is not explains


@pytest.mark.parametrize(
    ("latency", "rps", "slow"), [(0.051, 64.0, True), (0.05, 64.0, False), (0.2, 49.0, False), (0.2, 50.0, True)]
)
def test_all_are_slow_together_if_traffic_is_not_up(latency: float, rps: float, slow: bool) -> None:
    """2.5 times the usual 20 ms, at less than 1.3 times the usual traffic."""
    sight = snapshot({f"{n}-0": {"latency": latency} for n in "abcd"})
    assert slow_together(facts(sight, usual(rps))) is slow
    assert not slow_together(facts(sight, usual(rps, latency=None)))
    assert not slow_together(facts(sight))


def test_an_empty_backend_matters_while_it_has_weight() -> None:
    sight = snapshot({"a-0": {"ready": False}, "b-0": {"ready": False}}, weights={"b": 0})
    assert empty_with_weight(facts(sight)).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("sight", "what"),
    [
        (snapshot({"a-0": {"ready": False}}), "empty_backends"),
        (snapshot(weights=dict.fromkeys("abcd", 0)), "all_zero"),
        (fails(4), "dependency"),
    ],
)
def test_what_holds_for_all_is_believed_on_its_second_tick(sight: Snapshot, what: str) -> None:
    assert not getattr(confirmed(sight, 1), what)
    assert getattr(confirmed(sight, 2), what)


FAILS = snapshot({"a-0": {"errors": 120.0}})


def test_a_failing_pod_is_believed_on_its_second_tick_or_at_once_if_a_skew_broke_it() -> None:
    assert not confirmed(FAILS, 1).failing.any()
    assert confirmed(FAILS, 2).failing.tolist() == [True, False, False, False]
    assert confirmed(FAILS, 1, overloaded={"a-0": "uid-a-0"}).failing[0]
    assert not confirmed(snapshot({"a-0": {"errors": 71.0}}), 1, overloaded={"a-0": "uid-a-0"}).failing[0]


@pytest.mark.parametrize(("errors", "recovers"), [(100.0, False), (70.0, True)])
def test_a_pod_whose_errors_fall_by_two_fifths_in_a_tick_may_be_recovering(errors: float, recovers: bool) -> None:
    memory = Memory()
    confirmed(FAILS, 2, memory)
    found = confirm(facts(later(snapshot({"a-0": {"errors": errors}}), 10.0), memory), memory)
    assert found.failing[0] is np.bool_(not recovers)


def test_one_that_drowns_in_more_than_its_share_is_judged_by_that_unless_we_hold_it_back() -> None:
    drowning = snapshot({"a-0": {"requests": 340.0, "errors": 170.0}})
    assert not confirmed(drowning, 3).failing.any()
    assert confirmed(drowning, 3, held_back=("a",)).failing[0]


SLOW = snapshot({"a-0": {"latency": 0.08}})


def test_a_slow_pod_is_believed_on_its_third_tick_in_clean_windows() -> None:
    assert not confirmed(SLOW, 2).slow.any()
    assert confirmed(SLOW, 3).slow.tolist() == [True, False, False, False]
    assert not confirmed(SLOW, 3, told=NOW - 1).slow.any()


@pytest.mark.parametrize(("seconds", "lately"), [(60.0, True), (61.0, False)])
def test_a_pod_was_slow_lately_within_the_last_minute(seconds: float, lately: bool) -> None:
    memory = Memory()
    confirm(facts(SLOW, memory), memory)
    found = confirm(facts(later(snapshot(), seconds), memory), memory)
    assert found.slow_lately.tolist() == [lately, False, False, False]


def share(ratio: float, **first: float) -> Snapshot:
    """The first of ten pods with `ratio` times its share; `first` changes it further."""
    names, requests = "abcdefghij", ratio * 240.0
    rest = {f"{n}-0": {"requests": (2400.0 - requests) / 9} for n in names}
    return snapshot({**rest, "a-0": {"requests": requests, **first}}, backends=names)


def test_twice_its_share_is_far_and_takes_two_ticks_less_takes_three() -> None:
    memory = Memory()
    memory.spread = 0.02
    assert [confirm(facts(later(share(2.1), HALF_WINDOW * n), memory), memory).skew for n in range(2)] == [False, True]
    mild = Memory()
    mild.spread = 0.02
    seen = [confirm(facts(later(share(1.8), HALF_WINDOW * n), mild), mild).skew for n in range(3)]
    assert seen == [False, False, True]


@pytest.mark.parametrize("sign", [{"cpu": 0.24}, {"latency": 0.06}])
def test_one_that_drowns_in_twice_its_share_takes_one_tick(sign: dict[str, float]) -> None:
    far, mild = Memory(), Memory()
    far.spread = mild.spread = 0.02
    assert confirm(facts(share(2.1, **sign), far), far).skew
    assert not confirm(facts(share(1.8, **sign), mild), mild).skew


def flood(cpu: float) -> Snapshot:
    return snapshot({f"{n}-0": {"cpu": cpu} for n in "abcd"})


@pytest.mark.parametrize(("seconds", "lately"), [(22.0, True), (23.0, False)])
def test_what_failed_in_a_flood_is_not_held_against_anybody_while_it_is_in_the_window(
    seconds: float, lately: bool
) -> None:
    memory = usual(40.0)
    confirm(facts(flood(0.21), memory), memory)
    memory.baseline = usual(64.0).baseline
    over = facts(later(fails(5), seconds), memory)
    assert flooded(over, surge=False) is lately
    assert depends(over) is not lately


def bent(gain: float, weight: int, memory: Memory | None = None) -> bool:
    """Whether `a` is said to be bent: the balancer gives it e^gain times its weight's worth."""
    known = memory or Memory()
    measured = np.array([gain, 0.0, 0.0, 0.0])
    sight = snapshot(weights={"a": weight})
    return bool(confirm(facts(sight, known, compensating=True, gains_by_backend=measured), known).bent_by_backend[0])


def test_a_balancer_bends_weights_that_lean_against_a_gain_beyond_the_tolerance() -> None:
    assert bent(math.log(2.0), 50)
    assert not bent(math.log(1.25), 80)
    assert not bent(math.log(2.0), 100)  # nothing leans
    assert not bent(math.log(2.0), 200)  # it leans the other way
    assert bent(math.log(0.5), 200)


def test_it_is_said_until_the_gain_is_half_way_back() -> None:
    memory = Memory()
    assert bent(math.log(2.0), 50, memory)
    assert bent(math.log(1.2), 83, memory)
    assert not bent(math.log(1.1), 90, memory)
    assert not bent(math.log(1.2), 83, memory)


@pytest.mark.parametrize(("gain", "told"), [(0.21, True), (0.19, False)])
def test_what_is_left_of_it_within_twice_the_usual_spread_is_not_said(gain: float, told: bool) -> None:
    memory = Memory()
    memory.spread, memory.bent = 0.1, frozenset("a")
    assert bent(gain, 80, memory) is told


def test_half_of_the_gain_has_to_be_leaned_against() -> None:
    assert bent(math.log(2.0), 70)
    assert not bent(math.log(2.0), 72)


def test_a_backend_without_weight_leans_against_nothing() -> None:
    memory = Memory()
    sight = snapshot(weights={"a": 50, "d": 0})
    gains = np.array([math.log(2.0), 0.0, 0.0, -2.0])
    found = confirm(facts(sight, memory, compensating=True, gains_by_backend=gains), memory)
    assert found.bent_by_backend.tolist() == [True, False, False, False]


@pytest.mark.parametrize("changes", [{}, {"held_back": ("b",)}])
def test_while_our_own_ejection_is_in_the_window_its_shares_are_no_skew(changes: dict[str, object]) -> None:
    memory = Memory()
    memory.spread = 0.02
    own = {"compensating": True, "told": NOW - 1, **changes}
    moving = [facts(later(share(2.1), HALF_WINDOW * n), memory, **own) for n in range(2)]
    assert [confirm(each, memory).skew for each in moving] == [False, not changes]


def test_while_the_total_moves_pods_scraped_in_turn_are_no_skew() -> None:
    memory = Memory()
    memory.spread, memory.rps = 0.02, 100.0
    assert not any(confirm(facts(later(share(2.1), HALF_WINDOW * n), memory), memory).skew for n in range(3))
    memory.rps = 160.0
    assert any(confirm(facts(later(share(2.1), 15.0 + HALF_WINDOW * n), memory), memory).skew for n in range(3))


def after(rps: float, sight: Snapshot) -> bool:
    """Whether skew is raised at once where the total was `rps` a tick ago; it is 160 now."""
    memory = Memory()
    memory.spread, memory.rps = 0.02, rps
    return confirm(facts(sight, memory), memory).skew


def test_a_total_that_falls_while_a_server_drowns_hides_no_skew() -> None:
    """It answers less than it is sent, and it may be sent most of what there is."""
    assert after(400.0, share(2.1, cpu=0.24))
    assert not after(400.0, share(2.1))  # nobody drowns: pods are scraped in turn


@pytest.mark.parametrize(("before", "seen"), [(98.0, True), (96.0, False)])
def test_a_total_that_rises_hides_no_skew_where_all_others_got_no_more(before: float, seen: bool) -> None:
    """Of 160 requests a second the others get 79%: 126.4, up to 1.3 times what all had."""
    assert after(before, share(2.1, cpu=0.24)) is seen
    assert not after(before, share(2.1))


def test_one_that_drowns_but_is_not_hot_explains_no_fall() -> None:
    memory = Memory()
    memory.spread, memory.rps = 0.02, 400.0
    names = "abcdefghij"
    rest = {f"{n}-0": {"requests": (2400.0 - 504.0) / 9} for n in names}
    sight = snapshot({**rest, "a-0": {"requests": 504.0}, "b-0": {"cpu": 0.24}}, backends=names)
    assert not any(confirm(facts(later(sight, HALF_WINDOW * n), memory), memory).skew for n in range(2))


def test_ticks_within_half_a_window_are_one_look() -> None:
    memory = Memory()
    seen = [bool(confirm(facts(later(FAILS, 2.0 * n), memory), memory).failing[0]) for n in range(5)]
    assert seen == [False, False, False, False, True]  # the fifth is 8 s after the first; half a window is 7.5


def test_few_failures_have_to_last_into_a_window_that_shares_no_sample() -> None:
    """Eight of 31: among four pods 1 in 30,000 by chance, which is not as good as two such windows."""
    few = snapshot({f"{n}-0": {"requests": 31.0, "errors": 8.0 if n == "a" else 0.0} for n in "abcd"})
    assert [bool(confirmed(few, looks).failing[0]) for looks in (2, 3)] == [False, True]


def test_while_the_others_fail_more_than_usual_too_it_may_be_what_they_share() -> None:
    """One shows half of its requests failing, the others 4% as yet: it may just have been scraped first."""
    spreads = snapshot({f"{n}-0": {"errors": 120.0 if n == "a" else 10.0} for n in "abcd"})
    assert [bool(confirmed(spreads, looks).failing[0]) for looks in (3, 4)] == [False, True]


def test_nobody_is_blamed_while_most_fail() -> None:
    """The others are over their limit on the tick on which the first could be believed to fail."""
    memory = Memory()
    confirm(facts(FAILS, memory), memory)
    all_fail = snapshot({f"{n}-0": {"errors": 120.0 if n == "a" else 20.0} for n in "abcd"})
    assert not confirm(facts(later(all_fail, HALF_WINDOW), memory), memory).failing.any()


def bursty() -> Memory:
    """A quarter of an hour in which traffic goes up and down by a third, about 42 requests a second."""
    memory = Memory()
    for number in range(21):
        memory.baseline.learn_traffic(NOW - 400 + 15 * number, 42.0 * (1.0, 1.4, 0.7)[number % 3])
    return memory


def test_a_surge_within_what_bursts_come_to_has_to_last_into_a_window_that_shares_no_sample() -> None:
    assert [confirmed(snapshot(), looks, bursty()).surge for looks in (2, 3)] == [False, True]
    assert confirmed(snapshot(), 2, usual(42.0)).surge
