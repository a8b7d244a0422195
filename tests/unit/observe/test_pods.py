"""What is read from a Pod, of everything that people write into one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.observe.pods import Owner, PodFacts, quantity

CREATED = "2026-01-01T10:00:00Z"
STARTED = "2026-01-01T10:00:20Z"


def facts(
    *,
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> PodFacts:
    meta = {"name": "a", "namespace": "shop", "uid": "u", "creationTimestamp": CREATED, **(metadata or {})}
    pod = {"metadata": meta, "spec": {"containers": [{"name": "app"}], **(spec or {})}, "status": status or {}}
    return PodFacts.decode(msgspec.Raw(msgspec.json.encode(pod)))


def limited(cpu: str | None = None, memory: str | None = None, **more: Any) -> dict[str, Any]:
    limits = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": "c", "resources": {"limits": limits}, **more}


def owned(kind: str, *, controller: bool = True) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": "x", "uid": "1", "controller": controller}]}


class TestState:
    def test_it_is_ready_when_its_ready_condition_says_so(self) -> None:
        assert facts(status={"conditions": [{"type": "Ready", "status": "True"}]}).ready
        assert not facts(status={"conditions": [{"type": "Ready", "status": "False"}]}).ready
        assert not facts(status={"conditions": [{"type": "ContainersReady", "status": "True"}]}).ready
        assert not facts().ready

    def test_it_is_terminating_from_the_deletion_on(self) -> None:
        assert facts(metadata={"deletionTimestamp": CREATED}).terminating
        assert not facts().terminating

    def test_its_addresses_are_its_own(self) -> None:
        addressed = {"podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}]}
        assert facts(status=addressed).addresses == ("10.0.0.5", "fd00::5")
        assert facts(status=addressed, spec={"hostNetwork": True}).addresses == ()
        assert facts().addresses == ()

    def test_its_age_counts_from_its_newest_container(self) -> None:
        running = [{"state": {"running": {"startedAt": at}}} for at in (CREATED, STARTED)]
        restarted = facts(status={"containerStatuses": running}).started_at
        assert restarted == (facts().started_at or 0) + 20

    def test_when_it_was_created_does_not_change_with_its_containers(self) -> None:
        running = [{"state": {"running": {"startedAt": STARTED}}}]
        restarted = facts(status={"containerStatuses": running})
        assert restarted.created_at == facts().started_at
        assert restarted.started_at != restarted.created_at

    def test_a_pod_whose_containers_wait_counts_from_its_creation(self) -> None:
        waiting = facts(status={"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})
        assert waiting.started_at == facts().started_at


class TestOwner:
    def test_its_controller_is_its_owner(self) -> None:
        assert facts(metadata=owned("ReplicaSet")).owner == Owner(kind="ReplicaSet", name="x", controller=True)

    def test_an_owner_that_is_no_controller_replaces_nothing(self) -> None:
        assert facts(metadata=owned("ReplicaSet", controller=False)).owner is None

    def test_a_static_pod_has_no_controller(self) -> None:
        assert facts(metadata=owned("Node")).owner is None


class TestAnnotations:
    @pytest.mark.parametrize("name", ["evenload.dev/do-not-disrupt", "karpenter.sh/do-not-disrupt"])
    def test_do_not_disrupt_protects(self, name: str) -> None:
        assert facts(metadata={"annotations": {name: "true"}}).protected
        assert not facts(metadata={"annotations": {name: "false"}}).protected

    def test_a_pod_that_the_cluster_autoscaler_may_not_evict_is_protected(self) -> None:
        name = "cluster-autoscaler.kubernetes.io/safe-to-evict"
        assert facts(metadata={"annotations": {name: "false"}}).protected
        assert not facts(metadata={"annotations": {name: "true"}}).protected

    @pytest.mark.parametrize(("text", "capacity"), [("2", 2.0), ("0.5", 0.5), ("0", None), ("-1", None), ("big", None)])
    def test_capacity_is_a_positive_number_or_absent(self, text: str, capacity: float | None) -> None:
        assert facts(metadata={"annotations": {"evenload.dev/capacity": text}}).capacity == capacity

    def test_nan_is_no_capacity(self) -> None:
        assert facts(metadata={"annotations": {"evenload.dev/capacity": "nan"}}).capacity is None
        assert facts(metadata={"annotations": {"evenload.dev/capacity": "inf"}}).capacity is None


class TestLimits:
    def test_those_of_all_containers_add_up(self) -> None:
        both = facts(spec={"containers": [limited("500m", "128Mi"), limited("1", "1G")]})
        assert both.cpu_limit == 1.5
        assert both.memory_limit == 128 * 2**20 + 1e9

    def test_sidecars_count_and_finished_init_containers_do_not(self) -> None:
        init = [limited("100m", restartPolicy="Always"), limited("4")]
        assert facts(spec={"containers": [limited("500m")], "initContainers": init}).cpu_limit == pytest.approx(0.6)

    def test_one_container_without_a_limit_leaves_the_pod_without(self) -> None:
        assert facts(spec={"containers": [limited("500m"), limited()]}).cpu_limit is None

    def test_the_pods_own_limit_comes_first(self) -> None:
        whole = {"containers": [limited(), limited("1")], "resources": {"limits": {"cpu": "750m"}}}
        assert facts(spec=whole).cpu_limit == 0.75

    @pytest.mark.parametrize(("text", "number"), [("1500m", 1.5), ("2", 2), ("1e3", 1000), ("64Ki", 65536), (3, 3)])
    def test_quantities_are_kubernetes(self, text: str | float, number: float) -> None:
        assert quantity(text) == number


class TestPreStop:
    @pytest.mark.parametrize(
        ("hook", "seconds"),
        [
            ({"sleep": {"seconds": 5}}, 5.0),
            ({"exec": {"command": ["sleep", "7"]}}, 7.0),
            ({"exec": {"command": ["sh", "-c", "sleep 3; nginx -s quit"]}}, 3.0),
            ({"exec": {"command": ["/bin/goodbye"]}}, None),
            ({"httpGet": {"path": "/stop"}}, None),
        ],
    )
    def test_its_sleep_is_found(self, hook: dict[str, Any], seconds: float | None) -> None:
        container = {"name": "app", "lifecycle": {"preStop": hook}}
        assert facts(spec={"containers": [container, {"name": "proxy"}]}).pre_stop_seconds == seconds

    def test_without_a_hook_there_is_none(self) -> None:
        assert facts().pre_stop_seconds is None
