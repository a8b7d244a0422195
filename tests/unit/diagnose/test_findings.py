"""The numbers that go with a diagnosis: each beside what it should be, and from where on it is too much."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.diagnose.findings import (
    error_evidence,
    gain_evidence,
    hottest,
    latency_evidence,
    leak_evidence,
    share_evidence,
    traffic_evidence,
    weight_evidence,
)
from evenload.diagnose.memory import Memory
from evenload.diagnose.trend import Leak
from evenload.model.diagnosis import Evidence
from tests.unit.diagnose.measured import facts
from tests.unit.engine.build import NOW, snapshot

FIRST = np.array([True, False, False, False])


def numbers(evidence: Evidence) -> tuple[float | None, float | None, float | None]:
    return evidence.observed, evidence.expected, evidence.threshold


def test_hot_pods_are_told_worst_first_beside_their_share_and_the_limit() -> None:
    memory = Memory()
    memory.spread = 0.02
    counts = {"a-0": 450.0, "b-0": 500.0, "c-0": 25.0, "d-0": 25.0}
    sight = snapshot({name: {"requests": count} for name, count in counts.items()})
    found = share_evidence(facts(sight, memory, targets_by_backend=np.array([0.2, 0.2, 0.3, 0.3])))
    assert [each.subject for each in found] == ["b-0", "a-0", ""]
    assert numbers(found[0]) == pytest.approx((0.5, 0.2, 0.2 * 1.3))
    assert found[1].sentence == "a-0 gets 45% of the requests; its share is 20%"
    assert found[2].metric == "g"


def test_shares_are_of_the_pods_that_are_judged() -> None:
    """`d` is too new to judge: the others should have a third each."""
    sight = snapshot({"a-0": {"requests": 2000.0}, "d-0": {"age": 5.0}})
    found = share_evidence(facts(sight))
    assert found[0].expected == pytest.approx(1 / 3)
    assert hottest(facts(sight)) == "74% of 181 requests/s go to a (fair: 33%)"


def test_weights_are_told_beside_what_they_should_ask_for() -> None:
    sight = snapshot(weights={"a": 970, "b": 10, "c": 10, "d": 10})
    (wrong,) = weight_evidence(facts(sight))
    assert numbers(wrong) == pytest.approx((0.97, 0.25, 0.25 * 1.3))
    assert wrong.sentence == "weight 970 gives a 97%; it should get 25%"


def test_a_gain_is_told_as_the_factor_that_it_is() -> None:
    (bent,) = gain_evidence(facts(gains_by_backend=np.array([math.log(3.0), 0, 0, 0])), FIRST)
    assert numbers(bent) == pytest.approx((3.0, 1.0, 1.3))
    assert bent.sentence == "weight 100 asks for 25%; the balancer gives a 3x that"


def test_errors_are_told_beside_the_median_pods() -> None:
    sight = snapshot({"a-0": {"errors": 120.0}, **{f"{n}-0": {"errors": 2.4} for n in "bcd"}})
    (bad,) = error_evidence(facts(sight), FIRST)
    assert numbers(bad) == pytest.approx((0.5, 0.01, 0.06))
    assert bad.sentence == "a-0 fails 50% of its 240 requests; the median pod fails 1%"


def test_where_nobody_tells_errors_the_median_is_none() -> None:
    silent = snapshot({f"{n}-0": {"errors": None} for n in "abcd"})
    (unknown,) = error_evidence(facts(silent), FIRST)
    assert unknown.expected == 0.0


def test_latency_is_told_beside_the_median_pods() -> None:
    (slow,) = latency_evidence(facts(snapshot({"a-0": {"latency": 0.08}})), FIRST)
    assert numbers(slow) == pytest.approx((0.08, 0.02, 0.03))
    assert slow.sentence == "a-0 answers in 80 ms; the median pod in 20 ms"


def test_a_leak_is_told_by_the_minute() -> None:
    known = facts()
    uid = known.fleet.pods[0].uid
    known.memory.outlook.leaks[uid] = Leak(seconds=3600.0, soonest=3000.0, latest=4200.0, slope=1e5)  # type: ignore[index]
    (leak,) = leak_evidence(known, FIRST)
    assert numbers(leak) == (3600.0, 4200.0, 3000.0)
    assert leak.sentence == "a-0 gains 6 MB a minute; full in 60 min (50 min to 70 min)"


def test_traffic_is_told_beside_the_usual_or_that_this_is_unknown() -> None:
    memory = Memory()
    for number in range(20):
        memory.baseline.learn_traffic(NOW - 400 + 15 * number, 42.0)
    (known,) = traffic_evidence(facts(memory=memory))
    (unknown,) = traffic_evidence(facts())
    assert (known.observed, known.expected) == (64.0, 42.0)
    assert unknown.sentence == "64 requests/s arrive; what is usual is not known yet"
