"""Manifests as the operator would have written them, at 2025-10-10 09:46 UTC."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from evenload.act.episode import decode, progressed
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.snapshot import Signal
from evenload.model.spec import BalancerSpec, Mode, TargetRef
from tests.unit.report import story

Manifest = dict[str, Any]

NOW = story.BAD_UPDATE + 60


def at(seconds: float) -> str:
    return story.at(seconds)


def condition(kind: str, status: str, reason: str, message: str = "") -> Manifest:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(11),
        "observedGeneration": 1,
    }


def healthy(name: str = "shop", namespace: str = "shop") -> Manifest:
    """A Balancer whose traffic is even."""
    return {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": "2025-10-10T07:00:00Z",
            "labels": {"team": name},
        },
        "spec": {"targetRef": {"kind": "HTTPRoute", "name": name}, "mode": "Auto"},
        "status": {
            "observedGeneration": 1,
            "mode": "Auto",
            "conditions": [
                condition("Ready", "True", "Watching", "Evenload looks after HTTPRoute shop"),
                condition("Balanced", "True", "Healthy", "every backend gets its share of the traffic"),
                condition("SignalsFresh", "True", "Fresh", "requests and errors are measured for every ready pod"),
            ],
            "diagnosis": {"label": "Healthy"},
            "summary": {
                "pods": "4/4",
                "requestsPerSecond": "64",
                "errorPercent": "0",
            },
            "knownGood": {"weights": story.EVEN, "at": at(-20)},
            "budgets": [{"action": "Restart", "remaining": 3}],
        },
    }


def running_full(name: str = "shop", namespace: str = "shop") -> Manifest:
    """A Balancer whose traffic is even and grows, and one of whose pods leaks."""
    manifest = healthy(name, namespace)
    manifest["status"]["forecasts"] = [
        {"kind": "OutOfMemory", "withinSeconds": 3600, "pod": "shop-b-6f7d", "quietestAt": at(1800)},
        {"kind": "Saturation", "withinSeconds": 900, "pod": "shop-a-9c4x"},
    ]
    return manifest


def skewed(name: str = "shop", namespace: str = "shop", mode: str = "Approve") -> Manifest:
    """A Balancer of which one backend gets nearly everything."""
    manifest = healthy(name, namespace)
    manifest["spec"]["mode"] = mode
    manifest["status"] |= {
        "mode": mode,
        "conditions": [
            condition("Ready", "True", "Watching", "Evenload looks after HTTPRoute shop"),
            condition("Balanced", "False", "LoadBalancerSkew", "shop-a takes 97%; fair is 25%."),
            condition("SignalsFresh", "True", "Fresh", "requests and errors are measured for every ready pod"),
        ],
        "diagnosis": {
            "label": "LoadBalancerSkew",
            "sentence": "shop-a takes 97% of 64 requests a second; fair is 25%.",
            "since": at(5),
        },
        "summary": {"pods": "4/4", "requestsPerSecond": "64", "worstShareRatio": "3.88", "errorPercent": "41.2"},
        "activeRemediation": f"{name}-7k2fq",
        "changes": [{"manager": "deploy-pipeline", "time": at(0), "before": story.EVEN, "after": story.BAD}],
        "budgets": [{"action": "Restart", "remaining": 0, "until": at(1800)}],
    }
    return manifest


def waiting(balancer: str = "shop", mode: str = "Approve") -> Manifest:
    """An open Remediation whose first write `mode` holds back, as the operator records it."""
    manifest = story.remediation()
    manifest["metadata"] |= {"name": f"{balancer}-7k2fq", "labels": {"evenload.dev/balancer": balancer}}
    manifest["spec"]["balancerRef"] = {"name": balancer, "uid": f"uid-{balancer}", "generation": 1}
    manifest["spec"]["approval"] = {"required": True}
    manifest["status"] = {}
    return decided(manifest, diagnosed(mode))


def diagnosed(mode: str) -> Decision:
    """What the engine makes of the story's first ticks: it wants to put the weights back, and `mode` holds that."""
    engine = Engine(BalancerSpec(target_ref=TargetRef(name="shop"), mode=Mode(mode)))
    fresh = {name: Signal(age=4.0) for name in ("requests", "errors", "latency")}
    seen = [replace(each, signals=fresh, known_good=story.EVEN) for each, _ in story.recording()]
    decisions = [engine.step(each) for each in seen if each.time <= story.BAD_UPDATE + 10]
    assert [held.reason for held in decisions[-1].held]
    return decisions[-1]


def decided(manifest: Manifest, decision: Decision) -> Manifest:
    """The Remediation with the status that the operator gives it after `decision`."""
    status = progressed(decode(manifest), decision)
    return {**manifest, "status": msgspec.to_builtins(status)}


def executing(balancer: str = "shop") -> Manifest:
    """An open Remediation in the middle of its steps."""
    manifest = waiting(balancer)
    manifest["spec"]["approval"] = {"required": False}
    steps = story.remediation()["status"]["steps"][:2]
    steps[1] |= {"state": "Applied"}
    steps[1].pop("judgedAt")
    manifest["status"] = {"phase": "Executing", "openedAt": at(11), "steps": steps, "held": "CoolDown: until 09:55:00"}
    return manifest


def closed(balancer: str = "shop") -> Manifest:
    """The story's Remediation, which ended well."""
    manifest = story.remediation()
    manifest["metadata"] |= {"name": f"{balancer}-1st", "labels": {"evenload.dev/balancer": balancer}}
    manifest["metadata"]["creationTimestamp"] = "2025-10-10T09:00:00Z"
    manifest["spec"]["balancerRef"] = {"name": balancer, "uid": f"uid-{balancer}", "generation": 1}
    return manifest
