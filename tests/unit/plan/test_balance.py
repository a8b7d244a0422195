"""Wrong weights put back, a balancer leaned against, and when neither is done: one move at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from evenload.model.diagnosis import Diagnosis, Evidence, Label, SkewCause
from evenload.model.fleet import Floats
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.plan.balance import keep_leaning, rebalance, rescue
from evenload.plan.law import Law
from tests.unit.engine.build import snapshot
from tests.unit.plan.bending import fleet, watched
from tests.unit.plan.scenes import EVEN, episode, scene, step

BAD = {"a": 970, "b": 10, "c": 10, "d": 10}
LEANING = {"a": 50, "b": 100, "c": 100, "d": 100}


def skew(cause: SkewCause = SkewCause.WeightsWrong, metric: str = "weight_share", **changes: object) -> Diagnosis:
    evidence = (Evidence(metric=metric, observed=0.97, sentence="a gets 97%"),)
    fields: dict[str, object] = {"backends": ("a",), "evidence": evidence, **changes}
    return Diagnosis(label=Label.LoadBalancerSkew, cause=cause, sentence="a gets too much", **fields)  # type: ignore[arg-type]


def use(**by_weight: float) -> object:
    """CPU use that grows with the share: `by_weight` of a backend if it got everything; 0.2 of the others."""

    def predict(weights: Mapping[str, float]) -> Floats:
        total = sum(weights.values())
        return np.array([by_weight.get(name, 0.2) * weights[name] / total for name in "abcd"])

    return predict


def restored(predict: object = None, **changes: object) -> SetWeights | None:
    sight = snapshot(weights=BAD, known_good=EVEN)
    fields = changes if predict is None else {"predict": predict, **changes}
    plan = rescue(scene(sight, skew(), **fields))
    if plan is None:
        return None
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    return write


def test_wrong_weights_are_put_back_in_one_step_to_the_digit() -> None:
    write = restored()
    assert write is not None
    assert (write.purpose, write.before, write.after) == (Purpose.Restore, BAD, EVEN)
    assert write.because == "a gets too much; putting back 100/100/100/100"


@pytest.mark.parametrize(
    ("full", "share"),
    [
        (3.4, 0.25),  # 0.85 at a quarter of everything: just so
        (4.4, 0.19),  # 1.1: three quarters of the way
        (6.4, 0.13),  # half of it
        (40.0, 0.07),  # a quarter, whatever comes of it
    ],
)
def test_receivers_are_given_as_much_of_it_as_they_can_bear(full: float, share: float) -> None:
    write = restored(use(b=full))
    assert write is not None
    assert write.after["b"] / sum(write.after.values()) == pytest.approx(share, abs=0.005)
    assert ("as far as the receivers' headroom allows" in write.because) is (share < 0.25)


def test_a_receiver_may_be_as_busy_as_who_it_relieves() -> None:
    write = restored(use(a=4.4, b=4.4))
    assert write is not None
    assert write.after == EVEN


def test_without_a_cpu_signal_it_is_done_and_said() -> None:
    write = restored(lambda weights: np.full(4, np.nan))
    assert write is not None
    assert write.after == EVEN
    assert write.because.endswith("(no CPU signal: headroom not checked)")


def test_weights_that_stand_already_or_no_longer_are_the_fault_are_left_alone() -> None:
    assert rescue(scene(snapshot(weights=EVEN, known_good=EVEN), skew())) is None
    assert rescue(scene(snapshot(weights=BAD, known_good=EVEN), skew(metric="share"))) is None
    assert rescue(scene(snapshot(weights=BAD, known_good=EVEN), skew(SkewCause.WeightsIgnored))) is None
    assert rescue(scene(snapshot(weights=BAD, known_good=EVEN), skew(backends=()))) is None
    assert rescue(scene(snapshot(weights=BAD, known_good=EVEN), Label.Surge)) is None


def test_skew_inside_one_backend_is_nothing_that_weights_could_change() -> None:
    plan = rebalance(scene(snapshot(), skew(SkewCause.WeightsIgnored)))
    assert plan.writes == ()
    assert [each.topic for each in plan.tell if isinstance(each, Advise)] == ["ActuatorIneffective"]
    assert "inside one backend" in plan.tell[0].because


def leaning(ago: float, shares: tuple[float, float], law: Law | None = None) -> tuple[SetWeights | object, ...]:
    """What is written while `a` leans at half its weight and gets these requests, the others so many each."""
    first, others = shares
    pods = {"a-0": {"requests": first}, **{f"{n}-0": {"requests": others} for n in "bcd"}}
    opened = episode(step(Purpose.Rebalance, EVEN, LEANING, ago), label=Label.LoadBalancerSkew)
    sight = snapshot(pods, weights=LEANING, episode=opened)
    compensated = skew(SkewCause.WeightsIgnored, pods=())
    known = law or watched(fleet(LEANING, {"a": 2.0}, total=4e5), 10)
    plan = keep_leaning(scene(sight, compensated, law=known, calm_ticks=3))
    assert [each.topic for each in plan.tell if isinstance(each, Advise)] == ["BalancerIgnoresWeights"]
    return plan.writes


def test_a_lean_that_holds_is_left_as_it_is() -> None:
    assert leaning(600.0, (240.0, 240.0)) == ()


def test_a_backend_that_starves_under_a_lean_is_given_more() -> None:
    mended = watched(fleet(LEANING, {"a": 0.5}, total=4e5), 10)
    assert leaning(600.0, (50.0, 300.0), mended) != ()
    assert leaning(600.0, (130.0, 240.0), mended) == ()


@pytest.mark.parametrize(("ago", "writes"), [(59.0, True), (61.0, False)])
def test_the_rest_of_a_step_is_mended_within_four_windows_of_it(ago: float, writes: bool) -> None:
    """A gain of 2.5 leaves `a` a fifth too much: within the tolerance, beyond the dead band."""
    known = watched(fleet(LEANING, {"a": 2.5}, total=4e5), 10)
    assert bool(leaning(ago, (290.0, 230.0), known)) is writes


def test_what_is_still_beyond_the_tolerance_is_mended_at_any_time() -> None:
    known = watched(fleet(LEANING, {"a": 2 * math.e}, total=4e5), 10)
    assert leaning(600.0, (400.0, 200.0), known) != ()
