"""A GitOps tool, as far as one object goes: it applies what Git holds, server-side, again and again.

As Argo CD and Flux do it: under their field managers, with force, whenever the live object differs from Git in anything
that their rules do not ignore; what is ignored goes into the apply as it is live (Argo CD's RespectIgnoreDifferences,
Flux's "adopt"), or an apply for another reason would reset it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from evenload.errors import KubeError
from evenload.kube.client import Client
from evenload.kube.resources import Manifest, Resource

SELF_HEAL_SECONDS = 2.0  # Argo CD waits for 5 s: this is the harder case
Path = tuple[str | int, ...]
Ignored = Callable[[Manifest], list[Path]]


class GitOps:
    """Looks after one object; `git` is what the repository holds of it and may be changed like a commit."""

    def __init__(self, client: Client, resource: Resource, git: Manifest, ignored: Ignored) -> None:
        self._client, self._resource, self._ignored = client, resource, ignored
        self.git = git
        self.applied = 0

    @contextlib.asynccontextmanager
    async def reconciling(self) -> AsyncIterator[GitOps]:
        """In the background, until the end."""
        task = asyncio.create_task(self._forever())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while True:
            with contextlib.suppress(KubeError):
                await self._sync()
            await asyncio.sleep(SELF_HEAL_SECONDS)

    async def _sync(self) -> None:
        metadata = self.git["metadata"]
        live = await self._client.get(self._resource, metadata["namespace"], metadata["name"])
        wanted = copy.deepcopy(self.git)
        for path in self._ignored(live):
            _adopt(wanted, live, path)
        if _differs(wanted["spec"], live["spec"]):
            # What is adopted is that of this version: real tools may put back what was written in between.
            wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            await self._client.apply(self._resource, metadata["namespace"], metadata["name"], wanted, force=True)
            self.applied += 1


def nothing(live: Manifest) -> list[Path]:
    """Without rules: everything is Git's."""
    return []


def as_argocd(application: Mapping[str, Any]) -> Ignored:
    """Of the spec of an Application: `ignoreDifferences`, in force while applying only with the sync option."""
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]

    def ignored(live: Manifest) -> list[Path]:
        return [
            path
            for rule in application["ignoreDifferences"]
            if (rule["group"], rule["kind"]) == (live["apiVersion"].partition("/")[0], live["kind"])
            and (rule["name"], rule["namespace"]) == (live["metadata"]["name"], live["metadata"]["namespace"])
            for expression in rule["jqPathExpressions"]
            for path in _jq(live, expression)
        ]

    return ignored


def as_flux(kustomization: Mapping[str, Any]) -> Ignored:
    """Of the spec of a Kustomization: `ignore`, JSON Pointers under a selector of patterns."""

    def ignored(live: Manifest) -> list[Path]:
        facts = {
            "group": live["apiVersion"].partition("/")[0],
            "kind": live["kind"],
            "name": live["metadata"]["name"],
            "namespace": live["metadata"]["namespace"],
        }
        return [
            tuple(int(part) if part.isdigit() else part for part in pointer.split("/")[1:])
            for rule in kustomization["ignore"]
            if all(re.fullmatch(pattern, facts[field]) for field, pattern in rule["target"].items())
            for pointer in rule["paths"]
        ]

    return ignored


def _jq(live: Any, expression: str) -> list[Path]:
    """The paths that `.a.b[]?.c` finds."""
    found: list[tuple[Path, Any]] = [((), live)]
    for part in re.findall(r"\.(\w+)|(\[\]\?)", expression):
        found = [step for path, value in found for step in _steps(path, value, part[0])]
    return [path for path, _ in found]


def _steps(path: Path, value: Any, key: str) -> Iterator[tuple[Path, Any]]:
    if key:
        if isinstance(value, dict) and key in value:
            yield (*path, key), value[key]
    elif isinstance(value, list):
        yield from (((*path, index), item) for index, item in enumerate(value))


def _adopt(wanted: Any, live: Any, path: Path) -> None:
    """Take over what is live at `path`."""
    for part in path[:-1]:
        wanted, live = wanted[part], live[part]
    wanted[path[-1]] = live[path[-1]]


def _differs(wanted: Any, live: Any) -> bool:
    """In anything that is wanted: what the API server added by default is no difference."""
    if isinstance(wanted, dict):
        return not isinstance(live, dict) or any(_differs(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return not isinstance(live, list) or len(wanted) != len(live) or any(map(_differs, wanted, live))
    return bool(wanted != live)
