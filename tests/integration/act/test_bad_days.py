"""What a real API server, a rival writer and PodDisruptionBudgets do to a step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from evenload.act.apply import execute
from evenload.act.episode import decode, progressed
from evenload.act.execution import Bench, Cluster, Execution, Result
from evenload.act.remediations import open_remediation, store
from evenload.api.v1alpha1 import ObjectMeta, StepRecord
from evenload.drivers import driver_of
from evenload.errors import NotFound
from evenload.kube.client import Client
from evenload.kube.config import Connection
from evenload.kube.resources import HTTPROUTES, PDBS, PODS, REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Purpose, RestartPod, SetWeights
from tests.integration.act.conftest import Shop, eventually
from tests.support.apiproxy import Answer, ApiProxy, Call, Fault, LoseAnswer, Refuse
from tests.support.scripted import BAD, EQUAL, SHOP, SICK, nothing_against

DECISION = Decision(time=1000.0, diagnosis=Diagnosis(label=Label.LoadBalancerSkew), phase=Phase.Executing)
RESTORE = SetWeights(before=BAD, after=EQUAL, purpose=Purpose.Restore, because="a bad update")
OTHER = dict.fromkeys(BAD, 7)


class Scene:
    """The shop with an open Remediation; what is executed goes through `through`."""

    def __init__(self, shop: Shop, through: Cluster) -> None:
        self.shop = shop
        self.through = through
        self.remediation: Manifest = {}

    async def open(self) -> None:
        balancer = ObjectMeta(name="shop", namespace=self.shop.namespace, uid="u")
        opened = await open_remediation(self.shop.client, balancer, DECISION, previous=None, approval_required=False)
        self.remediation = await store(self.shop.client, opened, progressed(decode(opened), DECISION))

    async def execute(self, action: SetWeights | RestartPod) -> Execution:
        bench = Bench(
            cluster=self.through,
            driver=driver_of("HTTPRoute"),
            target=SHOP,
            namespace=self.shop.namespace,
            veto=nothing_against,
            now=lambda: 1000.5,
        )
        execution = await execute(bench, self.remediation, action, DECISION)
        self.remediation = await self.shop.remediation()
        return execution

    @property
    def step(self) -> StepRecord:
        (step,) = decode(self.remediation).status.steps
        return step

    async def weights(self) -> dict[str, int]:
        return driver_of("HTTPRoute").backends(await self.shop.route(), SHOP).weights

    async def restart(self, step: str | None = None) -> RestartPod:
        pods, _ = await self.shop.client.list(PODS, self.shop.namespace)
        metadata = pods[0]["metadata"]
        return RestartPod(
            backend=SICK,
            pod=metadata["name"],
            uid=metadata["uid"],
            workload=f"ReplicaSet/{SICK}",
            because="it stays sick",
            step=step,
        )


@pytest.fixture
async def scene(shop: Shop, proxied: Client) -> Scene:
    scene = Scene(shop, proxied)
    await scene.open()
    return scene


async def rival_write(connection: Connection, namespace: str, weights: dict[str, int], manager: str) -> None:
    """As kubectl edit would: the whole object, under another field manager."""
    async with Client(connection) as client:
        route = await client.get(HTTPROUTES, namespace, "shop")
        for reference in route["spec"]["rules"][0]["backendRefs"]:
            reference["weight"] = weights[reference["name"]]
    async with aiohttp.ClientSession() as session:
        url = f"{connection.url}{HTTPROUTES.path(namespace, 'shop')}?fieldManager={manager}"
        async with session.put(url, json=route, headers=connection.headers(), ssl=connection.tls or True) as answer:
            assert answer.status == 200, await answer.text()


def at_route_write(proxy: ApiProxy, fault: Fault) -> None:
    """Do `fault` to the next write of the route."""
    proxy.inject(fault, method="PATCH", path="/httproutes/shop$")


@pytest.mark.parametrize(
    "fault",
    [
        LoseAnswer(),
        Refuse(),
        Answer(500, message="etcdserver: request timed out"),
        Answer(409, message="the object has been modified"),
        Answer(422, message="the server rejected our request due to an error in our request", reason="Invalid"),
    ],
    ids=["lost answer", "cut connection", "500", "409", "failed test"],
)
async def test_a_write_that_goes_wrong_once_is_settled_by_looking(scene: Scene, proxy: ApiProxy, fault: Fault) -> None:
    at_route_write(proxy, fault)
    execution = await scene.execute(RESTORE)
    assert execution.result is Result.Applied, execution
    assert (scene.step.state, await scene.weights()) == (StepState.Applied, EQUAL)
    assert (await scene.shop.route())["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Answer(429, headers={"Retry-After": "1"}), Result.Unavailable),
        (Answer(403, message="forbidden", reason="Forbidden"), Result.Refused),
    ],
    ids=["429", "403"],
)
async def test_a_write_that_is_turned_away_leaves_the_step_planned(
    scene: Scene, proxy: ApiProxy, fault: Answer, result: Result
) -> None:
    at_route_write(proxy, fault)
    assert (await scene.execute(RESTORE)).result is result
    assert (scene.step.state, await scene.weights()) == (StepState.Planned, BAD)
    resumed = SetWeights(before=BAD, after=EQUAL, purpose=Purpose.Restore, because="", step=scene.step.name)
    assert (await scene.execute(resumed)).result is Result.Applied


async def test_a_plan_that_could_not_be_stored_is_never_acted_on(scene: Scene, proxy: ApiProxy) -> None:
    for fault in (Answer(429), Answer(403), Answer(409), Answer(500), Refuse()):
        injection = proxy.inject(fault, times=None, method="PATCH", path="/remediations/.*/status$")
        execution = await scene.execute(RESTORE)
        assert execution.result in (Result.Unavailable, Result.Refused, Result.Outrun, Result.Unclear), execution
        proxy.remove(injection)
    assert await scene.weights() == BAD
    assert not [seen for seen in proxy.writes() if "/httproutes/" in seen.path]


async def test_the_plan_is_in_the_cluster_before_the_route_is_written(scene: Scene, proxy: ApiProxy) -> None:
    seen: list[Any] = []

    async def look(_: object) -> None:
        (step,) = decode(await scene.shop.remediation()).status.steps
        seen.append((step.state, step.before))

    at_route_write(proxy, Call(before=look))
    await scene.execute(RESTORE)
    assert seen == [(StepState.Planned, BAD)]


async def test_a_rival_who_writes_in_between_is_named_and_not_overwritten(
    scene: Scene, proxy: ApiProxy, connection: Connection
) -> None:
    async def rival(_: object) -> None:
        await rival_write(connection, scene.shop.namespace, OTHER, "argocd-controller")

    at_route_write(proxy, Call(before=rival))
    execution = await scene.execute(RESTORE)
    assert (execution.result, execution.manager) == (Result.Overtaken, "argocd-controller")
    assert (scene.step.state, await scene.weights()) == (StepState.Planned, OTHER)


async def test_our_own_write_is_told_from_a_rivals_by_the_field_manager(scene: Scene, connection: Connection) -> None:
    await scene.execute(RESTORE)
    view = driver_of("HTTPRoute").backends(await scene.shop.route(), SHOP)
    assert view.writer is not None
    assert view.writer.manager == "evenload"
    await rival_write(connection, scene.shop.namespace, OTHER, "helm")
    view = driver_of("HTTPRoute").backends(await scene.shop.route(), SHOP)
    assert view.writer is not None
    assert (view.writer.manager, view.rival) == ("helm", view.writer)


async def test_the_gateway_writing_the_routes_status_does_not_stop_us(scene: Scene, proxy: ApiProxy) -> None:
    async def gateway(_: object) -> None:
        parent = {
            "parentRef": {"name": "web"},
            "controllerName": "traefik.io/gateway-controller",
            "conditions": [
                {
                    "type": "Accepted",
                    "status": "True",
                    "reason": "Accepted",
                    "message": "",
                    "lastTransitionTime": "2026-11-23T05:00:00Z",
                }
            ],
        }
        await scene.shop.client.patch_merge(
            HTTPROUTES, scene.shop.namespace, "shop", {"status": {"parents": [parent]}}, subresource="status"
        )

    at_route_write(proxy, Call(before=gateway))
    assert (await scene.execute(RESTORE)).result is Result.Applied
    writes = [seen for seen in proxy.writes() if "/httproutes/" in seen.path]
    assert [seen.status for seen in writes] == [422, 200]


async def test_a_route_deleted_in_between_ends_the_step(scene: Scene, proxy: ApiProxy) -> None:
    async def delete(_: object) -> None:
        await scene.shop.client.delete(HTTPROUTES, scene.shop.namespace, "shop")

    at_route_write(proxy, Call(before=delete))
    assert (await scene.execute(RESTORE)).result is Result.Gone
    assert scene.step.state is StepState.Abandoned


async def test_a_route_that_lost_a_backend_in_between_is_not_written(scene: Scene, proxy: ApiProxy) -> None:
    async def shrink(_: object) -> None:
        operations = [{"op": "remove", "path": "/spec/rules/0/backendRefs/3"}]
        await scene.shop.client.patch_json(HTTPROUTES, scene.shop.namespace, "shop", operations)

    at_route_write(proxy, Call(before=shrink))
    assert (await scene.execute(RESTORE)).result is Result.Overtaken
    assert SICK not in await scene.weights()


async def test_all_zero_weights_reach_no_api_server(scene: Scene, proxy: ApiProxy) -> None:
    nothing = SetWeights(before=BAD, after=dict.fromkeys(BAD, 0), purpose=Purpose.Eject, because="")
    execution = await scene.execute(nothing)
    assert execution.result is Result.Refused
    assert "every weight is 0" in execution.detail
    assert not [seen for seen in proxy.writes() if "/httproutes/" in seen.path]


def budget(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": SICK}}},
    }


async def protect(shop: Shop, *names: str) -> None:
    """Budgets that allow nothing, once the disruption controller has counted."""
    for name in names:
        await shop.client.create(PDBS, shop.namespace, budget(name))
    for name in names:
        await eventually(_counted(shop, name))


def _counted(shop: Shop, name: str) -> Callable[[], Awaitable[Manifest | None]]:
    async def look() -> Manifest | None:
        found = await shop.client.get(PDBS, shop.namespace, name)
        status = found.get("status", {})
        return found if status.get("expectedPods") == 1 and status.get("currentHealthy") == 1 else None

    return look


async def test_a_pod_disruption_budget_is_waited_out_and_its_words_are_kept(scene: Scene) -> None:
    await protect(scene.shop, "web")
    execution = await scene.execute(await scene.restart())
    assert execution.result is Result.DisruptionRefused
    assert "needs 1 healthy pods and has 1 currently" in scene.step.message
    assert scene.step.refused_since is not None
    await scene.shop.client.delete(PDBS, scene.shop.namespace, "web")
    resumed = await scene.restart(step=scene.step.name)

    async def retried() -> Manifest | None:
        return {} if (await scene.execute(resumed)).result is Result.Applied else None

    await eventually(retried)
    assert scene.step.state is StepState.Applied
    await scene.shop.run_pods()
    assert len(scene.shop.pods_seen) == 2


async def test_overlapping_budgets_are_reported_in_the_api_servers_words(scene: Scene) -> None:
    await protect(scene.shop, "web", "also-web")
    execution = await scene.execute(await scene.restart())
    assert execution.result is Result.Refused
    assert "more than one PodDisruptionBudget" in scene.step.message
    assert scene.step.refused_since is not None
    assert scene.step.state is StepState.Planned


async def test_an_eviction_whose_answer_is_lost_happens_once(scene: Scene, proxy: ApiProxy) -> None:
    proxy.inject(LoseAnswer(), method="POST", path="/eviction$")
    assert (await scene.execute(await scene.restart())).result is Result.Applied
    await scene.shop.run_pods()
    assert len(scene.shop.pods_seen) == 2
    assert len([seen for seen in proxy.writes() if seen.path.endswith("/eviction")]) == 1


async def test_a_pod_that_vanished_between_decision_and_eviction_is_left_at_that(scene: Scene, proxy: ApiProxy) -> None:
    action = await scene.restart()
    await scene.shop.client.delete(PODS, scene.shop.namespace, action.pod)
    assert (await scene.execute(action)).result is Result.Applied
    assert not [seen for seen in proxy.writes() if seen.path.endswith("/eviction")]


async def test_the_uid_saves_a_pod_of_the_same_name(scene: Scene, client: Client) -> None:
    action = await scene.restart()
    wrong = RestartPod(
        backend=SICK, pod=action.pod, uid="00000000-0000-0000-0000-000000000000", workload="x", because=""
    )
    assert (await scene.execute(wrong)).result is Result.Applied
    assert (await client.get(PODS, scene.shop.namespace, action.pod))["metadata"]["uid"] == action.uid
    with pytest.raises(NotFound, match="UID"):
        await client.evict(scene.shop.namespace, action.pod, wrong.uid)


async def test_a_pod_without_a_controller_is_never_evicted(scene: Scene, client: Client, proxy: ApiProxy) -> None:
    container = {"name": "server", "image": "shop.example/server:1"}
    bare = {"metadata": {"name": "bare"}, "spec": {"containers": [container]}}
    made = await client.create(PODS, scene.shop.namespace, bare)
    action = RestartPod(backend=SICK, pod="bare", uid=made["metadata"]["uid"], workload="none", because="")
    assert (await scene.execute(action)).result is Result.Refused
    assert "no controller" in scene.step.message
    assert not [seen for seen in proxy.writes() if seen.path.endswith("/eviction")]


async def test_two_operators_open_one_remediation(shop: Shop, client: Client) -> None:
    balancer = ObjectMeta(name="shop", namespace=shop.namespace, uid="u")
    first, second = [
        await open_remediation(client, balancer, DECISION, previous=None, approval_required=False) for _ in range(2)
    ]
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    found, _ = await client.list(REMEDIATIONS, shop.namespace)
    assert len(found) == 1
