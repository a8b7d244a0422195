"""What cannot be read takes away what depends on it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from evenload.sight import STALEST_VIEW_SECONDS
from tests.support.inprocess import Site

GOOD, EVIL = "good", "evil"
WATCHING = ("True", "Watching")


def open_both(site: Site) -> None:
    for namespace in (GOOD, EVIL):
        site.add_shop(namespace)
        site.send_traffic(namespace)


BROKEN: dict[str, dict[str, Any]] = {
    "Pod": {"spec": {"containers": "none"}},
    "EndpointSlice": {"endpoints": "none"},
    "ReplicaSet": {"metadata": {"ownerReferences": "none"}},
    "Service": {"metadata": {"generation": "first"}},
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_an_object_that_cannot_be_decoded_concerns_its_own_balancer_alone(kind: str) -> None:
    async with Site() as site:
        open_both(site)
        name = {"Pod": "a-1", "EndpointSlice": "a-x", "ReplicaSet": "a-rs", "Service": "a"}[kind]
        manifest = site.api.objects[kind, EVIL, name]
        whole = manifest["metadata"] | BROKEN[kind].get("metadata", {})
        site.api.objects[kind, EVIL, name] = {**manifest, **BROKEN[kind], "metadata": whole}
        await site.tick()
        assert site.condition(GOOD, "Ready") == WATCHING
        assert site.condition(EVIL, "Ready") == ("False", "Unreadable")
        assert f"{kind} {EVIL}/{name}" in site.message(EVIL)
        assert site.cluster.unreadable[kind] == 1
        site.api.objects[kind, EVIL, name] = manifest
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING
        assert site.cluster.unreadable[kind] == 0


async def test_a_pod_that_no_slice_names_may_hold_anything() -> None:
    async with Site() as site:
        open_both(site)
        site.put("Pod", EVIL, "odd", spec={"containers": "none"})
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING


async def test_a_container_that_does_not_say_since_when_it_runs_is_no_obstacle() -> None:
    async with Site() as site:
        open_both(site)
        for name, running in (("a-1", {}), ("b-1", {"startedAt": None})):
            site.api.objects["Pod", EVIL, name]["status"]["containerStatuses"] = [{"state": {"running": running}}, {}]
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING


async def test_a_namespace_that_cannot_be_listed_keeps_no_other_one_waiting() -> None:
    async with Site(watch_namespaces=f"{GOOD},{EVIL}") as site:
        for reflector in site.cluster._reflectors():
            for stream in reflector._streams:
                stream.listed.clear()
                stream._seen_at = None
        site.unreachable = {EVIL}
        open_both(site)
        await site.tick()
        assert site.condition(GOOD, "Ready") == WATCHING
        assert site.condition(EVIL, "Ready") == ("False", "NotSynced")
        site.unreachable = set()
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING


async def test_a_namespace_whose_watches_are_broken_makes_no_other_one_stale() -> None:
    async with Site(watch_namespaces=f"{GOOD},{EVIL}") as site:
        open_both(site)
        await site.tick()
        site.unreachable = {EVIL}
        for reflector in site.cluster._reflectors():
            for stream in reflector._streams:
                stream._seen_at = reflector.clock() - STALEST_VIEW_SECONDS - 1
        await site.tick()
        assert site.condition(GOOD, "Ready") == WATCHING
        assert site.condition(EVIL, "Ready") == ("False", "ClusterViewStale")


async def test_a_backend_in_a_namespace_that_is_not_watched_is_called_that() -> None:
    async with Site(watch_namespaces=GOOD, cross_namespace_backends=True) as site:
        open_both(site)
        site.add_route(
            GOOD, [{"name": "a", "port": 80, "weight": 1}, {"name": "a", "namespace": EVIL, "port": 80, "weight": 1}]
        )
        resolved = {"type": "ResolvedRefs", "status": "True"}
        site.api.objects["HTTPRoute", GOOD, "shop"]["status"] = {
            "parents": [{"parentRef": {"name": "web"}, "conditions": [resolved]}]
        }
        await site.tick()
        assert site.condition(GOOD, "Ready") == ("False", "NamespaceNotWatched")
        assert f"namespace {EVIL}" in site.message(GOOD)


async def test_the_pods_of_a_namespace_are_counted_whoever_they_belong_to() -> None:
    async with Site() as site:
        open_both(site)
        site.put("Pod", GOOD, "of-another-application")
        await site.tick()
        assert site.cluster.pods_in({GOOD}) == 3
        assert site.cluster.pods_in({GOOD, EVIL}) == 5
        for name in ("a-1", "b-1", "of-another-application"):
            site.remove("Pod", GOOD, name)
        await site.tick()
        assert site.cluster.pods_in({GOOD}) == 0
