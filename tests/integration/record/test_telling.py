"""Statuses and Events as a real API server takes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from evenload.api.v1alpha1 import ObjectMeta
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, DEPLOYMENTS, EVENTS, Manifest, Resource
from evenload.model.decision import HeldReason
from evenload.model.snapshot import RouteWrite
from evenload.record.conditions import status_of
from evenload.record.events import Bulletin, Happening, Reason
from evenload.record.publish import known_status, publish
from tests.support.apiproxy import ApiProxy
from tests.support.kinds import install
from tests.unit.record.scenes import facts, healthy, held, skewed, snapshot

CORE_EVENTS = Resource("", "v1", "events", "Event")


@pytest.fixture
async def balancer(client: Client, namespace: str) -> Manifest:
    await install(client)
    return await client.create(
        BALANCERS,
        namespace,
        {
            "apiVersion": "evenload.dev/v1alpha1",
            "kind": "Balancer",
            "metadata": {"name": "shop"},
            "spec": {"targetRef": {"name": "shop"}},
        },
    )


async def test_a_healthy_balancer_costs_one_write_and_then_none(
    balancer: Manifest, proxied: Client, proxy: ApiProxy
) -> None:
    manifest = balancer
    for at in range(20):
        decision = healthy(1000.0 + 10 * at, requests_per_second=200 + 3 * at, settled=True)
        manifest = await publish(proxied, manifest, status_of(known_status(manifest), facts(decision)))
    assert len(proxy.writes()) == 1
    assert manifest["status"]["knownGood"]["weights"]["shop-a"] == 250


async def test_the_fullest_status_is_one_that_the_api_server_takes_and_gives_back(
    balancer: Manifest, client: Client
) -> None:
    decision = skewed(held=(held(HeldReason.Contested, "argocd"),), settled=True)
    write = RouteWrite(manager="helm", time=900.25, before={"shop-a": 1})
    status = status_of(
        known_status(balancer), facts(decision, remediation="shop-1", snapshot=snapshot(last_write=write))
    )
    stored = await publish(client, balancer, status)
    assert known_status(stored) == status
    assert known_status(await client.get(BALANCERS, balancer["metadata"]["namespace"], "shop")) == status


def regarding(events: list[Manifest]) -> list[tuple[str, str, str]]:
    return sorted((event["regarding"]["kind"], event["reason"], event["type"]) for event in events)


async def test_events_are_taken_and_two_operators_tell_each_once(
    balancer: Manifest, client: Client, namespace: str
) -> None:
    labels: dict[str, Any] = {"app": "shop-d"}
    container = {"name": "server", "image": "shop.example/server:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    await client.create(DEPLOYMENTS, namespace, {"metadata": {"name": "shop-d"}, "spec": spec})
    metadata = ObjectMeta(name="shop", namespace=namespace, uid=balancer["metadata"]["uid"])
    told = Happening(
        time=1_795_000_000.5, reason=Reason.RestartRefused, note="needs 3", key="k", workload="Deployment/shop-d"
    )
    failures: list[int] = []
    bulletins = [Bulletin(client, f"evenload-{at}", lambda: failures.append(1)) for at in range(2)]
    await asyncio.gather(*(bulletin.post(metadata, told) for bulletin in bulletins))
    assert failures == []
    events, _ = await client.list(EVENTS, namespace)
    ours = [event for event in events if event["reportingController"] == "evenload.dev/operator"]
    assert regarding(ours) == [
        ("Balancer", "RestartRefused", "Warning"),
        ("Deployment", "RestartRefused", "Warning"),
    ]
    core, _ = await client.list(CORE_EVENTS, namespace)
    assert any(event.get("involvedObject", {}).get("uid") == metadata.uid for event in core)  # kubectl describe's view
