"""The postmortem as data: a bad update gives shop-a nearly everything; it is re-weighted, restarted, ramped, closed."""

from __future__ import annotations

from typing import Any

from evenload.clock import rfc3339
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.snapshot import Backend, Pod, RouteWrite, Snapshot
from evenload.report import ClientBin, ClientRecord

START = 1_760_089_500.0
BAD_UPDATE = START + 40
NAMES = ("shop-a", "shop-b", "shop-c", "shop-d")
EVEN = dict.fromkeys(NAMES, 250)
BAD = {"shop-a": 970, "shop-b": 10, "shop-c": 10, "shop-d": 10}
DRAINED = {"shop-a": 0, "shop-b": 250, "shop-c": 250, "shop-d": 250}
RAMP = {"shop-a": 25, "shop-b": 250, "shop-c": 250, "shop-d": 250}


def at(seconds: float) -> str:
    return rfc3339(BAD_UPDATE + seconds)


def remediation() -> dict[str, Any]:
    """The closed Remediation, as the API server would give it (without its recording)."""
    return {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Remediation",
        "metadata": {
            "name": "shop-7k2fq",
            "namespace": "shop",
            "uid": "6f0c",
            "resourceVersion": "4711",
            "creationTimestamp": "2025-10-10T09:46:00Z",
            "labels": {"evenload.dev/balancer": "shop"},
        },
        "spec": {
            "balancerRef": {"name": "shop", "uid": "b-1", "generation": 2},
            "trigger": "Diagnosis",
            "diagnosis": {
                "label": "LoadBalancerSkew",
                "cause": "WeightsWrong",
                "manager": "deploy-pipeline",
                "sentence": "97% of 64 requests/s go to shop-a (fair: 25%): the weight of shop-a was set to 970 by "
                "deploy-pipeline at 09:45:40",
                "since": at(5),
                "pods": ["shop-a-5d9c-x2x9q"],
                "backends": ["shop-a"],
                "evidence": [
                    {
                        "metric": "share",
                        "subject": "shop-a",
                        "observed": "0.97",
                        "expected": "0.25",
                        "threshold": "0.325",
                        "sentence": "shop-a takes 97% of the requests; 25% would be its share.",
                    },
                    {
                        "metric": "weight",
                        "subject": "shop-a",
                        "observed": "970",
                        "expected": "250",
                        "sentence": "deploy-pipeline set its weight to 970.",
                    },
                    {"metric": "errorRatio", "observed": "0.412", "threshold": "0.05"},
                ],
                "ruledOut": [
                    {"label": "Surge", "because": "the total is 1.02 of what it was."},
                    {"label": "Dependency", "because": "one of four servers has errors; a dependency would hit all."},
                ],
            },
            "approval": {"required": False},
        },
        "status": {
            "phase": "Succeeded",
            "openedAt": at(11),
            "closedAt": at(118),
            "overloadedPods": {"shop-a-5d9c-x2x9q": "pod-uid-1"},
            "steps": [
                {
                    "name": "restore-1",
                    "action": "SetWeights",
                    "purpose": "Restore",
                    "state": "Verified",
                    "plannedAt": at(11),
                    "appliedAt": at(11.2),
                    "judgedAt": at(26),
                    "before": BAD,
                    "after": EVEN,
                },
                {
                    "name": "drain-1",
                    "action": "Drain",
                    "purpose": "Drain",
                    "state": "Verified",
                    "plannedAt": at(41),
                    "appliedAt": at(41.1),
                    "judgedAt": at(46),
                    "before": EVEN,
                    "after": DRAINED,
                    "backend": "shop-a",
                    "pod": "shop-a-5d9c-x2x9q",
                    "uid": "pod-uid-1",
                },
                {
                    "name": "restart-1",
                    "action": "RestartPod",
                    "state": "Verified",
                    "plannedAt": at(51),
                    "appliedAt": at(51.4),
                    "judgedAt": at(66),
                    "backend": "shop-a",
                    "pod": "shop-a-5d9c-x2x9q",
                    "uid": "pod-uid-1",
                    "workload": "Deployment/shop-a",
                },
                {
                    "name": "ramp-1",
                    "action": "SetWeights",
                    "purpose": "Ramp",
                    "state": "Verified",
                    "plannedAt": at(66),
                    "appliedAt": at(66.2),
                    "before": DRAINED,
                    "after": RAMP,
                },
                {
                    "name": "ramp-2",
                    "action": "SetWeights",
                    "purpose": "Ramp",
                    "state": "Verified",
                    "plannedAt": at(86),
                    "appliedAt": at(86.2),
                    "judgedAt": at(111),
                    "before": RAMP,
                    "after": EVEN,
                },
            ],
            "outcome": {
                "timeToDetectSeconds": 11,
                "timeToMitigateSeconds": 31,
                "timeToResolveSeconds": 118,
                "requests": 7000,
                "requestsFailed": 1032,
                "restarts": 1,
                "weightWrites": 4,
            },
        },
    }


def weights_at(time: float) -> dict[str, int]:
    since = time - BAD_UPDATE
    for start, weights in ((86.2, EVEN), (66.2, RAMP), (41.1, DRAINED), (11.2, EVEN), (0.0, BAD)):
        if since >= start:
            return weights
    return EVEN


def recording() -> list[tuple[Snapshot, Decision]]:
    """Thirty-six ticks of five seconds."""
    return [_tick(START + 5 * place) for place in range(36)]


def _tick(time: float) -> tuple[Snapshot, Decision]:
    weights = weights_at(time)
    total = sum(weights.values())
    sick = 0 <= time - BAD_UPDATE < 55
    backends = {name: _backend(name, weights, total, sick) for name in NAMES}
    written = RouteWrite(manager="deploy-pipeline", time=BAD_UPDATE, before=EVEN)
    snapshot = Snapshot(time=time, window=15.0, backends=backends, last_write=written if time >= BAD_UPDATE else None)
    label = Label.LoadBalancerSkew if sick else Label.Healthy
    return snapshot, Decision(time=time, diagnosis=Diagnosis(label=label), targets=dict.fromkeys(NAMES, 0.25))


def _backend(name: str, weights: dict[str, int], total: int, sick: bool) -> Backend:
    requests = round(960 * weights[name] / total)
    ill = sick and name == "shop-a"
    pod = Pod(
        ready=True,
        requests=requests,
        errors=round(requests * (0.42 if weights[name] > 500 else 0.15)) if ill else 0,
        latency=1.9 if ill else 0.021 + 0.004 * NAMES.index(name),
    )
    return Backend(weight=weights[name], pods={f"{name}-5d9c-x2x9q": pod})


def client(*, mended: bool = True) -> ClientRecord:
    """Three minutes at 64 requests a second; left alone, the failures stay."""
    bins = [_bin(START + second, mended=mended) for second in range(180)]
    return ClientRecord(
        bins=tuple(bins),
        onset=BAD_UPDATE + 1,
        time_to_mitigate_seconds=30.0 if mended else None,
        source="the open-loop load generator, 64 requests a second",
    )


def _bin(start: float, *, mended: bool) -> ClientBin:
    since = start - BAD_UPDATE
    failing = since >= 1 and (since < 31 or not mended)
    share = 0.41 if since < 12 or not mended else 0.12
    return ClientBin(
        start=start, requests=64, failed=round(64 * share) if failing else 0, latency_p95=2.1 if failing else 0.04
    )


def balancer(**guard: object) -> dict[str, Any]:
    """Its Balancer afterwards, with the changelog: an old change, the bad update, our repair, a later update."""
    changes = [
        {"manager": "argocd", "time": at(900), "before": EVEN, "after": EVEN, "elsewhere": ["/rules/0/filters"]},
        {"manager": "evenload", "time": at(11.2), "before": BAD, "after": EVEN, "remediation": "shop-7k2fq"},
        {
            "manager": "deploy-pipeline",
            "time": at(0),
            "before": EVEN,
            "after": BAD,
            "cause": "release 41",
            "probation": "Failed",
            "remediation": "shop-7k2fq",
        },
        {"manager": "kubectl-edit", "time": at(-7200), "before": BAD, "after": EVEN},
    ]
    return {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "b-1", "resourceVersion": "9", "generation": 2},
        "spec": {"targetRef": {"kind": "HTTPRoute", "name": "shop"}, "mode": "Auto", "guard": guard},
        "status": {"changes": changes, "targetShares": dict.fromkeys(NAMES, 250)},
    }
