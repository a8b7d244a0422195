"""A Remediation: its spec stands, but for one decision by the person it names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from evenload.api.v1alpha1 import (
    API_VERSION,
    BalancerReference,
    Evidence,
    RecordedDiagnosis,
    Remediation,
    RemediationSpec,
    RuledOut,
    StepRecord,
)
from evenload.api.values import moment, number
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import StepState
from evenload.model.plan import Purpose
from tests.support.kubectl import Kubectl, Manifest

SPEC = RemediationSpec(
    balancer_ref=BalancerReference(name="shop", uid="u-1", generation=4),
    diagnosis=RecordedDiagnosis(
        label=Label.LoadBalancerSkew,
        cause=SkewCause.WeightsWrong,
        manager="balancer-update",
        sentence="shop-a takes 94% of the requests; fair is 25%",
        since=moment(1760089500.25),
        pods=("shop-a-x",),
        backends=("shop-a",),
        evidence=(Evidence(metric="share", subject="shop-a", observed=number(0.94), expected=number(0.25)),),
        ruled_out=(RuledOut(label=Label.Surge, because="total is 1.04 of the baseline"),),
    ),
)


def remediation(name: str = "shop-7k2fq") -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "Remediation",
        "metadata": {"name": name},
        "spec": msgspec.to_builtins(SPEC),
    }


def patch(content: Any) -> tuple[str, ...]:
    return ("patch", "remediation/shop-7k2fq", "--type=merge", f"--patch={json.dumps(content)}")


def decision(by: str, what: str = "Approved") -> Manifest:
    return {"spec": {"approval": {"decision": what, "by": by}}}


def test_what_the_models_write_is_what_they_read_back(kubectl: Kubectl) -> None:
    stored = kubectl.create(remediation())
    assert msgspec.convert(stored, Remediation).spec == SPEC


def test_a_step_keeps_its_microseconds_and_its_weights(kubectl: Kubectl) -> None:
    kubectl.create(remediation())
    step = StepRecord(
        name="restore-1",
        action="SetWeights",
        state=StepState.Planned,
        purpose=Purpose.Restore,
        planned_at=datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
        before={"shop-a": 970, "shop-b": 10},
        after={"shop-a": 250, "shop-b": 250},
        error_ratio=number(0.3456789),
    )
    status = {"status": {"phase": "Executing", "steps": [msgspec.to_builtins(step)]}}
    kubectl("patch", "rem/shop-7k2fq", "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    stored = json.loads(kubectl("get", "rem/shop-7k2fq", "--output=json"))
    assert msgspec.convert(stored, Remediation).status.steps == (step,)


@pytest.mark.parametrize(
    "change",
    [
        {"balancerRef": {"name": "other"}},
        {"trigger": "User"},
        {"undoes": "another"},
        {"diagnosis": {"sentence": "it was nothing"}},
        {"diagnosis": {"label": "Surge"}},
        {"diagnosis": {"evidence": []}},
    ],
    ids=lambda change: ".".join(
        (*change, *(inner for inner in change.values() if isinstance(inner, dict) for inner in inner))
    ),
)
def test_nothing_but_the_approval_can_be_changed(kubectl: Kubectl, change: Manifest) -> None:
    kubectl.create(remediation())
    words = kubectl.refused(*patch({"spec": change}))
    assert f"spec.{next(iter(change))}" in words
    assert "only approval may change" in words


def wish(**changes: Any) -> Manifest:
    asked = remediation("shop-undo")
    asked["spec"] |= {"trigger": "Undo", "undoes": "shop-7k2fq", **decision("jane")["spec"], **changes}
    return asked


def test_an_undo_names_what_it_undoes_and_who_asks(kubectl: Kubectl) -> None:
    stored = kubectl.create(wish())
    assert (stored["spec"]["undoes"], stored["spec"]["approval"]["by"]) == ("shop-7k2fq", "jane")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"undoes": None}, "spec.undoes"),
        ({"trigger": "Diagnosis"}, "spec.undoes"),
        ({"approval": None}, "spec.approval"),
        ({"approval": {"required": True}}, "spec.approval"),
        (decision("jane", "Denied")["spec"], "spec.approval"),
    ],
)
def test_an_undo_without_that_is_refused(kubectl: Kubectl, changes: Manifest, field: str) -> None:
    kept = {key: value for key, value in wish(**changes)["spec"].items() if value is not None}
    assert field in kubectl.create_refused({**wish(), "spec": kept})


def test_a_decision_needs_its_author(kubectl: Kubectl) -> None:
    kubectl.create(remediation())
    words = kubectl.refused(*patch({"spec": {"approval": {"decision": "Approved"}}}))
    assert "spec.approval.by" in words


@pytest.mark.parametrize(
    "second",
    [
        decision("someone", "Denied"),
        {"spec": {"approval": {"decision": None, "by": None}}},
        {"spec": {"approval": None}},
    ],
    ids=["changed", "withdrawn", "removed"],
)
def test_a_decision_is_final(kubectl: Kubectl, second: Manifest) -> None:
    kubectl.create(remediation())
    kubectl(*patch(decision("someone")))
    words = kubectl.refused(*patch(second))
    assert "spec.approval" in words
    assert "final" in words


def test_kubectl_get_shows_what_matters(kubectl: Kubectl) -> None:
    kubectl.create(remediation())
    status = json.dumps({"status": {"phase": "Succeeded", "outcome": {"timeToResolveSeconds": 112}}})
    kubectl("patch", "rem/shop-7k2fq", "--subresource=status", "--type=merge", f"--patch={status}")
    head, row = kubectl("get", "rem").splitlines()
    assert head.split() == ["NAME", "BALANCER", "LABEL", "PHASE", "RESOLVED", "AGE"]
    assert row.split()[:-1] == ["shop-7k2fq", "shop", "LoadBalancerSkew", "Succeeded", "112"]


def test_it_outlives_its_balancer(kubectl: Kubectl) -> None:
    kubectl.create(
        {
            "apiVersion": API_VERSION,
            "kind": "Balancer",
            "metadata": {"name": "shop"},
            "spec": {"targetRef": {"name": "shop"}},
        }
    )
    kubectl.create(remediation())
    kubectl("delete", "balancer/shop", "--wait=true", "--timeout=60s")
    assert "shop-7k2fq" in kubectl("get", "rem", "--output=name")
