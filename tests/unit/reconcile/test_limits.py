"""What is missing or never ends takes away what depends on it, is called what it is, and holds up nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from evenload.kube.resources import Resource
from evenload.observe.cluster import LEAVING_SECONDS, STUCK_SECONDS
from evenload.sight import REFUSAL_SECONDS
from tests.support.inprocess import Site

SHOP, OTHER = "market", "elsewhere"
WATCHING, LIMITED = ("True", "Watching"), ("True", "Limited")
WRONG = {"a": 970, "b": 10, "c": 10, "d": 10}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(SHOP, backends="abcd")
        site.send_traffic(SHOP)
        yield site


def set_weights(site: Site, weights: dict[str, int], manager: str = "kubectl-edit", **metadata: Any) -> None:
    managed = {
        "manager": manager,
        "operation": "Update",
        "time": site.at(0),
        "fieldsV1": {"f:spec": {"f:rules": {}}},
    }
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    status = site.api.objects["HTTPRoute", SHOP, "shop"].get("status")
    site.add_route(SHOP, refs, managedFields=[managed], **metadata)
    if status:
        site.api.objects["HTTPRoute", SHOP, "shop"]["status"] = status


async def ticks(site: Site, number: int) -> None:
    for _ in range(number):
        site.send_traffic(SHOP)
        await site.tick()


async def is_mended(site: Site) -> bool:
    """Whether wrong weights are put back."""
    set_weights(site, WRONG)
    await ticks(site, 6)
    return len(set(site.weights(SHOP).values())) == 1


def deny(site: Site, resource: Resource, *, denied: bool = True) -> None:
    """As if the API server answered 403 to every list of that kind; else as if it answered none."""
    (reflector,) = (each for each in site.cluster._reflectors() if each.resource == resource)
    reflector.objects.clear()
    for stream in reflector._streams:
        stream.listed.clear()
        stream.denied, stream.tried = denied, True
        stream._proof = lambda: None  # type: ignore[method-assign]
        stream.listed.set = lambda: None  # type: ignore[method-assign]


def resource_of(site: Site, kind: str) -> Resource:
    return next(each.resource for each in site.cluster._reflectors() if each.resource.kind == kind)


# A kind that may not be listed.


@pytest.mark.parametrize("denied", [True, False], ids=["it may not be read", "its lists fail"])
async def test_a_kind_of_balancer_that_cannot_be_watched_stops_no_balancer_of_another(
    site: Site, *, denied: bool
) -> None:
    for name in ("x", "y"):
        site.add_backend(OTHER, name)
    refs = [{"name": name, "port": 80, "weight": 250} for name in ("x", "y")]
    site.put("GRPCRoute", OTHER, "shop", {"generation": 1}, spec={"rules": [{"backendRefs": refs}]})
    site.add_balancer(OTHER, {"targetRef": {"kind": "GRPCRoute", "name": "shop"}})
    await ticks(site, 1)
    assert site.condition(OTHER, "Ready") == WATCHING
    assert tuple(site.api.objects["Balancer", OTHER, "shop"]["status"]["resolved"]["handles"]) == (
        "Weights",
        "Isolate",
        "Restart",
    )
    deny(site, resource_of(site, "HTTPRoute"), denied=denied)
    await ticks(site, 1)
    assert site.cluster.usable
    assert site.condition(OTHER, "Ready") == WATCHING
    assert site.condition(SHOP, "Ready") == ("False", "NotPermitted" if denied else "NotSynced")


async def test_a_kind_that_nothing_behind_the_route_is_of_is_not_missed(site: Site) -> None:
    for kind in ("StatefulSet", "DaemonSet", "CloneSet"):
        deny(site, resource_of(site, kind))
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == WATCHING


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ReplicaSet", "Deployment", "StatefulSet", "CloneSet"])
async def test_without_a_kind_that_tells_what_goes_on_weights_are_put_right_and_the_rule_is_named(
    site: Site, kind: str
) -> None:
    resource = resource_of(site, kind)
    deny(site, resource)
    if kind in ("StatefulSet", "CloneSet"):
        owner = {"kind": kind, "name": "a", "controller": True}
        site.api.objects["Pod", SHOP, "a-1"]["metadata"]["ownerReferences"] = [owner]
    await ticks(site, 2)
    assert site.cluster.usable
    assert site.condition(SHOP, "Ready") == LIMITED
    assert f'apiGroups: ["{resource.group}"], resources: ["{resource.plural}"]' in site.message(SHOP)
    assert await is_mended(site)


async def test_without_it_no_pod_is_taken_away(site: Site) -> None:
    deny(site, resource_of(site, "ReplicaSet"))
    await ticks(site, 2)
    holds = site.cluster.fleet(site.reconciler._observer.sight(site.key(SHOP)).view).holds  # type: ignore[union-attr]
    assert [(hold.reason, hold.restarts_only) for hold in holds] == [("NotPermitted", True)]


@pytest.mark.parametrize("kind", ["Pod", "Service", "EndpointSlice", "HTTPRoute"])
async def test_without_a_kind_that_all_rests_on_nothing_is_written_and_the_rule_is_named(site: Site, kind: str) -> None:
    deny(site, resource_of(site, kind))
    await ticks(site, 2)
    assert site.cluster.usable
    assert site.condition(SHOP, "Ready") == ("False", "NotPermitted")
    assert resource_of(site, kind).plural in site.message(SHOP)
    assert not await is_mended(site)


async def test_grants_that_may_not_be_read_are_not_called_missing() -> None:
    async with Site(cross_namespace_backends=True) as site:
        site.add_shop(SHOP)
        site.add_backend(OTHER, "c")
        refs = [{"name": "a", "port": 80}, {"name": "c", "namespace": OTHER, "port": 80}]
        site.add_route(SHOP, refs)
        deny(site, resource_of(site, "ReferenceGrant"))
        await site.tick()
        assert site.condition(SHOP, "Ready") == ("False", "NotPermitted")
        assert "referencegrants" in site.message(SHOP)


async def test_an_installation_without_httproutes_is_ready_and_says_so() -> None:
    async with Site(disabled_drivers="httproute") as site:
        site.add_shop(SHOP)
        await site.tick()
        assert "HTTPRoute" not in {each.resource.kind for each in site.cluster._reflectors()}
        assert site.cluster.usable
        assert site.condition(SHOP, "Ready") == ("False", "DriverDisabled")
        assert "drivers.httproute.enabled" in site.message(SHOP)


@pytest.mark.parametrize("kind", ["Rollout", "CloneSet", "Deployment"])
async def test_a_workload_that_cannot_be_read_concerns_those_it_stands_behind(site: Site, kind: str) -> None:
    site.put(kind, SHOP, "of-somebody-else", spec="none")
    await ticks(site, 1)
    assert site.condition(SHOP, "Ready") == WATCHING
    site.api.objects["Pod", SHOP, "a-1"]["metadata"]["ownerReferences"] = [
        {"kind": kind, "name": "of-somebody-else", "controller": True}
    ]
    await ticks(site, 1)
    assert site.condition(SHOP, "Ready") == ("False", "Unreadable")


# A backend without pods.


def empty(site: Site, name: str) -> None:
    site.remove("Pod", SHOP, f"{name}-1")
    site.api.objects["EndpointSlice", SHOP, f"{name}-x"]["endpoints"] = None


def serve_others(site: Site, gone: str) -> None:
    site.send_traffic(SHOP)
    site.prometheus.pods.pop((SHOP, f"{gone}-1"), None)


async def test_a_backend_that_lost_its_pods_is_named_and_its_weight_goes_to_the_others(site: Site) -> None:
    await ticks(site, 4)
    empty(site, "d")
    for _ in range(5):
        serve_others(site, "d")
        await site.tick()
    assert site.condition(SHOP, "Ready") == WATCHING
    assert site.weights(SHOP)["d"] == 0
    assert min(site.weights(SHOP)[name] for name in "abc") > 0


async def test_a_backend_without_pods_that_is_parked_at_0_is_ignored(site: Site) -> None:
    empty(site, "d")
    set_weights(site, {"a": 250, "b": 250, "c": 250, "d": 0})
    for _ in range(8):
        serve_others(site, "d")
        await site.tick()
    assert site.condition(SHOP, "Ready") == WATCHING
    assert site.condition(SHOP, "Balanced") == ("True", "Healthy")
    assert site.status(SHOP)["knownGood"]["weights"]["d"] == 0


async def test_where_no_backend_has_pods_it_is_said_so(site: Site) -> None:
    for name in "abcd":
        empty(site, name)
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("False", "NoPods")


def selectorless(site: Site) -> None:
    empty(site, "d")
    endpoints = [{"addresses": ["10.9.9.9"], "conditions": {"ready": True}}]
    site.api.objects["EndpointSlice", SHOP, "d-x"]["endpoints"] = endpoints


def external(site: Site) -> None:
    empty(site, "d")
    site.api.objects["Service", SHOP, "d"]["spec"] = {"type": "ExternalName", "externalName": "shop.example"}


def late(site: Site) -> None:
    site.remove("Pod", SHOP, "d-1")


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (selectorless, "NoSelector", "Service market/d has no selector"),
        (external, "NoSelector", "Service market/d is an ExternalName (shop.example)"),
        (late, "NotSynced", "name pods that are not in the list of pods"),
    ],
)
async def test_a_service_whose_pods_cannot_be_told_is_called_what_it_is(
    site: Site, change: Callable[[Site], None], reason: str, words: str
) -> None:
    change(site)
    await site.tick()
    assert site.condition(SHOP, "Ready") == ("False", reason)
    assert words in site.message(SHOP)


# What never ends.


def hpa(site: Site, *conditions: dict[str, str], desired: int = 0) -> None:
    target = {"kind": "Deployment", "name": "a"}
    status = {"currentReplicas": 1, "desiredReplicas": desired, "conditions": list(conditions)}
    site.put("HorizontalPodAutoscaler", SHOP, "a", spec={"scaleTargetRef": target}, status=status)


def workload(site: Site, kind: str = "Deployment", spec: Any = None, **status: Any) -> None:
    site.put(kind, SHOP, "a", {"generation": 1}, spec={"replicas": 2, **(spec or {})}, status=status)


HALF: dict[str, Any] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1}
HALF_SET = HALF | {"currentRevision": "1", "updateRevision": "2"}
EXCEEDED = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
NO_METRICS = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}

STUCK: dict[str, tuple[Callable[[Site], None], str]] = {
    "an autoscaler that cannot compute": (lambda site: hpa(site, NO_METRICS), "FailedGetResourceMetric"),
    "a rollout over its deadline": (lambda site: workload(site, **HALF, conditions=[EXCEEDED]), "progress deadline"),
    "a rollout that is paused": (lambda site: workload(site, spec={"paused": True}, **HALF), "paused"),
}


@pytest.mark.parametrize("what", STUCK)
async def test_what_will_not_end_by_its_own_word_is_told_and_not_waited_for(site: Site, what: str) -> None:
    change, words = STUCK[what]
    change(site)
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == LIMITED
    assert words in site.message(SHOP)
    assert await is_mended(site)


UNDER_WAY: dict[str, Callable[[Site], None]] = {
    "a rollout": lambda site: workload(site, **HALF),
    "an autoscaler at work": lambda site: hpa(site, desired=2),
}


@pytest.mark.parametrize("what", UNDER_WAY)
async def test_what_is_under_way_is_waited_for_until_nothing_has_moved_for_long(site: Site, what: str) -> None:
    UNDER_WAY[what](site)
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == WATCHING
    assert not await is_mended(site)
    site.clock += STUCK_SECONDS
    await ticks(site, 6)
    assert site.condition(SHOP, "Ready") == LIMITED
    assert len(set(site.weights(SHOP).values())) == 1


async def test_a_pod_that_should_be_gone_is_neither_counted_nor_waited_for(site: Site) -> None:
    pod = site.api.objects["Pod", SHOP, "a-1"]
    site.put("Pod", SHOP, "a-old", {**pod["metadata"], "name": "a-old", "uid": "old"}, spec=pod["spec"])
    old = site.api.objects["Pod", SHOP, "a-old"]
    old["metadata"]["deletionTimestamp"] = site.at(0)
    endpoint = {"targetRef": {"kind": "Pod", "name": "a-old", "uid": "old"}, "conditions": {"ready": False}}
    site.api.objects["EndpointSlice", SHOP, "a-x"]["endpoints"].append(endpoint)
    await ticks(site, 1)
    assert site.status(SHOP)["summary"]["pods"] == "4/5"
    assert site.condition(SHOP, "Ready") == WATCHING
    site.clock += LEAVING_SECONDS
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == LIMITED
    assert "pod a-old" in site.message(SHOP)
    assert site.status(SHOP)["summary"]["pods"] == "4/4"


def say(site: Site, *parents: dict[str, str], since: float) -> None:
    def told(kind: str, status: str) -> dict[str, Any]:
        return {"type": kind, "status": status, "reason": "Why", "lastTransitionTime": site.at(since)}

    site.api.objects["HTTPRoute", SHOP, "shop"]["status"] = {
        "parents": [
            {"parentRef": {"name": f"gateway-{at}"}, "conditions": [told(*each) for each in parent.items()]}
            for at, parent in enumerate(parents)
        ]
    }


PARTLY = [
    [{"Accepted": "True", "ResolvedRefs": "False"}],
    [{"Accepted": "True", "ResolvedRefs": "True"}, {"Accepted": "False"}],
]


@pytest.mark.parametrize("parents", PARTLY)
async def test_a_part_that_a_gateway_refuses_for_good_does_not_hold_up_the_rest(
    site: Site, parents: list[dict[str, str]]
) -> None:
    say(site, *parents, since=REFUSAL_SECONDS * 2)
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == LIMITED
    assert "does not accept all of the route" in site.message(SHOP)
    assert await is_mended(site)


@pytest.mark.parametrize("parents", [*PARTLY, [{"Accepted": "False"}]])
async def test_a_refusal_that_is_new_is_waited_for(site: Site, parents: list[dict[str, str]]) -> None:
    await ticks(site, 2)
    set_weights(site, WRONG)
    for _ in range(5):
        say(site, *parents, since=1)
        await ticks(site, 1)
    assert site.weights(SHOP) == WRONG


async def test_a_route_that_every_gateway_refuses_is_left_as_it_is(site: Site) -> None:
    say(site, {"Accepted": "False"}, since=REFUSAL_SECONDS * 2)
    await ticks(site, 2)
    assert not await is_mended(site)


# Canary controllers.

MARKS: dict[str, dict[str, Any]] = {
    "the label of Argo's plugin": {"labels": {"rollouts.argoproj.io/gatewayapi-canary": "in-progress"}},
    "an owner": {"ownerReferences": [{"kind": "Canary", "name": "shop", "apiVersion": "flagger.app/v1beta1"}]},
    "Argo's field manager": {"manager": "rollouts-controller"},
    "Flagger's field manager": {"manager": "flagger"},
}


async def is_left_alone(site: Site, **metadata: Any) -> None:
    set_weights(site, WRONG, **metadata)
    await ticks(site, 8)
    assert site.weights(SHOP) == WRONG
    assert [kind for kind, *_ in site.api.objects if kind == "Remediation"] == []
    assert site.condition(SHOP, "Ready") == WATCHING
    assert site.condition(SHOP, "Balanced") == ("Unknown", "RolloutInProgress")


@pytest.mark.parametrize("mark", MARKS)
async def test_weights_of_a_canary_controller_are_left_alone_and_no_incident(site: Site, mark: str) -> None:
    await ticks(site, 3)
    await is_left_alone(site, **MARKS[mark])


PLUGIN = {"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}}
KRUISE = {"canary": {"trafficRoutings": [{"service": "a", "gateway": {"httpRouteName": "shop"}}]}}


async def test_a_canary_controller_whose_object_names_the_route_is_known(site: Site) -> None:
    site.put("Rollout", SHOP, "shop", spec={"strategy": {"canary": {"trafficRouting": {"plugins": PLUGIN}}}})
    site.sync()
    await ticks(site, 3)
    await is_left_alone(site)


async def test_openkruises_is_known_while_it_is_under_way(site: Site) -> None:
    site.put("Rollout", SHOP, "shop", spec={"strategy": KRUISE}, status={"phase": "Progressing"})
    await ticks(site, 3)
    await is_left_alone(site)
    site.api.objects["Rollout", SHOP, "shop"]["status"] = {"phase": "Healthy"}
    await ticks(site, 6)
    assert site.weights(SHOP) != WRONG


async def test_between_two_canaries_both_services_may_lead_to_the_same_pods(site: Site) -> None:
    for name in "abcd":
        endpoints = site.api.objects["EndpointSlice", SHOP, "a-x"]["endpoints"]
        site.api.objects["EndpointSlice", SHOP, f"{name}-x"]["endpoints"] = endpoints
    await ticks(site, 1)
    assert site.condition(SHOP, "Ready") == ("False", "PodShared")
    set_weights(site, {"a": 100, "b": 0, "c": 0, "d": 0}, manager="rollouts-controller")
    await ticks(site, 2)
    assert site.condition(SHOP, "Ready") == WATCHING
    assert site.condition(SHOP, "Balanced") == ("Unknown", "RolloutInProgress")
    assert site.status(SHOP)["summary"]["pods"] == "1/1"


CONTROLLERS: dict[str, dict[str, Any]] = {
    "DaemonSet": {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 1},
    "CloneSet": HALF_SET,
    "StatefulSet": HALF_SET,
    "Rollout": {"phase": "Paused", "message": "CanaryPauseStep"},
}


@pytest.mark.parametrize("kind", CONTROLLERS)
async def test_a_rollout_of_any_workload_is_known(site: Site, kind: str) -> None:
    site.api.objects["Pod", SHOP, "a-1"]["metadata"]["ownerReferences"] = [
        {"kind": kind, "name": "a", "controller": True}
    ]
    workload(site, kind, **CONTROLLERS[kind])
    await ticks(site, 2)
    assert site.condition(SHOP, "Balanced") == ("Unknown", "RolloutInProgress")
    assert not await is_mended(site)


@pytest.mark.parametrize("kind", ["CloneSet", "Rollout"])
async def test_a_canary_that_stands_half_way_for_long_keeps_its_pods(site: Site, kind: str) -> None:
    site.api.objects["Pod", SHOP, "a-1"]["metadata"]["ownerReferences"] = [
        {"kind": kind, "name": "a", "controller": True}
    ]
    workload(site, kind, **CONTROLLERS[kind])
    await ticks(site, 2)
    site.clock += STUCK_SECONDS
    await ticks(site, 1)
    sight: Any = site.reconciler._observer.sight(site.key(SHOP))
    assert [(hold.reason, hold.restarts_only) for hold in sight.fleet.holds] == [("Rollout", True)]
    assert await is_mended(site)
