"""An API client that fails on purpose, at one chosen call: the process dies, the answer is lost, the server says no.

It stands in front of any `Cluster` (the real client, or the in-memory one), so the same crash points run against both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from evenload.act.execution import Cluster
from evenload.errors import Conflict, KubeError, Unavailable, Unknown
from evenload.kube.resources import Manifest, Resource

T = TypeVar("T")


class Killed(BaseException):
    """SIGKILL, as seen from inside: no `except Exception` may swallow it."""


class Fault(StrEnum):
    KilledBefore = "killed before"  # the request was never sent
    KilledAfter = "killed after"  # it was carried out, and nobody is left to hear so
    LostBefore = "lost before"  # no answer, and it was not carried out
    LostAfter = "lost after"  # no answer, but it was carried out
    Throttled = "throttled"  # 429
    Broken = "broken"  # 500
    Conflicting = "conflicting"  # 409


@dataclass
class Faulty:
    """Calls are counted from 1; `fault` happens at call `at` (0: never), and only once."""

    cluster: Cluster
    at: int = 0
    fault: Fault = Fault.KilledBefore
    calls: list[str] = field(default_factory=list)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        return await self._call("get", lambda: self.cluster.get(resource, namespace, name))

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, object]) -> Manifest:
        return await self._call("create", lambda: self.cluster.create(resource, namespace, body))

    async def patch_json(
        self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, object]]
    ) -> Manifest:
        return await self._call("patch_json", lambda: self.cluster.patch_json(resource, namespace, name, operations))

    async def patch_merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, object],
        *,
        subresource: str | None = None,
    ) -> Manifest:
        return await self._call(
            "patch_merge",
            lambda: self.cluster.patch_merge(resource, namespace, name, body, subresource=subresource),
        )

    async def delete(self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None) -> None:
        await self._call("delete", lambda: self.cluster.delete(resource, namespace, name, uid=uid))

    async def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> None:
        await self._call("evict", lambda: self.cluster.evict(namespace, pod, uid, dry_run=dry_run))

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(verb)
        if len(self.calls) != self.at:
            return await call()
        reads = verb == "get"
        match self.fault:
            case Fault.KilledBefore:
                raise Killed
            case Fault.LostBefore:
                raise _lost(verb, reads)
            case Fault.Throttled:
                raise Unavailable(f"{verb}: 429 too many requests", status=429, retry_after_seconds=1.0)
            case Fault.Broken:
                raise _broken(verb, reads)
            case Fault.Conflicting if not reads:
                raise Conflict(f"{verb}: 409 the object has been modified", status=409)
        answer = await call()
        if self.fault is Fault.KilledAfter:
            raise Killed
        if self.fault is Fault.LostAfter:
            raise _lost(verb, reads)
        return answer


def _lost(verb: str, reads: bool) -> KubeError:
    return Unavailable(f"{verb}: no answer") if reads else Unknown(f"{verb}: no answer, it may have been done")


def _broken(verb: str, reads: bool) -> KubeError:
    kind = Unavailable if reads else Unknown  # as the real client: a write that failed inside may have landed
    return kind(f"{verb}: 500 etcdserver: request timed out", status=500)
