"""Metrics: named as the reference says, with no series of what is gone."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evenload.api.v1alpha1 import (
    BalancerReference,
    ObjectMeta,
    Outcome,
    RecordedDiagnosis,
    Remediation,
    RemediationSpec,
    RemediationStatus,
    StepRecord,
)
from evenload.api.values import moment
from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, StepState
from evenload.model.forecast import Forecast
from evenload.model.snapshot import Backend, RouteWrite
from evenload.model.spec import Mode
from evenload.record.conditions import Facts, Trouble
from evenload.record.metrics import KNOWN_MANAGERS, OTHER_MANAGER, Metrics, names
from tests.unit.record.scenes import facts, healthy, held, pod, skewed, snapshot

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: Metrics) -> Series:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return scrape(metrics).get((name, frozenset(({"namespace": "shop", "balancer": "shop"} | labels).items())))


def of_balancers(metrics: Metrics) -> list[str]:
    return [name for name, labels in scrape(metrics) if "balancer" in dict(labels)]


def remediation(*steps: StepRecord, **outcome: Any) -> Remediation:
    return Remediation(
        metadata=ObjectMeta(name="shop-1"),
        spec=RemediationSpec(
            balancer_ref=BalancerReference(name="shop"), diagnosis=RecordedDiagnosis(label=Label.LoadBalancerSkew)
        ),
        status=RemediationStatus(phase=Phase.Succeeded, steps=steps, outcome=Outcome(**outcome)),
    )


def step(action: str, state: StepState) -> StepRecord:
    return StepRecord(name=f"1-{action}", action=action, state=state, planned_at=moment(1.0))  # type: ignore[arg-type]


def test_the_reference_lists_every_metric_and_no_other() -> None:
    metrics = Metrics("0.1.0")
    metrics.tell("shop", "shop", facts(skewed(held=(held(HeldReason.Budget),)), snapshot=snapshot()))
    shown = {family.name for family in text_string_to_metric_families(metrics.exposition().decode())}
    listed = {name.removesuffix("_total") for name in names()}
    assert {name for name in shown if not name.endswith("_created")} == listed
    assert all(name.startswith("evenload_") for name in names())


def test_names_that_dashboards_and_alerts_of_the_chart_use() -> None:
    assert names()["evenload_balancer_condition"] == ("namespace", "balancer", "condition", "status")
    assert names()["evenload_remediations_total"] == ("namespace", "balancer", "action", "diagnosis", "result")
    assert "evenload_time_to_detect_seconds" in names()


def test_numbers_of_a_tick() -> None:
    metrics = Metrics("0.1.0")
    backends = {"shop-d": Backend(weight=8, pods={"p": pod("p", cpu=0.3, cpu_limit=0.5), "q": pod("q", cpu=9.0)})}
    decision = skewed(targets={"shop-d": 0.25}, shares={"shop-d": 0.975}, phase=Phase.AwaitingApproval)
    metrics.tell("shop", "shop", facts(decision, snapshot=snapshot(backends=backends)))
    assert value(metrics, "evenload_diagnosis", type="LoadBalancerSkew") == 1
    assert value(metrics, "evenload_balancer_worst_share_ratio") == 3.9
    assert value(metrics, "evenload_balancer_headroom_ratio") == pytest.approx(0.4)
    assert value(metrics, "evenload_backend_weight", backend="shop-d", state="actual") == 8
    assert value(metrics, "evenload_backend_weight", backend="shop-d", state="desired") == 2
    assert value(metrics, "evenload_backend_share_ratio", backend="shop-d", state="actual") == 0.975
    assert value(metrics, "evenload_signal_age_seconds", signal="errors") == 4
    assert value(metrics, "evenload_approvals_pending") == 1
    assert value(metrics, "evenload_budget_remaining", action="Restart") == 3
    assert value(metrics, "evenload_balancer_condition", condition="Balanced", status="False") == 1
    assert value(metrics, "evenload_balancer_condition", condition="Balanced", status="True") == 0


def test_forecasts_have_series_only_while_there_are_some() -> None:
    metrics = Metrics("0.1.0")
    soon = Forecast(seconds=600.0, soonest=240.0, subject="p")
    metrics.tell("shop", "shop", facts(healthy(saturation=soon, out_of_memory=Forecast(seconds=3000.0, soonest=1.0))))
    assert value(metrics, "evenload_saturation_eta_seconds") == 600
    assert value(metrics, "evenload_saturation_eta_soonest_seconds") == 240
    assert value(metrics, "evenload_memory_eta_seconds") == 3000
    assert value(metrics, "evenload_memory_eta_soonest_seconds") == 1
    metrics.tell("shop", "shop", facts(healthy()))
    assert not any("_eta_" in name for name, _ in scrape(metrics))
    metrics.tell("shop", "shop", facts(healthy(saturation=soon)))
    metrics.forget("shop", "shop")
    assert not any("_eta_" in name for name, _ in scrape(metrics))


def test_what_a_tick_cannot_tell_has_no_series_and_no_old_number() -> None:
    metrics = Metrics("0.1.0")
    metrics.tell("shop", "shop", facts(skewed()))
    metrics.tell("shop", "shop", facts(healthy(requests_per_second=None, worst_ratio=None)))
    assert value(metrics, "evenload_balancer_requests_per_second") is None
    assert value(metrics, "evenload_balancer_worst_share_ratio") is None
    assert value(metrics, "evenload_diagnosis", type="LoadBalancerSkew") is None
    trouble = Trouble(reason="RouteMissing", message="x")
    metrics.tell(
        "shop", "shop", Facts(time=1.0, generation=1, mode=Mode.Auto, subject="HTTPRoute shop", trouble=trouble)
    )
    assert value(metrics, "evenload_backend_weight", backend="shop-a", state="actual") is None
    assert value(metrics, "evenload_balancer_condition", condition="Ready", status="False") == 1


def test_held_and_changed_routes_are_counted_by_change_not_by_tick() -> None:
    metrics = Metrics("0.1.0")
    budget = skewed(held=(held(HeldReason.Budget),))
    for manager, decision in [("helm", budget), ("helm", budget), ("helm", skewed()), ("argocd", budget)]:
        write = RouteWrite(manager=manager, time=900.0)
        metrics.tell("shop", "shop", facts(decision, snapshot=snapshot(last_write=write)))
    assert value(metrics, "evenload_held_total", reason="Budget") == 2
    assert value(metrics, "evenload_route_changes_total", kind="HTTPRoute", manager="argocd") == 1
    assert value(metrics, "evenload_route_changes_total", kind="HTTPRoute", manager="helm") is None


def test_managers_that_nobody_knows_are_one_series() -> None:
    metrics = Metrics("0.1.0")
    for at, manager in enumerate(["helm", *(f"kubectl-{at}" for at in range(500)), "helm"]):
        write = RouteWrite(manager=manager, time=float(at))
        metrics.tell("shop", "shop", facts(healthy(), snapshot=snapshot(last_write=write)))
    assert value(metrics, "evenload_route_changes_total", kind="HTTPRoute", manager=OTHER_MANAGER) == 500
    assert value(metrics, "evenload_route_changes_total", kind="HTTPRoute", manager="helm") == 1
    changes = [labels for name, labels in scrape(metrics) if name == "evenload_route_changes_total"]
    assert len(changes) == 2
    metrics.forget("shop", "shop")
    assert of_balancers(metrics) == []


def test_whoever_counts_route_changes_meets_the_same_bound() -> None:
    metrics = Metrics("0.1.0")
    for at in range(100):
        metrics.route_changes.labels("shop", "shop", "HTTPRoute", f"m{at}").inc()
        metrics.route_changes.labels(namespace="shop", balancer="shop", kind="HTTPRoute", manager=f"n{at}").inc()
    assert value(metrics, "evenload_route_changes_total", kind="HTTPRoute", manager=OTHER_MANAGER) == 200
    assert OTHER_MANAGER not in KNOWN_MANAGERS


def test_balancers_with_series_are_known_until_they_are_forgotten() -> None:
    metrics = Metrics("0.1.0")
    metrics.tell("shop", "shop", facts(healthy()))
    assert list(metrics.balancers) == [("shop", "shop")]
    metrics.forget("shop", "shop")
    assert list(metrics.balancers) == []


@pytest.mark.parametrize(
    ("steps", "action"),
    [
        ((), "None"),
        ((step("SetWeights", StepState.Planned),), "None"),
        ((step("SetWeights", StepState.Verified), step("RestartPod", StepState.Abandoned)), "Reweight"),
        ((step("Drain", StepState.Verified), step("RestartPod", StepState.Verified)), "Restart"),
    ],
)
def test_a_closed_remediation_counts_under_the_strongest_thing_it_did(
    steps: tuple[StepRecord, ...], action: str
) -> None:
    metrics = Metrics("0.1.0")
    metrics.closed("shop", "shop", remediation(*steps, time_to_detect_seconds=12))
    labels = {"action": action, "diagnosis": "LoadBalancerSkew", "result": "Succeeded"}
    assert value(metrics, "evenload_remediations_total", **labels) == 1
    assert value(metrics, "evenload_time_to_detect_seconds_sum") == 12
    assert value(metrics, "evenload_time_to_restore_seconds_count") is None


def test_a_balancer_that_is_gone_leaves_no_series_and_others_keep_theirs() -> None:
    metrics = Metrics("0.1.0")
    for name in ("shop", "cart"):
        metrics.tell("shop", name, facts(skewed(held=(held(HeldReason.Budget),))))
        metrics.closed("shop", name, remediation(time_to_detect_seconds=1, time_to_mitigate_seconds=2))
    metrics.forget("shop", "shop")
    assert {dict(labels).get("balancer") for _, labels in scrape(metrics)} == {None, "cart"}
    metrics.forget("shop", "cart")
    assert of_balancers(metrics) == []


def test_the_operators_own_numbers() -> None:
    metrics = Metrics("0.1.0")
    metrics.leader.set(1)
    metrics.tick(seconds=0.2, lag=-0.1, depth=3)
    metrics.kube_request("patch", "200", 0.01)
    metrics.prometheus_query("ok", 0.02)
    metrics.failed("Unavailable")
    shown = {name: number for (name, labels), number in scrape(metrics).items() if len(labels) < 2}
    assert (shown["evenload_leader"], shown["evenload_queue_depth"], shown["evenload_tick_lag_seconds"]) == (1, 3, 0)
    assert shown["evenload_tick_duration_seconds_count"] == 1
    assert shown["evenload_build_info"] == 1
    assert shown["evenload_reconcile_errors_total"] == 1
    assert shown["evenload_prometheus_query_duration_seconds_sum"] == 0.02
