"""The mirror of the cluster stays true on bad days: dropped, silent and expired watches, throttling, errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import msgspec
import pytest

from evenload.kube import reflector as reflector_module
from evenload.kube.client import Client
from evenload.kube.reflector import Backoff, Key, Reflector
from evenload.kube.resources import CONFIGMAPS, NAMESPACES, Manifest, Resource
from tests.support.apiproxy import Answer, ApiProxy, Refuse
from tests.support.wait import until

WATCHED = r"/configmaps$"


class Meta(msgspec.Struct):
    name: str


class Box(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = msgspec.field(default_factory=dict)


def box(name: str, count: int = 1) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "box"}},
        "data": {"count": str(count)},
    }


Start = Callable[..., Awaitable[Reflector[Box]]]


@pytest.fixture
async def start(proxied: Client, namespace: str) -> AsyncIterator[Start]:
    """Start a reflector of the test's own ConfigMaps, behind the proxy; it is stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(*namespaces: str, **options: object) -> Reflector[Box]:
            settings = {"selector": "app=box", "longest_backoff_seconds": 0.2, **options}
            reflector = Reflector(proxied, CONFIGMAPS, Box, namespaces or (namespace,), **settings)  # type: ignore[arg-type]
            task = asyncio.create_task(reflector.run())
            stack.push_async_callback(stopped, task)
            return reflector

        yield begin


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def count(found: Box | None) -> str | None:
    return found.data["count"] if found else None


def names(reflector: Reflector[Box]) -> set[str]:
    return {name for _, name in reflector.objects}


async def test_objects_are_followed_from_birth_to_death(client: Client, start: Start, namespace: str) -> None:
    await client.create(CONFIGMAPS, namespace, box("old"))
    reflector = await start()
    assert not reflector.synced
    assert reflector.fresh_age_seconds == float("inf")
    await reflector.wait_synced()
    assert names(reflector) == {"old"}
    await client.create(CONFIGMAPS, namespace, box("new"))
    await until(lambda: names(reflector) == {"old", "new"})
    await client.patch_merge(CONFIGMAPS, namespace, "new", {"data": {"count": "2"}})
    await until(lambda: reflector.objects[namespace, "new"].data["count"] == "2")
    await client.delete(CONFIGMAPS, namespace, "old")
    await until(lambda: names(reflector) == {"new"})
    assert reflector.fresh_age_seconds < 5
    assert reflector.problem == ""


async def test_each_change_is_told_with_what_was_before(client: Client, start: Start, namespace: str) -> None:
    told: list[tuple[Key, str | None, str | None]] = []

    def listen(key: Key, before: Box | None, after: Box | None) -> None:
        told.append((key, count(before), count(after)))

    reflector = await start(on_change=listen)
    await reflector.wait_synced()
    await client.create(CONFIGMAPS, namespace, box("one"))
    await client.patch_merge(CONFIGMAPS, namespace, "one", {"data": {"count": "2"}})
    await client.delete(CONFIGMAPS, namespace, "one")
    key = (namespace, "one")
    await until(lambda: len(told) == 3)
    assert told == [(key, None, "1"), (key, "1", "2"), (key, "2", None)]


async def test_several_namespaces_are_watched_and_no_others(client: Client, start: Start, namespace: str) -> None:
    other = f"{namespace}-b"
    await client.create(NAMESPACES, None, {"metadata": {"name": other}})
    for place in (namespace, other, "default"):
        await client.apply(CONFIGMAPS, place, "mine", box("mine"), force=True)
    reflector = await start(namespace, other)
    await reflector.wait_synced()
    assert set(reflector.objects) == {(namespace, "mine"), (other, "mine")}
    await client.delete(NAMESPACES, None, other)
    await client.delete(CONFIGMAPS, "default", "mine")


async def test_a_dropped_watch_is_taken_up_again_where_it_broke(
    client: Client, proxy: ApiProxy, start: Start, namespace: str
) -> None:
    reflector = await start()
    await reflector.wait_synced()
    await until(lambda: proxy.open_watches == 1)
    proxy.drop_watches()
    await client.create(CONFIGMAPS, namespace, box("meanwhile"))
    await until(lambda: "meanwhile" in names(reflector))
    assert lists(proxy) == 1
    await until(lambda: reflector.problem == "")


async def test_after_410_what_vanished_meanwhile_is_swept_out(
    client: Client, proxy: ApiProxy, start: Start, namespace: str
) -> None:
    await client.create(CONFIGMAPS, namespace, box("doomed"))
    await client.create(CONFIGMAPS, namespace, box("staying"))
    reflector = await start()
    await reflector.wait_synced()
    await until(lambda: proxy.open_watches == 1)
    proxy.stall_watches()
    refused = proxy.inject(Refuse(), path=WATCHED, times=None)
    proxy.expire_watches()
    await client.delete(CONFIGMAPS, namespace, "doomed")
    await client.create(CONFIGMAPS, namespace, box("born"))
    proxy.resume_watches()
    proxy.remove(refused)
    await until(lambda: names(reflector) == {"staying", "born"})
    assert lists(proxy) >= 2


async def test_410_when_a_watch_begins_reads_the_list_again(
    client: Client, proxy: ApiProxy, start: Start, namespace: str
) -> None:
    reflector = await start()
    await reflector.wait_synced()
    await until(lambda: proxy.open_watches == 1)
    proxy.inject(Answer(410, reason="Expired"), path=WATCHED, watches=True)
    proxy.drop_watches()
    await until(lambda: lists(proxy) == 2)
    await client.create(CONFIGMAPS, namespace, box("after"))
    await until(lambda: "after" in names(reflector))


async def test_410_in_the_middle_of_a_list_starts_it_again(
    client: Client, proxy: ApiProxy, start: Start, namespace: str
) -> None:
    for begin in range(0, 520, 40):
        await asyncio.gather(*(client.create(CONFIGMAPS, namespace, box(f"box-{begin + i}")) for i in range(40)))
    proxy.inject(Answer(410, reason="Expired"), path=WATCHED, after=1, watches=False)
    reflector = await start()
    await reflector.wait_synced()
    assert len(reflector.objects) == 520
    assert lists(proxy) == 4


@pytest.mark.parametrize("code", [500, 504])
async def test_an_error_event_in_the_stream_reads_the_list_again(
    client: Client, proxy: ApiProxy, start: Start, namespace: str, code: int
) -> None:
    reflector = await start()
    await reflector.wait_synced()
    await until(lambda: proxy.open_watches == 1)
    proxy.expire_watches(code, reason="InternalError")
    await until(lambda: lists(proxy) == 2)
    await client.create(CONFIGMAPS, namespace, box("after"))
    await until(lambda: "after" in names(reflector))


async def test_a_silent_watch_is_given_up(client: Client, proxy: ApiProxy, start: Start, namespace: str) -> None:
    reflector = await start(silence_seconds=0.5)
    await reflector.wait_synced()
    proxy.stall_watches()
    await until(lambda: proxy.open_watches == 1)
    await client.create(CONFIGMAPS, namespace, box("unheard"))
    await until(lambda: "the watch broke" in reflector.problem)
    proxy.resume_watches()
    await until(lambda: "unheard" in names(reflector))


async def test_a_watch_that_went_well_is_taken_up_at_once_whatever_came_before(
    proxy: ApiProxy, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector_module, "SETTLED_SECONDS", 0.3)
    troubled = proxy.inject(Answer(500), path=WATCHED, times=4)
    reflector = await start(longest_backoff_seconds=8.0)
    await until(lambda: troubled.hits == 4)
    await until(lambda: proxy.open_watches == 1)
    assert reflector.synced
    opened = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > opened + 0.4)
    failures: list[int] = []

    def seconds(backoff: Backoff, retry_after: float | None = None) -> float:
        failures.append(backoff._failures)
        return 0.0

    monkeypatch.setattr(Backoff, "seconds", seconds)
    proxy.drop_watches()
    await until(lambda: failures, what="the wait before a new watch")
    assert failures[0] == 0, "the first, shortest backoff"
    await until(lambda: proxy.open_watches == 1, what="a new watch")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_list_that_fails_is_tried_again_with_patience(proxy: ApiProxy, start: Start, status: int) -> None:
    broken = proxy.inject(Answer(status, message="not today"), path=WATCHED, times=None)
    reflector = await start()
    await until(lambda: "not today" in reflector.problem)
    await until(lambda: broken.hits >= 3)
    assert not reflector.synced
    proxy.remove(broken)
    await until(lambda: reflector.synced and reflector.problem == "")


async def test_a_throttled_watch_waits_as_long_as_it_was_told(proxy: ApiProxy, start: Start) -> None:
    throttled = proxy.inject(Answer(429, headers={"Retry-After": "1"}), path=WATCHED, times=1)
    reflector = await start()
    started = asyncio.get_running_loop().time()
    await reflector.wait_synced()
    assert throttled.hits == 1
    assert asyncio.get_running_loop().time() - started >= 0.9


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_tight_loop(
    proxy: ApiProxy, start: Start
) -> None:
    ending = proxy.inject(Answer(200, body=b""), path=WATCHED, times=None, watches=True)
    reflector = await start(longest_backoff_seconds=0.5)
    await until(lambda: "ended as soon as it began" in reflector.problem)
    hits, started = ending.hits, asyncio.get_running_loop().time()
    await until(lambda: ending.hits >= hits + 4)
    assert asyncio.get_running_loop().time() - started >= 0.6


async def test_a_kind_that_is_not_served_is_a_state_not_a_crash(proxied: Client) -> None:
    nothing = Resource("nothing.example", "v1", "things", "Thing")
    reflector = Reflector(proxied, nothing, dict, longest_backoff_seconds=0.2)
    task = asyncio.create_task(reflector.run())
    await until(lambda: not reflector.served)
    assert not reflector.synced
    assert "404" in reflector.problem
    await stopped(task)


async def test_an_object_that_cannot_be_read_is_left_out_and_named(
    client: Client, proxied: Client, namespace: str
) -> None:
    class Small(msgspec.Struct):
        metadata: Meta
        data: dict[str, Literal["1", "2"]]

    await client.create(CONFIGMAPS, namespace, box("one"))
    await client.create(CONFIGMAPS, namespace, box("odd", 7))
    reflector = Reflector(proxied, CONFIGMAPS, Small, [namespace], selector="app=box", longest_backoff_seconds=0.2)
    task = asyncio.create_task(reflector.run())
    await reflector.wait_synced()
    odd, one = (namespace, "odd"), (namespace, "one")
    assert (one in reflector.objects, odd in reflector.objects) == (True, False)
    assert "Invalid enum value '7'" in reflector.unreadable[odd]
    await client.patch_merge(CONFIGMAPS, namespace, "odd", {"data": {"count": "2"}})
    await until(lambda: odd in reflector.objects and not reflector.unreadable)
    await client.patch_merge(CONFIGMAPS, namespace, "one", {"data": {"count": "8"}})
    await until(lambda: one in reflector.unreadable and one not in reflector.objects)
    await client.delete(CONFIGMAPS, namespace, "one")
    await until(lambda: not reflector.unreadable)
    assert reflector.problem == ""
    await stopped(task)


def lists(proxy: ApiProxy) -> int:
    """How many list requests (pages) the reflector has made."""
    return sum(1 for seen in proxy.requests if seen.path.endswith("/configmaps") and not seen.is_watch)
