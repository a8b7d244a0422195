"""Bad data is told apart, and is never acted on."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from scipy.stats import skellam

from evenload.diagnose import quality
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label
from evenload.model.fleet import Fleet
from evenload.model.plan import Freeze
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Signal, SignalState, Snapshot
from tests.unit.engine.build import NOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec


def told(sight: Snapshot) -> str:
    decision = Engine(spec()).step(sight)
    assert decision.diagnosis.label is Label.NoData
    assert write_of(decision) is None
    assert any(isinstance(action, Freeze) for action in decision.actions)
    assert decision.balanced is None
    return decision.diagnosis.sentence


def looked_at(sight: Snapshot) -> Label:
    """The label once a fault could have been confirmed."""
    return steps(Engine(spec()), sight, 3).diagnosis.label


@pytest.mark.parametrize("state", [SignalState.Missing, SignalState.Stale, SignalState.NaN])
def test_a_request_signal_that_is_not_fresh(state: SignalState) -> None:
    sight = snapshot(signals={"requests": Signal(state=state, detail="HTTP 500")})
    assert f"the request signal is {state}: HTTP 500" in told(sight)


@pytest.mark.parametrize("state", [SignalState.Stale, SignalState.NaN])
def test_a_broken_error_signal_makes_all_doubtful(state: SignalState) -> None:
    assert f"the error signal is {state}" in told(snapshot(signals={"errors": Signal(state=state)}))


def test_no_error_series_at_all_only_disables_what_needs_them() -> None:
    sight = snapshot(
        {f"{n}-0": {"errors": None} for n in "abcd"}, signals={"errors": Signal(state=SignalState.Missing)}
    )
    assert looked_at(sight) is Label.Healthy


@pytest.mark.parametrize("age", [61.0, math.inf, math.nan])
def test_an_old_sample_is_stale_whatever_its_state_says(age: float) -> None:
    assert "sample is" in told(snapshot(signals={"requests": Signal(age=age)}))


def test_a_sample_as_old_as_it_may_be_is_still_good() -> None:
    assert looked_at(snapshot(signals={"requests": Signal(age=60.0)})) is Label.Healthy


@pytest.mark.parametrize("requests", [None, math.nan, -5.0, math.inf])
def test_a_ready_pod_without_a_believable_count(requests: float | None) -> None:
    assert "1 of 4 ready pods have no request count (c-0)" in told(snapshot({"c-0": {"requests": requests}}))


def test_a_new_pod_may_lack_its_count_for_two_windows() -> None:
    sight = snapshot({"c-0": {"requests": None, "age": 20.0}})
    assert looked_at(sight) is Label.Healthy


def test_after_two_windows_a_pod_is_no_longer_new() -> None:
    assert "c-0" in told(snapshot({"c-0": {"requests": None, "age": 30.0}}))
    assert "c-0" in told(snapshot({"c-0": {"requests": None, "age": None}}))


@pytest.mark.parametrize(("count", "problem"), [(50, None), (49, "1 of 49 ready pods have no request count (a-0)")])
def test_one_count_in_fifty_may_be_missing(count: int, problem: str | None) -> None:
    pods = {f"a-{i}": pod(f"a-{i}", **({"requests": None} if i == 0 else {})) for i in range(count)}
    sight = Snapshot(time=0.0, window=15.0, backends={"a": Backend(weight=1, pods=pods)})
    assert quality.problem(sight, Fleet(sight), Policy.of(spec()), quality.Heard()) == problem


@pytest.mark.parametrize("window", [0.0, -1.0, math.nan, math.inf])
def test_a_window_that_holds_nothing(window: float) -> None:
    assert "window" in told(snapshot(window=window))


@pytest.mark.parametrize("time", [-1.0, math.nan, 1e300])
def test_a_time_that_cannot_be(time: float) -> None:
    assert "time of this snapshot" in told(snapshot(time=time))


def test_no_backends() -> None:
    assert "no backends" in told(snapshot(backends=""))


def test_no_ready_pod_anywhere() -> None:
    assert "no backend has a ready pod" in told(snapshot({f"{n}-0": {"ready": False} for n in "abcd"}))


def test_too_few_requests_to_tell_chance_from_fault() -> None:
    sight = snapshot({f"{n}-0": {"requests": 7.0} for n in "abcd"}, weights={"a": 9000})
    assert "only 28 requests in 15 s; 80 are needed" in told(sight)


def test_twenty_requests_a_ready_pod_are_enough() -> None:
    sight = snapshot({f"{n}-0": {"requests": 20.0} for n in "abcd"})
    assert quality.too_few(sight, Fleet(sight), Policy.of(spec())) is None


def test_a_gap_of_three_minutes_forgets_what_was_learnt_and_waits_a_tick() -> None:
    engine = Engine(spec())
    steps(engine, snapshot(), 5, tick=5.0)
    decision = engine.step(later(snapshot(), 20 + 181))
    assert "nothing was seen for 181 s" in decision.diagnosis.sentence
    assert steps(engine, later(snapshot(), 20 + 186), 2).diagnosis.early
    assert engine.step(later(snapshot(), 20 + 201)).diagnosis.label is Label.Healthy


def test_a_clock_that_went_back_is_said_so() -> None:
    engine = Engine(spec())
    engine.step(snapshot())
    assert "the clock went back by 60 s" in engine.step(later(snapshot(), -60)).diagnosis.sentence


def test_errors_above_requests_are_extrapolation_not_a_fault() -> None:
    sight = snapshot({"a-0": {"requests": 240.0, "errors": 241.0}})
    assert Engine(spec()).step(sight).error_ratio == pytest.approx(0.25)


def test_missing_latency_and_cpu_disable_only_the_rules_that_need_them() -> None:
    blind = {f"{n}-0": {"latency": None, "cpu": None, "cpu_limit": None} for n in "abcd"}
    sight = snapshot({**blind, "a-0": {**blind["a-0"], "requests": 9000.0}}, weights={"a": 9000})
    decision = steps(Engine(spec()), sight, 2)
    assert decision.diagnosis.label is Label.LoadBalancerSkew
    assert "no CPU signal" in decision.sentence


def test_signals_without_a_word_are_taken_as_fresh() -> None:
    sight = msgspec.structs.replace(snapshot(), signals={})
    assert looked_at(sight) is Label.Healthy


TWENTY = "abcdefghijklmnopqrst"


def without(*names: str) -> Snapshot:
    return snapshot({f"{name}-0": {"requests": None} for name in names}, backends=TWENTY)


def test_a_missed_scrape_is_bridged_for_as_long_as_a_sample_is_believed() -> None:
    engine = Engine(spec())
    steps(engine, snapshot(backends=TWENTY), 3)
    for seconds in (25, 40, 55, 75):
        assert engine.step(later(without("c", "d"), seconds)).diagnosis.label is Label.Healthy
    assert "2 of 20 ready pods have no request count (c-0)" in engine.step(later(without("c", "d"), 80)).sentence
    engine.step(later(snapshot(backends=TWENTY), 90))
    assert engine.step(later(without("c", "d"), 100)).diagnosis.label is Label.Healthy


def test_more_than_a_tenth_of_the_pods_are_not_missed_scrapes() -> None:
    engine = Engine(spec())
    engine.step(snapshot(backends=TWENTY))
    assert engine.step(later(without("c", "d", "e"), 10)).diagnosis.label is Label.NoData


def test_a_pod_that_never_told_its_count_may_be_the_hot_one() -> None:
    engine = Engine(spec())
    engine.step(without("c"))
    assert engine.step(later(without("c"), 10)).diagnosis.label is Label.NoData


def test_who_missed_a_scrape_is_written_no_weight_for_it() -> None:
    engine = Engine(spec())
    for tick in range(4):
        engine.step(later(snapshot(backends=TWENTY), 10.0 * tick))
    for tick in range(4, 8):
        decision = engine.step(later(without("c"), 10.0 * tick))
        assert decision.diagnosis.label is Label.Healthy
        assert write_of(decision) is None


def test_a_hot_pod_that_missed_its_scrape_is_found_as_soon_as_it_is_heard_again() -> None:
    """With it most of the total was silent; that it is back is no surge during which counts would differ."""
    engine = Engine(spec())
    for tick in range(4):
        engine.step(later(snapshot(backends=TWENTY), 10.0 * tick))
    others = {f"{name}-0": {"requests": 60.0} for name in TWENTY}
    hot = {**others, "c-0": {"requests": 3660.0}}
    engine.step(later(snapshot({**others, "c-0": {"requests": None}}, backends=TWENTY), 40))
    engine.step(later(snapshot(hot, backends=TWENTY), 50))
    assert engine.step(later(snapshot(hot, backends=TWENTY), 60)).diagnosis.label is Label.LoadBalancerSkew


class TestFrozenNumbers:
    """The same counts of every pod, on newer and newer samples."""

    def play(self, sight: Snapshot, ticks: int, *, tick: float = 5.0, **changes: object) -> list[Decision]:
        engine = Engine(spec())
        return [
            engine.step(msgspec.structs.replace(sight, time=sight.time + tick * number, **changes))
            for number in range(ticks)
        ]

    def test_they_are_no_data_within_four_ticks_and_nothing_is_written(self) -> None:
        skewed = snapshot({"a-0": {"requests": 2400.0}})
        engine = Engine(spec())
        for number in range(3):
            engine.step(later(snapshot(), 5 * number - 30.0))
        decisions = [engine.step(msgspec.structs.replace(skewed, time=skewed.time + 5 * n)) for n in range(8)]
        assert all(each.diagnosis.label is Label.NoData for each in decisions[3:])
        assert all(write_of(each) is None for each in decisions[3:])
        assert "is a cache or a proxy in front of Prometheus stuck?" in decisions[3].diagnosis.sentence

    def test_once_they_move_they_are_believed_again(self) -> None:
        engine, sight = Engine(spec()), snapshot()
        for number in range(6):
            engine.step(msgspec.structs.replace(sight, time=sight.time + 5 * number))
        moved = snapshot({"a-0": {"requests": 241.0}}, time=sight.time + 30)
        assert "stuck" not in engine.step(moved).diagnosis.sentence

    def test_without_traffic_every_count_is_the_same(self) -> None:
        idle = snapshot({f"{name}-0": {"requests": 0.0, "latency": None} for name in "abcd"})
        assert not any("stuck" in each.diagnosis.sentence for each in self.play(idle, 20))

    def test_samples_that_are_not_newer_are_merely_old(self) -> None:
        engine, sight = Engine(spec()), snapshot()
        aged = ({"requests": Signal(age=2.0 + 5 * number)} for number in range(6))
        decisions = [
            engine.step(msgspec.structs.replace(sight, time=sight.time + 5 * number, signals=signals))
            for number, signals in enumerate(aged)
        ]
        assert "stuck" not in decisions[-1].diagnosis.sentence

    def test_within_one_window_the_samples_may_be_the_same(self) -> None:
        assert not any("stuck" in each.diagnosis.sentence for each in self.play(snapshot(window=30.0), 6))

    @pytest.mark.parametrize(("pods", "flagged"), [("ab", False), ("abcdefghijklmnop", True)])
    def test_a_few_equal_counts_are_chance_and_many_are_not(self, pods: str, *, flagged: bool) -> None:
        thin = snapshot({f"{name}-0": {"requests": 2.0} for name in pods}, backends=pods)
        decision = self.play(thin, 4)[-1]
        assert ("stuck" in decision.diagnosis.sentence) is flagged

    def test_one_pod_that_moves_is_enough(self) -> None:
        engine = Engine(spec())
        for number in range(12):
            sight = snapshot({"a-0": {"requests": 240.0 + number % 2}}, time=NOW + 5 * number)
            assert "stuck" not in engine.step(sight).diagnosis.sentence


@pytest.mark.parametrize("mean", [0.5, 3.0, 40.0, 149.0, 151.0, 2000.0])
def test_the_chance_of_a_repetition_is_skellams(mean: float) -> None:
    exact = math.log(skellam.pmf(0, mean, mean))
    assert quality.log_chance_of_repetition(np.array([mean, 0.0, np.nan])) == pytest.approx(exact, rel=1e-3)
