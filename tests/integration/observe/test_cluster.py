"""The cluster as a Balancer needs it, on a real API server with real controllers (EndpointSlices are theirs).

No kubelet is there: tests say themselves that a pod runs and is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from evenload.drivers import DRIVERS
from evenload.drivers.base import BalancerView, Driver, RouteProblem
from evenload.errors import Conflict, NotFound
from evenload.kube.client import Client
from evenload.kube.resources import (
    DEPLOYMENTS,
    DESTINATIONRULES,
    ENDPOINTSLICES,
    HPAS,
    HTTPROUTES,
    PODS,
    REPLICASETS,
    SERVICES,
    VIRTUALSERVICES,
    Manifest,
    Resource,
)
from evenload.model.spec import TargetRef
from evenload.observe.cluster import ClusterView, Fleet, Problem, Trouble
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.kinds import install_istio, install_traefik
from tests.support.nodes import NODES, beat, keep_beating
from tests.support.wait import until

pytestmark = pytest.mark.timeout(300)

HTTP_ROUTE, SERVICE = DRIVERS["HTTPRoute"], DRIVERS["Service"]


class Shop:
    """Two Deployments, each behind a Service of its own, behind one HTTPRoute."""

    def __init__(self, client: Client, namespace: str, view: ClusterView) -> None:
        self.client = client
        self.namespace = namespace
        self.view = view
        self._next_address = 1

    async def open(self, *names: str) -> None:
        """Create them, and wait until their pods are Ready and in their slices."""
        await self.client.create(NODES, None, {"metadata": {"name": self.namespace}})
        await beat(self.client, self.namespace)
        for name in names:
            await self.client.create(SERVICES, self.namespace, service(name))
            await self.client.create(DEPLOYMENTS, self.namespace, deployment(name))
        await self.client.create(HTTPROUTES, self.namespace, route(*names))
        await self.run_pods()

    async def run_pods(self) -> None:
        """Play the kubelet: every pod runs and is ready."""
        await until(lambda: self._all_running(), what="pods of all Deployments", pause=0.1)

    async def _all_running(self) -> bool:
        deployments, _ = await self.client.list(DEPLOYMENTS, self.namespace)
        pods, _ = await self.client.list(PODS, self.namespace)
        for pod in pods:
            if "podIP" not in pod["status"]:
                await self.start(pod["metadata"]["name"])
        return bool(len(pods) == sum(each["spec"]["replicas"] for each in deployments))

    async def start(self, pod: str) -> None:
        """Be scheduler and kubelet: slices leave pods out that are on no node."""
        binding = {"metadata": {"name": pod}, "target": {"kind": "Node", "name": self.namespace}}
        await self.client.create(Resource("", "v1", f"pods/{pod}/binding", "Binding"), self.namespace, binding)
        await self.say(pod, ready=True)

    async def say(self, pod: str, *, ready: bool) -> None:
        """Be the kubelet and say that this pod is ready, or not."""
        self._next_address += 1
        address = f"10.1.0.{self._next_address}"
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}
        await self.client.patch_merge(PODS, self.namespace, pod, {"status": status}, subresource="status")

    def route_view(self) -> BalancerView:
        manifest = self.view.balancer(HTTP_ROUTE, self.namespace, "shop")
        assert not isinstance(manifest, Problem), manifest
        return HTTP_ROUTE.backends(manifest, TargetRef(name="shop"))

    def fleet(self) -> Fleet:
        return self.view.fleet(self.route_view())

    def ready(self) -> dict[str, int]:
        """Backend -> ready pods, as the view sees it; empty until the route is seen."""
        if isinstance(self.view.balancer(HTTP_ROUTE, self.namespace, "shop"), Problem):
            return {}
        backends = self.fleet().backends
        return {name: sum(member.ready for member in members.values()) for name, members in backends.items()}

    async def pod_of(self, name: str) -> str:
        pods, _ = await self.client.list(PODS, self.namespace, f"app={name}")
        return str(pods[0]["metadata"]["name"])


def named(driver: Driver, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": driver.resource.api_version,
        "kind": driver.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def routes(services: list[Manifest]) -> Manifest:
    """The spec of an IngressRoute with one route to these."""
    return {"routes": [{"kind": "Rule", "match": "PathPrefix(`/`)", "services": services}]}


def service(name: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}


def deployment(name: str, replicas: int = 2) -> Manifest:
    container = {
        "name": "app",
        "image": "shop:none",
        "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def route(*names: str) -> Manifest:
    refs = [{"name": name, "port": 80, "weight": 100} for name in names]
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": HTTPROUTES.kind,
        "metadata": {"name": "shop"},
        "spec": {"rules": [{"backendRefs": refs}]},
    }


def virtual_service(**weights: int) -> Manifest:
    """Over subsets of the Service `web`."""
    route = [{"destination": {"host": "web", "subset": name}, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": VIRTUALSERVICES.api_version,
        "kind": VIRTUALSERVICES.kind,
        "metadata": {"name": "web"},
        "spec": {"hosts": ["web"], "http": [{"route": route}]},
    }


def destination_rule(**versions: str) -> Manifest:
    """Subset -> the version that its pods are labelled with."""
    subsets = [{"name": name, "labels": {"version": version}} for name, version in versions.items()]
    return {
        "apiVersion": DESTINATIONRULES.api_version,
        "kind": DESTINATIONRULES.kind,
        "metadata": {"name": "web"},
        "spec": {"host": "web", "subsets": subsets},
    }


@contextlib.asynccontextmanager
async def watching(client: Client, *namespaces: str, **options: Any) -> AsyncIterator[ClusterView]:
    """A view that runs; it need not have synced."""
    view = ClusterView(client, namespaces, **options)
    task = asyncio.create_task(view.run())
    try:
        yield view
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def view(proxied: Client, namespace: str) -> AsyncIterator[ClusterView]:
    async with watching(proxied, namespace) as view:
        await until(lambda: view.synced)
        yield view


@pytest.fixture
async def shop(client: Client, namespace: str, view: ClusterView) -> AsyncIterator[Shop]:
    shop = Shop(client, namespace, view)
    await shop.open("shop-a", "shop-b")
    beating = asyncio.create_task(keep_beating(client, namespace))
    await until(lambda: shop.ready() == {"shop-a": 2, "shop-b": 2})
    yield shop
    beating.cancel()
    await client.delete(NODES, None, namespace)


class TestFleet:
    async def test_a_routes_backends_lead_to_their_pods_and_workloads(self, shop: Shop) -> None:
        fleet = shop.fleet()
        assert fleet.problems == ()
        member = fleet.backends["shop-a"][await shop.pod_of("shop-a")]
        assert member.workload == "Deployment/shop-a"
        assert (member.facts.cpu_limit, member.facts.memory_limit) == (0.25, 64 * 2**20)
        assert member.facts.pre_stop_seconds == 4
        assert fleet.namespaces == {shop.namespace}
        assert len(fleet.pods) == 4

    async def test_a_pod_that_stops_being_ready_is_seen(self, shop: Shop) -> None:
        await shop.say(await shop.pod_of("shop-a"), ready=False)
        await until(lambda: shop.ready() == {"shop-a": 1, "shop-b": 2})
        assert len(shop.fleet().backends["shop-a"]) == 2

    async def test_an_evicted_pod_is_replaced_by_another_of_the_same_workload(self, shop: Shop) -> None:
        name = await shop.pod_of("shop-b")
        uid = shop.fleet().backends["shop-b"][name].facts.uid
        await shop.client.evict(shop.namespace, name, uid)
        await until(
            lambda: shop.ready() == {"shop-a": 2, "shop-b": 1}, what="a pod that is on its way out is not ready"
        )
        assert shop.fleet().backends["shop-b"][name].facts.terminating
        await shop.client.delete(PODS, shop.namespace, name, grace_seconds=0)  # the kubelet has ended it
        await until(lambda: name not in shop.fleet().backends["shop-b"])
        await shop.run_pods()
        await until(lambda: shop.ready() == {"shop-a": 2, "shop-b": 2})
        assert {member.workload for member in shop.fleet().backends["shop-b"].values()} == {"Deployment/shop-b"}
        await until(lambda: shop.fleet().holds == (), what="no hold by our own restart")

    async def test_protected_pods_are_known(self, shop: Shop) -> None:
        name = await shop.pod_of("shop-a")
        patch = {"metadata": {"annotations": {"evenload.dev/do-not-disrupt": "true", "evenload.dev/capacity": "2"}}}
        await shop.client.patch_merge(PODS, shop.namespace, name, patch)
        await until(lambda: shop.fleet().backends["shop-a"][name].facts.protected)
        assert shop.fleet().backends["shop-a"][name].facts.capacity == 2

    async def test_a_pod_without_a_controller_has_no_workload(self, shop: Shop) -> None:
        lone = {
            "metadata": {"name": "lone", "labels": {"app": "lone"}},
            "spec": {"containers": [{"name": "app", "image": "shop:none"}]},
        }
        await shop.client.create(SERVICES, shop.namespace, service("lone"))
        await shop.client.create(PODS, shop.namespace, lone)
        await shop.start("lone")
        refs = [{"name": name, "port": 80, "weight": 1} for name in ("lone", "shop-b")]
        patch = {"spec": {"rules": [{"backendRefs": refs}]}}
        await shop.client.patch_merge(HTTPROUTES, shop.namespace, "shop", patch)
        await until(lambda: shop.ready().get("lone") == 1)
        assert shop.fleet().backends["lone"]["lone"].workload is None


class TestHolds:
    async def test_a_rollout_holds_and_its_end_lets_go(self, shop: Shop) -> None:
        change = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
        await shop.client.patch_merge(DEPLOYMENTS, shop.namespace, "shop-a", change)
        await until(lambda: [hold.reason for hold in shop.fleet().holds] == ["Rollout"])
        assert "Deployment/shop-a" in shop.fleet().holds[0].detail

        async def finished() -> bool:
            await shop._all_running()
            return not shop.fleet().holds

        await until(finished, pause=0.2)

    async def test_an_autoscaler_that_wants_another_number_holds(self, shop: Shop) -> None:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-a"}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
        await shop.client.create(HPAS, shop.namespace, {"metadata": {"name": "shop-a"}, "spec": spec})
        status = {"status": {"currentReplicas": 2, "desiredReplicas": 5}}
        await shop.client.patch_merge(HPAS, shop.namespace, "shop-a", status, subresource="status")
        await until(lambda: [hold.reason for hold in shop.fleet().holds] == ["Autoscaling"])
        assert "from 2 to 5" in shop.fleet().holds[0].detail


class TestProblems:
    async def test_a_route_that_is_not_there_is_told_with_what_to_do(self, view: ClusterView, namespace: str) -> None:
        answer = view.balancer(HTTP_ROUTE, namespace, "shop")
        assert isinstance(answer, Problem)
        assert answer.reason is Trouble.TargetNotFound
        assert "spec.targetRef" in answer.sentence

    async def test_a_route_deleted_is_gone_from_the_view(self, shop: Shop) -> None:
        await shop.client.delete(HTTPROUTES, shop.namespace, "shop")
        await until(lambda: isinstance(shop.view.balancer(HTTP_ROUTE, shop.namespace, "shop"), Problem))

    async def test_a_service_that_is_not_there_is_named(self, shop: Shop) -> None:
        await shop.client.delete(SERVICES, shop.namespace, "shop-b")
        await until(lambda: [each.reason for each in shop.fleet().problems] == [Trouble.ServiceNotFound])
        assert "shop-b" in shop.fleet().problems[0].sentence

    async def test_services_without_pods_are_named_where_no_other_has_any(self, shop: Shop) -> None:
        patch = {"spec": {"selector": {"app": "nobody"}}}
        await shop.client.patch_merge(SERVICES, shop.namespace, "shop-b", patch)
        await until(lambda: shop.ready() == {"shop-a": 2, "shop-b": 0})
        assert shop.fleet().problems == ()
        await shop.client.patch_merge(SERVICES, shop.namespace, "shop-a", patch)
        await until(lambda: {each.reason for each in shop.fleet().problems} == {Trouble.NoPods})
        assert "selector" in shop.fleet().problems[0].sentence

    async def test_a_service_without_selector_is_called_that(self, shop: Shop) -> None:
        patch = {"spec": {"selector": None}}
        await shop.client.patch_merge(SERVICES, shop.namespace, "shop-b", patch)
        written = {
            "metadata": {"name": "shop-b-own", "labels": {"kubernetes.io/service-name": "shop-b"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.9.9.9"], "conditions": {"ready": True}}],
            "ports": [{"port": 80}],
        }
        await shop.client.create(ENDPOINTSLICES, shop.namespace, written)

        async def called_that() -> bool:
            """The controller may write its slice once more before it sees that the selector is gone."""
            slices, _ = await shop.client.list(ENDPOINTSLICES, shop.namespace, "kubernetes.io/service-name=shop-b")
            for each in slices:
                if each["metadata"]["name"] != "shop-b-own":
                    await shop.client.delete(ENDPOINTSLICES, shop.namespace, each["metadata"]["name"])
            return [each.reason for each in shop.fleet().problems] == [Trouble.NoSelector]

        await until(called_that, pause=0.2)
        assert "has no selector" in shop.fleet().problems[0].sentence

    async def test_one_pod_behind_two_backends_is_named(self, shop: Shop) -> None:
        patch = {"spec": {"selector": {"app": "shop-a"}}}
        await shop.client.patch_merge(SERVICES, shop.namespace, "shop-b", patch)
        await until(lambda: Trouble.PodShared in {each.reason for each in shop.fleet().problems})

    async def test_a_cluster_without_the_gateway_api_is_a_state_not_a_crash(
        self, proxy: ApiProxy, proxied: Client, namespace: str
    ) -> None:
        proxy.inject(
            Answer(404, message="the server could not find the requested resource"), path="/httproutes", times=None
        )
        async with watching(proxied, namespace, drivers=[HTTP_ROUTE]) as view:
            await until(lambda: view.synced)
            answer = view.balancer(HTTP_ROUTE, namespace, "shop")
            assert isinstance(answer, Problem)
            assert answer.reason is Trouble.KindMissing
            assert any("httproutes" in trouble for trouble in view.troubles)

    async def test_a_right_that_is_missing_is_named_and_given_later_it_is_used(
        self, proxy: ApiProxy, proxied: Client, shop: Shop, namespace: str
    ) -> None:
        refused = proxy.inject(Answer(403, message="pods is forbidden"), path="/pods", times=None)
        async with watching(proxied, namespace) as view:
            await until(lambda: view.synced and view.usable)
            route = view.balancer(HTTP_ROUTE, namespace, "shop")
            assert not isinstance(route, Problem)
            fleet = view.fleet(HTTP_ROUTE.backends(route, TargetRef(name="shop")))
            assert [each.reason for each in fleet.problems] == [Trouble.NotPermitted]
            assert 'resources: ["pods"]' in fleet.problems[0].sentence
            proxy.remove(refused)
            await until(lambda: view.fresh_age_in([namespace], "HTTPRoute") < 60 and not view.troubles)

    async def test_a_right_to_see_autoscalers_that_is_missing_takes_only_restarts_away(
        self, proxy: ApiProxy, proxied: Client, shop: Shop, namespace: str
    ) -> None:
        proxy.inject(Answer(403, message="forbidden"), path="/horizontalpodautoscalers", times=None)
        async with watching(proxied, namespace) as view:
            await until(lambda: view.synced)
            route = view.balancer(HTTP_ROUTE, namespace, "shop")
            assert not isinstance(route, Problem)
            fleet = view.fleet(HTTP_ROUTE.backends(route, TargetRef(name="shop")))
            assert fleet.problems == ()
            assert [(hold.reason, hold.restarts_only) for hold in fleet.holds] == [("NotPermitted", True)]


class TestKinds:
    @pytest.mark.parametrize("kind", ["GRPCRoute", "TraefikService", "IngressRoute"])
    async def test_each_kind_is_read_and_written_as_the_api_server_has_it(self, shop: Shop, kind: str) -> None:
        driver, target = DRIVERS[kind], TargetRef(kind=kind, name="rpc")
        if driver.resource.group == "traefik.io":
            await install_traefik(shop.client)
        refs = [{"name": name, "port": 80, "weight": 100} for name in ("shop-a", "shop-b")]
        specs: dict[str, Manifest] = {
            "GRPCRoute": {"rules": [{"backendRefs": refs}]},
            "TraefikService": {"weighted": {"services": refs}},
            "IngressRoute": routes(refs),
        }
        await shop.client.create(driver.resource, shop.namespace, named(driver, "rpc", specs[kind]))

        def seen() -> Manifest | Problem:
            return shop.view.balancer(driver, shop.namespace, "rpc")

        await until(lambda: not isinstance(seen(), Problem))
        found = seen()
        assert not isinstance(found, Problem)
        view = driver.backends(found, target)
        assert view.weights == {"shop-a": 100, "shop-b": 100}
        assert view.writer is not None
        assert {name: len(pods) for name, pods in shop.view.fleet(view).backends.items()} == {"shop-a": 2, "shop-b": 2}
        operations = driver.patch(found, target, {"shop-a": 9, "shop-b": 0})
        answer = await shop.client.patch_json(driver.resource, shop.namespace, "rpc", operations)
        assert driver.backends(answer, target).weights == {"shop-a": 9, "shop-b": 0}
        with pytest.raises(Conflict):
            await shop.client.patch_json(driver.resource, shop.namespace, "rpc", operations)

    @pytest.mark.timeout(300)
    async def test_a_virtual_service_is_read_and_written_and_its_subsets_are_pods_of_its_service(
        self, shop: Shop
    ) -> None:
        await install_istio(shop.client)
        namespace, driver = shop.namespace, DRIVERS["VirtualService"]
        whole = {"metadata": {"name": "web"}, "spec": {"selector": {"part-of": "web"}, "ports": [{"port": 80}]}}
        await shop.client.create(SERVICES, namespace, whole)
        pods, _ = await shop.client.list(PODS, namespace)
        for pod in pods:  # the labels of a subset are the pods' own
            version = {"shop-a": "v1", "shop-b": "v2"}[pod["metadata"]["labels"]["app"]]
            labels = {"metadata": {"labels": {"part-of": "web", "version": version}}}
            await shop.client.patch_merge(PODS, namespace, pod["metadata"]["name"], labels)
        await shop.client.create(DESTINATIONRULES, namespace, destination_rule(v1="v1", v2="v2"))
        await shop.client.create(VIRTUALSERVICES, namespace, virtual_service(v1=90, v2=10))

        def seen() -> BalancerView | None:
            manifest = shop.view.balancer(driver, namespace, "web")
            if isinstance(manifest, Problem):
                return None
            try:
                view = driver.backends(manifest, TargetRef(kind=driver.kind, name="web"))
                return driver.located(view, lambda kind: shop.view.beside(kind, namespace))
            except RouteProblem:
                return None

        def counts() -> dict[str, int]:
            view = seen()
            return {name: len(found) for name, found in shop.view.fleet(view).backends.items()} if view else {}

        await until(lambda: counts() == {"web/v1": 2, "web/v2": 2}, seconds=60)
        view, manifest = seen(), shop.view.balancer(driver, namespace, "web")
        assert view is not None
        assert not isinstance(manifest, Problem)
        assert shop.view.fleet(view).problems == ()
        operations = driver.patch(manifest, TargetRef(kind=driver.kind, name="web"), {"web/v1": 50, "web/v2": 50})
        answer = await shop.client.patch_json(driver.resource, namespace, "web", operations)
        assert driver.backends(answer, TargetRef(kind=driver.kind, name="web")).weights == {"web/v1": 50, "web/v2": 50}
        with pytest.raises(Conflict):
            await shop.client.patch_json(driver.resource, namespace, "web", operations)

        # when a subset's labels are of no pod any more, that is said, and the other one is still seen
        await shop.client.patch_merge(DESTINATIONRULES, namespace, "web", destination_rule(v1="v1", v2="v3"))
        await until(lambda: counts() == {"web/v1": 2, "web/v2": 0}, seconds=60)
        view = seen()
        assert view is not None
        [limit] = shop.view.fleet(view).limits
        assert "subset v2 of Service" in limit
        assert "has no pods: none of the Service's 4 has its labels (version=v3)" in limit
        assert shop.view.fleet(view).problems == ()

        # and where no subset has any, that is a problem
        await shop.client.patch_merge(DESTINATIONRULES, namespace, "web", destination_rule(v1="x", v2="y"))
        await until(lambda: counts() == {"web/v1": 0, "web/v2": 0}, seconds=60)
        view = seen()
        assert view is not None
        assert {problem.reason for problem in shop.view.fleet(view).problems} == {Trouble.NoPods}

    @pytest.mark.parametrize(
        ("services", "reason", "says"),
        [
            ([{"name": "shop-a", "port": 80}, {"name": "shop-a", "port": 81}], "BackendRepeated", "shop-a twice"),
            (
                [{"name": "inner", "kind": "TraefikService"}],
                "BackendUnsupported",
                "where the weights stand; name that one in spec.targetRef",
            ),
            (
                [{"name": "shop-a", "port": 80}, {"name": "inner", "kind": "TraefikService", "weight": 2}],
                "BackendUnsupported",
                "gives TraefikService inner a share",
            ),
            (
                [{"name": "shop-a", "port": 80}, {"name": "shop-b", "port": 80, "namespace": "elsewhere"}],
                "ForeignBackend",
                "Service elsewhere/shop-b, which is in another namespace",
            ),
        ],
    )
    async def test_an_ingress_route_that_the_api_server_takes_and_nobody_can_weigh_is_refused_with_a_sentence(
        self, client: Client, namespace: str, services: list[Manifest], reason: str, says: str
    ) -> None:
        await install_traefik(client)
        driver = DRIVERS["IngressRoute"]
        stored = await client.create(driver.resource, namespace, named(driver, "web", routes(services)))
        with pytest.raises(RouteProblem, match=says) as refused:
            driver.backends(stored, TargetRef(kind=driver.kind, name="web"))
        assert refused.value.reason == reason

    async def test_weights_of_an_ingress_route_are_put_back_from_all_zero(self, client: Client, namespace: str) -> None:
        await install_traefik(client)
        driver, target = DRIVERS["IngressRoute"], TargetRef(kind="IngressRoute", name="web")
        zero: list[Manifest] = [
            {"name": name, "port": 80, "weight": 0, "sticky": {"cookie": {}}} for name in ("shop-a", "shop-b")
        ]
        stored = await client.create(driver.resource, namespace, named(driver, "web", routes(zero)))
        view = driver.backends(stored, target)
        assert view.weights == {"shop-a": 0, "shop-b": 0}
        assert "sticky cookie" in view.notes[0]
        even = {"shop-a": 1, "shop-b": 1}
        answer = await client.patch_json(driver.resource, namespace, "web", driver.patch(stored, target, even))
        assert driver.backends(answer, target).weights == even
        assert [each["sticky"] for each in answer["spec"]["routes"][0]["services"]] == [each["sticky"] for each in zero]

    async def test_a_service_of_an_ingress_route_that_is_missing_is_named(self, shop: Shop) -> None:
        await install_traefik(shop.client)
        driver, target = DRIVERS["IngressRoute"], TargetRef(kind="IngressRoute", name="web")
        services = [{"name": "shop-a", "port": 80}, {"name": "shop-z", "port": 80}]
        await shop.client.create(driver.resource, shop.namespace, named(driver, "web", routes(services)))
        await until(lambda: not isinstance(shop.view.balancer(driver, shop.namespace, "web"), Problem))
        found = shop.view.balancer(driver, shop.namespace, "web")
        assert not isinstance(found, Problem)
        [problem] = shop.view.fleet(driver.backends(found, target)).problems
        assert problem.reason is Trouble.ServiceNotFound
        assert "shop-z" in problem.sentence

    async def test_a_plain_service_leads_to_its_pods(self, shop: Shop) -> None:
        found = shop.view.balancer(SERVICE, shop.namespace, "shop-a")
        assert not isinstance(found, Problem)
        view = SERVICE.backends(found, TargetRef(kind="Service", name="shop-a"))
        fleet = shop.view.fleet(view)
        assert fleet.problems == ()
        assert {name: len(pods) for name, pods in fleet.backends.items()} == {"shop-a": 2}
        pods, _ = await shop.client.list(PODS, shop.namespace, "app=shop-a")
        assert {name: each.facts.addresses for name, each in fleet.backends["shop-a"].items()} == {
            pod["metadata"]["name"]: (pod["status"]["podIP"],) for pod in pods
        }
        live = await shop.client.get(SERVICES, shop.namespace, "shop-a")
        assert (view.uid, view.resource_version) == (live["metadata"]["uid"], live["metadata"]["resourceVersion"])

    @pytest.mark.parametrize(
        ("spec", "reason", "says"),
        [
            ({"selector": {"app": "nobody"}, "ports": [{"port": 80}]}, Trouble.NoPods, "does its selector match"),
            ({"ports": [{"port": 80}]}, Trouble.NoPods, "no EndpointSlice says who stands behind it"),
            ({"clusterIP": "None", "selector": {"app": "shop-b"}, "ports": [{"port": 80}]}, None, ""),
        ],
        ids=["nobody there", "without a selector", "headless"],
    )
    async def test_a_service_with_nobody_to_look_after_says_why(
        self, shop: Shop, spec: Manifest, reason: Trouble | None, says: str
    ) -> None:
        await shop.client.create(SERVICES, shop.namespace, {"metadata": {"name": "odd"}, "spec": spec})

        def problems() -> tuple[Problem, ...]:
            found = shop.view.balancer(SERVICE, shop.namespace, "odd")
            if isinstance(found, Problem):
                return (found,)
            return shop.view.fleet(SERVICE.backends(found, TargetRef(kind="Service", name="odd"))).problems

        await until(lambda: [each.reason for each in problems()] == ([reason] if reason else []))
        assert says in "".join(each.sentence for each in problems())

    async def test_a_service_that_is_not_there_is_named(self, shop: Shop) -> None:
        found = shop.view.balancer(SERVICE, shop.namespace, "nowhere")
        assert isinstance(found, Problem)
        assert (found.reason, "create it or correct spec.targetRef" in found.sentence) == (Trouble.TargetNotFound, True)

    async def test_a_kind_that_is_not_served_is_found_once_it_is_and_stops_no_other(
        self, proxy: ApiProxy, proxied: Client, shop: Shop, namespace: str
    ) -> None:
        missing = proxy.inject(Answer(404, message="not found"), path="/grpcroutes", times=None)
        driver = DRIVERS["GRPCRoute"]

        def reason(view: ClusterView) -> Trouble | None:
            answer = view.balancer(driver, namespace, "rpc")
            return answer.reason if isinstance(answer, Problem) else None

        async with watching(proxied, namespace) as view:
            await until(lambda: view.usable)
            assert reason(view) is Trouble.KindMissing
            found = view.balancer(HTTP_ROUTE, namespace, "shop")
            assert not isinstance(found, Problem)
            assert view.fleet(HTTP_ROUTE.backends(found, TargetRef(name="shop"))).problems == ()
            proxy.remove(missing)
            await until(lambda: reason(view) is Trouble.TargetNotFound)


class TestRoutes:
    async def test_the_route_before_its_last_change_is_remembered(self, shop: Shop) -> None:
        changes: list[object] = []
        driver = HTTP_ROUTE
        async with watching(shop.client, shop.namespace, on_route_change=changes.append) as view:
            await until(lambda: view.synced)
            seen = len(changes)
            now = view.balancer(HTTP_ROUTE, shop.namespace, "shop")
            assert not isinstance(now, Problem)
            patch = driver.patch(now, TargetRef(name="shop"), {"shop-a": 9, "shop-b": 1})
            await shop.client.patch_json(HTTPROUTES, shop.namespace, "shop", patch)
            await until(lambda: len(changes) > seen)
            before = view.versions("HTTPRoute", shop.namespace, "shop")[-1]
            assert driver.backends(before, TargetRef(name="shop")).weights == {"shop-a": 100, "shop-b": 100}


async def test_namespaces_that_are_not_watched_are_not_read(
    client: Client, proxy: ApiProxy, proxied: Client, namespace: str
) -> None:
    async with watching(proxied, namespace) as view:
        await until(lambda: view.synced)
        assert proxy.requests
        assert all(f"/namespaces/{namespace}/" in seen.path for seen in proxy.requests)
        assert proxy.writes(leases=True) == []
        with pytest.raises(NotFound):
            await client.get(REPLICASETS, namespace, "none")
