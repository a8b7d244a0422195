"""The operator's audit: of the object, with what is known anyway, once a version, and without harm to anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from evenload import auditing
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.rules import RULES
from evenload.audit.world import Object, World
from evenload.auditing import LASTING, MOST_NODES, WHOLE_AUDIT, Auditor
from evenload.drivers import driver_of
from evenload.drivers.base import Driver
from evenload.kube.resources import Manifest
from evenload.record.audited import Audited
from tests.support.inprocess import Site

SHOP, OTHER = "market", "elsewhere"
PORTS = {"ports": [{"port": 80}]}
HTTPROUTE = driver_of("HTTPRoute")


class Audit:
    """One Auditor, over what the watches of a Site have brought."""

    def __init__(self, site: Site) -> None:
        self.site, self.auditor = site, Auditor()
        self.failed: list[str] = []

    def of(self, driver: Driver = HTTPROUTE, name: str = "shop") -> Audited | None:
        self.site.sync()
        route = self.site.cluster.balancer(driver, SHOP, name)
        assert isinstance(route, dict)
        return self.auditor.audited(self.site.cluster, driver, route, self.failed.append)

    def rules(self, driver: Driver = HTTPROUTE, name: str = "shop") -> list[str]:
        audited = self.of(driver, name)
        assert audited is not None
        return [each.rule for each in audited.findings]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(SHOP, backends="ab")
        for name in "ab":
            site.put("Service", SHOP, name, spec=PORTS)
        yield site


@pytest.fixture
def audit(site: Site) -> Audit:
    return Audit(site)


def refs(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, "port": 80, "weight": 1, **fields} for name in names]


async def test_a_sound_route_has_no_findings(audit: Audit) -> None:
    assert audit.rules() == []


async def test_what_its_services_are_is_known(site: Site, audit: Audit) -> None:
    site.add_route(SHOP, [*refs("a", port=8080), *refs("none")])
    assert audit.rules() == ["route-backend-missing", "route-backend-port-missing"]


async def test_a_service_that_comes_later_ends_the_finding_though_the_route_stays_as_it_is(
    site: Site, audit: Audit
) -> None:
    site.add_route(SHOP, refs("a", "late"))
    assert audit.rules() == ["route-backend-missing"]
    site.put("Service", SHOP, "late", spec=PORTS)
    assert audit.rules() == []
    site.put("Service", SHOP, "late", spec={"ports": [{"port": 81}]})
    assert audit.rules() == ["route-backend-port-missing"]


async def test_nothing_is_computed_anew_while_nothing_changes(
    site: Site, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.of()
    monkeypatch.setattr(auditing, "_audit", lambda *arguments: pytest.fail("it was audited again"))
    site.put("Service", SHOP, "of-others", spec=PORTS)
    assert audit.rules() == []


async def test_of_services_that_may_not_be_listed_none_is_called_missing(site: Site, audit: Audit) -> None:
    site.add_route(SHOP, refs("none"))
    site.sync()
    site.cluster._services.unreadable[SHOP, "none"] = "it holds something"
    route = site.cluster.balancer(HTTPROUTE, SHOP, "shop")
    assert isinstance(route, dict)
    found = audit.auditor.audited(site.cluster, HTTPROUTE, route, audit.failed.append)
    assert found == Audited()


async def test_nothing_is_said_of_what_is_in_another_namespace(site: Site, audit: Audit) -> None:
    site.put("Service", OTHER, "a", spec={"ports": [{"port": 9}]})
    site.add_route(SHOP, refs("a", "none", namespace=OTHER))
    assert audit.rules() == []


async def test_a_suppressed_finding_is_none(site: Site, audit: Audit) -> None:
    ignore = {"evenload.dev/audit-ignore": "route-backend-missing: it comes tomorrow"}
    site.add_route(SHOP, refs("none"), annotations=ignore)
    assert audit.rules() == []


async def test_a_service_that_is_the_target_itself_is_audited_and_may_suppress(site: Site, audit: Audit) -> None:
    service = driver_of("Service")
    site.put("Service", SHOP, "a", spec={**PORTS, "sessionAffinity": "ClientIP"})
    assert audit.rules(service, "a") == ["service-session-affinity"]
    ignore = {"evenload.dev/audit-ignore": "service-session-affinity: carts"}
    site.put("Service", SHOP, "a", {"annotations": ignore}, spec={**PORTS, "sessionAffinity": "ClientIP"})
    assert audit.rules(service, "a") == []


async def test_destination_rules_beside_a_virtual_service_are_known(site: Site, audit: Audit) -> None:
    subsets = [{"name": "v1", "labels": {}}, {"name": "v2", "labels": {}}]
    site.put("DestinationRule", SHOP, "a", spec={"host": "a", "subsets": subsets})
    destination = {"destination": {"host": "a", "subset": "v1"}}
    site.put(
        "VirtualService", SHOP, "shop", {"generation": 1}, spec={"hosts": ["a"], "http": [{"route": [destination]}]}
    )
    assert audit.rules(driver_of("VirtualService")) == ["istio-one-subset"]
    site.put("DestinationRule", SHOP, "a", spec={"host": "a", "subsets": subsets[:1]})
    assert audit.rules(driver_of("VirtualService")) == []


async def test_what_a_canary_controller_sets_is_no_warning(site: Site, audit: Audit) -> None:
    site.add_route(SHOP, [*refs("a"), *refs("b", weight=0)])
    assert audit.rules() == ["route-all-weight-on-one"]
    plugin = {"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}}
    routing = {"strategy": {"canary": {"trafficRouting": {"plugins": plugin}}}}
    site.put("Rollout", SHOP, "a", {"generation": 1}, spec=routing)
    assert audit.rules() == ["route-owned-by-canary"]


def test_what_is_over_in_a_moment_is_left_out() -> None:
    assert RULES.keys() - LASTING.keys() == {"route-status-stale", "route-not-attached", "gateway-status-stale"}


# What must not hurt anybody.


def broken_rule() -> Rule:
    def check(object_: Object, world: World) -> Iterator[Hit]:
        raise RuntimeError("hunter2")
        yield

    return Rule("broken-rule", Severity.error, ("HTTPRoute",), "It raises.", "Repair it.", check)


async def test_a_rule_that_raises_is_counted_and_the_others_go_on(
    site: Site, audit: Audit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditing, "LASTING", {"broken-rule": broken_rule(), **LASTING})
    site.add_route(SHOP, refs("none"))
    assert audit.rules() == ["route-backend-missing"]
    assert audit.rules() == ["route-backend-missing"]
    assert audit.failed == ["broken-rule"]  # once a version
    assert "hunter2" not in "".join(capsys.readouterr())


async def test_an_audit_that_fails_as_a_whole_is_none_and_counted(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setattr(auditing, "_audit", fails)
    assert audit.of() is None
    assert audit.of() is None
    assert audit.failed == [WHOLE_AUDIT]  # once a version


async def test_a_route_as_large_as_the_api_allows_asks_for_each_service_once(
    site: Site, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, asked = site.cluster.named, list[str]()

    def counted(kind: str, namespace: str, name: str) -> Manifest | None:
        asked.append(name)
        return named(kind, namespace, name)

    monkeypatch.setattr(site.cluster, "named", counted)
    rules = [{"backendRefs": refs(*(f"s{rule}-{backend}" for backend in range(16)))} for rule in range(16)]
    site.put("HTTPRoute", SHOP, "shop", {"generation": 1}, spec={"rules": rules})
    assert audit.rules() == ["route-backend-missing"] * 256 + ["route-rule-unreachable"] * 15
    assert len(asked) == len(set(asked)) == 256


async def test_what_is_too_large_is_not_looked_at(site: Site, audit: Audit) -> None:
    site.add_route(SHOP, refs("none", filters=[0] * MOST_NODES))
    assert audit.of() is None
    assert audit.failed == []


async def test_each_version_is_looked_at_once_for_what_it_broke(site: Site, audit: Audit) -> None:
    def version(number: str, *names: str) -> Manifest:
        metadata = {"name": "shop", "namespace": SHOP, "resourceVersion": number}
        return {"metadata": metadata, "spec": {"rules": [{"backendRefs": refs(*names)}]}}

    site.sync()
    broken = [
        audit.auditor.broken(site.cluster, HTTPROUTE, versions, audit.failed.append)
        for versions in ([version("1", "a"), version("2", "none")], [version("2", "a"), version("3", "x", "y")])
    ]
    assert broken == [[{}, {"route-backend-missing": 1}], [{"route-backend-missing": 1}, {"route-backend-missing": 2}]]
