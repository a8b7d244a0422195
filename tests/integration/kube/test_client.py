"""What each failure of the API server becomes, and that a write is never sent twice."""

from __future__ import annotations

import asyncio

import pytest

from evenload.errors import Conflict, DisruptionRefused, Gone, NotFound, Refused, Unavailable, Unknown
from evenload.kube.client import Client
from evenload.kube.resources import CONFIGMAPS, HTTPROUTES, NAMESPACES, PDBS, PODS, Manifest
from tests.support.apiproxy import Answer, ApiProxy, Delay, LoseAnswer, Refuse


def config_map(name: str = "box", **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **labels: str) -> Manifest:
    container = {"name": "app", "image": "pause:none"}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}


async def count(client: Client, namespace: str, key: str = "count") -> str:
    manifest = await client.get(CONFIGMAPS, namespace, "box")
    return str(manifest["data"][key])


async def test_an_object_is_created_read_patched_applied_and_deleted(client: Client, namespace: str) -> None:
    await client.create(CONFIGMAPS, namespace, config_map(count="1"))
    await client.patch_json(
        CONFIGMAPS,
        namespace,
        "box",
        [{"op": "test", "path": "/data/count", "value": "1"}, {"op": "replace", "path": "/data/count", "value": "2"}],
    )
    assert await count(client, namespace) == "2"
    await client.patch_merge(CONFIGMAPS, namespace, "box", {"data": {"count": "3"}})
    assert await count(client, namespace) == "3"
    await client.apply(CONFIGMAPS, namespace, "box", config_map(other="4"))
    assert await count(client, namespace, "other") == "4"
    managers = {
        entry["manager"] for entry in (await client.get(CONFIGMAPS, namespace, "box"))["metadata"]["managedFields"]
    }
    assert managers == {"evenload"}
    await client.delete(CONFIGMAPS, namespace, "box")
    with pytest.raises(NotFound):
        await client.get(CONFIGMAPS, namespace, "box")


async def test_a_long_list_is_read_in_pages(client: Client, proxied: Client, proxy: ApiProxy, namespace: str) -> None:
    for start in range(0, 620, 40):
        batch = (client.create(CONFIGMAPS, namespace, config_map(f"box-{start + i}")) for i in range(40))
        await asyncio.gather(*batch)
    items, version = await proxied.list(CONFIGMAPS, namespace, None)
    assert len([item for item in items if item["metadata"]["name"].startswith("box-")]) == 640
    assert version
    assert [seen.query["limit"] for seen in proxy.requests] == ["500", "500"]


async def test_a_selector_narrows_a_list(client: Client, namespace: str) -> None:
    for name, app in (("one", "shop"), ("two", "till")):
        await client.create(PODS, namespace, pod(name, app=app))
    items, _ = await client.list(PODS, namespace, "app=till")
    assert [item["metadata"]["name"] for item in items] == ["two"]


class TestConflicts:
    async def test_creating_what_exists_is_a_conflict(self, client: Client, namespace: str) -> None:
        await client.create(CONFIGMAPS, namespace, config_map())
        with pytest.raises(Conflict):
            await client.create(CONFIGMAPS, namespace, config_map())

    async def test_replacing_an_old_version_is_a_conflict(self, client: Client, namespace: str) -> None:
        old = await client.create(CONFIGMAPS, namespace, config_map(count="1"))
        await client.patch_merge(CONFIGMAPS, namespace, "box", {"data": {"count": "2"}})
        with pytest.raises(Conflict):
            await client.replace(CONFIGMAPS, namespace, "box", old)

    async def test_a_merge_patch_of_an_old_version_is_a_conflict(self, client: Client, namespace: str) -> None:
        old = await client.create(CONFIGMAPS, namespace, config_map(count="1"))
        await client.patch_merge(CONFIGMAPS, namespace, "box", {"data": {"count": "2"}})
        patch = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"count": "3"}}
        with pytest.raises(Conflict):
            await client.patch_merge(CONFIGMAPS, namespace, "box", patch)
        assert await count(client, namespace) == "2"

    @pytest.mark.parametrize("path", ["/metadata/resourceVersion", "/data/count", "/data/nowhere"])
    async def test_a_json_patch_whose_test_fails_is_a_conflict(self, client: Client, namespace: str, path: str) -> None:
        await client.create(CONFIGMAPS, namespace, config_map(count="1"))
        operations = [
            {"op": "test", "path": path, "value": "another"},
            {"op": "replace", "path": "/data/count", "value": "2"},
        ]
        with pytest.raises(Conflict):
            await client.patch_json(CONFIGMAPS, namespace, "box", operations)
        assert await count(client, namespace) == "1"

    async def test_a_json_patch_of_a_route_whose_test_fails_is_a_conflict(self, client: Client, namespace: str) -> None:
        backends = [{"name": "a", "port": 80, "weight": 1}, {"name": "b", "port": 80, "weight": 1}]
        route = {
            "apiVersion": HTTPROUTES.api_version,
            "kind": HTTPROUTES.kind,
            "metadata": {"name": "shop"},
            "spec": {"rules": [{"backendRefs": backends}]},
        }
        await client.create(HTTPROUTES, namespace, route)
        place = "/spec/rules/0/backendRefs/0"
        operations: list[Manifest] = [{"op": "test", "path": f"{place}/name", "value": "b"}]
        operations += [{"op": "replace", "path": f"{place}/weight", "value": 7}]
        with pytest.raises(Conflict):
            await client.patch_json(HTTPROUTES, namespace, "shop", operations)
        operations[0]["value"] = "a"
        patched = await client.patch_json(HTTPROUTES, namespace, "shop", operations)
        assert patched["spec"]["rules"][0]["backendRefs"][0]["weight"] == 7

    async def test_another_managers_field_is_a_conflict_of_server_side_apply(
        self, client: Client, proxy: ApiProxy, namespace: str
    ) -> None:
        async with Client(proxy.connection(), field_manager="rival") as rival:
            await rival.apply(CONFIGMAPS, namespace, "box", config_map(count="1"))
        with pytest.raises(Conflict, match="rival"):
            await client.apply(CONFIGMAPS, namespace, "box", config_map(count="2"))
        await client.apply(CONFIGMAPS, namespace, "box", config_map(count="2"), force=True)
        assert await count(client, namespace) == "2"

    async def test_deleting_another_object_of_the_same_name_is_a_conflict(self, client: Client, namespace: str) -> None:
        await client.create(CONFIGMAPS, namespace, config_map())
        with pytest.raises(Conflict):
            await client.delete(CONFIGMAPS, namespace, "box", uid="00000000-0000-0000-0000-000000000000")


class TestRefusals:
    async def test_an_object_against_its_schema_is_refused_with_the_fields_name(
        self, client: Client, namespace: str
    ) -> None:
        with pytest.raises(Refused, match=r"metadata\.name") as caught:
            await client.create(CONFIGMAPS, namespace, config_map("Not A Name"))
        assert not isinstance(caught.value, Conflict)

    async def test_a_json_patch_to_an_invalid_object_is_refused_not_a_conflict(
        self, client: Client, namespace: str
    ) -> None:
        await client.create(PODS, namespace, pod("one"))
        operations = [{"op": "replace", "path": "/spec/containers/0/name", "value": "Other"}]
        with pytest.raises(Refused) as caught:
            await client.patch_json(PODS, namespace, "one", operations)
        assert not isinstance(caught.value, Conflict)

    async def test_a_kind_that_is_not_served_is_not_found(self, client: Client) -> None:
        with pytest.raises(NotFound):
            await client.list(type(PODS)("nothing.example", "v1", "things", "Thing"))

    async def test_an_old_resource_version_is_gone(self, client: Client, proxy: ApiProxy, proxied: Client) -> None:
        proxy.inject(Answer(410, reason="Expired"), path="/namespaces$", watches=True)
        with pytest.raises(Gone):
            async for _ in proxied.watch(NAMESPACES, None, "1"):
                pass


class TestEvictions:
    async def test_a_pod_is_evicted_by_uid(self, client: Client, namespace: str) -> None:
        made = await client.create(PODS, namespace, pod("one"))
        await client.evict(namespace, "one", made["metadata"]["uid"])
        with pytest.raises(NotFound):
            await client.get(PODS, namespace, "one")

    async def test_a_pod_that_is_gone_is_not_found(self, client: Client, namespace: str) -> None:
        with pytest.raises(NotFound):
            await client.evict(namespace, "one", "00000000-0000-0000-0000-000000000000")

    async def test_another_pod_of_the_same_name_is_left_alone_and_not_found(
        self, client: Client, namespace: str
    ) -> None:
        await client.create(PODS, namespace, pod("one"))
        with pytest.raises(NotFound):
            await client.evict(namespace, "one", "00000000-0000-0000-0000-000000000000")
        await client.get(PODS, namespace, "one")

    async def test_a_disruption_budget_is_a_decision_not_throttling(self, client: Client, namespace: str) -> None:
        uid = await self._ready_pod(client, namespace)
        await self._budget(client, namespace, "first")
        with pytest.raises(DisruptionRefused, match="disruption budget"):
            await client.evict(namespace, "one", uid)

    async def test_two_budgets_over_one_pod_are_refused_for_good(self, client: Client, namespace: str) -> None:
        uid = await self._ready_pod(client, namespace)
        await self._budget(client, namespace, "first")
        await self._budget(client, namespace, "second")
        with pytest.raises(Refused, match="more than one PodDisruptionBudget") as caught:
            await client.evict(namespace, "one", uid)
        assert not isinstance(caught.value, DisruptionRefused)

    async def test_throttling_is_unavailable_with_the_time_to_wait(
        self, proxy: ApiProxy, proxied: Client, namespace: str
    ) -> None:
        proxy.inject(Answer(429, headers={"Retry-After": "3"}), path="/eviction$")
        with pytest.raises(Unavailable) as caught:
            await proxied.evict(namespace, "one", "uid")
        assert caught.value.retry_after_seconds == 3

    async def _ready_pod(self, client: Client, namespace: str) -> str:
        made = await client.create(PODS, namespace, pod("one", app="shop"))
        ready = {"type": "Ready", "status": "True"}
        status = {"status": {"phase": "Running", "conditions": [ready]}}
        await client.patch_merge(PODS, namespace, "one", status, subresource="status")
        return str(made["metadata"]["uid"])

    async def _budget(self, client: Client, namespace: str, name: str) -> None:
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "shop"}}}
        await client.create(PDBS, namespace, {"metadata": {"name": name}, "spec": spec})


class TestLostAnswers:
    @pytest.mark.parametrize("verb", ["create", "replace", "patch", "apply", "delete"])
    async def test_a_write_whose_answer_is_lost_is_unknown_and_sent_once(
        self, client: Client, proxy: ApiProxy, proxied: Client, namespace: str, verb: str
    ) -> None:
        made = None if verb == "create" else await client.create(CONFIGMAPS, namespace, config_map(count="1"))
        await proxied.list(CONFIGMAPS, namespace)  # so that the write goes over a kept-alive connection
        proxy.inject(LoseAnswer(), path="/configmaps")
        with pytest.raises(Unknown):
            await self._write(proxied, namespace, verb, made or {})
        assert len(proxy.writes()) == 1
        if verb == "delete":
            with pytest.raises(NotFound):
                await client.get(CONFIGMAPS, namespace, "box")
        else:
            assert await count(client, namespace) == "2"

    async def _write(self, client: Client, namespace: str, verb: str, made: Manifest) -> None:
        match verb:
            case "create":
                await client.create(CONFIGMAPS, namespace, config_map(count="2"))
            case "replace":
                await client.replace(CONFIGMAPS, namespace, "box", made | {"data": {"count": "2"}})
            case "patch":
                await client.patch_merge(CONFIGMAPS, namespace, "box", {"data": {"count": "2"}})
            case "apply":
                await client.apply(CONFIGMAPS, namespace, "box", config_map(count="2"), force=True)
            case "delete":
                await client.delete(CONFIGMAPS, namespace, "box")

    async def test_a_write_cut_off_before_it_arrived_is_unknown_too(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace: str
    ) -> None:
        proxy.inject(Refuse(), path="/configmaps")
        with pytest.raises(Unknown):
            await proxied.create(CONFIGMAPS, namespace, config_map(count="2"))
        with pytest.raises(NotFound):
            await client.get(CONFIGMAPS, namespace, "box")

    async def test_a_write_that_takes_too_long_is_unknown(self, proxy: ApiProxy, namespace: str) -> None:
        proxy.inject(Delay(5), path="/configmaps")
        async with Client(proxy.connection(), timeout_seconds=0.2) as hasty:
            with pytest.raises(Unknown):
                await hasty.create(CONFIGMAPS, namespace, config_map())

    @pytest.mark.parametrize("status", [500, 503, 504])
    async def test_a_failure_inside_the_server_leaves_a_write_unknown(
        self, proxy: ApiProxy, proxied: Client, namespace: str, status: int
    ) -> None:
        proxy.inject(Answer(status))
        with pytest.raises(Unknown):
            await proxied.create(CONFIGMAPS, namespace, config_map())

    async def test_a_throttled_write_did_not_happen(self, proxy: ApiProxy, proxied: Client, namespace: str) -> None:
        proxy.inject(Answer(429, headers={"Retry-After": "2"}))
        with pytest.raises(Unavailable) as caught:
            await proxied.create(CONFIGMAPS, namespace, config_map())
        assert caught.value.retry_after_seconds == 2

    @pytest.mark.parametrize("fault", [Answer(500), Answer(503), Answer(429), Answer(200, body=b"<html>"), Delay(5)])
    async def test_a_failed_read_is_unavailable(self, proxy: ApiProxy, namespace: str, fault: Answer | Delay) -> None:
        proxy.inject(fault, times=None)
        async with Client(proxy.connection(), timeout_seconds=0.3) as hasty:
            with pytest.raises(Unavailable):
                await hasty.list(CONFIGMAPS, namespace)

    async def test_a_server_that_cannot_be_reached_has_done_nothing(self, proxy: ApiProxy) -> None:
        connection = proxy.connection()
        connection.url = "http://127.0.0.1:1"
        async with Client(connection) as nowhere:
            with pytest.raises(Unavailable):
                await nowhere.create(CONFIGMAPS, "default", config_map())


async def test_every_request_is_told_to_the_observer(proxy: ApiProxy, namespace: str) -> None:
    told: list[tuple[str, str]] = []
    async with Client(proxy.connection(), observer=lambda verb, code, seconds: told.append((verb, code))) as client:
        await client.create(CONFIGMAPS, namespace, config_map())
        with pytest.raises(NotFound):
            await client.get(CONFIGMAPS, namespace, "nothing")
        proxy.inject(LoseAnswer())
        with pytest.raises(Unknown):
            await client.delete(CONFIGMAPS, namespace, "box")
    assert told == [("create", "201"), ("get", "404"), ("delete", "lost")]
