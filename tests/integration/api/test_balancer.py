"""A Balancer as people write it, right and wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
import yaml

from evenload.api.v1alpha1 import API_VERSION, Balancer
from evenload.model.spec import BalancerSpec
from tests.support.chart import REPOSITORY
from tests.support.kubectl import Kubectl, Manifest

TWELVE_LINES = REPOSITORY / "manifests/examples/balancer.yaml"


def balancer(name: str = "shop", **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "Balancer",
        "metadata": {"name": name},
        "spec": {"targetRef": {"name": "shop"}, **spec},
    }


def test_the_shortest_balancer_is_stored_with_the_defaults_of_the_model(kubectl: Kubectl) -> None:
    stored = kubectl.create(balancer())
    assert stored["spec"]["mode"] == "Observe"
    assert stored["spec"]["targetRef"]["kind"] == "HTTPRoute"
    model = msgspec.convert({"targetRef": {"name": "shop"}}, BalancerSpec)
    assert msgspec.convert(stored, Balancer).spec == model


def test_the_example_is_twelve_lines_at_most_and_accepted(kubectl: Kubectl) -> None:
    text = TWELVE_LINES.read_text()
    code = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(code) <= 12
    manifest = yaml.safe_load(text)
    del manifest["metadata"]["namespace"]
    kubectl.create(manifest)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "manifests/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted(kubectl: Kubectl, path: Any) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] == "Balancer":
            kubectl.create({**manifest, "metadata": {"name": manifest["metadata"]["name"]}})


def test_a_null_means_absent(kubectl: Kubectl) -> None:
    stored = kubectl.create(balancer(mode=None, desired=None, actions={"restart": None}, signals={"window": None}))
    assert stored["spec"]["mode"] == "Observe"
    assert "restart" not in stored["spec"]["actions"]
    assert "window" not in stored["spec"]["signals"]


@pytest.mark.parametrize(
    "url",
    [
        "http://prometheus",
        "http://prometheus.monitoring:9090/",
        "https://thanos.example/a/prefix",
        "http://10.1.2.3:9090",
        "http://[fd00::1]:9090/x",
        "http://prometheus.monitoring.svc.cluster.local.:80",
    ],
)
def test_an_address_of_prometheus_is_accepted(kubectl: Kubectl, url: str) -> None:
    assert kubectl.create(balancer(signals={"prometheusUrl": url}))["spec"]["signals"]["prometheusUrl"] == url


WRONG: dict[str, tuple[Manifest, tuple[str, ...]]] = {
    "unknown field": (balancer(mod="Auto"), ('unknown field "spec.mod"',)),
    "unknown field deep inside": (
        balancer(restart={"drainTimeOut": "5s"}),
        ('unknown field "spec.restart.drainTimeOut"',),
    ),
    "wrong mode": (balancer(mode="auto"), ("spec.mode", '"Approve", "Auto", "Observe"')),
    "guard of an unknown mode": (
        balancer(guard={"mode": "Block"}),
        ("spec.guard.mode", '"Deny", "Off", "Warn"'),
    ),
    "guard that allows nothing": (
        balancer(guard={"maxSharePercent": 0}),
        ("spec.guard.maxSharePercent", "greater than or equal to 1"),
    ),
    "kind without a driver": (
        balancer(targetRef={"kind": "Ingress", "name": "shop"}),
        ("spec.targetRef.kind", "HTTPRoute"),
    ),
    "no target": ({**balancer(), "spec": {}}, ("spec.targetRef: Required",)),
    "target without a name": (balancer(targetRef={}), ("spec.targetRef.name: Required",)),
    "explicit without shares": (
        balancer(desired={"type": "Explicit"}),
        ("spec.desired.shares", "at least one share above zero"),
    ),
    "explicit, all zero": (
        balancer(desired={"type": "Explicit", "shares": [{"backend": "a", "weight": 0}]}),
        ("spec.desired.shares", "at least one share above zero"),
    ),
    "one backend twice": (
        balancer(
            desired={"type": "Explicit", "shares": [{"backend": "a", "weight": 1}, {"backend": "a", "weight": 2}]}
        ),
        ("spec.desired.shares[1]: Duplicate value",),
    ),
    "negative share": (
        balancer(desired={"type": "Explicit", "shares": [{"backend": "a", "weight": -1}]}),
        ("spec.desired.shares[0].weight", "greater than or equal to 0"),
    ),
    "shares that nobody would read": (
        balancer(desired={"shares": [{"backend": "a", "weight": 1}]}),
        ("spec.desired.shares", "desired.type: Explicit"),
    ),
    "duration of zero": (balancer(restart={"drainTimeout": "0s"}), ("spec.restart.drainTimeout", "1s to 30m")),
    "negative duration": (balancer(restart={"rampWindow": "-5s"}), ("spec.restart.rampWindow", "1s to 1h")),
    "duration in words": (balancer(guardrails={"podCooldown": "10 min"}), ("spec.guardrails.podCooldown", '"30s"')),
    "duration beyond counting": (
        balancer(restart={"evictionDeadline": "99999999999999h"}),
        ("spec.restart.evictionDeadline", "1s to 1h"),
    ),
    "duration as a number": (balancer(restart={"drainTimeout": 60}), ("spec.restart.drainTimeout", "string")),
    "window too long": (balancer(signals={"window": "1h"}), ("spec.signals.window", "5s to 10m")),
    "signal that does not exist": (
        balancer(signals={"queries": [{"signal": "rps", "query": "up"}]}),
        ("spec.signals.queries[0].signal", '"requests"'),
    ),
    "address without a scheme": (
        balancer(signals={"prometheusUrl": "prometheus:9090"}),
        ("spec.signals.prometheusUrl", "^https?://"),
    ),
    "address without a host": (
        balancer(signals={"prometheusUrl": "http://"}),
        ("spec.signals.prometheusUrl", "must be an address like"),
    ),
    "address with half an IPv6 address": (
        balancer(signals={"prometheusUrl": "http://["}),
        ("spec.signals.prometheusUrl", "must be an address like"),
    ),
    "address with letters that DNS does not have": (
        balancer(signals={"prometheusUrl": "http://ex\u2100mple"}),
        ("spec.signals.prometheusUrl", "must be an address like"),
    ),
    "address with a space": (
        balancer(signals={"prometheusUrl": "http://a b"}),
        ("spec.signals.prometheusUrl", "must be an address like"),
    ),
    "address with a password": (
        balancer(signals={"prometheusUrl": "http://me:s3cret@prometheus:9090"}),
        ("spec.signals.prometheusUrl", "no user name"),
    ),
    "address with a query": (
        balancer(signals={"prometheusUrl": "http://prometheus:9090/x?y="}),
        ("spec.signals.prometheusUrl", "no ?"),
    ),
    "address with a fragment": (
        balancer(signals={"prometheusUrl": "http://prometheus:9090/x#"}),
        ("spec.signals.prometheusUrl", "no #"),
    ),
    "address with a port beyond counting": (
        balancer(signals={"prometheusUrl": "http://prometheus:70000"}),
        ("spec.signals.prometheusUrl", "a port from 1 to 65535"),
    ),
    "address with port 0": (
        balancer(signals={"prometheusUrl": "http://prometheus:0"}),
        ("spec.signals.prometheusUrl", "a port from 1 to 65535"),
    ),
    "address with a port in letters": (
        balancer(signals={"prometheusUrl": "http://prometheus:http"}),
        ("spec.signals.prometheusUrl", "must be an address like"),
    ),
    "ready floor under one half": (
        balancer(guardrails={"minReadyPercent": 10}),
        ("spec.guardrails.minReadyPercent", "greater than or equal to 51"),
    ),
    "negative budget": (
        balancer(guardrails={"restartsPerHour": -1}),
        ("spec.guardrails.restartsPerHour", "greater than or equal to 0"),
    ),
    "fraction of a percent": (
        balancer(desired={"tolerancePercent": 12.5}),
        ("spec.desired.tolerancePercent", "integer"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_balancer_is_refused_with_the_field_named(kubectl: Kubectl, case: str) -> None:
    manifest, expected = WRONG[case]
    words = kubectl.create_refused(manifest)
    assert [part for part in expected if part not in words] == [], words


def test_the_target_cannot_be_changed_but_the_mode_can(kubectl: Kubectl) -> None:
    kubectl.create(balancer())
    words = kubectl.refused("patch", "balancer/shop", "--type=merge", '--patch={"spec":{"targetRef":{"name":"other"}}}')
    assert "spec.targetRef" in words
    assert "immutable" in words
    kubectl("patch", "balancer/shop", "--type=merge", '--patch={"spec":{"mode":"Auto"}}')


def test_the_spec_and_the_status_are_written_apart(kubectl: Kubectl) -> None:
    stored = kubectl.create({**balancer(), "status": {"mode": "Auto"}})
    assert "status" not in stored
    kubectl("patch", "balancer/shop", "--subresource=status", "--type=merge", '--patch={"status":{"mode":"Auto"}}')
    now = json.loads(kubectl("get", "balancer/shop", "--output=json"))
    assert now["status"] == {"mode": "Auto"}
    assert now["metadata"]["generation"] == 1


STATUS = {
    "observedGeneration": 1,
    "mode": "Approve",
    "conditions": [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "shop-a takes 81% of 940 rps; fair is 25%",
            "lastTransitionTime": "2026-01-01T00:00:00.000000Z",
        }
        for kind, status, reason in (("Ready", "True", "Working"), ("Balanced", "False", "LoadBalancerSkew"))
    ],
    "summary": {"pods": "3/4", "requestsPerSecond": "940", "worstShareRatio": "3.24", "errorPercent": "34"},
}


def test_kubectl_get_shows_what_matters(kubectl: Kubectl) -> None:
    kubectl.create(balancer())
    patch = json.dumps({"status": STATUS})
    kubectl("patch", "balancer/shop", "--subresource=status", "--type=merge", f"--patch={patch}")
    head, row = kubectl("get", "bal").splitlines()
    assert head.split() == ["NAME", "MODE", "BALANCED", "REASON", "WORST", "PODS", "READY", "AGE"]
    assert row.split()[:-1] == ["shop", "Approve", "False", "LoadBalancerSkew", "3.24", "3/4", "True"]


def test_the_category_lists_both_kinds(kubectl: Kubectl) -> None:
    kubectl.create(balancer())
    assert "balancer.evenload.dev/shop" in kubectl("get", "evenload", "--output=name")


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"summary": {"worstShareRatio": 3.24}}, "status.summary.worstShareRatio"),
        ({"summary": {"worstShareRatio": "NaN"}}, "status.summary.worstShareRatio"),
        ({"mode": "Maybe"}, "status.mode"),
        ({"knownGood": {"weights": {"a": -1}}}, "status.knownGood.weights.a"),
        ({"outliers": [{"name": f"p{each}", "verdict": "Hot"} for each in range(21)]}, "status.outliers"),
    ],
)
def test_a_status_with_floats_or_out_of_bounds_is_refused(kubectl: Kubectl, status: Manifest, field: str) -> None:
    kubectl.create(balancer())
    patch = json.dumps({"status": status})
    words = kubectl.refused("patch", "balancer/shop", "--subresource=status", "--type=merge", f"--patch={patch}")
    assert field in words


def test_a_balancer_is_gone_at_once_when_deleted_as_nothing_holds_it(kubectl: Kubectl) -> None:
    stored = kubectl.create(balancer())
    assert "finalizers" not in stored["metadata"]
    kubectl("delete", "balancer/shop", "--wait=true", "--timeout=60s")


@pytest.mark.parametrize("path", ["spec.guardrails.maxUtilizationPercent", "spec.desired.shares", "status.conditions"])
def test_kubectl_explain_describes_the_field(kubectl: Kubectl, path: str) -> None:
    # The API server publishes a new CRD's documentation a moment after it serves the kind.
    deadline = time.monotonic() + 60
    while "DESCRIPTION" not in (text := str(kubectl.run("explain", f"balancer.{path}"))):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    assert "<no description>" not in text
    assert "<empty>" not in text
