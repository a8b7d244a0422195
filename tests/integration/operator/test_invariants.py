"""The invariants that stand guard over all other tests here can fail: each is broken once, on purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from evenload.api.v1alpha1 import PAUSED_ANNOTATION
from evenload.clock import now, rfc3339
from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.config import Connection
from evenload.kube.resources import BALANCERS, DEPLOYMENTS, ENDPOINTSLICES, HTTPROUTES, REMEDIATIONS, Manifest
from tests.integration.conftest import CLIENT_SECONDS
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.invariants import Invariants, written
from tests.support.town import BAD, EQUAL, SICK, Shop, Town, route

SPEC: Mapping[str, Any] = {"mode": "Auto"}


class Misbehaving:
    """Writes as an operator would, or should not; nothing of it reaches the API server."""

    def __init__(self, shop: Shop, client: Client, invariants: Invariants) -> None:
        self.shop = shop
        self.client = client
        self.invariants = invariants

    async def plan(self, *, after: Mapping[str, int] | None = None, pod: Manifest | None = None, uid: str = "") -> None:
        """A Remediation whose only step is Planned; `uid` of its Balancer, where it is to be another one."""
        balancer = await self.shop.balancer()
        reference = {"name": "shop", "uid": uid or balancer["metadata"]["uid"]}
        spec = {"balancerRef": reference, "diagnosis": {"label": "LoadBalancerSkew"}}
        body = {
            "apiVersion": REMEDIATIONS.api_version,
            "kind": REMEDIATIONS.kind,
            "metadata": {"generateName": "shop-"},
            "spec": spec,
        }
        made = await self.shop.client.create(REMEDIATIONS, self.shop.namespace, body)
        step = {"name": "1-restore", "state": "Planned", "plannedAt": rfc3339(now())}
        what = {"action": "SetWeights", "purpose": "Restore", "before": dict(EQUAL), "after": dict(after or {})}
        if pod is not None:
            metadata = pod["metadata"]
            what = {
                "action": "RestartPod",
                "backend": SICK,
                "pod": metadata["name"],
                "uid": metadata["uid"],
                "workload": f"Deployment/{SICK}",
            }
        status = {"status": {"phase": "Executing", "steps": [step | what]}}
        await self.shop.client.patch_merge(
            REMEDIATIONS, self.shop.namespace, made["metadata"]["name"], status, subresource="status"
        )

    async def write(self, weights: Mapping[str, int], path: str = "weight") -> list[str]:
        """What is said of it."""
        names = list(weights)
        operations = [
            {"op": "replace", "path": f"/spec/rules/0/backendRefs/{names.index(name)}/{path}", "value": weight}
            for name, weight in weights.items()
        ]
        with contextlib.suppress(KubeError):
            await self.client.patch_json(HTTPROUTES, self.shop.namespace, "shop", operations)
        return self.invariants.broken

    async def evict(self, pod: Manifest) -> list[str]:
        with contextlib.suppress(KubeError):
            await self.client.evict(self.shop.namespace, pod["metadata"]["name"], pod["metadata"]["uid"])
        return self.invariants.broken

    def pod(self) -> Manifest:
        return next(pod for pod in self.shop.pods.values() if pod["metadata"]["labels"]["app"] == SICK)


@pytest.fixture
async def misbehaving(connection: Connection, client: Client, town: Town) -> Any:
    shop = await town.open_shop(spec=SPEC)
    invariants = Invariants(client)
    async with ApiProxy(connection) as proxy, Client(proxy.connection(), timeout_seconds=CLIENT_SECONDS) as behind:
        proxy.inspect(invariants.look)
        proxy.inject(Answer(403), method="PATCH", path="/httproutes/", times=None)
        proxy.inject(Answer(403), method="POST", path="/eviction", times=None)
        yield Misbehaving(shop, behind, invariants)


async def test_what_was_planned_and_is_permitted_breaks_nothing(misbehaving: Misbehaving) -> None:
    await misbehaving.plan(after=BAD)
    await misbehaving.plan(pod=misbehaving.pod())
    assert await misbehaving.write(BAD) == []
    assert await misbehaving.evict(misbehaving.pod()) == []
    assert misbehaving.invariants.looked_at == 2


async def test_a_balancer_that_changed_after_the_last_look_at_it_breaks_nothing(misbehaving: Misbehaving) -> None:
    await misbehaving.plan(after=BAD)
    await misbehaving.client.get(BALANCERS, misbehaving.shop.namespace, "shop")
    await misbehaving.shop.patch_balancer({"spec": {"suspend": True}})
    assert await misbehaving.write(BAD) == []
    assert "suspended" in (await misbehaving.write(BAD))[0], "that look was for one write"


async def test_a_write_that_nobody_planned_is_noticed(misbehaving: Misbehaving) -> None:
    await misbehaving.plan(after=EQUAL)
    assert "no Planned step" in (await misbehaving.write(BAD))[0]
    assert "no Planned step" in (await misbehaving.evict(misbehaving.pod()))[1]


async def test_a_write_to_anything_but_weights_is_noticed(misbehaving: Misbehaving) -> None:
    await misbehaving.plan(after=BAD)
    assert "something else than weights" in (await misbehaving.write(BAD, path="port"))[0]


async def test_weights_that_serve_nobody_are_noticed(misbehaving: Misbehaving) -> None:
    zero = dict.fromkeys(EQUAL, 0)
    await misbehaving.plan(after=zero)
    assert "no weights" in (await misbehaving.write(zero))[0]


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"spec": {"suspend": True}}, "suspended"),
        ({"metadata": {"annotations": {PAUSED_ANNOTATION: "true"}}}, "paused"),
        ({"spec": {"mode": "Observe"}}, "Observe mode"),
        ({"spec": {"actions": {"restart": "Observe", "reweight": "Observe"}}}, "Observe mode"),
        ({"spec": {"mode": "Approve"}}, "nobody approved"),
    ],
)
async def test_a_write_that_its_balancer_forbids_is_noticed(
    misbehaving: Misbehaving, patch: dict[str, Any], said: str
) -> None:
    await misbehaving.plan(after=BAD)
    await misbehaving.plan(pod=misbehaving.pod())
    await misbehaving.shop.patch_balancer(patch)
    await misbehaving.write(BAD)
    broken = await misbehaving.evict(misbehaving.pod())
    assert [said in each for each in broken] == [True, True]


async def test_a_write_for_a_balancer_that_is_gone_or_another_one_is_noticed(misbehaving: Misbehaving) -> None:
    await misbehaving.plan(after=BAD, uid="another")
    assert "has the UID" in (await misbehaving.write(BAD))[0]
    await misbehaving.shop.delete_balancer()
    assert "is gone" in (await misbehaving.write(BAD))[1]


async def test_one_restart_too_many_of_a_workload_is_noticed(misbehaving: Misbehaving) -> None:
    await misbehaving.shop.patch_balancer({"spec": {"guardrails": {"restartsPerHour": 0}}})
    await misbehaving.plan(pod=misbehaving.pod())
    assert "restart 1 of Deployment/shop-d within an hour" in (await misbehaving.evict(misbehaving.pod()))[0]


async def test_the_eviction_of_the_last_ready_pod_is_noticed(
    client: Client, town: Town, connection: Connection
) -> None:
    shop = await town.open_shop(backends=("shop-a", SICK), spec=SPEC)
    gone = {"spec": {"replicas": 0}}
    await client.patch_merge(DEPLOYMENTS, shop.namespace, "shop-a", gone)

    async def alone() -> bool:
        slices, _ = await client.list(ENDPOINTSLICES, shop.namespace, "kubernetes.io/service-name=shop-a")
        return not any(each.get("endpoints") for each in slices)

    await shop.until(alone)
    invariants = Invariants(client)
    async with ApiProxy(connection) as proxy, Client(proxy.connection()) as behind:
        proxy.inspect(invariants.look)
        proxy.inject(Answer(403), method="POST", path="/eviction")
        misbehaving = Misbehaving(shop, behind, invariants)
        await misbehaving.plan(pod=misbehaving.pod())
        assert "the last ready pod" in (await misbehaving.evict(misbehaving.pod()))[0]


def test_a_patch_is_read_as_the_api_server_reads_it() -> None:
    manifest = route(EQUAL)
    test = {"op": "test", "path": "/spec/rules/0/backendRefs/3", "value": "anything"}
    replace = {"op": "replace", "path": "/spec/rules/0/backendRefs/3/weight", "value": 7}
    assert written(manifest, [test, replace], "web") == EQUAL | {SICK: 7}
    assert written(manifest, [{"op": "remove", "path": "/spec/rules/0"}], "web") is None
