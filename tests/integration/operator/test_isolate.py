"""A sick pod of a plain Service is isolated, then evicted; and whatever else happens meanwhile, it is not forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evenload.api.v1alpha1 import ISOLATED_ANNOTATION
from evenload.kube.resources import EVENTS, PODS, STATEFULSETS, Manifest, Resource
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import done, evictions
from tests.support.apiproxy import ApiProxy, Seen, Side
from tests.support.town import Shop, Town

WEB = {"targetRef": {"kind": "Service", "name": "web"}}
BUSY = {"restart": {"drainTimeout": "5m", "rampWindow": "1s"}}
"""An isolated pod that is asked all the while is waited for."""
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")


def isolations(proxy: ApiProxy, shop: Shop) -> list[str]:
    """Names of pods whose label was taken off."""
    return [seen.path.split("/")[-1] for seen in done(proxy.writes(), shop) if is_isolation(seen)]


def is_isolation(seen: Seen) -> bool:
    return seen.method == "PATCH" and "/pods/" in seen.path and b'"remove","path":"/metadata/labels/' in _plain(seen)


def _plain(seen: Seen) -> bytes:
    return json.dumps(json.loads(seen.body or b"{}"), separators=(",", ":")).encode()


async def open_web(town: Town, start: Start, **restart: object) -> tuple[Shop, Manifest]:
    """Four pods behind one Service, looked after, one of them sick by now; and that one."""
    shop = await healthy_web(town, start, **restart)
    return shop, sicken(shop)


async def healthy_web(town: Town, start: Start, **restart: object) -> Shop:
    spec = {**WEB, "restart": {"drainTimeout": "3s", "rampWindow": "1s", **restart}}
    shop = await town.open_shop(backends=("web",), replicas=4, spec=spec)
    await shop.grow_old()
    start(shop)
    await shop.until(shop.healthy)
    return shop


def sicken(shop: Shop) -> Manifest:
    """From now on one of its pods fails most requests."""
    uid, pod = next(iter(shop.pods.items()))
    shop.servers[uid].sick = True
    return pod


async def labels_of(shop: Shop, pod: Manifest) -> Mapping[str, str]:
    found = await shop.client.get(PODS, shop.namespace, pod["metadata"]["name"])
    return dict(found["metadata"].get("labels", {}))


async def is_off(shop: Shop, pod: Manifest) -> bool:
    return "app" not in await labels_of(shop, pod)


async def is_on(shop: Shop, pod: Manifest) -> bool:
    return (await labels_of(shop, pod)).get("app") == "web"


def runs(shop: Shop, pod: Manifest) -> bool:
    return pod["metadata"]["uid"] in shop.pods


async def test_it_is_isolated_first_and_evicted_when_nothing_is_in_flight(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop, pod = await open_web(town, start)
    name = pod["metadata"]["name"]
    await shop.until(lambda: evictions(proxy.writes(), shop), what="a restart")
    assert isolations(proxy, shop) == [name]
    assert evictions(proxy.writes(), shop) == [name]
    await shop.until(shop.closed)
    await shop.until(shop.rests)
    assert await shop.steps() == [("Isolate", "", "Verified"), ("RestartPod", "", "Verified")]
    assert (await shop.remediation())["status"]["outcome"]["restarts"] == 1
    assert len(shop.pods) == 4
    assert not runs(shop, pod)
    assert {"Isolated", "Restarted"} <= set(await shop.event_reasons())


async def test_where_a_disruption_budget_refuses_no_label_is_taken_off(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await healthy_web(town, start, evictionDeadline="3s")
    budget = {"metadata": {"name": "web"}, "spec": {"minAvailable": 4, "selector": {"matchLabels": {"app": "web"}}}}
    await shop.client.create(BUDGETS, shop.namespace, budget)
    pod = sicken(shop)
    await shop.until(lambda: _states(shop, "Isolate", "Abandoned"), what="an isolation that is given up")
    assert isolations(proxy, shop) == []
    assert evictions(proxy.writes(), shop) == []
    assert await is_on(shop, pod)
    assert "RestartRefused" in await shop.event_reasons()


async def test_killed_right_after_the_label_was_taken_off_the_next_operator_goes_on(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop(backends=("web",), replicas=4, spec=WEB)
    await shop.grow_old()
    process = start(shop, leader_election=False)
    point = proxy.kill_at(side=Side.After, kill=lambda: process.kill(), matching=is_isolation)
    await shop.until(shop.healthy)
    pod = sicken(shop)
    await shop.until(lambda: point.hits, what="the label off")
    await process.gone()
    assert await shop.steps() == [("Isolate", "", "Planned")]
    assert await is_off(shop, pod)
    start(shop, leader_election=False)
    await shop.until(shop.closed)
    assert await shop.steps() == [("Isolate", "", "Verified"), ("RestartPod", "", "Verified")]
    assert isolations(proxy, shop) == [pod["metadata"]["name"]]
    assert len(evictions(proxy.writes(), shop)) == 1


async def test_it_is_given_back_where_its_balancer_is_suspended(town: Town, start: Start, proxy: ApiProxy) -> None:
    shop, pod = await open_web(town, start, **BUSY["restart"])
    shop.asked_by_hand.add(pod["metadata"]["uid"])
    await shop.until(lambda: is_off(shop, pod), what="an isolated pod")
    await shop.patch_balancer({"spec": {"suspend": True}})
    await shop.until(lambda: is_on(shop, pod), what="the label back")
    await shop.until(lambda: _states(shop, "Isolate", "Reverted"), what="the step taken back")
    found = await shop.client.get(PODS, shop.namespace, pod["metadata"]["name"])
    assert ISOLATED_ANNOTATION not in found["metadata"].get("annotations", {})
    assert found["metadata"]["labels"] == pod["metadata"]["labels"]
    assert evictions(proxy.writes(), shop) == []
    assert "GivenBack" in await shop.event_reasons()


async def test_it_is_given_back_where_its_balancer_is_deleted_while_no_operator_looks(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    spec = {**WEB, **BUSY}
    shop = await town.open_shop(backends=("web",), replicas=4, spec=spec)
    await shop.grow_old()
    process = start(shop, leader_election=False)
    await shop.until(shop.healthy)
    pod = sicken(shop)
    shop.asked_by_hand.add(pod["metadata"]["uid"])
    await shop.until(lambda: is_off(shop, pod), what="an isolated pod")
    process.kill()
    await process.gone()
    await shop.delete_balancer()
    start(shop, leader_election=False)
    await shop.until(lambda: is_on(shop, pod), what="the label back")
    assert evictions(proxy.writes(), shop) == []


async def test_of_a_stateful_set_it_is_evicted_as_it_always_was(town: Town, start: Start, proxy: ApiProxy) -> None:
    shop = await town.open_shop(backends=("web",), replicas=4, spec=WEB, kind=STATEFULSETS)
    await shop.grow_old()
    start(shop)
    await shop.until(shop.healthy)
    pod = sicken(shop)
    await shop.until(lambda: evictions(proxy.writes(), shop), what="a restart")
    assert isolations(proxy, shop) == []
    assert evictions(proxy.writes(), shop) == [pod["metadata"]["name"]]


async def test_it_is_kept_where_the_spec_says_so_and_people_are_told_how_to_end_it(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop, pod = await open_web(town, start, keepIsolated=True)
    name = pod["metadata"]["name"]
    await shop.until(shop.closed)
    assert await shop.steps() == [("Isolate", "", "Verified")]
    assert (await shop.remediation())["status"]["phase"] == "Succeeded"
    await shop.until(lambda: shop.says("Ready", f"kubectl delete pod {name} -n {shop.namespace}"), what="the command")
    assert runs(shop, pod)
    assert await is_off(shop, pod)
    assert evictions(proxy.writes(), shop) == []
    assert "kept isolated" in json.dumps((await shop.remediation())["status"]["steps"])


async def test_what_a_tenant_writes_on_a_pod_moves_nothing(town: Town, start: Start, proxy: ApiProxy) -> None:
    shop = await town.open_shop(backends=("web",), replicas=3, spec=WEB)
    await shop.grow_old()
    pod = next(iter(shop.pods.values()))
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    mark = json.dumps({"remediation": "no-such", "uid": uid, "label": "app=web"})
    forged: dict[str, Any] = {"metadata": {"labels": {"app": None}, "annotations": {ISOLATED_ANNOTATION: mark}}}
    await shop.client.patch_merge(PODS, shop.namespace, name, forged)
    start(shop)
    await shop.until(lambda: shop.says("Ready", f"kubectl label pod {name} app=web"), what="a word about it")
    assert await is_off(shop, pod)
    assert [seen for seen in done(proxy.writes(), shop) if "/pods/" in seen.path] == []
    events, _ = await shop.client.list(EVENTS, shop.namespace)
    assert [each for each in events if each["reason"] in ("Isolated", "GivenBack")] == []


async def _states(shop: Shop, action: str, state: str) -> bool:
    return (action, "", state) in await shop.steps()
