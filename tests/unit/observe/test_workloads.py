"""A rollout is told from a pod that is merely being replaced: our own restarts must not hold us up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.observe.workloads import (
    ArgoRollout,
    Hpa,
    Workload,
    clone_set_rollout,
    deployment_rollout,
    stateful_set_rollout,
)


def workload(generation: int = 3, spec: dict[str, Any] | None = None, **status: Any) -> Workload:
    full = {"observedGeneration": 3, "replicas": 4, "updatedReplicas": 4, **status}
    manifest = {
        "metadata": {"name": "shop", "generation": generation},
        "spec": {"replicas": 4, **(spec or {})},
        "status": full,
    }
    return msgspec.convert(manifest, Workload)


def progressing(reason: str) -> list[dict[str, str]]:
    return [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": reason}]


class TestDeployment:
    def test_at_rest_there_is_none(self) -> None:
        assert deployment_rollout(workload(conditions=progressing("NewReplicaSetAvailable"))) == ""

    def test_a_spec_not_looked_at_yet_is_one(self) -> None:
        assert "not been looked at" in deployment_rollout(workload(generation=4))

    def test_pods_of_two_versions_are_one(self) -> None:
        assert deployment_rollout(workload(replicas=5, updatedReplicas=2)) == "2 of 5 pods are of the newest version"

    def test_new_pods_that_are_still_to_come_are_one(self) -> None:
        coming = workload(replicas=2, updatedReplicas=2, conditions=progressing("ReplicaSetUpdated"))
        assert deployment_rollout(coming) == "2 of 4 pods exist"

    def test_an_evicted_pod_whose_replacement_is_not_there_yet_is_none(self) -> None:
        evicted = workload(replicas=3, updatedReplicas=3, conditions=progressing("NewReplicaSetAvailable"))
        assert deployment_rollout(evicted) == ""

    def test_a_pod_that_is_not_ready_is_none(self) -> None:
        assert deployment_rollout(workload(availableReplicas=3, unavailableReplicas=1)) == ""


class TestStatefulSet:
    @pytest.mark.parametrize(
        ("status", "spec", "rolling"),
        [
            ({"currentRevision": "a", "updateRevision": "a"}, {}, False),
            ({"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}, {}, True),
            ({"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 4}, {}, False),
            (
                {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
                {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}},
                False,
            ),
            (
                {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 0},
                {"updateStrategy": {"type": "OnDelete"}},
                False,
            ),
        ],
    )
    def test_it_rolls_while_pods_that_should_be_updated_are_not(
        self, status: dict[str, Any], spec: dict[str, Any], rolling: bool
    ) -> None:
        assert bool(stateful_set_rollout(workload(spec=spec, **status))) is rolling

    def test_a_spec_not_looked_at_yet_is_a_rollout(self) -> None:
        assert stateful_set_rollout(workload(generation=4))


@pytest.mark.parametrize(
    ("revisions", "updated", "rolling"),
    [
        ({}, 1, True),  # nothing says that all are of one version
        ({"updateRevision": "b"}, 1, True),  # of a version that tells no other
        ({"currentRevision": "a", "updateRevision": "b"}, 1, True),
        ({"currentRevision": "a", "updateRevision": "a"}, 1, False),
        ({}, 4, False),
    ],
)
def test_a_clone_set_rolls_while_pods_are_not_updated_unless_its_revisions_say_otherwise(
    revisions: dict[str, Any], updated: int, rolling: bool
) -> None:
    assert bool(clone_set_rollout(workload(updatedReplicas=updated, **revisions))) is rolling


@pytest.mark.parametrize(
    ("status", "stuck"),
    [
        ({"currentReplicas": 1, "desiredReplicas": 0}, True),  # as it is created
        ({"currentReplicas": 1, "desiredReplicas": 0, "conditions": None}, True),
        ({"currentReplicas": 1}, True),
        ({"currentReplicas": 1, "desiredReplicas": 3}, False),
        (
            {
                "currentReplicas": 1,
                "desiredReplicas": 0,
                "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}],
            },
            False,
        ),
    ],
)
def test_an_autoscaler_that_has_never_computed_a_count_is_not_scaling(status: dict[str, Any], stuck: bool) -> None:
    manifest = {
        "metadata": {"name": "shop"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}},
        "status": status,
    }
    assert bool(msgspec.convert(manifest, Hpa).stuck) is stuck


@pytest.mark.parametrize(
    ("routing", "balancers"),
    [
        ({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}}}, (("HTTPRoute", "shop"),)),
        (
            {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoutes": [{"name": "a"}], "grpcRoutes": [{"name": "b"}]}}},
            (("HTTPRoute", "a"), ("GRPCRoute", "b")),
        ),
        ({"plugins": {"argoproj-labs/gatewayAPI": {"grpcRoute": "shop", "namespace": "other"}}}, ()),
        ({"traefik": {"weightedTraefikServiceName": "shop"}}, (("TraefikService", "shop"),)),
        ({"nginx": {"stableIngress": "shop"}}, ()),
    ],
)
def test_an_argo_rollout_names_what_it_sets_the_weights_of(
    routing: dict[str, Any], balancers: tuple[tuple[str, str], ...]
) -> None:
    manifest = {
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"strategy": {"canary": {"trafficRouting": routing}}},
    }
    assert msgspec.convert(manifest, ArgoRollout).balancers == balancers
