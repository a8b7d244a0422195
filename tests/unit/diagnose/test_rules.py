"""The table, row by row: what it says, with which numbers, and what it rules out."""

from __future__ import annotations

import pytest

from evenload.diagnose.rules import RULES
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Episode, Phase
from evenload.model.snapshot import Backend, Hold, RouteWrite, Signal, SignalState, Snapshot
from tests.unit.engine.build import HALF_WINDOW, NOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec

BAD = {"a": 970, "b": 10, "c": 10, "d": 10}
SKEWED = {"a-0": {"requests": 931.0, "errors": 559.0, "cpu": 0.25}, **{f"{n}-0": {"requests": 9.6} for n in "bcd"}}


def believed(sight: Snapshot, ticks: int = 3, engine: Engine | None = None) -> Decision:
    return steps(engine or Engine(spec()), sight, ticks)


def taught(**healthy: object) -> Engine:
    """One that ten healthy minutes have taught what is usual."""
    engine = Engine(spec())
    for number in range(60):
        engine.step(later(snapshot(**healthy), -600 + 10 * number))  # type: ignore[arg-type]
    return engine


def after_healthy(sight: Snapshot, ticks: int = 3, **healthy: object) -> Decision:
    return believed(sight, ticks, taught(**healthy))


def because(decision: Decision, label: Label) -> str:
    return next(ruled.because for ruled in decision.diagnosis.ruled_out if ruled.label is label)


def test_wrong_weights_name_the_manager_the_time_and_the_numbers() -> None:
    write = RouteWrite(manager="kubectl-patch", time=NOW - 20)
    decision = believed(snapshot(SKEWED, weights=BAD, last_write=write, known_good=dict.fromkeys("abcd", 100)))
    diagnosis = decision.diagnosis
    assert diagnosis.cause is SkewCause.WeightsWrong
    assert diagnosis.manager == "kubectl-patch"
    assert (diagnosis.pods, diagnosis.backends) == (("a-0",), ("a",))
    assert decision.sentence == (
        "97% of 64 requests/s go to a (fair: 25%): the weight of a was set to 970 by kubectl-patch at 08:53:00; "
        "putting back 100/100/100/100"
    )
    share = next(e for e in diagnosis.evidence if e.metric == "share")
    assert (share.subject, share.expected) == ("a-0", 0.25)
    assert share.threshold == pytest.approx(0.325)
    assert share.observed == pytest.approx(0.97, abs=0.001)
    assert decision.overloaded_pods == {"a-0": "uid-a-0"}
    assert decision.balanced is False
    assert decision.shares["a"] == pytest.approx(0.97, abs=0.001)
    assert decision.targets == dict.fromkeys("abcd", 0.25)
    assert decision.worst_ratio == pytest.approx(3.88, abs=0.01)


def test_what_it_is_not_is_told_with_the_numbers_that_say_so() -> None:
    decision = after_healthy(snapshot(SKEWED, weights=BAD))
    assert because(decision, Label.Surge) == "the total is 1.00 of the usual 64 requests/s: nobody floods us"
    assert because(decision, Label.Failing) == "the errors of a-0 are explained by its overload: it gets 97%"


def test_one_tick_is_not_believed_and_wrong_weights_alone_are_not_either() -> None:
    engine = Engine(spec())
    assert write_of(engine.step(snapshot(SKEWED, weights=BAD))) is None
    unmoved = Engine(spec())
    assert write_of(steps(unmoved, snapshot(weights=BAD), 5)) is None


def test_weights_seen_wrong_a_tick_before_the_traffic_shows_it_save_a_tick() -> None:
    engine = Engine(spec())
    engine.step(snapshot(weights=BAD))
    assert write_of(engine.step(later(snapshot(SKEWED, weights=BAD), 5))) is not None


def test_right_weights_that_traffic_ignores() -> None:
    decision = believed(snapshot(SKEWED))
    assert decision.diagnosis.cause is SkewCause.WeightsIgnored
    assert "though the weights are right" in decision.diagnosis.sentence
    assert decision.diagnosis.manager is None


def test_more_traffic_evenly_spread_is_a_surge() -> None:
    decision = after_healthy(snapshot({f"{n}-0": {"requests": 480.0} for n in "abcd"}))
    assert decision.diagnosis.label is Label.Surge
    assert decision.sentence.startswith("128 requests/s arrive, 2x the usual, evenly spread")
    assert because(decision, Label.LoadBalancerSkew) == "the busiest pod has 1.00 of its share, within 1.30"
    assert because(decision, Label.Failing) == "no pod's error ratio stands out from its peers'"


def test_a_third_more_traffic_is_no_surge_and_the_number_is_told() -> None:
    sight = snapshot({**{f"{n}-0": {"requests": 330.0} for n in "abcd"}, "a-0": {"requests": 330.0, "errors": 90.0}})
    decision = after_healthy(sight)
    assert decision.diagnosis.label is Label.Failing
    assert because(decision, Label.Surge) == "the total is 1.38 of the usual 64 requests/s, below 1.5"


def test_a_pod_that_fails_alone_is_failing() -> None:
    decision = believed(snapshot({"b-0": {"errors": 72.0}}))
    assert decision.diagnosis.label is Label.Failing
    assert decision.diagnosis.pods == ("b-0",)
    assert decision.diagnosis.sentence == "b-0 fails 30% of its requests; its peers do not"


def test_a_failing_pod_with_fewer_requests_is_told_beside_a_surge() -> None:
    sight = snapshot({**{f"{n}-0": {"requests": 480.0} for n in "abcd"}, "b-0": {"requests": 480.0, "errors": 200.0}})
    decision = after_healthy(sight)
    assert decision.diagnosis.label is Label.Surge
    assert Label.Failing in decision.diagnosis.also


def test_a_pod_that_fails_fast_and_draws_traffic_is_a_sinkhole() -> None:
    hole = {"requests": 700.0, "errors": 650.0, "latency": 0.004, "cpu": 0.02}
    decision = believed(snapshot({"c-0": hole}))
    assert decision.diagnosis.label is Label.Failing
    assert "fails fast and so looks quick" in decision.diagnosis.sentence
    write = write_of(decision)
    assert write is not None
    assert getattr(write, "purpose", None) == "Eject"


def test_without_latency_a_sinkhole_is_taken_for_ignored_weights() -> None:
    hole = {"requests": 700.0, "errors": 650.0, "latency": None, "cpu": 0.02}
    assert believed(snapshot({"c-0": hole})).diagnosis.label is Label.LoadBalancerSkew


def test_a_failing_pod_of_two_minutes_is_warming_up() -> None:
    decision = believed(snapshot({"d-0": {"age": 90.0, "errors": 60.0}}))
    assert decision.diagnosis.label is Label.WarmUp
    assert decision.balanced is True
    assert write_of(decision) is None


def test_a_slow_pod_needs_three_ticks_and_is_named_with_both_latencies() -> None:
    sight = snapshot({"d-0": {"latency": 0.09}})
    assert believed(sight, 2).diagnosis.early
    decision = believed(sight, 3)
    assert decision.diagnosis.label is Label.Slow
    assert decision.diagnosis.sentence == "d-0 answers in 90 ms, the median pod in 20 ms"


def test_a_slow_pod_of_two_minutes_is_warming_up_too() -> None:
    assert believed(snapshot({"d-0": {"age": 90.0, "latency": 0.09}}), 4).diagnosis.label is Label.WarmUp


def test_a_pod_that_gets_more_by_intention_is_not_called_slow() -> None:
    decision = believed(snapshot({"d-0": {"latency": 0.09, "requests": 305.0}}), 5)
    assert decision.diagnosis.label is Label.Healthy


@pytest.mark.parametrize(("kind", "expected"), [("node", "node n9"), ("zone", "zone n9")])
def test_slow_pods_that_share_a_place_put_the_place_under_suspicion(kind: str, expected: str) -> None:
    elsewhere = {f"{n}-0": {"node": None, "zone": None} for n in "abcdefgh"}
    slow = {name: {"latency": 0.09, "node": None, "zone": None, kind: "n9"} for name in ("b-0", "c-0")}
    decision = believed(snapshot({**elsewhere, **slow}, backends="abcdefgh"), 4)
    assert expected in decision.sentence
    assert write_of(decision) is None


def test_a_place_where_most_pods_are_fine_is_not_suspected() -> None:
    slow = {name: {"latency": 0.09} for name in ("b-0", "c-0")}
    assert "suspect" not in believed(snapshot(slow, backends="abcdefgh"), 4).sentence


@pytest.mark.parametrize(
    ("slow", "there", "suspected"),
    [
        ("b", "b", False),  # one alone
        ("bc", "bc", True),
        ("bcd", "bc", True),  # two thirds of all that are slow
        ("bcde", "bc", False),  # half of them
        ("bc", "bcf", True),
        ("bc", "bcfg", False),  # half of the pods there are well
    ],
)
def test_a_place_is_suspected_for_two_thirds_of_the_slow_and_most_of_its_own(
    slow: str, there: str, suspected: bool
) -> None:
    names = "abcdefghijkl"
    pods: dict[str, dict[str, object]] = {f"{n}-0": {"node": "n9" if n in there else None} for n in names}
    pods |= {f"{n}-0": {**pods[f"{n}-0"], "latency": 0.09} for n in slow}
    decision = believed(snapshot(pods, backends=names), 4)
    assert decision.diagnosis.label is Label.Slow
    assert ("node n9 is where they are" in decision.sentence) is suspected
    places = [each for each in decision.diagnosis.evidence if each.metric == "slow_place"]
    assert [(each.subject, each.sentence[:7]) for each in places] == [("node n9", "node n9")] * suspected


def test_most_pods_failing_together_is_a_dependency() -> None:
    decision = believed(snapshot({f"{n}-0": {"errors": 80.0} for n in "abc"}))
    assert decision.diagnosis.label is Label.Dependency
    assert decision.sentence.startswith("75% of the pods fail together, each over 5%; it is something they share")


def test_all_pods_slow_together_is_a_dependency() -> None:
    decision = after_healthy(snapshot({f"{n}-0": {"latency": 0.08} for n in "abcd"}))
    assert decision.diagnosis.label is Label.Dependency
    assert "the median answers in 80 ms, usual are 20 ms" in decision.sentence


def test_failing_together_in_a_surge_at_the_limit_of_cpu_is_the_surge() -> None:
    flooded = {f"{n}-0": {"requests": 900.0, "errors": 300.0, "cpu": 0.245} for n in "abcd"}
    decision = after_healthy(snapshot(flooded))
    assert decision.diagnosis.label is Label.Surge
    assert write_of(decision) is None


def test_a_flood_that_most_fail_in_is_never_called_healthy_and_does_not_teach_that_failing_is_usual() -> None:
    """It comes and goes, as the CPU does: half of the ticks are at the limit of it, and the traffic is back at last."""
    engine, labels = taught(), []
    for number in range(60):
        requests, cpu = 620.0 if number < 30 else 240.0, 0.245 if number % 2 else 0.15
        drowned = {f"{n}-0": {"requests": requests, "errors": 0.75 * requests, "cpu": cpu} for n in "abcd"}
        labels.append(engine.step(later(snapshot(drowned), HALF_WINDOW * number)).diagnosis.label)
    assert set(labels[2:]) == {Label.Surge, Label.Dependency}
    assert set(labels[-20:]) == {Label.Dependency}


def test_what_still_fails_just_after_a_flood_is_its_doing() -> None:
    engine = taught()
    flooded = {f"{n}-0": {"requests": 900.0, "errors": 300.0, "cpu": 0.245} for n in "abcd"}
    believed(snapshot(flooded), 3, engine)
    over = {f"{n}-0": {"requests": 240.0, "errors": 60.0} for n in "abcd"}
    decision = engine.step(later(snapshot(over), 3 * HALF_WINDOW))
    assert decision.diagnosis.label is Label.Surge
    assert decision.sentence.startswith("25% of them fail: the window still holds what drowned in a surge")


def test_who_fails_most_in_a_flood_at_the_limit_of_cpu_is_not_told_beside_it() -> None:
    """Its peers have nothing left either: who fails first is a matter of luck."""
    flooded = {f"{n}-0": {"requests": 900.0, "errors": 30.0, "cpu": 0.245} for n in "abcd"}
    flooded["b-0"] = {"requests": 900.0, "errors": 300.0, "cpu": 0.245}
    decision = after_healthy(snapshot(flooded))
    assert (decision.diagnosis.label, decision.diagnosis.also) == (Label.Surge, ())


def test_nobody_is_blamed_on_the_tick_that_first_shows_a_surge() -> None:
    engine = Engine(spec())
    failing = {"requests": 310.0, "errors": 60.0}
    sight = snapshot({**{f"{n}-0": {"requests": 310.0} for n in "abcd"}, "b-0": failing})
    surge = snapshot(
        {f"{n}-0": {"requests": 620.0, "errors": 120.0} if n == "b" else {"requests": 620.0} for n in "abcd"}
    )
    for tick in range(30):
        engine.step(later(snapshot(), 5.0 * tick))
    assert engine.step(later(sight, 150.0)).diagnosis.label is Label.Healthy
    assert engine.step(later(surge, 150.0 + HALF_WINDOW)).diagnosis.label is Label.Healthy
    told = engine.step(later(surge, 150.0 + 2 * HALF_WINDOW)).diagnosis
    assert (told.label, told.also) == (Label.Surge, (Label.Failing,))


def test_no_traffic_where_there_usually_is_some() -> None:
    decision = after_healthy(snapshot({f"{n}-0": {"requests": 0.0} for n in "abcd"}))
    assert decision.diagnosis.label is Label.TrafficStopped
    assert decision.sentence.startswith("almost nothing arrives: 0.0 requests/s, usual are 64")


def test_a_rollout_holds_and_still_tells_what_is_seen() -> None:
    write = RouteWrite(manager="helm", time=NOW - 60)
    sight = snapshot(SKEWED, weights=BAD, last_write=write, holds=(Hold(reason="Rollout", detail="shop-a 1/4"),))
    decision = believed(sight)
    assert decision.diagnosis.label is Label.RolloutInProgress
    assert Label.LoadBalancerSkew in decision.diagnosis.also
    assert write_of(decision) is None
    assert decision.balanced is None
    assert decision.sentence.startswith("a rollout is moving pods: shop-a 1/4")


def test_a_backend_without_a_ready_pod_loses_its_weight() -> None:
    decision = believed(snapshot({"b-0": {"ready": False, "requests": 0.0}}))
    assert decision.diagnosis.label is Label.Failing
    assert decision.diagnosis.sentence.startswith("b has no ready pod, but weights give it 25% of the requests")
    write = write_of(decision)
    assert write is not None
    assert getattr(write, "after", None) == {"a": 100, "b": 0, "c": 100, "d": 100}


def test_all_weights_zero_is_told_from_the_weights_alone() -> None:
    idle = {f"{n}-0": {"requests": 0.0} for n in "abcd"}
    decision = believed(snapshot(idle, weights=dict.fromkeys("abcd", 0)))
    assert decision.diagnosis.label is Label.LoadBalancerSkew
    assert decision.sentence.startswith("all weights were set to 0: every request is answered 503; putting back")


def test_healthy_says_so_in_a_sentence() -> None:
    decision = believed(snapshot())
    assert decision.diagnosis.label is Label.Healthy
    assert decision.sentence == "64 requests/s are spread as they should be (the busiest pod has 1x its share), 0% fail"
    assert decision.actions == ()
    assert decision.balanced is True


def test_healthy_says_so_where_nobody_knows_what_fails() -> None:
    silent = snapshot(
        {f"{n}-0": {"errors": None} for n in "abcd"}, signals={"errors": Signal(state=SignalState.Missing)}
    )
    decision = believed(silent)
    assert decision.diagnosis.label is Label.Healthy
    assert decision.sentence.endswith("(the busiest pod has 1x its share), how many fail is not known")
    assert decision.error_ratio is None


def test_a_slow_pod_of_two_minutes_whose_errors_nobody_knows_is_warming_up_with_its_latency_alone() -> None:
    decision = believed(snapshot({"b-0": {"latency": 0.2, "age": 120.0, "errors": None}}), 4)
    assert decision.diagnosis.label is Label.WarmUp
    assert {evidence.metric for evidence in decision.diagnosis.evidence} == {"latency_seconds"}


def test_a_single_pod_is_healthy_without_a_share_to_compare() -> None:
    sight = snapshot(backends="a", signals={"errors": Signal(state=SignalState.Missing)})
    assert believed(sight).diagnosis.label is Label.Healthy


def test_uneven_ready_pods_deserve_uneven_weights() -> None:
    backends = {
        "a": Backend(weight=100, pods={f"a-{i}": pod(f"a-{i}", requests=160.0) for i in range(3)}),
        "b": Backend(weight=100, pods={"b-0": pod("b-0", requests=480.0)}),
    }
    write = write_of(believed(snapshot(backends="ab"), 1)) or write_of(
        believed(Snapshot(time=NOW, window=15.0, backends=backends), 3)
    )
    assert getattr(write, "after", None) == {"a": 1500, "b": 500}


def test_a_skew_inside_one_backend_is_told_and_no_weight_is_moved() -> None:
    pods = {f"a-{i}": pod(f"a-{i}", requests=900.0 if i == 0 else 150.0) for i in range(4)}
    backends = {
        "a": Backend(weight=1, pods=pods),
        "b": Backend(weight=1, pods={f"b-{i}": pod(f"b-{i}", requests=337.0) for i in range(4)}),
    }
    decision = believed(Snapshot(time=NOW, window=15.0, backends=backends))
    assert decision.diagnosis.cause is SkewCause.WeightsIgnored
    assert decision.diagnosis.pods == ("a-0",)
    assert write_of(decision) is None
    assert [getattr(action, "topic", "") for action in decision.actions] == ["ActuatorIneffective"]


def test_requests_from_before_are_not_called_ignored_weights() -> None:
    write = RouteWrite(manager="kubectl-patch", time=NOW - 2)
    decision = believed(snapshot(SKEWED, last_write=write), 1)
    assert decision.diagnosis.label is Label.LoadBalancerSkew
    assert "too early to tell whether traffic follows" in decision.sentence
    assert write_of(decision) is None


def test_an_overloaded_pod_is_judged_only_in_a_clean_window() -> None:
    episode = Episode(
        name="rem",
        opened_at=NOW - 60,
        label=Label.LoadBalancerSkew,
        phase=Phase.Verifying,
        overloaded_pods={"a-0": "uid-a-0"},
    )
    sick = snapshot(
        {"a-0": {"errors": 120.0}}, episode=episode, last_write=RouteWrite(manager="evenload", time=NOW - 5)
    )
    engine = Engine(spec())
    early = engine.step(sick)
    assert early.diagnosis.label is Label.LoadBalancerSkew
    assert "too early to tell whether a-0 recovers" in early.sentence
    late = engine.step(later(sick, 13))
    assert late.diagnosis.label is Label.Failing
    assert late.diagnosis.sentence == (
        "a-0 fails 50% of its requests though it gets no more than its share now; its peers do not"
    )


def test_an_overloaded_pod_that_is_getting_better_gets_another_tick() -> None:
    episode = Episode(
        name="rem",
        opened_at=NOW - 60,
        label=Label.LoadBalancerSkew,
        phase=Phase.Verifying,
        overloaded_pods={"a-0": "uid-a-0"},
    )
    engine = Engine(spec())
    engine.step(snapshot({"a-0": {"errors": 230.0}}, episode=episode, last_write=RouteWrite(manager="x", time=NOW - 5)))
    better = later(snapshot({"a-0": {"errors": 100.0}}, episode=episode), 15)
    assert engine.step(better).diagnosis.label is not Label.Failing


def test_every_row_says_why_it_stands_where_it_stands() -> None:
    assert all(rule.why_here for rule in RULES)
    assert RULES[-1].label is Label.Healthy
    order = [rule.label for rule in RULES]
    assert order.index(Label.LoadBalancerSkew) < order.index(Label.Dependency) < order.index(Label.Surge)


def test_since_lasts_while_the_label_does() -> None:
    engine = Engine(spec())
    first = steps(engine, snapshot(SKEWED, weights=BAD), 2, tick=5.0).diagnosis.since
    assert engine.step(later(snapshot(SKEWED, weights=BAD), 10)).diagnosis.since == first
    assert first == NOW + 5


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"d": 10}, "give d 3.2% of the requests; its share is 25%"),
        ({"c": 10, "d": 10}, "give c, d 9.1% of the requests; their share is 50%"),
    ],
)
def test_of_backends_that_our_weights_starve_only_what_holds_now_is_said(weights: dict[str, int], told: str) -> None:
    """No pod of theirs was ever away: what is desired has changed, or a second Evenload wrote the weights."""
    little = {f"{name}-0": {"requests": 10.0} for name in weights}
    write = RouteWrite(manager="evenload", time=NOW - 60)
    diagnosis = believed(snapshot(little, weights=weights, last_write=write)).diagnosis
    assert diagnosis.label is Label.LoadBalancerSkew
    assert diagnosis.sentence == f"the weights set by evenload at 08:52:20 {told}"


def test_backends_without_a_ready_pod_are_told_in_the_right_number() -> None:
    def sentence(*names: str) -> str:
        return believed(snapshot({f"{name}-0": {"ready": False} for name in names})).diagnosis.sentence

    assert sentence("a").startswith("a has no ready pod, but weights give it 25%")
    assert sentence("a", "b").startswith("a, b have no ready pod, but weights give them 50%")
