"""One sick pod of four behind a single Service of a real gateway is isolated, then evicted. The customers judge.

The pods have no preStop hook, so it is the isolation alone that keeps requests from a pod that has gone. Sick pods
answer slowly and fail many requests by themselves; such an answer carries the pod's name. What a restart breaks has
nobody's name: a 502 of the proxy (a 503 of Envoy), or no answer at all.

Envoy Gateway prefers the pod with the fewest requests in flight, which spares a slow one by itself: next to nothing
would be in flight there. So it is set to give each its turn, as Traefik does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from evenload.diagnose.facts import YOUNG_SECONDS
from evenload.model.episode import FINAL_PHASES
from lab.demo import cluster, incident
from lab.demo.customers import customers
from lab.load import generator
from lab.load.record import Record
from lab.load.schedule import poisson
from lab.planes import envoy_gateway
from lab.shop import manifests as shop
from lab.shop import plain
from lab.shop.manifests import Manifest
from lab.shop.model import OVERFLOWED
from lab.shop.settings import Settings
from lab.state import LabState
from tests.e2e import fragile
from tests.support.wait import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.gateway,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("old_pods"),
]

RATE = 40.0
"""Requests a second; a healthy pod bears 35, a sick one 5."""
FLOOD = 150
"""Requests at one moment: 17 find a place, and far more than the 40 that make a pod sick do not."""
PATIENCE_SECONDS = 30.0
DEADLINE_SECONDS = 180.0
LOAD_SECONDS = YOUNG_SECONDS + 3 * DEADLINE_SECONDS
"""Longer than all that is waited for; the end of the test stops it."""
IN_FLIGHT = 3
"""At least, at the isolation; about 17 are."""


def turns() -> Manifest:
    """Envoy Gateway's policy by which the pods behind the route take turns."""
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": shop.ROUTE}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": shop.metadata("turns", {}),
        "spec": {"targetRefs": [route], "loadBalancer": {"type": "RoundRobin"}},
    }


def balancer() -> Manifest:
    """As the demo's, but requests in flight get longer, and the replacement gets its share at once."""
    made = incident.balancer("Auto")
    made["spec"]["restart"] = {"when": "Allowed", "drainTimeout": "60s", "rampWindow": "1s"}
    return made


async def listed(lab: LabState, kind: str) -> list[Manifest]:
    found = await cluster.kubectl(lab, "--namespace", shop.NAMESPACE, "get", kind, "--output=json")
    items: list[Manifest] = json.loads(found)["items"]
    return items


async def healthy(lab: LabState) -> bool:
    """Whether Evenload sees a healthy shop and has nothing to do."""
    [found] = await listed(lab, "balancers.evenload.dev")
    status = found.get("status", {})
    good = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
    return {"Ready", "Balanced"} <= good and status.get("activeRemediation") is None


async def grown_up(lab: LabState) -> bool:
    """Whether all pods are past their warm-up: what fails in a younger one is not taken for an illness."""
    started = [
        datetime.fromisoformat(container["state"]["running"]["startedAt"])
        for pod in await listed(lab, "pods")
        for container in pod["status"]["containerStatuses"]
    ]
    return (datetime.now(UTC) - max(started)).total_seconds() > YOUNG_SECONDS


async def sicken(lab: LabState) -> str:
    """Make one pod sick as an overload does: more requests at one moment than it can take. Returns its name."""
    pod = (await listed(lab, "pods"))[0]
    answers: list[Record] = []
    whom = generator.Target(url=f"http://{pod['status']['podIP']}:{Settings().port}/", timeout_seconds=PATIENCE_SECONDS)
    await generator.run(whom, [0.0] * FLOOD, answers.append)
    turned_away = sum(record.status == OVERFLOWED for record in answers)
    assert turned_away > Settings().sick_rejections
    name: str = pod["metadata"]["name"]
    return name


async def closed(lab: LabState, pod: str) -> list[Manifest]:
    """The closed Remediations of that pod. On a busy machine another may have been sick before, and had its own."""
    return [
        each
        for each in await listed(lab, "remediations")
        if pod in each["spec"]["diagnosis"].get("pods", ()) and each.get("status", {}).get("phase") in FINAL_PHASES
    ]


def at(step: dict[str, Any]) -> float:
    """When it was applied, in Unix seconds."""
    return datetime.fromisoformat(step["appliedAt"]).timestamp()


def in_flight(records: Sequence[Record], server: str, moment: float) -> list[Record]:
    """What a server answered later than that, and was asked before."""
    return [
        record
        for record in records
        if record.server == server and record.scheduled < moment < record.scheduled + record.latency_seconds
    ]


async def test_a_sick_pod_behind_one_service_goes_and_no_request_fails_by_that(clean: LabState) -> None:
    lab, records = clean, list[Record]()
    policies = [turns()] if lab.gateway == envoy_gateway.GATEWAY else []
    await cluster.install(lab, [*fragile.objects(), *policies, incident.release({plain.WEB: 1}, lab.gateway)])
    await cluster.install_operator(lab)
    await cluster.set_balancer(lab, balancer())
    schedule = poisson(rate=RATE, duration_seconds=LOAD_SECONDS, seed=incident.SEED)
    async with customers(lab, schedule, records.append, patience_seconds=PATIENCE_SECONDS):
        await until(lambda: healthy(lab), seconds=DEADLINE_SECONDS, what="a healthy shop", pause=1.0)
        aged = YOUNG_SECONDS + DEADLINE_SECONDS
        await until(lambda: grown_up(lab), seconds=aged, what="pods past their warm-up", pause=1.0)
        victim = await sicken(lab)
        await until(lambda: closed(lab, victim), seconds=DEADLINE_SECONDS, what="a closed Remediation", pause=1.0)
    [remediation] = await closed(lab, victim)
    steps = remediation["status"]["steps"]
    assert [(step["action"], step["pod"], step["state"]) for step in steps] == [
        ("Isolate", victim, "Verified"),
        ("RestartPod", victim, "Verified"),
    ]
    assert remediation["status"]["phase"] == "Succeeded"
    isolated, evicted = map(at, steps)
    assert len(in_flight(records, victim, isolated)) >= IN_FLIGHT
    assert in_flight(records, victim, evicted) == [], "it had finished all of them"
    nobody = [record for record in records if record.failed and record.server is None and record.scheduled >= isolated]
    assert nobody == []
