"""What the watches missed is found by names and versions alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any

import msgspec
import pytest

from evenload import app
from evenload.errors import NotFound, Refused
from evenload.kube.client import Page
from evenload.kube.reflector import Reflector
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest, Resource
from evenload.settings import Settings
from evenload.store import Key, Objects, Store
from tests.support.wait import until


def remediation(name: str, version: int, **more: Any) -> Manifest:
    metadata = {"namespace": "market", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"balancerRef": {"name": "shop"}}, **more}


class Api:
    """Lists in pages of two; `read` are the names of objects that were read one by one."""

    def __init__(self, *there: Manifest, version: int = 100) -> None:
        self.there, self.version, self.read = {each["metadata"]["name"]: each for each in there}, version, list[str]()
        self.listed_whole = 0

    async def pages(
        self, resource: Resource, namespace: str | None, *, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        items = list(self.there.values())
        for start in range(0, max(1, len(items)), 2):
            chosen = items[start : start + 2]
            self.listed_whole += 0 if metadata_only else len(chosen)
            shown = [{"metadata": each["metadata"]} if metadata_only else each for each in chosen]
            text = msgspec.json.encode({"metadata": {"resourceVersion": str(self.version)}, "items": shown})
            yield msgspec.json.decode(text, type=Page)

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        self.read.append(name)
        if name == "gone-since":
            raise NotFound("gone", status=404)
        return self.there[name]


async def sweep(api: Api, objects: Objects, *, whole: bool = False) -> None:
    await app._sweep(api, REMEDIATIONS, objects, None, whole=whole)  # type: ignore[arg-type]


@pytest.fixture
def objects() -> Objects:
    objects = Store().remediations
    for manifest in (remediation("known", 5), remediation("deleted-unseen", 6), remediation("made-since", 200)):
        objects.put(manifest)
    return objects


async def test_only_what_is_newer_than_what_is_known_is_read(objects: Objects) -> None:
    api = Api(remediation("known", 5), remediation("changed-unseen", 9, status={"phase": "Succeeded"}))
    await sweep(api, objects)
    assert (api.read, api.listed_whole) == (["changed-unseen"], 0)
    assert objects.get(Key("market", "changed-unseen")) == api.there["changed-unseen"]


async def test_what_the_list_lacks_is_forgotten_unless_it_is_newer(objects: Objects) -> None:
    await sweep(Api(remediation("known", 5)), objects)
    assert sorted(key.name for key in objects.all_keys()) == ["known", "made-since"]


async def test_what_is_gone_by_the_time_it_is_read_is_left_out(objects: Objects) -> None:
    await sweep(Api(remediation("gone-since", 9), remediation("known", 7)), objects)
    known = objects.get(Key("market", "known"))
    assert known is not None
    assert known["metadata"]["resourceVersion"] == "7"
    assert objects.get(Key("market", "gone-since")) is None


async def test_at_first_the_whole_list_is_read_page_by_page() -> None:
    objects = Store().remediations
    api = Api(*(remediation(f"r{at}", at + 1) for at in range(5)))
    await sweep(api, objects, whole=True)
    assert (len(objects.all_keys()), api.read) == (5, [])


class TwoNamespaces(Api):
    """Each has a Balancer; in those of `refusing` nothing may be listed, for want of a RoleBinding."""

    def __init__(self, refusing: set[str]) -> None:
        super().__init__()
        self.refusing, self.deleted = refusing, set[str]()

    async def pages(self, resource: Resource, namespace: str | None, *_: Any, **__: Any) -> AsyncIterator[Page]:
        if namespace in self.refusing:
            raise Refused(f"{resource.plural} is forbidden in {namespace}", status=403)
        there = [balancer(namespace)] if resource == BALANCERS and namespace and namespace not in self.deleted else []
        text = msgspec.json.encode({"metadata": {"resourceVersion": "9"}, "items": there})
        yield msgspec.json.decode(text, type=Page)

    async def watch(self, *_: Any, opened: Callable[[], None], **__: Any) -> AsyncIterator[bytes]:
        opened()
        await asyncio.Event().wait()
        yield b""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        return balancer(namespace)


def balancer(namespace: str) -> Manifest:
    metadata = {"namespace": namespace, "name": "shop", "uid": namespace, "resourceVersion": "5"}
    return {"metadata": metadata, "spec": {"targetRef": {"name": "shop"}}}


@asynccontextmanager
async def beginning(api: TwoNamespaces) -> AsyncIterator[app.Operator]:
    """An operator that is told to look after namespaces `a` and `b`."""
    operator = app.Operator(Settings(watch_namespaces="a,b"))
    operator._remediations = Reflector(api, REMEDIATIONS, dict, ("a", "b"), longest_backoff_seconds=0.05)  # type: ignore[arg-type]
    async with running(operator._remediations.run()):
        yield operator


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Beside the test, and over with it."""
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_namespace_that_may_not_be_listed_keeps_no_other_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LISTED_SECONDS", 0.1)
    api = TwoNamespaces({"b"})
    async with beginning(api) as operator, asyncio.timeout(60):
        await operator._sweep_once(api)  # type: ignore[arg-type]
        assert operator._store.balancers.all_keys() == (Key("a", "shop"),)
        assert operator._store.unlisted == {"b"}


async def test_it_is_looked_after_once_all_of_it_could_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LISTED_SECONDS", 0.1)
    monkeypatch.setattr(app, "FIRST_SWEEPS_SECONDS", repeat(0.02))
    api = TwoNamespaces({"b"})
    async with beginning(api) as operator:
        await operator._sweep_once(api)  # type: ignore[arg-type]
        api.refusing.clear()
        async with running(operator._sweep_again(api)):  # type: ignore[arg-type]
            await until(lambda: not operator._store.unlisted, what="all to be listed")
        assert operator._remediations.synced
        assert Key("b", "shop") in operator._store.balancers.all_keys()


async def test_a_balancer_that_is_deleted_before_the_watch_begins_is_soon_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "FIRST_SWEEPS_SECONDS", (0.0,))
    api = TwoNamespaces(set())
    async with beginning(api) as operator:
        await operator._sweep_once(api)  # type: ignore[arg-type]
        api.deleted.add("b")
        async with running(operator._sweep_again(api)):  # type: ignore[arg-type]
            await until(lambda: operator._store.balancers.all_keys() == (Key("a", "shop"),), what="the deletion, seen")


async def test_where_nothing_at_all_may_be_listed_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LISTED_SECONDS", 0.1)
    api = TwoNamespaces({"a", "b"})
    async with beginning(api) as operator:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await operator._sweep_once(api)  # type: ignore[arg-type]
