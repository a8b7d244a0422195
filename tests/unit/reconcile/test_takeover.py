"""The operator is replaced in the middle of an incident: what is said of it is what would have been said anyhow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from evenload.plan.scene import CALM_TICKS
from evenload.report.facts import Facts, Sources, facts
from evenload.report.incident import read
from tests.support.inprocess import TICK_SECONDS, Site

SHOP = "market"
BAD = {"a": 970, "b": 10, "c": 10, "d": 10}
EVEN = dict.fromkeys("abcd", 250)
QUIET_TICKS, LAST_TICK = 14, 14
MODES = {"Auto": {"mode": "Auto"}, "Approve": {"mode": "Approve"}}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        yield site


async def incident(site: Site, mode: str, replaced_at: int | None = None) -> None:
    """A bad update of the weights; in mode Approve a person agrees at the tenth tick."""
    site.add_shop(SHOP, MODES[mode], backends="abcd")
    for _ in range(QUIET_TICKS):
        site.send_traffic(SHOP)
        await site.tick()
    write(site, BAD)
    for tick in range(LAST_TICK):
        if tick == replaced_at:
            await site.replace_operator()
        if mode == "Approve" and tick == 9:
            approve(site)
        site.send_traffic(SHOP, error_ratio=0.35 if site.weights(SHOP) == BAD else 0.0)
        await site.tick()


def write(site: Site, weights: dict[str, int]) -> None:
    managed = {"manager": "helm", "operation": "Update", "time": site.at(3), "fieldsV1": {"f:spec": {"f:rules": {}}}}
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    site.add_route(SHOP, refs, managedFields=[managed])


def remediation(site: Site) -> dict[str, Any]:
    (found,) = [manifest for (kind, *_), manifest in site.api.objects.items() if kind == "Remediation"]
    return found


def approve(site: Site) -> None:
    manifest = remediation(site)
    site.api.version += 1
    manifest["spec"]["approval"] |= {"decision": "Approved", "by": "kim"}
    manifest["metadata"] |= {"resourceVersion": str(site.api.version)}


def reported(site: Site) -> Facts:
    return facts(Sources(incident=read(remediation(site))))


@pytest.mark.parametrize(
    ("mode", "replaced_at"),
    [("Auto", 1), ("Auto", 2), ("Auto", 3), ("Auto", 4), ("Approve", 3), ("Approve", 7), ("Approve", 11)],
)
async def test_the_outcome_is_that_of_an_undisturbed_run_within_a_tick(site: Site, mode: str, replaced_at: int) -> None:
    async with Site() as undisturbed:
        await incident(undisturbed, mode)
        assert remediation(undisturbed)["status"]["phase"] == "Succeeded"
        expected = remediation(undisturbed)["status"]["outcome"]
    await incident(site, mode, replaced_at)
    outcome = remediation(site)["status"]["outcome"]
    for delay in ("timeToDetectSeconds", "timeToMitigateSeconds"):
        assert outcome[delay] == pytest.approx(expected[delay], abs=TICK_SECONDS + 1), delay  # times are whole seconds
    anew = CALM_TICKS * TICK_SECONDS  # whoever takes over looks for itself whether all is calm
    assert outcome["timeToResolveSeconds"] == pytest.approx(expected["timeToResolveSeconds"], abs=anew)
    failing = 0.35 * 400
    assert outcome["requestsFailed"] == pytest.approx(expected["requestsFailed"], abs=failing * TICK_SECONDS)
    assert outcome["errorPercentBefore"] == expected["errorPercentBefore"]


@pytest.mark.parametrize("replaced_at", [None, 5])
async def test_an_interim_report_says_what_is_known(site: Site, replaced_at: int | None) -> None:
    await incident(site, "Approve", replaced_at)
    site.remove("Remediation", SHOP, remediation(site)["metadata"]["name"])
    write(site, BAD)
    for tick in range(7):
        if tick == replaced_at:
            await site.replace_operator()
        site.send_traffic(SHOP, error_ratio=0.35)
        await site.tick()
    told = reported(site)
    assert not told.over
    assert told.delays.detect is not None
    assert 3 <= told.delays.detect <= 3 + 2 * TICK_SECONDS  # since the write, not since the diagnosis
    assert (told.delays.mitigate, told.delays.resolve) == (None, None)
    assert told.impact.failed is not None
    assert told.impact.failed > 0.35 * 400 * TICK_SECONDS
    assert told.change is not None
    assert (told.change.manager, told.change.before) == ("helm", EVEN)


async def test_the_weights_before_are_known_to_an_operator_that_came_after_the_write(site: Site) -> None:
    site.add_shop(SHOP, MODES["Approve"], backends="abcd")
    for _ in range(QUIET_TICKS):
        site.send_traffic(SHOP)
        await site.tick()
    write(site, BAD)
    site.send_traffic(SHOP, error_ratio=0.35)
    await site.tick()
    await site.replace_operator()
    for _ in range(6):
        site.send_traffic(SHOP, error_ratio=0.35)
        await site.tick()
    told = reported(site)
    assert told.change is not None
    assert told.change.before == EVEN
