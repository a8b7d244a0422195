"""Several Balancers on one route: the older one works, the others say RouteTaken and write nothing."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from evenload.clock import rfc3339
from evenload.kube.resources import HTTPROUTES, Manifest, Resource
from tests.support.inprocess import Site
from tests.support.memory import MemoryCluster

SHOP = "market"
EVEN = {"a": 250, "b": 250}
TAKEN = ("False", "RouteTaken")


def shares(a: int, b: int) -> dict[str, Any]:
    return {"desired": {"type": "Explicit", "shares": [{"backend": "a", "weight": a}, {"backend": "b", "weight": b}]}}


class Cluster(MemoryCluster):
    """With managedFields of what we write to routes, by the site's clock; `writes` are the weights written."""

    site: Site

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[dict[str, int]] = []

    async def patch_json(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, object]]
    ) -> Manifest:
        await super().patch_json(resource, namespace, name, operations)
        stored = self.objects[resource.kind, namespace or "", name]
        stored["metadata"]["managedFields"] = [
            {
                "manager": "evenload",
                "operation": "Update",
                "time": rfc3339(self.site.clock)[:19] + "Z",
                "fieldsV1": {"f:spec": {"f:rules": {}}},
            }
        ]
        self.writes.append({ref["name"]: ref["weight"] for ref in stored["spec"]["rules"][0]["backendRefs"]})
        return copy.deepcopy(stored)


def site_of(**settings: Any) -> Site:
    site = Site(**settings)
    site.api = cluster = Cluster()
    cluster.site = site
    return site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with site_of() as site:
        site.add_shop(SHOP, shares(3, 1))
        site.add_balancer(SHOP, shares(1, 3), name="twin", creationTimestamp="2026-11-19T00:00:00Z")
        yield site


async def ticks(site: Site, number: int = 12) -> None:
    for _ in range(number):
        site.send_traffic(SHOP)
        await site.tick()


def ratio(site: Site) -> float:
    weights = site.weights(SHOP)
    return weights["a"] / weights["b"]


def remediations(site: Site, balancer: str) -> list[dict[str, Any]]:
    return [
        manifest
        for (kind, *_), manifest in site.api.objects.items()
        if kind == "Remediation" and manifest["spec"]["balancerRef"]["name"] == balancer
    ]


async def test_the_older_one_works_and_the_younger_one_says_who_owns_the_route(site: Site) -> None:
    await ticks(site)
    assert ratio(site) == 3
    assert site.condition(SHOP, "Ready") == ("True", "Watching")
    assert site.condition(SHOP, "Ready", "twin") == TAKEN
    assert "rule 0 is already balanced by Balancer market/shop, which is older" in site.message(SHOP, name="twin")
    assert remediations(site, "twin") == []


async def test_they_do_not_write_against_each_other(site: Site) -> None:
    await ticks(site, 30)
    writes = site.api.writes  # type: ignore[attr-defined]
    assert all(each["a"] >= each["b"] for each in writes)
    assert len(writes) <= 3


async def test_after_the_older_one_is_deleted_the_younger_one_takes_over(site: Site) -> None:
    await ticks(site)
    site.remove("Balancer", SHOP, "shop")
    await ticks(site)
    assert site.condition(SHOP, "Ready", "twin") == ("True", "Watching")
    assert ratio(site) == pytest.approx(1 / 3)


async def test_an_older_one_that_only_observes_owns_all_the_same(site: Site) -> None:
    site.edit("Balancer", SHOP, "shop", mode="Observe")
    await ticks(site)
    assert site.condition(SHOP, "Ready", "twin") == TAKEN
    assert site.weights(SHOP) == EVEN


async def test_an_older_one_that_is_suspended_owns_all_the_same(site: Site) -> None:
    site.edit("Balancer", SHOP, "shop", suspend=True)
    await ticks(site)
    assert site.condition(SHOP, "Ready", "twin") == TAKEN
    assert site.weights(SHOP) == EVEN


@pytest.mark.parametrize(
    "broken",
    [
        {"targetRef": {"kind": "HTTPRoute", "name": "shop", "ruleName": "none"}},
        {"targetRef": {"kind": "HTTPRoute", "name": "shop", "namespace": "elsewhere"}},
        {"signals": {"window": "soon"}},
        {"mode": 3},
    ],
)
async def test_a_broken_older_one_locks_nobody_out(site: Site, broken: dict[str, Any]) -> None:
    site.edit("Balancer", SHOP, "shop", **broken)
    await ticks(site)
    assert site.condition(SHOP, "Ready")[0] == "False"
    assert site.condition(SHOP, "Ready", "twin") == ("True", "Watching")
    assert ratio(site) == pytest.approx(1 / 3)


async def test_who_loses_the_route_ends_its_remediation_and_leaves_the_route(site: Site) -> None:
    site.edit("Balancer", SHOP, "shop", signals={"window": "soon"})
    site.edit("Balancer", SHOP, "twin", mode="Approve")
    await ticks(site, 6)
    (waiting,) = remediations(site, "twin")
    assert waiting["status"]["phase"] == "AwaitingApproval"
    site.edit("Balancer", SHOP, "shop", signals={}, mode="Observe")
    await ticks(site, 2)
    (ended,) = remediations(site, "twin")
    assert ended["status"]["phase"] == "Expired"
    assert ended["status"]["held"].startswith("RouteTaken: HTTPRoute shop: rule 0 is already balanced by")
    assert "activeRemediation" not in site.status(SHOP, "twin")
    assert site.weights(SHOP) == EVEN


async def test_each_with_a_rule_of_its_own_is_watched(site: Site) -> None:
    route = site.api.objects["HTTPRoute", SHOP, "shop"]
    refs = route["spec"]["rules"][0]["backendRefs"]
    route["spec"]["rules"] = [{"name": name, "backendRefs": copy.deepcopy(refs)} for name in ("one", "two")]
    route["metadata"]["resourceVersion"] = "10000"
    for name, rule in (("shop", "one"), ("twin", "two")):
        site.edit("Balancer", SHOP, name, mode="Observe", targetRef={"name": "shop", "ruleName": rule})
    await ticks(site, 2)
    assert {site.condition(SHOP, "Ready", name) for name in ("shop", "twin")} == {("True", "Watching")}


async def test_a_copy_in_another_namespace_is_another_route(site: Site) -> None:
    site.add_shop("bazaar")
    site.send_traffic("bazaar")
    await ticks(site, 2)
    assert site.condition("bazaar", "Ready") == ("True", "Watching")


async def test_two_installations_end_contested_and_do_not_write_for_ever() -> None:
    """Each knows only its own Balancer; both write under the one field manager."""
    async with site_of() as one, site_of() as other:
        one.add_shop(SHOP, shares(3, 1))
        other.add_shop(SHOP, shares(1, 3))
        for _ in range(60):
            for site, rival in ((one, other), (other, one)):
                site.send_traffic(SHOP)
                await site.tick()
                rival.api.objects[HTTPROUTES.kind, SHOP, "shop"] = copy.deepcopy(
                    site.api.objects[HTTPROUTES.kind, SHOP, "shop"]
                )
                rival.api.version = max(rival.api.version, site.api.version)
        contested = [site for site in (one, other) if site.condition(SHOP, "Contested")[0] == "True"]
        assert contested
        assert "another evenload keeps setting the weights" in contested[0].message(SHOP, "Contested")
        assert len(one.api.writes) + len(other.api.writes) <= 10  # type: ignore[attr-defined]
