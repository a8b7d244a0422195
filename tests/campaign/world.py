"""The operator in one process, before an API server in memory whose watches can be made to show the past.

    async with World() as world:
        await world.pass_by(3)                     # ticks in peace
        world.spoil(SHOP)                          # a bad update: one backend gets nearly everything
        world.delay("Pod", ticks=4)                # the watch of that kind shows what was four ticks ago
        await world.pass_by(10)
        world.see()                                # every watch shows the present again
        assert world.invariants.broken == []

Its pods serve by the route's weights, fall ill when overloaded, and are replaced when they are evicted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from evenload.clock import rfc3339
from evenload.kube.resources import Manifest, Resource
from evenload.model.episode import FIELD_MANAGER
from tests.campaign.conftest import tally
from tests.support.apiproxy import Seen
from tests.support.inprocess import SCRAPE_SECONDS, TICK_SECONDS, WINDOW_SECONDS, Site
from tests.support.invariants import Invariants
from tests.support.memory import Key, MemoryCluster, copied

SHOP = "shop"
BACKENDS = "abcd"
SICK = "d"
EVEN = dict.fromkeys(BACKENDS, 250)
BAD = {"a": 10, "b": 10, "c": 10, "d": 970}
REQUESTS_PER_SECOND = 400.0
CAPACITY = 200.0  # requests a second a pod can serve
JUDGED_WITHIN_TICKS = 5  # a warm start has its turn before the first
START = 1_795_000_000.0  # what is decided must not depend on today's date
HASTE: Mapping[str, Any] = {
    "guardrails": {"minWriteInterval": "1s"},
    "restart": {"drainTimeout": "20s", "rampWindow": "20s"},
}


def managed_by(manager: str, at: float) -> Manifest:
    """The entry that says who wrote the rules of a route, and when."""
    return {
        "manager": manager,
        "operation": "Update",
        "time": rfc3339(at)[:19] + "Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:rules": {}}},
    }


def is_judged(balancer: Manifest) -> bool:
    """Its status is about this generation, and says that it is balanced or not, or why nobody can tell."""
    status = balancer.get("status", {})
    if status.get("observedGeneration") != balancer["metadata"]["generation"]:
        return False
    found = {each["type"]: each for each in status.get("conditions", ())}
    return all(
        found.get(kind, {}).get("status") in ("True", "False") or bool(found.get(kind, {}).get("message"))
        for kind in ("Ready", "Balanced")
    )


class Watched(MemoryCluster):
    """Has each write to traffic or pods looked at before it is made."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        # What looks at a write takes no turn of its own: else things would happen between the write and the look at it.
        self.invariants = Invariants(MemoryCluster(objects=self.objects))
        self._now = now

    async def patch_json(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, object]]
    ) -> Manifest:
        await self._look("PATCH", resource.path(namespace, name), list(operations))
        changed = await super().patch_json(resource, namespace, name, operations)
        changed["metadata"]["managedFields"] = [managed_by(FIELD_MANAGER, self._now())]
        self.objects[resource.kind, namespace or "", name] = changed
        return copied(changed)

    async def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> None:
        body = {"deleteOptions": {"preconditions": {"uid": uid}}}
        if not dry_run:
            await self._look("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)
        await super().evict(namespace, pod, uid, dry_run=dry_run)

    async def _look(self, method: str, path: str, body: object) -> None:
        await self.invariants.look(Seen(method, path, {}, json.dumps(body).encode()))


class World(Site):
    """See the module. Use as an async context manager."""

    def __init__(self, about: str = "", **settings: Any) -> None:
        """`about`: which part of the campaign it belongs to."""
        super().__init__(**settings)
        self._about = about
        self.api: Watched = Watched(lambda: self.clock)
        self.clock = START
        self.sick: set[str] = set()  # UIDs of pods that stay ill until their process ends
        self.shops: list[str] = []
        self.unjudged: list[str] = []  # Balancers of which nobody said how they are, nor why that is not said
        self._past: list[dict[Key, Manifest]] = []
        self._since: dict[Key, tuple[tuple[str, int], int]] = {}  # what each Balancer is, and since which tick
        self._delays: dict[str, int] = {}
        self._frozen: dict[str, int] = {}
        self._born = 0

    async def __aenter__(self) -> Self:
        self.open_shop(SHOP)
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if kind is None:
            assert self.unjudged == []
        tally(self._about, ticks=len(self._past), writes=self.invariants.looked_at, broken=len(self.invariants.broken))

    @property
    def invariants(self) -> Invariants:
        return self.api.invariants

    def open_shop(self, namespace: str, spec: Mapping[str, Any] | None = None) -> None:
        """Four backends of one pod each, and a Balancer in Auto."""
        self.shops.append(namespace)
        self.add_shop(namespace, {**HASTE, **(spec or {})}, backends=BACKENDS)

    # What happens in it.

    def set_weights(self, namespace: str, weights: Mapping[str, int], manager: str = "kubectl-edit") -> None:
        """As another writer."""
        route = self.api.objects["HTTPRoute", namespace, "shop"]
        changed = copied(route)
        for ref in changed["spec"]["rules"][0]["backendRefs"]:
            ref["weight"] = weights[ref["name"]]
        entries = [managed_by(manager, self.clock)]
        changed["metadata"] |= {"managedFields": entries, "generation": route["metadata"]["generation"] + 1}
        self.touch("HTTPRoute", namespace, "shop", changed)

    def touch(self, kind: str, namespace: str, name: str, changed: Manifest) -> None:
        """A new version of an object."""
        self.api.version += 1
        changed["metadata"]["resourceVersion"] = str(self.api.version)
        self.api.objects[kind, namespace, name] = changed

    def remake_pod(self, namespace: str, backend: str) -> None:
        """Another process under the same name, as a StatefulSet's controller would make it."""
        name = f"{backend}-1"
        self._born += 1
        was = self._last_known("Pod", namespace, name)
        pod = copied(was)
        uid = f"uid-{backend}-{self._born}"
        born = rfc3339(self.clock)[:19] + "Z"
        pod["metadata"] |= {"uid": uid, "creationTimestamp": born}
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = born
        self.touch("Pod", namespace, name, pod)
        part = copied(self.api.objects["EndpointSlice", namespace, f"{backend}-x"])
        part["endpoints"] = [{"targetRef": {"kind": "Pod", "name": name, "uid": uid}, "conditions": {"ready": True}}]
        self.touch("EndpointSlice", namespace, f"{backend}-x", part)

    def _last_known(self, kind: str, namespace: str, name: str) -> Manifest:
        times = (self.api.objects, *reversed(self._past))
        return next(past[kind, namespace, name] for past in times if (kind, namespace, name) in past)

    def _live(self) -> None:
        """What controllers, kubelets and traffic do in a tick."""
        for namespace in self.shops:
            for backend in BACKENDS:
                if ("Pod", namespace, f"{backend}-1") not in self.api.objects:
                    self.remake_pod(namespace, backend)
            self._serve(namespace)

    def _serve(self, namespace: str) -> None:
        weights = self.weights(namespace)
        total = sum(weights.values()) or 1
        for backend, weight in weights.items():
            uid = self.api.objects["Pod", namespace, f"{backend}-1"]["metadata"]["uid"]
            rate = REQUESTS_PER_SECOND * weight / total
            if rate > 1.5 * CAPACITY:
                self.sick.add(uid)
            failing = max(0.6 if uid in self.sick else 0.0, 1 - CAPACITY / rate if rate > CAPACITY else 0.0)
            requests = rate * (WINDOW_SECONDS - SCRAPE_SECONDS)
            busy = 0.9 if uid in self.sick and rate else min(1.0, rate / CAPACITY)
            self.prometheus.pods[namespace, f"{backend}-1"] = {
                "requests": requests,
                "errors": requests * failing,
                "latency": 0.3 if busy >= 0.9 else 0.02,
                "inFlight": 0.0 if not rate else 2.0,
                "cpu": busy,
                "memory": 5e7,
            }

    # What is seen of it.

    def delay(self, kind: str, ticks: int) -> None:
        """Its watch is alive and shows what was `ticks` ago: a lagging API server, or after a relist the past."""
        self._delays[kind] = ticks

    def freeze(self, kind: str) -> None:
        """Its watch shows no change and no sign of life any more."""
        self._frozen[kind] = len(self._past)

    def see(self) -> None:
        """Every watch shows the present again."""
        self._delays.clear()
        self._frozen.clear()

    def sync(self, *kinds: str) -> None:
        now, shown = self.api.objects, dict(self.api.objects)
        for kind in {*self._delays, *self._frozen}:
            then = self._past[self._shown_at(kind)] if self._past else now
            shown = {key: each for key, each in shown.items() if key[0] != kind}
            shown |= {key: each for key, each in then.items() if key[0] == kind}
        self.api.objects = shown
        try:
            super().sync(*kinds)
        finally:
            self.api.objects = now
        for reflector in self.cluster._reflectors():
            if since := self._frozen.get(reflector.resource.kind):
                for stream in reflector._streams:
                    stream._seen_at = reflector.clock() - TICK_SECONDS * (len(self._past) - since)

    def _shown_at(self, kind: str) -> int:
        if kind in self._frozen:
            return max(0, self._frozen[kind] - 1)
        return max(0, len(self._past) - 1 - self._delays[kind])

    async def pass_by(self, ticks: int) -> None:
        """Time passes."""
        for _ in range(ticks):
            self._live()
            self._past.append({key: copied(each) for key, each in self.api.objects.items()})
            await self.tick()
            self._look_for_judgements()

    def _look_for_judgements(self) -> None:
        """Every Balancer that the operator can see has been judged within some ticks, or its status says why not."""
        now = len(self._past)
        if "Balancer" in {*self._delays, *self._frozen}:
            self._since.clear()
            return
        balancers = {key: each for key, each in self.api.objects.items() if key[0] == "Balancer"}
        for key, balancer in balancers.items():
            identity = balancer["metadata"]["uid"], balancer["metadata"]["generation"]
            if self._since.get(key, (None, 0))[0] != identity:
                self._since[key] = identity, now
            waited = now - self._since[key][1]
            if waited >= JUDGED_WITHIN_TICKS and not is_judged(balancer):
                self.unjudged.append(f"{key[1:]} for {waited} ticks: {balancer.get('status')}")
        self._since = {key: since for key, since in self._since.items() if key in balancers}
        waits = self.reconciler.longest_wait_seconds
        if waits > JUDGED_WITHIN_TICKS * TICK_SECONDS:
            self.unjudged.append(f"a Balancer had no run for {waits:.0f} s")
