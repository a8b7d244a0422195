"""Shops on a real API server that has no nodes: a town plays their kubelet, their traffic and their metrics.

    async with Town(client) as town:
        shop = await town.open_shop(mode="Auto")     # Deployments, Services, an HTTPRoute, a Balancer, all ready
        await shop.set_weights(BAD, manager="kubectl-edit")
        await shop.until(shop.closed, seconds=60)

Requests follow the route's weights as the API server holds them. A pod that gets far more than it can serve fails
requests, and if the shop is fragile it stays sick until its process ends: that is what evictions are for. What the pods
would export stands in a FakePrometheus, over the same window that the Balancer asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

from evenload.clock import now as wall_clock
from evenload.clock import rfc3339
from evenload.errors import KubeError, NotFound
from evenload.kube.client import Client
from evenload.kube.resources import (
    BALANCERS,
    DEPLOYMENTS,
    DESTINATIONRULES,
    EVENTS,
    HTTPROUTES,
    NAMESPACES,
    PODS,
    REMEDIATIONS,
    SERVICES,
    STATEFULSETS,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Manifest,
    Resource,
)
from tests.support.fakeprometheus import FakePrometheus
from tests.support.namespaces import create_namespace
from tests.support.nodes import NODES, beat, keep_beating
from tests.support.wait import PATIENCE_SECONDS, until

BACKENDS = ("shop-a", "shop-b", "shop-c", "shop-d")
SICK = "shop-d"
EQUAL = dict.fromkeys(BACKENDS, 250)
BAD = {"shop-a": 10, "shop-b": 10, "shop-c": 10, SICK: 970}

STEP_SECONDS = 0.3
WINDOW_SECONDS, SCRAPE_SECONDS = 5.0, 2.0  # what Balancers here ask for: `SIGNALS`, and the operator's environment

REQUESTS_PER_SECOND = 200.0
CAPACITY = 100.0  # requests a second a pod can serve
SICKENING_SECONDS = 0.5  # of overload
SICK_ERROR_RATIO = 0.6
LIMIT_CORES = 0.25
TOO_SHORT = "1ms"  # as a route's timeout: most requests take longer
POD_SECRET = "hunter2-of-the-shop"  # in objects that the operator reads, and does not need

SIGNALS = {"preset": "app", "window": f"{WINDOW_SECONDS:g}s"}
HASTE: Manifest = {
    "signals": SIGNALS,
    "guardrails": {"minWriteInterval": "1s"},
    "restart": {"drainTimeout": "3s", "rampWindow": "1s"},
}
"""A spec under which a whole remediation takes about half a minute."""
REMEDIATION_SECONDS = 240.0  # the same on a machine that is slow, busy, or both


class Served(NamedTuple):
    """What one pod has done until then."""

    time: float
    requests: float
    errors: float

    def before(self, later: Served, time: float) -> Served:
        """In between, at `time`."""
        part = min(1.0, max(0.0, (time - self.time) / max(later.time - self.time, 1e-9)))
        return Served(
            time,
            self.requests + part * (later.requests - self.requests),
            self.errors + part * (later.errors - self.errors),
        )


@dataclass
class Server:
    """The process in one pod."""

    history: deque[Served] = field(default_factory=deque)
    overloaded_seconds: float = 0.0
    sick: bool = False

    def serve(
        self, rate: float, now: float, seconds: float, *, fragile: bool, failing_ratio: float = 0.0
    ) -> dict[str, float]:
        """Its metrics after `seconds` of `rate` requests a second, of which `failing_ratio` fail whatever it does."""
        self.overloaded_seconds = self.overloaded_seconds + seconds if rate > 1.5 * CAPACITY else 0.0
        self.sick |= fragile and self.overloaded_seconds > SICKENING_SECONDS
        overloaded = 1 - CAPACITY / rate if rate > CAPACITY else 0.0
        failing = max(SICK_ERROR_RATIO if self.sick else 0.0, overloaded, failing_ratio)
        done = self._grown(rate, now, seconds, failing)
        busy = min(1.0, rate / CAPACITY)
        latency = 0.3 if self.sick or busy == 1.0 else 0.02
        return {
            "requests": done.requests,
            "errors": done.errors,
            "cpu": LIMIT_CORES * (0.9 if self.sick and rate else busy),
            "memory": 50e6,
            "inFlight": float(round(rate * latency)),
        } | ({"latency": latency} if rate else {})

    def _grown(self, rate: float, now: float, seconds: float, failing: float) -> Served:
        """What it did in the window that ends now: exactly its length, however late a busy machine lets us look."""
        last = self.history[-1] if self.history else Served(now - seconds, 0.0, 0.0)
        newest = Served(now, last.requests + rate * seconds, last.errors + rate * seconds * failing)
        self.history.extend((newest,) if self.history else (last, newest))
        since = now - (WINDOW_SECONDS - SCRAPE_SECONDS)
        while self.history[1].time <= since:
            self.history.popleft()
        start = self.history[0].before(self.history[1], since)
        return Served(now, newest.requests - start.requests, newest.errors - start.errors)


class Town:
    """See the module. Use as an async context manager; only what it opened itself is played to."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.prometheus = fake_prometheus()
        self.shops: dict[str, Shop] = {}
        self.node = f"node-{uuid.uuid4().hex[:8]}"
        self._next_address = 0

    async def __aenter__(self) -> Self:
        await self.prometheus.__aenter__()
        await self.client.create(NODES, None, {"metadata": {"name": self.node}})
        await beat(self.client, self.node)
        self._tasks = [asyncio.create_task(each) for each in (self._live(), keep_beating(self.client, self.node))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.prometheus.__aexit__(kind, error, trace)
        for name in self.shops:
            with contextlib.suppress(KubeError):
                await self.client.delete(NAMESPACES, None, name)
        with contextlib.suppress(KubeError):
            await self.client.delete(NODES, None, self.node)
        for end in ends:
            if isinstance(end, Exception):
                raise end  # the town died, so whatever the test saw was not what it thinks

    async def open_shop(
        self,
        *,
        mode: str = "Auto",
        backends: Sequence[str] = BACKENDS,
        prometheus: FakePrometheus | None = None,
        balancer: bool = True,
        spec: Mapping[str, Any] | None = None,
        replicas: int = 1,
        plane: Plane | None = None,
        kind: Resource = DEPLOYMENTS,
    ) -> Shop:
        """A shop whose pods all run, with equal weights, and a Balancer unless told otherwise.

        `replicas`: pods of each backend. `plane`: of what kind its route is; an HTTPRoute where none is given. `kind`:
        of its workloads.
        """
        namespace = f"shop-{uuid.uuid4().hex[:8]}"
        await create_namespace(self.client, namespace)
        shop = self.shops[namespace] = Shop(
            self,
            namespace,
            tuple(backends),
            prometheus or self.prometheus,
            replicas=replicas,
            fragile=False,
            plane=plane or GATEWAY,
        )
        for name in backends:
            await self.client.create(SERVICES, namespace, service(name))
            await self.client.create(kind, namespace, workload(kind, name, replicas))
        await shop.create_route()
        await shop.until(shop.all_served, seconds=60, what="pods of all Deployments")
        shop.fragile = True  # not before: the first pod of a Deployment to run has the traffic of all
        if balancer:
            own = {"signals": SIGNALS | {"prometheusUrl": prometheus.url}} if prometheus else {}
            await shop.create_balancer({**HASTE, "mode": mode, **own, **(spec or {})})
        return shop

    # Kubelet and traffic.

    async def _live(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(STEP_SECONDS)
            try:
                pods, _ = await self.client.list(PODS)
                now = time.monotonic()  # weights are of then or later: what was before is not told as of afterwards
                kinds = {shop.plane.resource for shop in self.shops.values()}
                routes = {kind: (await self.client.list(kind))[0] for kind in kinds}
                selectors = await self._selectors()
            except KubeError:
                continue
            for shop in tuple(self.shops.values()):
                mine = [pod for pod in pods if pod["metadata"]["namespace"] == shop.namespace]
                await self._run(shop, mine)
                mine = [each for each in routes[shop.plane.resource] if each["metadata"]["namespace"] == shop.namespace]
                shop.serve(mine, now, now - before, selectors.get(shop.namespace, {}))
            before = now

    async def _selectors(self) -> dict[str, dict[str, dict[str, str]]]:
        """By namespace and Service, of shops whose Services may be changed by others."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for shop in self.shops.values():
            if shop.plane.changed_services:
                services, _ = await self.client.list(SERVICES, shop.namespace)
                found[shop.namespace] = {each["metadata"]["name"]: each["spec"]["selector"] for each in services}
        return found

    async def _run(self, shop: Shop, pods: list[Manifest]) -> None:
        shop.pods = {pod["metadata"]["uid"]: pod for pod in pods}
        for pod in pods:
            with contextlib.suppress(KubeError):  # it is gone, or the next look helps
                if "deletionTimestamp" in pod["metadata"]:
                    await self.client.delete(PODS, shop.namespace, pod["metadata"]["name"], grace_seconds=0)
                elif "podIP" not in pod["status"] and shop.starts_pods:
                    await self._start(shop.namespace, pod)

    async def _start(self, namespace: str, pod: Manifest) -> None:
        """Be scheduler and kubelet: slices leave pods out that are on no node."""
        name = pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": self.node}}
            await self.client.create(Resource("", "v1", f"pods/{name}/binding", "Binding"), namespace, binding)
        self._next_address += 1
        address = f"10.{1 + self._next_address // 65536}.{self._next_address // 256 % 256}.{self._next_address % 256}"
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await self.client.patch_merge(PODS, namespace, name, {"status": status}, subresource="status")


@dataclass(frozen=True)
class Plane:
    """Of what kind the route of a shop is, and where its weights stand in it."""

    resource: Resource
    backend_of: Callable[[Manifest], str]  # of a reference
    references: Callable[[Manifest], tuple[str, list[Manifest]]]  # their place in the manifest, and they themselves
    route: Callable[[Mapping[str, int]], Manifest]
    even: Callable[[Sequence[str]], dict[str, int]]
    besides: Callable[[Sequence[str]], list[tuple[Resource, Manifest]]] = lambda backends: []
    changed_services: bool = False  # others change what the Services select; else a backend is a label of its pods

    def weights_of(self, manifest: Manifest) -> dict[str, int]:
        """As a proxy reads them, also where Evenload would find nothing to balance."""
        return {self.backend_of(each): each.get("weight", 1) for each in self.references(manifest)[1]}


@dataclass
class Shop:
    """One namespace: Deployments behind Services behind the HTTPRoute `shop`, looked after by the Balancer `shop`."""

    town: Town
    namespace: str
    backends: tuple[str, ...]
    prometheus: FakePrometheus
    replicas: int = 1
    fragile: bool = True
    starts_pods: bool = True
    broken: set[str] = field(default_factory=set)  # backends whose pods fail most of what they get, as they come up
    plane: Plane = field(default_factory=lambda: GATEWAY)
    pods: dict[str, Manifest] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    asked_by_hand: set[str] = field(default_factory=set)  # UIDs of pods that have requests though nothing sends them
    lost: float = 0.0  # requests that no pod was there for

    @property
    def client(self) -> Client:
        return self.town.client

    def serve(
        self, routes: list[Manifest], now: float, seconds: float, selectors: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Spread the traffic over the pods as the route says; `selectors` of its Services where they are not fixed."""
        weights = self.plane.weights_of(routes[0]) if routes else {}
        total = sum(weights.values())
        failing_ratio = SICK_ERROR_RATIO if routes and timeout_of(routes[0]) == TOO_SHORT else 0.0
        running = {
            uid: pod["metadata"]
            for uid, pod in self.pods.items()
            if "podIP" in pod["status"] and "deletionTimestamp" not in pod["metadata"]
        }
        rates = dict.fromkeys(running, 0.0)
        for backend in self.backends:
            rate = REQUESTS_PER_SECOND * weights.get(backend, 0) / total if total else 0.0
            wanted = selectors.get(backend, {"app": backend}).items()
            chosen = [uid for uid, metadata in running.items() if wanted <= metadata["labels"].items()]
            if not chosen:
                self.lost += rate * seconds
            for uid in chosen:
                rates[uid] += rate / len(chosen)
        told = {}
        for uid, metadata in running.items():
            if "app" not in metadata["labels"]:
                if uid in self.servers:
                    told[self.namespace, metadata["name"]] = self._unselected(uid, now, seconds)
                continue
            server = self.servers.setdefault(uid, Server(sick=metadata["labels"]["app"] in self.broken))
            told[self.namespace, metadata["name"]] = server.serve(
                rates[uid], now, seconds, fragile=self.fragile, failing_ratio=failing_ratio
            )
        for key in [key for key in self.prometheus.pods if key[0] == self.namespace]:
            if key not in told:
                del self.prometheus.pods[key]
        self.prometheus.pods.update(told)
        self.prometheus.measured_at = now

    def _unselected(self, uid: str, now: float, seconds: float) -> dict[str, float]:
        """Of a pod that its Service sends nothing."""
        return self.servers[uid].serve(CAPACITY / 20 if uid in self.asked_by_hand else 0.0, now, seconds, fragile=False)

    @property
    def sick_pods(self) -> list[str]:
        """UIDs of the living whose process is sick."""
        return [uid for uid in self.pods if uid in self.servers and self.servers[uid].sick]

    # What there is.

    def all_served(self) -> bool:
        """Whether every backend has a pod whose numbers fill a window."""
        full = [
            server for uid in self.pods if (server := self.servers.get(uid)) and self._spans(server) and not server.sick
        ]
        return len(full) == len(self.backends) * self.replicas

    @staticmethod
    def _spans(server: Server) -> bool:
        history = server.history
        return len(history) > 1 and history[-1].time - history[0].time > 0.7 * (WINDOW_SECONDS - SCRAPE_SECONDS)

    async def route(self) -> Manifest:
        return await self.client.get(self.plane.resource, self.namespace, "shop")

    async def weights(self) -> dict[str, int]:
        return self.plane.weights_of(await self.route())

    async def balancer(self, name: str = "shop") -> Manifest:
        return await self.client.get(BALANCERS, self.namespace, name)

    async def condition(self, kind: str, balancer: str = "shop") -> tuple[str, str]:
        """Status and reason; empty while it was not told."""
        conditions = (await self.balancer(balancer)).get("status", {}).get("conditions", ())
        return next(((each["status"], each["reason"]) for each in conditions if each["type"] == kind), ("", ""))

    async def message(self, kind: str) -> str:
        conditions = (await self.balancer()).get("status", {}).get("conditions", ())
        return next((str(each.get("message", "")) for each in conditions if each["type"] == kind), "")

    async def says(self, kind: str, words: str) -> bool:
        """Whether the message of that condition has these words."""
        return words in await self.message(kind)

    async def healthy(self) -> bool:
        return await self.condition("Balanced") == ("True", "Healthy")

    async def rests(self) -> bool:
        """All is well, and nothing is under way."""
        return await self.healthy() and await self.condition("Remediating") == ("False", "NoRemediation")

    async def remembers_good_weights(self) -> bool:
        """All has been well for some ticks, and that is the last that the operator has to tell."""
        return "knownGood" in (await self.balancer()).get("status", {})

    async def remediations(self) -> list[Manifest]:
        """Oldest first."""
        found, _ = await self.client.list(REMEDIATIONS, self.namespace)
        return sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))

    async def remediation(self) -> Manifest:
        (only,) = await self.remediations()
        return only

    async def phase(self) -> str:
        """Of the newest Remediation; empty where there is none."""
        found = await self.remediations()
        return str(found[-1].get("status", {}).get("phase", "")) if found else ""

    async def even(self) -> bool:
        weights = await self.weights()
        return bool(sum(weights.values())) and shares(weights) == shares(EQUAL)

    async def closed(self) -> bool:
        found = await self.remediations()
        return bool(found) and all("closedAt" in each.get("status", {}) for each in found)

    async def steps(self) -> list[tuple[str, str, str]]:
        """(action, purpose, state) of every step of the newest Remediation."""
        found = await self.remediations()
        steps = found[-1].get("status", {}).get("steps", ()) if found else ()
        return [(step["action"], step.get("purpose") or "", step["state"]) for step in steps]

    async def event_reasons(self) -> list[str]:
        events, _ = await self.client.list(EVENTS, self.namespace)
        return [str(each["reason"]) for each in events if each["regarding"]["kind"] in ("Balancer", "Remediation")]

    # What people and others do.

    async def create_route(self, weights: Mapping[str, int] | None = None) -> None:
        shown = weights or self.plane.even(self.backends)
        for kind, manifest in (*self.plane.besides(self.backends), (self.plane.resource, self.plane.route(shown))):
            await self.client.create(kind, self.namespace, manifest)

    async def create_balancer(self, spec: Mapping[str, Any], name: str = "shop") -> None:
        target = {"targetRef": {"kind": self.plane.resource.kind, "name": "shop"}}
        manifest = {
            "apiVersion": BALANCERS.api_version,
            "kind": BALANCERS.kind,
            "metadata": {"name": name},
            "spec": target | dict(spec),
        }
        await self.client.create(BALANCERS, self.namespace, manifest)

    async def grow_old(self, seconds: float = 3600.0) -> None:
        """All pods that are there have run for so long: they are past their warm-up."""
        running = {"running": {"startedAt": rfc3339(wall_clock() - seconds)[:19] + "Z"}}
        names = {"name": "app", "image": "shop.example/server:1", "imageID": "", "ready": True, "restartCount": 0}
        status = {"status": {"containerStatuses": [{**names, "state": running}]}}
        for pod in self.pods.values():
            await self.client.patch_merge(PODS, self.namespace, pod["metadata"]["name"], status, subresource="status")

    async def forget_remediations(self) -> None:
        """Begin anew in the same shop: no Balancer, no record of what was."""
        with contextlib.suppress(NotFound):
            await self.delete_balancer()
        for each in await self.remediations():
            await self.client.delete(REMEDIATIONS, self.namespace, each["metadata"]["name"])

    async def delete_balancer(self) -> None:
        await self.client.delete(BALANCERS, self.namespace, "shop")

    async def patch_balancer(self, patch: Mapping[str, Any]) -> None:
        await self.client.patch_merge(BALANCERS, self.namespace, "shop", patch)

    async def decide(self, decision: str) -> None:
        """A person's answer to the newest Remediation."""
        name = (await self.remediations())[-1]["metadata"]["name"]
        approval = {"spec": {"approval": {"decision": decision, "by": "ann"}}}
        await self.client.patch_merge(REMEDIATIONS, self.namespace, name, approval)

    async def set_weights(self, weights: Mapping[str, int], manager: str = "kubectl-edit") -> None:
        """As that field manager: what a bad update, or a rival, does."""
        connection = self.client.connection
        async with Client(connection, field_manager=manager, timeout_seconds=PATIENCE_SECONDS) as other:
            place, references = self.plane.references(await other.get(self.plane.resource, self.namespace, "shop"))
            operations = [
                {"op": "replace", "path": f"{place}/{at}/weight", "value": weights[self.plane.backend_of(each)]}
                for at, each in enumerate(references)
            ]
            await other.patch_json(self.plane.resource, self.namespace, "shop", operations)

    async def update_route(self, operations: Sequence[Mapping[str, Any]], manager: str = "kubectl-edit") -> None:
        """A JSON Patch as that field manager."""
        connection = self.client.connection
        async with Client(connection, field_manager=manager, timeout_seconds=PATIENCE_SECONDS) as other:
            await other.patch_json(HTTPROUTES, self.namespace, "shop", [*operations])

    async def add_backend(self, name: str, *, broken: bool, manager: str = "kubectl-edit") -> None:
        """A Deployment and a Service, and once its pod runs an update of the route that gives it its share."""
        if broken:
            self.broken.add(name)
        self.backends = (*self.backends, name)
        await self.client.create(SERVICES, self.namespace, service(name))
        await self.client.create(DEPLOYMENTS, self.namespace, deployment(name, self.replicas))
        await self.until(lambda: self.runs(name), seconds=60, what=f"a pod of {name}")
        reference = {"name": name, "port": 80, "weight": 250}
        await self.update_route([{"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": reference}], manager)

    def runs(self, name: str) -> bool:
        """Whether a pod of this backend does."""
        apps = ((pod["metadata"]["labels"]["app"], "podIP" in pod["status"]) for pod in self.pods.values())
        return (name, True) in apps

    async def until(self, condition: Any, *, seconds: float = REMEDIATION_SECONDS, what: str = "") -> None:
        await until(condition, seconds=seconds, what=what or getattr(condition, "__name__", "it"), pause=0.1)


def shares(weights: Mapping[str, int]) -> dict[str, float]:
    """What a balancer makes of weights: 250/250 and 1000/1000 are the same."""
    total = sum(weights.values())
    return {name: round(weight / total, 3) for name, weight in weights.items()}


def fake_prometheus() -> FakePrometheus:
    prometheus = FakePrometheus(window_seconds=WINDOW_SECONDS, scrape_seconds=SCRAPE_SECONDS)
    prometheus.age_seconds = 0.2
    return prometheus


def timeout_of(manifest: Manifest) -> str:
    """Of a request, as an HTTPRoute has it; empty where there is none."""
    rules = manifest["spec"].get("rules") or [{}]
    return str(rules[0].get("timeouts", {}).get("request", ""))


def service(name: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}


def deployment(name: str, replicas: int = 1) -> Manifest:
    container = {
        "name": "app",
        "image": "shop.example/server:1",
        "env": [{"name": "DATABASE_PASSWORD", "value": POD_SECRET}],
        "resources": {"limits": {"cpu": f"{LIMIT_CORES * 1000:.0f}m", "memory": "128Mi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
    }
    metadata = {"labels": {"app": name, "part-of": "shop"}, "annotations": {"vault.example/token": POD_SECRET}}
    template = {"metadata": metadata, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def workload(kind: Resource, name: str, replicas: int) -> Manifest:
    """A Deployment, or what else of its spec is the same."""
    manifest = deployment(name, replicas)
    manifest["spec"] |= {"serviceName": name, "podManagementPolicy": "Parallel"} if kind == STATEFULSETS else {}
    return manifest


def route(weights: Mapping[str, int]) -> Manifest:
    references = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": HTTPROUTES.kind,
        "metadata": {"name": "shop", "annotations": {"vault.example/token": POD_SECRET}},
        "spec": {"rules": [{"backendRefs": references}]},
    }


def virtual_service(weights: Mapping[str, int]) -> Manifest:
    """Over subsets of one Service, each called like its Deployment."""
    destinations = [
        {"destination": {"host": "shop", "subset": name}, "weight": weight} for name, weight in weights.items()
    ]
    return {
        "apiVersion": VIRTUALSERVICES.api_version,
        "kind": VIRTUALSERVICES.kind,
        "metadata": {"name": "shop"},
        "spec": {"hosts": ["shop"], "http": [{"route": destinations}]},
    }


def traefik_service(weights: Mapping[str, int]) -> Manifest:
    services = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {
        "apiVersion": TRAEFIKSERVICES.api_version,
        "kind": TRAEFIKSERVICES.kind,
        "metadata": {"name": "shop"},
        "spec": {"weighted": {"services": services}},
    }


def subsets(backends: Sequence[str]) -> list[tuple[Resource, Manifest]]:
    """The Service `shop`, of all pods, and the DestinationRule that makes a subset of each Deployment's."""
    rule = {
        "apiVersion": DESTINATIONRULES.api_version,
        "kind": DESTINATIONRULES.kind,
        "metadata": {"name": "shop"},
        "spec": {"host": "shop", "subsets": [{"name": name, "labels": {"app": name}} for name in backends]},
    }
    whole = {"metadata": {"name": "shop"}, "spec": {"selector": {"part-of": "shop"}, "ports": [{"port": 80}]}}
    return [(SERVICES, whole), (DESTINATIONRULES, rule)]


GATEWAY: Plane = Plane(
    resource=HTTPROUTES,
    backend_of=lambda reference: str(reference["name"]),
    references=lambda manifest: ("/spec/rules/0/backendRefs", manifest["spec"]["rules"][0].get("backendRefs", [])),
    route=route,
    even=lambda backends: {name: EQUAL.get(name, 250) for name in backends},
)
MESH: Plane = Plane(
    resource=VIRTUALSERVICES,
    backend_of=lambda reference: str(reference["destination"].get("subset", "")),
    references=lambda manifest: ("/spec/http/0/route", manifest["spec"]["http"][0].get("route", [])),
    route=virtual_service,
    even=lambda backends: dict.fromkeys(backends, 100 // len(backends)),
    besides=subsets,
)
ROLLOUT: Plane = Plane(
    resource=TRAEFIKSERVICES,
    backend_of=lambda reference: str(reference["name"]),
    references=lambda manifest: ("/spec/weighted/services", manifest["spec"]["weighted"].get("services", [])),
    route=traefik_service,
    even=lambda backends: dict.fromkeys(backends, 100 // len(backends)),
    changed_services=True,
)
"""Under Argo Rollouts, which moves the weights and what the Services select."""
