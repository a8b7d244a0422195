"""A Balancer's status: told when something happened, and only then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import BalancerStatus, Condition, Outlier, Resolved
from evenload.api.values import moment
from evenload.engine import Engine
from evenload.model.decision import HeldReason
from evenload.model.diagnosis import GAIN_METRIC, Diagnosis, Evidence, Label, SkewCause
from evenload.model.episode import Disruption, Phase
from evenload.model.snapshot import SIGNALS, Backend, Signal, SignalState
from evenload.model.spec import BalancerSpec, Mode, TargetRef
from evenload.record.conditions import OUTLIERS, Facts, Trouble, status_of
from tests.unit.engine.build import snapshot as measured
from tests.unit.record.scenes import EVEN, FRESH, facts, healthy, held, pod, skewed, snapshot

NONE = BalancerStatus()


def condition(status: BalancerStatus, kind: str) -> Condition:
    return next(one for one in status.conditions if one.type == kind)


def words(status: BalancerStatus) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status.value, one.reason) for one in status.conditions}


def test_a_healthy_balancer_in_one_status() -> None:
    status = status_of(NONE, facts(resolved=Resolved(driver="HTTPRoute", signals="app", backends=("shop-a",))))
    assert words(status) == {
        "Ready": ("True", "Watching"),
        "Balanced": ("True", "Healthy"),
        "SignalsFresh": ("True", "Fresh"),
        "Remediating": ("False", "NoRemediation"),
        "Paused": ("False", "NotPaused"),
        "Contested": ("False", "NotContested"),
        "Audited": ("Unknown", "NotAudited"),
    }
    assert {one.observed_generation for one in status.conditions} == {3}
    assert (status.observed_generation, status.mode) == (3, Mode.Auto)
    assert msgspec.to_builtins(status.summary) == {"pods": "4/4", "requestsPerSecond": "200", "errorPercent": "0"}
    assert status.diagnosis is not None
    assert (status.diagnosis.label, status.diagnosis.sentence, status.outliers) == (Label.Healthy, "", ())
    assert status.resolved is not None


def test_a_compensated_skew_leaves_balanced_true_and_says_why() -> None:
    lean = Diagnosis(
        label=Label.LoadBalancerSkew,
        sentence="compensated: traffic is even only because the weights lean",
        evidence=(Evidence(metric=GAIN_METRIC, observed=4.0),),
    )
    status = status_of(NONE, facts(decision=healthy(diagnosis=lean)))
    assert words(status)["Balanced"] == ("True", "LoadBalancerSkew")
    assert condition(status, "Balanced").message == lean.sentence
    assert status.outliers == ()


@given(
    st.lists(
        st.tuples(
            st.floats(140.0, 280.0),  # requests a second
            st.floats(0.0, 0.0099),  # error ratio
            st.floats(0.9, 1.29),  # worst ratio
            st.floats(0.0, 59.0),  # age of the signals
            st.floats(0.0, 0.5),  # of a core
        ),
        min_size=1,
        max_size=20,
    )
)
def test_at_rest_no_noise_of_a_healthy_balancer_is_worth_a_write(ticks: list[tuple[float, ...]]) -> None:
    first = status = status_of(NONE, facts())
    for at, (rate, errors, worst, age, cpu) in enumerate(ticks, start=1):
        time = 1000.0 + 10 * at
        decision = healthy(time, requests_per_second=rate, error_ratio=errors, worst_ratio=worst, settled=False)
        backends = {"shop-a": Backend(weight=250, pods={f"shop-{n}": pod("a", cpu=cpu) for n in "abcd"})}
        signals = {name: Signal(age=age) for name in FRESH}
        status = status_of(status, facts(decision, snapshot=snapshot(time, backends=backends, signals=signals)))
    assert status == first


def test_low_traffic_that_comes_in_single_requests_is_no_news() -> None:
    first = status = status_of(NONE, facts(healthy(requests_per_second=0.1)))
    for at, rate in enumerate([0.0, 0.03, 0.4, 0.9, 1.4, 0.0], start=1):
        status = status_of(status, facts(healthy(1000.0 + at, requests_per_second=rate)))
    assert status == first
    assert status.summary is not None
    assert status.summary.requests_per_second == "0"


def test_the_same_skew_is_told_once_and_again_when_it_has_moved_by_half() -> None:
    told = status_of(NONE, facts(skewed(1000.0, ratio=2.8)))
    assert words(told)["Balanced"] == ("False", "LoadBalancerSkew")
    assert condition(told, "Balanced").message == "shop-d takes 70% at 1000.0"
    assert status_of(told, facts(skewed(1010.0, ratio=2.6))) == told
    moved = status_of(told, facts(skewed(1020.0, ratio=1.8)))
    assert condition(moved, "Balanced").message == "shop-d takes 45% at 1020.0"
    assert condition(moved, "Balanced").last_transition_time == moment(1000.0)
    assert moved.diagnosis is not None
    assert (moved.diagnosis.sentence, moved.diagnosis.since) == ("shop-d takes 45% at 1020.0", moment(990.0))


def test_an_imbalance_never_makes_ready_false() -> None:
    assert words(status_of(NONE, facts(skewed())))["Ready"] == ("True", "Watching")


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    first = status_of(NONE, facts(healthy(1000.0)))
    second = status_of(first, facts(skewed(1010.0)))
    assert condition(second, "Balanced").last_transition_time == moment(1010.0)
    assert condition(second, "Ready").last_transition_time == moment(1000.0)


@pytest.mark.parametrize(
    ("label", "balanced", "status"),
    [
        (Label.Failing, False, "False"),
        (Label.Surge, False, "False"),
        (Label.NoData, None, "Unknown"),
        (Label.WarmUp, True, "True"),
        (Label.WarmUp, None, "Unknown"),
        (Label.RolloutInProgress, False, "False"),
        (Label.MemoryLeak, True, "True"),
        (Label.TrafficStopped, False, "False"),
    ],
)
def test_balanced_says_whether_traffic_is_fine(label: Label, balanced: bool | None, status: str) -> None:
    decision = healthy(diagnosis=Diagnosis(label=label, sentence="why"), balanced=balanced)
    assert words(status_of(NONE, facts(decision)))["Balanced"] == (status, label.value)


def test_before_a_fault_could_be_confirmed_balance_is_unknown_for_that_reason() -> None:
    early = Engine(BalancerSpec(target_ref=TargetRef(name="shop"))).step(measured()).diagnosis
    decision = healthy(diagnosis=early, balanced=None)
    status = status_of(status_of(NONE, facts(skewed())), facts(decision))
    assert words(status)["Balanced"] == ("Unknown", "TooEarly")
    assert condition(status, "Balanced").message.startswith("too early to tell")
    assert status.diagnosis is not None
    assert status.diagnosis.label is Label.NoData


def test_a_trouble_is_told_as_a_reason_and_what_to_do_and_nothing_old_is_left() -> None:
    known = status_of(NONE, facts(skewed(), remediation="shop-1"))
    trouble = Trouble(reason="RouteMissing", message="there is no HTTPRoute shop; create it")
    status = status_of(
        known, Facts(time=1010.0, generation=3, mode=Mode.Auto, subject="HTTPRoute shop", trouble=trouble)
    )
    assert words(status)["Ready"] == ("False", "RouteMissing")
    assert condition(status, "Ready").message == "there is no HTTPRoute shop; create it"
    assert words(status)["Balanced"] == ("Unknown", "NotWatching")
    assert words(status)["SignalsFresh"] == ("Unknown", "NotWatching")
    assert (status.diagnosis, status.summary, status.outliers) == (None, None, ())


@pytest.mark.parametrize("state", [SignalState.Missing, SignalState.Stale, SignalState.NaN, SignalState.Partial])
def test_a_signal_that_is_not_fresh_is_named_with_advice_and_without_its_age(state: SignalState) -> None:
    signals = {**FRESH, "errors": Signal(state=state, age=71.3)}
    first = status_of(NONE, facts(snapshot=snapshot(signals=signals)))
    assert words(first)["SignalsFresh"] == ("False", state.value)
    assert condition(first, "SignalsFresh").message.startswith("errors: ")
    older = {**FRESH, "errors": Signal(state=state, age=81.3)}
    assert status_of(first, facts(snapshot=snapshot(signals=older))) == first


def test_a_signal_that_only_sharpens_the_diagnosis_may_be_missing() -> None:
    signals = {**FRESH, "cpu": Signal(state=SignalState.Missing)}
    assert words(status_of(NONE, facts(snapshot=snapshot(signals=signals))))["SignalsFresh"] == ("True", "Fresh")


def test_a_snapshot_without_word_of_the_needed_signals_has_none() -> None:
    status = status_of(NONE, facts(snapshot=snapshot(signals={})))
    assert condition(status, "SignalsFresh").message.startswith("requests and errors: ")


def test_remediating_paused_and_contested_say_which_and_by_whom() -> None:
    decision = skewed(phase=Phase.Verifying, held=(held(HeldReason.Contested, "argocd put its weights back twice"),))
    paused = Trouble(reason="Annotation", message="evenload.dev/paused is set")
    status = status_of(NONE, facts(decision, remediation="shop-1", paused=paused))
    assert words(status)["Remediating"] == ("True", "Verifying")
    assert "shop-1" in condition(status, "Remediating").message
    assert status.active_remediation == "shop-1"
    assert (words(status)["Paused"], condition(status, "Paused").message) == (("True", "Annotation"), paused.message)
    assert words(status)["Contested"] == ("True", "RivalWriter")
    assert condition(status, "Contested").message == "argocd put its weights back twice"


def test_backends_beyond_their_tolerance_are_outliers_hot_or_cold() -> None:
    status = status_of(NONE, facts(skewed(ratio=3.9)))
    assert [(one.name, one.verdict.value, one.share_ratio) for one in status.outliers] == [
        ("shop-a", "Cold", "0"),
        ("shop-b", "Cold", "0"),
        ("shop-c", "Cold", "0"),  # below a tenth all is told as none
        ("shop-d", "Hot", "3.9"),
    ]


def test_an_outlier_at_the_limit_does_not_come_and_go() -> None:
    told = status_of(NONE, facts(skewed(1000.0, shares={"shop-a": 0.33})))
    assert "shop-a" in [one.name for one in told.outliers]
    assert status_of(told, facts(skewed(1010.0, shares={"shop-a": 0.32}))) == told
    assert "shop-a" not in [
        one.name for one in status_of(told, facts(skewed(1020.0, shares={"shop-a": 0.28}))).outliers
    ]
    assert "shop-a" not in [
        one.name for one in status_of(NONE, facts(skewed(1010.0, shares={"shop-a": 0.32}))).outliers
    ]


def test_failing_pods_are_outliers_and_no_more_than_twenty_are_told() -> None:
    pods = tuple(f"shop-{at:02}" for at in range(30))
    decision = healthy(diagnosis=Diagnosis(label=Label.Failing, pods=pods))
    outliers = status_of(NONE, facts(decision)).outliers
    assert len(outliers) == OUTLIERS
    assert outliers[0] == Outlier(name="shop-00", verdict=outliers[0].verdict)
    assert outliers[0].verdict == "Failing"


def test_inside_a_service_the_pods_with_too_much_are_the_outliers() -> None:
    share = Evidence(metric="share", subject="web-0", observed=0.5, expected=0.125)
    diagnosis = Diagnosis(
        label=Label.LoadBalancerSkew, cause=SkewCause.LongLivedConnections, pods=("web-0",), evidence=(share,)
    )
    outliers = status_of(NONE, facts(healthy(diagnosis=diagnosis, shares={"web": 1.0}, targets={"web": 1.0}))).outliers
    assert [(one.name, one.verdict.value, one.share_ratio) for one in outliers] == [("web-0", "Hot", "4")]


def test_a_drained_backend_that_should_get_nothing_is_no_outlier() -> None:
    decision = skewed(targets={"shop-a": 1.0, "shop-b": 0.0}, shares={"shop-a": 1.0, "shop-b": 0.0})
    assert status_of(NONE, facts(decision)).outliers == ()


def ledger(*times: float) -> dict[str, Any]:
    return {"ledger": tuple(Disruption(time=time, kind="Restart") for time in times)}


def test_the_restart_budget_counts_the_running_hour_and_says_when_the_next_is_free() -> None:
    def budget(*times: float) -> tuple[int, object]:
        decision = healthy(10_000.0)
        status = status_of(NONE, facts(decision, snapshot=snapshot(10_000.0, **ledger(*times))))
        return status.budgets[0].remaining, status.budgets[0].until

    assert budget() == (3, None)
    assert budget(1000.0, 9000.0) == (2, None)
    assert budget(7000.0, 8000.0, 9000.0) == (0, moment(7000.0 + 3600.0))
    assert budget(7000.0, 7500.0, 8000.0, 9000.0) == (0, moment(7500.0 + 3600.0))


def test_the_share_that_each_backend_should_have_is_told_in_thousandths() -> None:
    first = status_of(NONE, facts(healthy(1000.0)))
    assert first.target_shares == dict.fromkeys(EVEN, 250)
    elsewhere = {**EVEN, "shop-a": 0.4, "shop-b": 0.1}
    assert status_of(first, facts(healthy(1010.0, targets=elsewhere))).target_shares == {
        **dict.fromkeys(EVEN, 250),
        "shop-a": 400,
        "shop-b": 100,
    }


def test_a_share_that_hardly_moved_or_is_not_known_any_more_is_told_as_before() -> None:
    first = status_of(NONE, facts(healthy(1000.0)))
    nearly = {**EVEN, "shop-a": 0.26, "shop-b": 0.24}
    assert status_of(first, facts(healthy(1010.0, targets=nearly))).target_shares == first.target_shares
    assert status_of(first, facts(healthy(1010.0, targets={}))).target_shares == first.target_shares


def test_settled_weights_are_remembered_as_good_once() -> None:
    first = status_of(NONE, facts(healthy(1000.0, settled=True)))
    assert first.known_good is not None
    assert (first.known_good.weights["shop-a"], first.known_good.at) == (250, moment(1000.0))
    assert status_of(first, facts(healthy(1010.0, settled=True))) == first
    assert status_of(first, facts(skewed(1010.0))).known_good == first.known_good


@pytest.mark.parametrize("number", [None, float("nan"), float("inf")])
def test_what_could_not_be_measured_is_absent_never_zero(number: float | None) -> None:
    status = status_of(NONE, facts(healthy(requests_per_second=number, error_ratio=number)))
    assert status.summary is not None
    assert (status.summary.requests_per_second, status.summary.error_percent) == (None, None)


def test_a_signal_whose_cause_is_known_is_told_with_the_field_to_correct() -> None:
    detail = 'no series of http_requests_total of these pods carries the label "code"; set spec.signals.labels.code'
    signals = {**FRESH, "errors": Signal(state=SignalState.Missing, detail=detail)}
    told = condition(status_of(NONE, facts(snapshot=snapshot(signals=signals))), "SignalsFresh")
    assert (told.status.value, told.reason, told.message) == ("False", "Missing", f"errors: {detail}")


def test_signals_that_miss_for_different_causes_are_told_apart() -> None:
    signals = {"requests": Signal(state=SignalState.Stale), "errors": Signal(state=SignalState.Missing)}
    told = condition(status_of(NONE, facts(snapshot=snapshot(signals=signals))), "SignalsFresh")
    assert told.reason == "Stale"
    assert told.message.startswith("requests: the newest sample is older than spec.signals.maxAge")
    assert "; errors: Prometheus does not answer" in told.message


@pytest.mark.parametrize(
    ("name", "consequence"),
    [
        ("cpu", "headroom is not checked and saturation is not forecast"),
        ("memory", "memory leaks are not found"),
        ("latency", "slow pods are not found"),
        ("inFlight", "a drain is judged by the requests that still arrive"),
    ],
)
@pytest.mark.parametrize("state", [SignalState.Missing, SignalState.Stale, SignalState.NaN])
def test_what_is_off_without_a_signal_is_told_though_traffic_is_known(
    name: str, consequence: str, state: SignalState
) -> None:
    whole: dict[str, Signal] = {each: Signal(age=4.0) for each in SIGNALS}
    fresh = condition(status_of(NONE, facts(snapshot=snapshot(signals=whole))), "SignalsFresh")
    assert fresh.message == "requests and errors are measured for every ready pod"
    signals = whole | {name: Signal(state=state)}
    told = condition(status_of(NONE, facts(snapshot=snapshot(signals=signals))), "SignalsFresh")
    assert (told.status.value, told.reason) == ("True", "Fresh")
    assert told.message == f"{fresh.message}; {name} is {state}, so {consequence}"
