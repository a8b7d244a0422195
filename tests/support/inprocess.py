"""The whole reconciler in one process: a real SignalReader before a Prometheus on a socket, the API server in memory.

    async with Site() as site:
        site.add_shop("market")              # pods, Services, a route and a Balancer in that namespace
        await site.tick()
        assert site.condition("market", "Ready") == ("True", "Watching")

What the watches would bring is handed over by `sync`; time is `site.clock`, and a tick moves it on by ten seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from evenload.clock import rfc3339
from evenload.drivers import enabled
from evenload.kube.reflector import Reflector
from evenload.kube.resources import BALANCERS, HTTPROUTES, REMEDIATIONS, Manifest
from evenload.observe.cluster import ClusterView
from evenload.observe.prometheus import SignalReader
from evenload.reconcile import Reconciler
from evenload.record.events import Bulletin
from evenload.record.journal import Journal
from evenload.record.metrics import Metrics
from evenload.settings import Settings
from evenload.store import Key, Store
from tests.support.fakeprometheus import FakePrometheus
from tests.support.memory import MemoryCluster, copied
from tests.support.wait import until

TICK_SECONDS = 10.0
WINDOW_SECONDS, SCRAPE_SECONDS = 30.0, 10.0
REQUESTS_PER_SECOND = 400.0
BORN = "2026-11-18T00:00:00Z"


class Site:
    """See the module. `settings` are the operator's."""

    def __init__(self, **settings: Any) -> None:
        self.api = MemoryCluster()
        self.clock = time.time()
        watched = Settings(watch_namespaces=settings.get("watch_namespaces", "")).namespaces
        grants = settings.get("cross_namespace_backends", False)
        self._view = partial(
            ClusterView,
            None,  # type: ignore[arg-type]
            watched,
            reference_grants=grants,
            drivers=enabled(Settings(disabled_drivers=settings.get("disabled_drivers", "")).disabled),
            now=lambda: self.clock,
        )
        self.unreachable: set[str | None] = set()  # namespaces whose watches bring nothing
        self.prometheus = FakePrometheus(window_seconds=WINDOW_SECONDS, scrape_seconds=SCRAPE_SECONDS)
        self._settings = settings

    async def __aenter__(self) -> Self:
        await self.prometheus.come_up()
        self._begin()
        return self

    async def replace_operator(self) -> None:
        """The process dies, and another one begins with nothing but what is in the cluster and in Prometheus."""
        await self._end()
        self._begin()

    def _begin(self) -> None:
        self.cluster, self.store = self._view(), Store()
        chosen: dict[str, Any] = {
            "max_mode": "Auto",
            "prometheus_url": self.prometheus.url,
            "tick_seconds": TICK_SECONDS,
            "scrape_seconds": SCRAPE_SECONDS,
            "query_timeout_seconds": 60.0,  # who wants an answer that does not come says how long to wait
        }
        settings = Settings(**(chosen | self._settings))
        self.reader = SignalReader(trusted_url=settings.prometheus_url, deadline_seconds=settings.query_timeout_seconds)
        self.reconciler = Reconciler(
            store=self.store,
            cluster=self.cluster,
            reader=self.reader,
            client=self.api,  # type: ignore[arg-type]
            bulletin=Bulletin(self.api, "me"),
            journal=Journal(structlog.get_logger()),
            metrics=Metrics("0"),
            settings=settings,
            not_leading=lambda: None,
            paused=lambda: None,
            now=lambda: self.clock,
            monotonic=lambda: self.clock,
        )
        self._worker = asyncio.create_task(self.reconciler.queue.work())
        self.sync()

    async def _end(self) -> None:
        self.reconciler.close()
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self.reader.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        await self.prometheus.__aexit__(None, None, None)

    # What there is.

    def add_shop(self, namespace: str, spec: Mapping[str, Any] | None = None, backends: str = "ab") -> None:
        """One pod, Deployment and Service each for `backends`; a route called shop over them, equal weights."""
        for name in backends:
            self.add_backend(namespace, name)
        self.add_route(namespace, [{"name": name, "port": 80, "weight": 250} for name in backends])
        self.add_balancer(namespace, spec)

    def add_backend(self, namespace: str, name: str) -> None:
        pod = f"{name}-1"
        owner = {"kind": "Deployment", "name": name, "controller": True}
        self.put("Service", namespace, name)
        self.put("ReplicaSet", namespace, f"{name}-rs", {"ownerReferences": [owner]})
        self.put(
            "Pod",
            namespace,
            pod,
            {"ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-rs", "controller": True}]},
            spec={"containers": [{"resources": {"limits": {"cpu": "1", "memory": "512Mi"}}}]},
            status={
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"state": {"running": {"startedAt": BORN}}}],
            },
        )
        target = {"kind": "Pod", "name": pod, "uid": f"uid-Pod-{namespace}-{pod}"}
        self.put(
            "EndpointSlice",
            namespace,
            f"{name}-x",
            {"labels": {"kubernetes.io/service-name": name}},
            endpoints=[{"targetRef": target, "conditions": {"ready": True}}],
        )

    def add_route(self, namespace: str, refs: list[dict[str, Any]], name: str = "shop", **metadata: Any) -> None:
        self.put(
            "HTTPRoute",
            namespace,
            name,
            {"generation": 1, **metadata},
            apiVersion=HTTPROUTES.api_version,
            spec={"rules": [{"backendRefs": refs}]},
        )

    def add_balancer(
        self, namespace: str, spec: Mapping[str, Any] | None = None, name: str = "shop", uid: str = "", **metadata: Any
    ) -> None:
        chosen = {"generation": 1, **metadata} | ({"uid": uid} if uid else {})
        whole = {"targetRef": {"kind": "HTTPRoute", "name": "shop"}, "mode": "Auto", **_named_preset(spec or {})}
        self.put("Balancer", namespace, name, chosen, apiVersion=BALANCERS.api_version, spec=whole)

    def put(
        self, kind: str, namespace: str, name: str, metadata: Mapping[str, Any] | None = None, **rest: Any
    ) -> Manifest:
        """An object as the API server holds it; the watches have not brought it yet."""
        self.api.version += 1
        whole = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{kind}-{namespace}-{name}",
            "resourceVersion": str(self.api.version),
            "creationTimestamp": BORN,
            **(metadata or {}),
        }
        manifest: Manifest = {"kind": kind, "metadata": whole, **rest}
        self.api.objects[kind, namespace, name] = manifest
        return manifest

    def remove(self, kind: str, namespace: str, name: str) -> None:
        del self.api.objects[kind, namespace, name]

    def edit(self, kind: str, namespace: str, name: str, **spec: Any) -> None:
        """Another generation, as the API server would number it."""
        manifest = self.api.objects[kind, namespace, name]
        self.api.version += 1
        manifest["spec"] |= _named_preset(spec) if kind == "Balancer" and "signals" in spec else spec
        manifest["metadata"] |= {
            "generation": manifest["metadata"]["generation"] + 1,
            "resourceVersion": str(self.api.version),
        }

    # What the operator sees of it.

    def sync(self, *kinds: str) -> None:
        """What the watches of these kinds would have brought by now; of all kinds if none is named."""
        self._sync_own(kinds)
        for reflector in self.cluster._reflectors():
            kind = reflector.resource.kind
            if not kinds or kind in kinds:
                self._sync_one(reflector, kind)
            for stream in reflector._streams:
                if stream._namespace not in self.unreachable:
                    stream._proof()
                    stream.listed.set()

    def _sync_own(self, kinds: tuple[str, ...]) -> None:
        for resource, objects in ((BALANCERS, self.store.balancers), (REMEDIATIONS, self.store.remediations)):
            if not kinds or resource.kind in kinds:
                there = [copied(m) for (kind, *_), m in self.api.objects.items() if kind == resource.kind]
                objects.sweep(there, self.api.version)

    def _sync_one(self, reflector: Reflector[Any], kind: str) -> None:
        there = {key[1:]: manifest for key, manifest in self.api.objects.items() if key[0] == kind}
        for key, manifest in there.items():
            if key[0] not in self.unreachable:
                reflector.take(key, msgspec.Raw(msgspec.json.encode(manifest)))
        for key in reflector.objects.keys() - there.keys():
            reflector.forget(key)

    def send_traffic(self, namespace: str, *, error_ratio: float = 0.0) -> None:
        """Requests by the route's weights, in every pod of the namespace's shop."""
        weights = self.weights(namespace)
        for name, weight in weights.items():
            requests = REQUESTS_PER_SECOND * (WINDOW_SECONDS - SCRAPE_SECONDS) * weight / sum(weights.values())
            self.prometheus.pods[namespace, f"{name}-1"] = {
                "requests": requests,
                "errors": requests * error_ratio,
                "latency": 0.02,
                "inFlight": 1.0,
                "cpu": 0.2,
                "memory": 5e7,
            }

    def weights(self, namespace: str) -> dict[str, int]:
        refs = self.api.objects["HTTPRoute", namespace, "shop"]["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}

    async def tick(self, *, sync: bool = True) -> None:
        """One tick and all the runs that follow from it."""
        if sync:
            self.sync()
        await self.reconciler.tick()
        await self.idle()
        self.clock += TICK_SECONDS

    async def idle(self) -> None:
        """No signals are read, nobody is warmed, and nothing waits or runs."""
        await until(lambda: not self.reconciler._reading, what="every answer", pause=0.005)
        await self.runs_end()

    async def runs_end(self) -> None:
        """Nobody is warmed and nothing waits or runs."""
        queue = self.reconciler.queue
        await until(
            lambda: not (list(self.reconciler._warming) or queue.depth or queue._running),
            what="the end of every run",
            pause=0.005,
        )

    # What it said.

    def status(self, namespace: str, name: str = "shop") -> dict[str, Any]:
        return dict(self.api.objects["Balancer", namespace, name].get("status", {}))

    def condition(self, namespace: str, kind: str, name: str = "shop") -> tuple[str, str]:
        """Status and reason."""
        for each in self.status(namespace, name).get("conditions", ()):
            if each["type"] == kind:
                return each["status"], each["reason"]
        return "", ""

    def message(self, namespace: str, kind: str = "Ready", name: str = "shop") -> str:
        return next((c["message"] for c in self.status(namespace, name).get("conditions", ()) if c["type"] == kind), "")

    def key(self, namespace: str, name: str = "shop") -> Key:
        return Key(namespace, name)

    def at(self, seconds: float) -> str:
        """The clock's time that long ago, as Kubernetes writes it."""
        return rfc3339(self.clock - seconds)[:19] + "Z"


def _named_preset(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the preset named, unless it says otherwise: it need not be looked for then."""
    signals = spec.get("signals", {})
    return {**spec, "signals": {"preset": "app", **signals} if isinstance(signals, dict) else signals}
