"""Snapshots and decisions of a small shop, for the tests of what is told about them."""

from __future__ import annotations

from typing import Any

from evenload.model.decision import Decision, Held, HeldReason
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.plan import Freeze
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Pod, Signal, Snapshot
from evenload.model.spec import BalancerSpec, Mode, TargetRef
from evenload.record.conditions import Facts

SPEC = BalancerSpec(target_ref=TargetRef(name="shop"))
BACKENDS = ("shop-a", "shop-b", "shop-c", "shop-d")
FRESH = {"requests": Signal(age=4.0), "errors": Signal(age=4.0)}
EVEN = dict.fromkeys(BACKENDS, 0.25)


def pod(name: str, **fields: Any) -> Pod:
    return Pod(
        **{"ready": True, "uid": f"uid-{name}", "workload": f"Deployment/{name}", "pre_stop_seconds": 5.0, **fields}
    )


def snapshot(time: float = 1000.0, **fields: Any) -> Snapshot:
    backends = {name: Backend(weight=250, pods={f"{name}-1": pod(name)}) for name in BACKENDS}
    return Snapshot(**{"time": time, "window": 30.0, "backends": backends, "signals": FRESH, **fields})


def healthy(time: float = 1000.0, **fields: Any) -> Decision:
    given = {
        "diagnosis": Diagnosis(label=Label.Healthy, sentence=f"all is well at {time}"),
        "balanced": True,
        "error_ratio": 0.001,
        "requests_per_second": 200.0,
        "worst_ratio": 1.05,
        "shares": EVEN,
        "targets": EVEN,
    }
    return Decision(**{"time": time, **given, **fields})


def skewed(time: float = 1000.0, ratio: float = 3.9, **fields: Any) -> Decision:
    share = ratio / 4
    given = {
        "diagnosis": Diagnosis(
            label=Label.LoadBalancerSkew,
            backends=("shop-d",),
            sentence=f"shop-d takes {share:.0%} at {time}",
            since=990.0,
        ),
        "balanced": False,
        "error_ratio": 0.35,
        "worst_ratio": ratio,
        "shares": {**dict.fromkeys(BACKENDS[:3], (1 - share) / 3), "shop-d": share},
    }
    return healthy(time, **{**given, **fields})


def held(reason: HeldReason, detail: str = "", action: Any = None) -> Held:
    return Held(action=action or Freeze(because="wait"), reason=reason, detail=detail)


def facts(decision: Decision | None = None, **fields: Any) -> Facts:
    decision = decision or healthy()
    given = {
        "time": decision.time,
        "generation": 3,
        "mode": Mode.Auto,
        "subject": "HTTPRoute shop",
        "snapshot": snapshot(decision.time),
        "decision": decision,
        "policy": Policy.of(SPEC),
    }
    return Facts(**{**given, **fields})
