"""Remediation objects: one a fault, written with a precondition, and not kept for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.act.episode import decode, progressed
from evenload.act.remediations import (
    RETIRED_KEPT,
    RETIRED_MOST,
    amend,
    name_after,
    newest,
    open_remediation,
    prune,
    retire,
    retired,
    store,
)
from evenload.api.v1alpha1 import ObjectMeta, Remediation, RemediationStatus
from evenload.clock import rfc3339
from evenload.errors import Conflict, Refused, Unknown
from evenload.kube.resources import REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Evidence, Label, RuledOut
from evenload.model.episode import Phase
from tests.support.faults import Fault, Faulty
from tests.support.memory import MemoryCluster

BALANCER = ObjectMeta(name="shop", namespace="shop", uid="u-1", generation=4)
OPENING = Decision(
    time=100.0,
    diagnosis=Diagnosis(
        label=Label.LoadBalancerSkew,
        since=90.5,
        evidence=(Evidence(metric="share", observed=0.97, expected=0.25, threshold=float("nan"), subject="shop-d"),),
        ruled_out=(RuledOut(label=Label.Surge, because="the total is 1.04 of the baseline"),),
    ),
    phase=Phase.Executing,
)


async def opened(
    cluster: MemoryCluster | Faulty, previous: str | None = None, balancer: ObjectMeta = BALANCER
) -> Manifest:
    return await open_remediation(cluster, balancer, OPENING, previous=previous, approval_required=True)


async def test_opening_twice_for_one_fault_gives_one_remediation() -> None:
    cluster = MemoryCluster()
    assert await opened(cluster) == await opened(cluster)
    assert len(cluster.objects) == 1


async def test_the_next_fault_gets_another_name_and_so_does_a_new_balancer_of_the_same_name() -> None:
    cluster = MemoryCluster()
    first = (await opened(cluster))["metadata"]["name"]
    names = {first, name_after(BALANCER, first), name_after(msgspec.structs.replace(BALANCER, uid="u-2"), None)}
    assert len(names) == 3
    assert name_after(BALANCER, None) == first


def test_names_of_long_balancers_are_still_names() -> None:
    name = name_after(ObjectMeta(name="a" * 199 + "." + "b" * 50, uid="u"), None)
    assert len(name) <= 253
    assert ".-" not in name


async def test_it_says_what_it_was_opened_for_and_outlives_its_balancer() -> None:
    manifest = await opened(MemoryCluster())
    remediation = decode(manifest)
    assert "ownerReferences" not in manifest["metadata"]
    assert manifest["metadata"]["labels"] == {"evenload.dev/balancer": "shop"}
    assert (remediation.spec.balancer_ref.uid, remediation.spec.balancer_ref.generation) == ("u-1", 4)
    assert remediation.spec.approval.required is True
    (evidence,) = remediation.spec.diagnosis.evidence
    assert (evidence.observed, evidence.threshold, evidence.subject) == ("0.97", None, "shop-d")
    assert remediation.spec.diagnosis.ruled_out[0].label is Label.Surge


async def test_a_balancer_with_a_name_too_long_for_a_label_still_gets_one() -> None:
    manifest = await opened(MemoryCluster(), balancer=ObjectMeta(name="s" * 64, namespace="shop", uid="u"))
    assert manifest["metadata"]["labels"] == {}


@pytest.mark.parametrize("fault", [Fault.LostAfter, Fault.Conflicting])
async def test_an_opening_whose_answer_was_lost_is_looked_up(fault: Fault) -> None:
    cluster = MemoryCluster()
    if fault is Fault.Conflicting:
        await opened(cluster)
    assert (await opened(Faulty(cluster, at=1, fault=fault)))["metadata"]["name"] == name_after(BALANCER, None)


async def test_an_opening_that_was_lost_before_it_happened_says_so() -> None:
    with pytest.raises(Unknown):
        await opened(Faulty(MemoryCluster(), at=1, fault=Fault.LostBefore))


async def test_a_status_that_stands_already_costs_no_call() -> None:
    cluster = Faulty(MemoryCluster())
    manifest = await opened(cluster)
    manifest = await store(cluster, manifest, progressed(decode(manifest), OPENING))
    calls = len(cluster.calls)
    assert await store(cluster, manifest, progressed(decode(manifest), OPENING)) == manifest
    assert len(cluster.calls) == calls


async def test_a_status_is_not_written_over_somebody_elses() -> None:
    cluster = MemoryCluster()
    manifest = await opened(cluster)
    await store(cluster, manifest, RemediationStatus(held="theirs"))
    with pytest.raises(Conflict):
        await store(cluster, manifest, RemediationStatus(held="ours"))


async def test_what_became_a_default_again_is_removed() -> None:
    cluster = MemoryCluster()
    manifest = await store(cluster, await opened(cluster), RemediationStatus(held="x", overloaded_pods={"a": "u"}))
    manifest = await store(cluster, manifest, RemediationStatus(phase=Phase.Verifying))
    assert manifest["status"] == {"phase": "Verifying"}


def reworded(remediation: Remediation) -> RemediationStatus:
    return msgspec.structs.replace(remediation.status, held="ours")


async def test_an_amendment_keeps_what_others_wrote() -> None:
    cluster = MemoryCluster()
    manifest = await opened(cluster)
    await store(cluster, manifest, RemediationStatus(phase=Phase.Verifying))
    amended = await amend(cluster, manifest, reworded)
    assert amended["status"] == {"phase": "Verifying", "held": "ours"}


async def test_an_amendment_whose_answer_was_lost_is_not_made_twice() -> None:
    cluster = MemoryCluster()
    manifest = await opened(cluster)
    faulty = Faulty(cluster, at=1, fault=Fault.LostAfter)
    assert (await amend(faulty, manifest, reworded))["status"] == {"held": "ours"}
    assert faulty.calls == ["patch_merge", "get"]


async def test_an_amendment_gives_up_after_its_attempts() -> None:
    cluster = MemoryCluster()
    manifest = await opened(cluster)
    await store(cluster, manifest, RemediationStatus(held="theirs"))
    with pytest.raises(Conflict):
        await amend(cluster, manifest, reworded, attempts=1)


def test_the_newest_is_by_creation_then_by_opening() -> None:
    def made(name: str, created: str, opened: str = "") -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"openedAt": opened}}

    old, late = made("z", "2026-11-23T05:00:00Z"), made("a", "2026-11-23T05:00:01Z", "2026-11-23T05:00:01.2Z")
    later = made("b", "2026-11-23T05:00:01Z", "2026-11-23T05:00:01.7Z")
    assert newest([late, old]) == late
    assert newest([later, late, old]) == later
    assert newest([]) is None


async def history(cluster: MemoryCluster, count: int, **status: Any) -> list[Manifest]:
    previous: str | None = None
    for at in range(count):
        manifest = await opened(cluster, previous)
        previous = manifest["metadata"]["name"]
        stored = cluster.objects[(REMEDIATIONS.kind, "shop", previous)]
        stored["metadata"]["creationTimestamp"] = f"2026-11-23T05:{at:02}:00Z"
        stored["status"] = {"phase": "Succeeded", **status}
    manifests, _ = await cluster.list(REMEDIATIONS, "shop")
    return manifests


NOW = 1795413600.0  # 2026-11-23T06:00:00Z


async def test_history_is_pruned_to_its_limit_oldest_first() -> None:
    cluster = MemoryCluster()
    manifests = await history(cluster, 5)
    assert await prune(cluster, manifests, limit=3, now=NOW) == 2
    left, _ = await cluster.list(REMEDIATIONS, "shop")
    assert left == manifests[2:]


async def test_open_ones_and_those_that_budgets_still_count_are_not_pruned() -> None:
    cluster = MemoryCluster()
    restart = {"name": "1-restart", "action": "RestartPod", "state": "Verified", "plannedAt": "2026-11-23T05:00:00Z"}
    manifests = await history(cluster, 3, steps=[restart])
    assert await prune(cluster, manifests, limit=1, now=NOW) == 0
    assert await prune(cluster, manifests, limit=1, now=NOW + 25 * 3600) == 2
    assert await prune(cluster, await history(MemoryCluster(), 3, phase="Executing"), limit=1, now=NOW) == 0


async def test_pruning_what_somebody_deleted_is_no_error_and_another_of_that_name_is_left() -> None:
    cluster = MemoryCluster()
    manifests = await history(cluster, 3)
    await cluster.delete(REMEDIATIONS, "shop", manifests[0]["metadata"]["name"])
    cluster.objects[(REMEDIATIONS.kind, "shop", manifests[1]["metadata"]["name"])]["metadata"]["uid"] = "another"
    await prune(cluster, manifests, limit=1, now=NOW)
    left, _ = await cluster.list(REMEDIATIONS, "shop")
    assert len(left) == 2


async def test_a_restart_that_was_stored_and_never_told_keeps_its_remediation() -> None:
    cluster = MemoryCluster()
    restart = {"name": "1-restart", "action": "RestartPod", "state": "Planned", "plannedAt": "2026-11-23T05:00:00Z"}
    assert await prune(cluster, await history(cluster, 3, steps=[restart]), limit=1, now=NOW) == 0


async def test_one_that_was_open_for_days_is_kept_as_long_as_its_restart_counts() -> None:
    cluster = MemoryCluster()
    restart = {"name": "1-restart", "action": "RestartPod", "state": "Verified", "plannedAt": rfc3339(NOW + 71 * 3600)}
    manifests = await history(cluster, 3, steps=[restart], closedAt=rfc3339(NOW + 72 * 3600))
    assert await prune(cluster, manifests, limit=1, now=NOW + 73 * 3600) == 0


async def test_one_that_cannot_be_read_is_kept_for_a_day_and_stops_no_pruning() -> None:
    cluster = MemoryCluster()
    manifests = await history(cluster, 3)
    manifests[0]["status"]["steps"] = "none"
    assert await prune(cluster, manifests, limit=1, now=NOW) == 1
    assert await prune(cluster, manifests, limit=1, now=NOW + 25 * 3600) == 2


DAY = 24 * 3600.0


def left(name: str, seconds_ago: float, namespace: str = "shop", **status: Any) -> Manifest:
    """A Remediation of a deleted Balancer."""
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": rfc3339(NOW - seconds_ago),
        },
        "spec": {"balancerRef": {"name": f"of-{name}"}, "diagnosis": {"label": "Failing"}},
        "status": {"phase": "Succeeded", **status},
    }


def names(manifests: list[Any]) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in manifests}


def test_what_deleted_balancers_left_goes_when_it_is_a_day_old_but_for_the_newest() -> None:
    old = [left(f"old-{at}", 2 * DAY + at) for at in range(10)]
    young = [left(f"young-{at}", 600 + at) for at in range(RETIRED_KEPT)]
    assert retired([*old, *young[1:]], NOW) == sorted(old[1:], key=lambda m: m["metadata"]["creationTimestamp"])
    assert names(retired([*old, *young], NOW)) == names(list(old))
    assert retired([left(f"young-{at}", 600 + at) for at in range(RETIRED_KEPT + 10)], NOW) == []


def test_what_budgets_count_of_deleted_balancers_is_kept_however_many_they_are() -> None:
    step = {"name": "1-restart", "action": "RestartPod", "state": "Applied", "plannedAt": rfc3339(NOW - 600)}
    counted = [left(f"counted-{at}", DAY / 2 + at, steps=[step]) for at in range(20)]
    rest = [left(f"rest-{at}", 600 + at) for at in range(RETIRED_MOST + 30)]
    gone = names(retired([*counted, *rest], NOW))
    assert not gone & names(list(counted))
    assert len(gone) == 30


def test_an_open_one_is_never_retired() -> None:
    assert retired([left(f"{at}", 2 * DAY + at, phase="Executing") for at in range(RETIRED_KEPT + 9)], NOW) == []


async def test_retiring_goes_by_namespace_and_a_refusal_stops_no_other() -> None:
    class Guarded(MemoryCluster):
        async def delete(self, resource: Any, namespace: str | None, name: str, *, uid: str | None = None) -> None:
            if namespace == "guarded":
                raise Refused("no", status=403)
            await super().delete(resource, namespace, name, uid=uid)

    cluster = Guarded()
    for namespace in ("guarded", "shop", "small"):
        for at in range(RETIRED_KEPT + 5 if namespace != "small" else 5):
            manifest = left(f"{namespace}-{at}", 2 * DAY + at, namespace)
            cluster.objects[REMEDIATIONS.kind, namespace, manifest["metadata"]["name"]] = manifest
    await retire(cluster, list(cluster.objects.values()), NOW)
    there = [namespace for _, namespace, _ in cluster.objects]
    assert [there.count(each) for each in ("guarded", "shop", "small")] == [RETIRED_KEPT + 5, RETIRED_KEPT, 5]
