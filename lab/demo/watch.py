"""What the API server says while the demo runs: the route's weights, the shop's pods, and what Evenload writes down.

List-watch with Evenload's own client, so the screen costs the cluster nothing. Facts that are judged later (who left
when, how often the weights changed) are taken from here and not from what Evenload says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from evenload.api.v1alpha1 import Balancer, Condition, ConditionStatus, Remediation
from evenload.kube.client import Client
from evenload.kube.reflector import Key, Reflector
from evenload.kube.resources import BALANCERS, HTTPROUTES, PODS, REMEDIATIONS
from lab.demo.script import Script
from lab.errors import CommandFailed
from lab.shop import manifests as shop


class _Writer(msgspec.Struct):
    time: datetime | None = None


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    deletion_timestamp: str | None = None
    managed_fields: list[_Writer] = []


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Container(msgspec.Struct, rename="camel"):
    restart_count: int = 0


class _PodStatus(msgspec.Struct, rename="camel"):
    conditions: list[_Condition] = []
    container_statuses: list[_Container] = []


class Pod(msgspec.Struct):
    """As much of a pod as is shown."""

    metadata: _Meta
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)

    @property
    def leaving(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def ready(self) -> bool:
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions)

    @property
    def container_restarts(self) -> int:
        return sum(each.restart_count for each in self.status.container_statuses)


class _BackendRef(msgspec.Struct):
    name: str
    weight: int = 1


class _Rule(msgspec.Struct, rename="camel"):
    backend_refs: list[_BackendRef] = []


class _RouteSpec(msgspec.Struct):
    rules: list[_Rule] = []


class Route(msgspec.Struct):
    """As much of an HTTPRoute as is shown."""

    metadata: _Meta
    spec: _RouteSpec

    @property
    def weights(self) -> dict[str, int]:
        return {backend.name: backend.weight for rule in self.spec.rules for backend in rule.backend_refs}

    @property
    def written_at(self) -> float | None:
        """When the API server says that it was last written, rounded down to a second."""
        times = [writer.time.timestamp() for writer in self.metadata.managed_fields if writer.time is not None]
        return max(times, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Something that changed, when we saw it (Unix seconds), and to whom.

    `told` is when the API server says that it was, in whole seconds, where it says so.
    """

    time: float
    subject: str
    told: float | None = None


@dataclass
class Facts:
    """What was seen to happen since the last `reset`."""

    weight_writes: list[Seen] = field(default_factory=list)
    departures: list[Seen] = field(default_factory=list)
    container_restarts: list[Seen] = field(default_factory=list)
    most_leaving: int = 0
    """Pods at one moment."""


class Watch:
    """The present, and the facts so far. `changed` is called after every event."""

    def __init__(self, client: Client, changed: Callable[[], None], script: Script) -> None:
        self.facts = Facts()
        self._script = script
        self._changed = changed
        self._news = asyncio.Event()
        spaces = (shop.NAMESPACE,)
        self._routes = Reflector(client, HTTPROUTES, Route, spaces, on_change=self._on_route)
        self._pods = Reflector(client, PODS, Pod, spaces, on_change=self._on_pod)
        self._balancers = Reflector(client, BALANCERS, Balancer, spaces, on_change=self._on_any)
        self._remediations = Reflector(client, REMEDIATIONS, Remediation, spaces, on_change=self._on_any)
        self._all: tuple[Reflector[Any], ...] = (self._routes, self._pods, self._balancers, self._remediations)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._all:
                group.create_task(reflector.run())

    async def until(self, what: str, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait for the condition, asked after every event; raises CommandFailed when time is up."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise CommandFailed(f"Waited {seconds:.0f} s in vain for {what}. {self._state()}") from None

    async def first_look(self, *, seconds: float) -> None:
        """Until everything has been listed once; raises CommandFailed when time is up."""
        try:
            async with asyncio.timeout(seconds):
                for reflector in self._all:
                    await reflector.wait_synced()
        except TimeoutError:
            raise CommandFailed(f"The cluster could not be listed in {seconds:.0f} s. {self._state()}") from None

    @property
    def weights(self) -> dict[str, int]:
        """Of the shop's route; empty without one."""
        route = self._routes.objects.get((shop.NAMESPACE, shop.ROUTE))
        return route.weights if route else {}

    @property
    def balancer(self) -> Balancer | None:
        return self._balancers.objects.get((shop.NAMESPACE, self._script.balancer))

    def remediation_since(self, start: float) -> Remediation | None:
        """The first one that was opened after `start`."""
        opened = [(_opened(each), each) for each in self._remediations.objects.values()]
        later = [
            (at, each) for at, each in opened if at is not None and at >= start - 1.0
        ]  # creation has whole seconds
        return min(later, key=lambda pair: pair[0])[1] if later else None

    def pods_of(self, server: str) -> list[Pod]:
        """Oldest first: those that leave come before those that replace them."""
        pods = [pod for pod in self._pods.objects.values() if self._script.server_of(pod) == server]
        return sorted(pods, key=lambda pod: not pod.leaving)

    def condition(self, kind: str) -> Condition | None:
        """One condition of the Balancer."""
        balancer = self.balancer
        found = balancer.status.conditions if balancer else ()
        return next((condition for condition in found if condition.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Whether the condition is True."""
        condition = self.condition(kind)
        return condition is not None and condition.status is ConditionStatus.TRUE

    def has_ready(self, server: str) -> bool:
        """Whether a pod of the server is ready to stay."""
        return any(pod.ready and not pod.leaving for pod in self.pods_of(server))

    @property
    def pods(self) -> list[Pod]:
        """All of the namespace."""
        return list(self._pods.objects.values())

    def _state(self) -> str:
        problems = [reflector.problem for reflector in self._all if reflector.problem]
        conditions = self.balancer.status.conditions if self.balancer else ()
        told = [f"{each.type} is {each.status} ({each.reason}: {each.message})" for each in conditions]
        return "; ".join([*problems, *told]) or "The Balancer has no conditions: is the operator running?"

    def _on_any(self, key: Key, before: object, after: object) -> None:
        self._news.set()
        self._changed()

    def _on_route(self, key: Key, before: Route | None, after: Route | None) -> None:
        if before and after and before.weights != after.weights:
            told = ", ".join(f"{name} {weight}" for name, weight in sorted(after.weights.items()))
            self.facts.weight_writes.append(Seen(time=time.time(), subject=told, told=after.written_at))
        self._on_any(key, before, after)

    def _on_pod(self, key: Key, before: Pod | None, after: Pod | None) -> None:
        was_leaving = before is not None and before.leaving
        if before and not was_leaving and (after is None or after.leaving):
            self.facts.departures.append(Seen(time=time.time(), subject=self._script.server_of(before)))
        self.facts.most_leaving = max(self.facts.most_leaving, sum(pod.leaving for pod in self.pods))
        if before and after and after.container_restarts > before.container_restarts:
            self.facts.container_restarts.append(Seen(time=time.time(), subject=self._script.server_of(after)))
        self._on_any(key, before, after)


def _opened(remediation: Remediation) -> float | None:
    at = remediation.status.opened_at or remediation.metadata.creation_timestamp
    return at.timestamp() if at else None


@contextlib.asynccontextmanager
async def watching(client: Client, changed: Callable[[], None], script: Script) -> AsyncIterator[Watch]:
    """A Watch that has seen everything there is, and goes on until the block ends."""
    watch = Watch(client, changed, script)
    task = asyncio.create_task(watch.run())
    try:
        await watch.first_look(seconds=120)
        yield watch
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
