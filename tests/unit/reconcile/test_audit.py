"""What the audit finds is reported and hinders nothing: neither the Balancer's own run nor anybody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from evenload import auditing
from tests.support.inprocess import Site

SHOP, OTHER = "market", "elsewhere"
WRONG = {"a": 970, "b": 10, "c": 10, "d": 10}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        for namespace in (SHOP, OTHER):
            site.add_shop(namespace, backends="abcd")
            for name in "abcd":
                site.put("Service", namespace, name, spec={"ports": [{"port": 80}]})
        yield site


async def ticks(site: Site, number: int, *trafficked: str) -> None:
    for _ in range(number):
        for namespace in trafficked or (SHOP, OTHER):
            site.send_traffic(namespace)
        await site.tick()


def events(site: Site, reason: str) -> list[Any]:
    return [each for (kind, *_), each in site.api.objects.items() if kind == "Event" and each["reason"] == reason]


async def test_a_finding_is_a_condition_a_metric_and_an_event_a_set_and_hinders_no_write(site: Site) -> None:
    refs = [{"name": name, "port": 8080, "weight": weight} for name, weight in WRONG.items()]
    managed = {"manager": "kubectl", "operation": "Update", "time": site.at(0), "fieldsV1": {"f:spec": {"f:rules": {}}}}
    site.add_route(SHOP, refs, managedFields=[managed])
    await ticks(site, 6)
    assert site.condition(SHOP, "Audited") == ("False", "Errors")
    assert site.condition(OTHER, "Audited") == ("True", "Passed")
    notes = [each["note"].partition(": ")[0] for each in events(site, "AuditErrors")]
    assert notes == ["4 errors, 1 warning", "4 errors"]  # the weights were one, until they were put right
    page = site.reconciler._metrics.exposition().decode()
    assert f'evenload_audit_findings{{balancer="shop",namespace="{SHOP}",severity="error"}} 4.0' in page
    assert len(set(site.weights(SHOP).values())) == 1  # put right all the same


async def test_a_balancer_that_is_gone_has_no_series(site: Site) -> None:
    await ticks(site, 1)
    site.remove("Balancer", SHOP, "shop")
    await ticks(site, 1)
    page = site.reconciler._metrics.exposition().decode()
    assert f'evenload_audit_findings{{balancer="shop",namespace="{SHOP}"' not in page


async def test_a_route_that_no_driver_reads_is_audited_and_stops_nobody(site: Site) -> None:
    site.put("HTTPRoute", SHOP, "shop", {"generation": 2}, spec={"rules": [{}]})
    await ticks(site, 2, OTHER)
    assert site.condition(SHOP, "Ready")[0] == "False"
    assert site.condition(SHOP, "Audited") == ("False", "Errors")
    assert site.condition(OTHER, "Ready") == ("True", "Watching")


async def test_without_the_route_nothing_is_known(site: Site) -> None:
    site.remove("HTTPRoute", SHOP, "shop")
    await ticks(site, 1, OTHER)
    assert site.condition(SHOP, "Audited") == ("Unknown", "NotAudited")


async def test_an_audit_that_fails_leaves_the_balancer_looked_after(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setattr(auditing, "_audit", fails)
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == ("True", "Watching")
    assert site.condition(SHOP, "Audited") == ("Unknown", "NotAudited")
    assert 'evenload_audit_failures_total{rule="all"}' in site.reconciler._metrics.exposition().decode()
