"""Writing a status: what changed, on the very Balancer it is about, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from evenload.api.v1alpha1 import BalancerStatus
from evenload.errors import Conflict
from evenload.kube.resources import BALANCERS, Manifest
from evenload.record.conditions import status_of
from evenload.record.publish import known_status, publish
from tests.support.faults import Faulty
from tests.support.memory import MemoryCluster
from tests.unit.record.scenes import facts, healthy, skewed


async def balancer(cluster: MemoryCluster) -> Manifest:
    return await cluster.create(BALANCERS, "shop", {"metadata": {"name": "shop", "namespace": "shop"}, "spec": {}})


async def test_a_status_is_written_once_and_not_again_while_nothing_changes() -> None:
    cluster = MemoryCluster()
    manifest = await balancer(cluster)
    counting = Faulty(cluster)
    for time in (1000.0, 1010.0, 1020.0):
        manifest = await publish(counting, manifest, status_of(known_status(manifest), facts(healthy(time))))
    assert counting.calls == ["patch_merge"]


async def test_what_no_longer_holds_is_removed() -> None:
    cluster = MemoryCluster()
    manifest = await balancer(cluster)
    manifest = await publish(cluster, manifest, status_of(BalancerStatus(), facts(skewed(), remediation="shop-1")))
    assert manifest["status"]["activeRemediation"] == "shop-1"
    manifest = await publish(cluster, manifest, status_of(known_status(manifest), facts(healthy(1010.0))))
    assert "activeRemediation" not in manifest["status"]
    assert "outliers" not in manifest["status"]


async def test_a_status_is_not_written_on_a_balancer_that_changed_since() -> None:
    cluster = MemoryCluster()
    manifest = await balancer(cluster)
    await cluster.patch_merge(BALANCERS, "shop", "shop", {"spec": {"mode": "Auto"}})
    with pytest.raises(Conflict):
        await publish(cluster, manifest, status_of(BalancerStatus(), facts()))


@pytest.mark.parametrize("status", [{}, None, {"mode": "SomethingNewer"}])
def test_a_status_that_cannot_be_read_counts_as_none(status: Any) -> None:
    assert known_status({"status": status}) == BalancerStatus()
