"""A kind's objects, kept up to date by list and watch, decoded only as far as the caller's type asks.

Guards against what goes wrong with watches: each is asked for a minute only, and one that is silent for longer is given
up after `silence_seconds`; after 410 the list is read again, and objects that vanished meanwhile are swept out;
failures back off with jitter, so a fleet of operators does not return at once. It never gives up and never raises:
`problem` says in a sentence what is wrong now, and `fresh_age_seconds` how old the knowledge is.

An object that cannot be decoded is left out and named in `unreadable`; the others of its kind are kept up to date.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Final, Generic, TypeVar

import msgspec

from evenload.errors import Gone, KubeError, NotFound, Unavailable
from evenload.kube.client import Client, Page, Status
from evenload.kube.resources import Resource

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace ("" for cluster-scoped kinds) and name."""

OnChange = Callable[[Key, T | None, T | None], None]
"""Told (key, before, after) of each change; None: not there."""

FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 30.0
WATCH_SECONDS: Final = (45.0, 60.0)
"""How long a watch is asked for. The API server sends no bookmarks for a kind that never changed since it started, so
only a new watch proves that silence is peace."""
SETTLED_SECONDS: Final = 10.0
"""A watch that lasted this long was a good one: what breaks after it is a new trouble."""
SHORTEST_WATCH_SECONDS: Final = 1.0
"""A server that ends watches faster than this is not asked again at once."""
FORBIDDEN: Final = 403
RELIST_SECONDS: Final = 3600.0
"""A light insurance against events that were missed without a sign."""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Identity(msgspec.Struct):
    metadata: _Meta


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode
_decode_status = msgspec.json.Decoder(Status).decode


class Backoff:
    """Seconds to wait before the next try: doubling, with full jitter, and never sooner than the server asked."""

    def __init__(self, first: float = FIRST_BACKOFF_SECONDS, longest: float = LONGEST_BACKOFF_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def seconds(self, retry_after: float | None = None) -> float:
        ceiling = min(self._longest, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(retry_after or 0.0, random.uniform(ceiling / 2, ceiling))


class Reflector(Generic[T]):
    """`objects` mirrors the cluster once `synced` is set. Run `run()` as a task; cancel it to stop.

    `decode_as` is a msgspec Struct naming only the fields that are wanted, `dict` for the whole object, or a function
    that makes something smaller of the JSON text. Namespaces: none means all of them. A kind that the API server does
    not serve leaves `served` False, and is asked for again.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        decode_as: type[T] | Callable[[msgspec.Raw], T],
        namespaces: Iterable[str] = (),
        *,
        selector: str | None = None,
        on_change: OnChange[T] | None = None,
        silence_seconds: float = 70.0,
        longest_backoff_seconds: float = LONGEST_BACKOFF_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self.objects: dict[Key, T] = {}
        self.unreadable: dict[Key, str] = {}  # and why
        self.on_change = on_change
        self.client = client
        self.selector = selector
        self.silence_seconds = silence_seconds
        self.longest_backoff_seconds = longest_backoff_seconds
        self.clock = clock
        self.decode = msgspec.json.Decoder(decode_as).decode if isinstance(decode_as, type) else decode_as
        self._streams = [_Stream(self, namespace) for namespace in sorted(set(namespaces))] or [_Stream(self, None)]

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in self._streams:
                group.create_task(stream.run())

    async def wait_synced(self) -> None:
        """Until every namespace has been listed once."""
        for stream in self._streams:
            await stream.listed.wait()

    @property
    def synced(self) -> bool:
        """Everything has been listed at least once."""
        return all(stream.listed.is_set() for stream in self._streams)

    def synced_in(self, namespace: str) -> bool:
        """That namespace has been listed at least once."""
        return any(stream.listed.is_set() for stream in self._streams if stream.covers(namespace))

    @property
    def tried(self) -> bool:
        """Everything has been listed, or could not be, at least once."""
        return all(stream.tried for stream in self._streams)

    @property
    def served(self) -> bool:
        """The API server knows this kind, as far as was asked."""
        return all(stream.served for stream in self._streams)

    def denied_in(self, namespace: str) -> bool:
        """Whether we are not allowed to list or watch this kind there (403)."""
        return any(stream.denied for stream in self._streams if stream.covers(namespace))

    @property
    def answered(self) -> bool:
        """Everything has been listed, is not served, or is refused: nothing is still to be waited for."""
        return all(stream.listed.is_set() or stream.denied or not stream.served for stream in self._streams)

    @property
    def problem(self) -> str:
        """What is wrong now, in a sentence; empty when all is well."""
        return next((stream.problem for stream in self._streams if stream.problem), "")

    @property
    def fresh_age_seconds(self) -> float:
        """Seconds since the API server last showed that this is up to date; infinite before the first list."""
        return max(stream.age() for stream in self._streams)

    def fresh_age_in(self, namespace: str) -> float:
        """The same, of one namespace; infinite for one that is not watched."""
        return min((stream.age() for stream in self._streams if stream.covers(namespace)), default=float("inf"))

    def covers(self, namespace: str) -> bool:
        """Whether objects of that namespace are watched."""
        return any(stream.covers(namespace) for stream in self._streams)

    def take(self, key: Key, text: msgspec.Raw) -> None:
        """Take in one object as the API server wrote it."""
        try:
            after = self.decode(text)
        except Exception as error:  # whatever it holds: one object must not stop its kind
            self.unreadable[key] = f"{type(error).__name__}: {error}"
            self.store(key, None)
            return
        self.unreadable.pop(key, None)
        self.store(key, after)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self.unreadable.pop(key, None)
        self.store(key, None)

    def store(self, key: Key, after: T | None) -> None:
        """Take in one object (None: it is gone), and tell whoever listens."""
        before = self.objects.pop(key, None) if after is None else self.objects.get(key)
        if after is not None:
            self.objects[key] = after
        if self.on_change is not None and not (before is None and after is None):
            self.on_change(key, before, after)


class _Stream:
    """The list-watch of one namespace, or of all."""

    def __init__(self, owner: Reflector[Any], namespace: str | None) -> None:
        self.listed = asyncio.Event()
        self.served = True
        self.tried = False
        self.denied = False
        self.problem = ""
        self._owner = owner
        self._namespace = namespace
        self._backoff = Backoff(longest=owner.longest_backoff_seconds)
        self._version = ""  # where the watch goes on; "": list first
        self._seen_at: float | None = None
        self._listed_at = 0.0

    def covers(self, namespace: str) -> bool:
        return self._namespace in (None, namespace)

    def age(self) -> float:
        return float("inf") if self._seen_at is None else self._owner.clock() - self._seen_at

    async def run(self) -> None:
        while True:
            try:
                await self._once()
            except KubeError as error:
                await self._failed(error)
            except msgspec.DecodeError as error:
                await self._failed(Gone(f"{self._owner.resource.plural} cannot be read: {error}"))

    async def _once(self) -> None:
        if not self._version or self._owner.clock() - self._listed_at > RELIST_SECONDS:
            await self._list()
        opened_at = self._owner.clock()
        try:
            await self._watch()
        finally:
            lasted = self._owner.clock() - opened_at
            if lasted > SETTLED_SECONDS:
                self._backoff.reset()
        if lasted < SHORTEST_WATCH_SECONDS:
            raise Unavailable(f"watch {self._owner.resource.plural}: it ended as soon as it began")

    async def _failed(self, error: KubeError) -> None:
        if isinstance(error, Gone):
            self._version = ""
        self.tried = True
        self.served = not isinstance(error, NotFound)
        self.denied = error.status == FORBIDDEN
        self.problem = str(error)
        await asyncio.sleep(self._backoff.seconds(error.retry_after_seconds))

    def _proof(self) -> None:
        self._seen_at = self._owner.clock()
        self.served, self.tried, self.denied, self.problem = True, True, False, ""

    async def _list(self) -> None:
        seen: set[Key] = set()
        version = ""
        async for page in self._owner.client.pages(self._owner.resource, self._namespace, self._owner.selector):
            seen |= self._take(page)
            version = page.metadata.resource_version
        self._sweep(seen)
        self._version, self._listed_at = version, self._owner.clock()
        self._proof()
        self.listed.set()

    def _take(self, page: Page) -> set[Key]:
        keys = set()
        for item in page.items or ():
            meta = _decode_identity(item).metadata
            key = (meta.namespace, meta.name)
            self._owner.take(key, item)
            keys.add(key)
        return keys

    def _sweep(self, seen: set[Key]) -> None:
        mine = (key for key in (*self._owner.objects, *self._owner.unreadable) if self.covers(key[0]))
        for key in [key for key in mine if key not in seen]:
            self._owner.forget(key)

    async def _watch(self) -> None:
        lines = self._owner.client.watch(
            self._owner.resource,
            self._namespace,
            self._version,
            selector=self._owner.selector,
            server_seconds=random.uniform(*WATCH_SECONDS),
            silence_seconds=self._owner.silence_seconds,
            opened=self._proof,
        )
        async with aclosing(lines):
            async for line in lines:
                self._handle(line)

    def _handle(self, line: bytes) -> None:
        event = _decode_event(line)
        if event.type == "ERROR":
            # Whatever it was, what came after it was not seen: list again.
            status = _decode_status(event.object)
            raise Gone(f"watch {self._owner.resource.plural}: {status.code} {status.message}", status=status.code)
        meta = _decode_identity(event.object).metadata
        if event.type != "BOOKMARK":
            key = (meta.namespace, meta.name)
            if event.type == "DELETED":
                self._owner.forget(key)
            else:
                self._owner.take(key, event.object)
        self._version = meta.resource_version
        self._backoff.reset()
        self._proof()
