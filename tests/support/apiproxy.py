"""Stands in front of the real API server on a real socket, passes everything on, and misbehaves when told to.

    async with ApiProxy(load(kubeconfig)) as proxy:
        proxy.inject(Answer(429, headers={"Retry-After": "1"}), method="PATCH", path="/httproutes/")
        proxy.inject(LoseAnswer(), method="POST", path="/eviction")         # done, but the answer never arrives
        proxy.inject(Refuse(), times=None)                                  # until the injection is removed
        proxy.drop_watches()                                                # every watch breaks now
        proxy.stall_watches("/shop/pods$")                                  # of that kind, there: nothing comes through
        proxy.show_past("/shop/pods$")                                      # its lists are those of the beginning
        proxy.see("/shop/pods$")                                            # both are over
        proxy.kill_at(write=3, side=Side.Before, kill=process.kill)         # SIGKILL right before the third write
        client = Client(proxy.connection())   # or start the operator with KUBECONFIG=proxy.write_kubeconfig(path)
        ...
        assert [seen.method for seen in proxy.writes()] == ["PATCH"]

The client speaks plain HTTP with the proxy (or TLS, if a server context is given); a client's own bearer token is
passed on, otherwise the proxy's credentials are used. Exec, attach and port-forward are not supported.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from evenload.kube.client import hang_up
from evenload.kube.config import Connection

HOP_HEADERS = frozenset({"connection", "content-length", "host", "transfer-encoding", "accept-encoding", "keep-alive"})
_LISTS = re.compile(r"^/apis?/.*/namespaces/[^/]+/[^/]+$")
_NO_RIGHT = re.compile(rb"cannot \w+ resource")  # not what a quota or a policy refuses
READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Answer:
    """Answer like this; the API server never hears of the request."""

    status: int
    message: str = "injected"
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # None: a Status object of the three fields above


@dataclass(frozen=True)
class Refuse:
    """Cut the connection; the API server never hears of the request."""


@dataclass(frozen=True)
class LoseAnswer:
    """Pass the request on, let it be done, and cut the connection before the answer."""


@dataclass(frozen=True)
class Delay:
    """Wait, then pass the request on."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """Call back with the request before it is passed on, or after it was done and before it is answered."""

    before: Callable[[Seen], Awaitable[None]] | None = None
    after: Callable[[Seen], Awaitable[None]] | None = None


Fault = Answer | Refuse | LoseAnswer | Delay | Call


class Side(Enum):
    """Of a write: the API server has not heard of it, or has done it and not answered yet."""

    Before = "before"
    After = "after"


@dataclass
class Seen:
    """A request, and the status its answer had (None: there was none, or not yet)."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    status: int | None = None

    @property
    def is_write(self) -> bool:
        """A dry run is none: nothing is stored."""
        return self.method not in READS and "dryRun" not in self.query

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch", "") in ("1", "true")


@dataclass
class Injection:
    """A fault that waits for the requests it is meant for. `hits` counts them."""

    fault: Fault
    method: str | None
    path: re.Pattern[str]
    times: int | None
    after: int
    watches: bool | None
    hits: int = 0
    matched: int = 0

    def takes(self, seen: Seen) -> bool:
        """Whether this request is to suffer; counts it if so."""
        if not self._matches(seen):
            return False
        self.matched += 1
        if self.matched <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True

    def _matches(self, seen: Seen) -> bool:
        return (
            (self.method is None or seen.method == self.method)
            and (self.watches is None or seen.is_watch == self.watches)
            and bool(self.path.search(seen.path))
        )


class _Watch:
    """One open watch and what is to become of it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.ended = asyncio.Event()
        self.last_words = b""
        self.past: list[bytes] = []  # lines that were passed on
        self.coming: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()  # and when each may be
        """b"": the API server ended it."""


class _Cut(Exception):
    """The connection is to be cut."""


class ApiProxy:
    """See the module. Use as an async context manager."""

    def __init__(self, upstream: Connection, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[Seen] = []
        self.denied: list[Seen] = []  # by the API server itself, for want of a right
        self._upstream = upstream
        self._tls = tls
        self._bare_tls: ssl.SSLContext | None = None
        self._host = host
        self._port = 0
        self._injections: list[Injection] = []
        self._inspectors: list[Callable[[Seen], Awaitable[None]]] = []
        self._watches: set[_Watch] = set()
        self._stalled: set[str] = set()
        self._resumed = asyncio.Event()
        self._delays: dict[str, float] = {}
        self._past: set[str] = set()
        self._lossy: set[str] = set()
        self._first_lists: dict[str, bytes] = {}  # by path, query, and the form asked for

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=True)
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop_watches()
        await self._runner.cleanup()
        await self._session.close()

    # How to reach it

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    def connection(self) -> Connection:
        """For a Client of this process."""
        return Connection(self.url)

    def write_kubeconfig(self, path: Path, *, token: str = "") -> Path:
        """For another process, which signs in as whoever has that token, or else as the proxy; returns `path`."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "proxy", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        path.write_text(json.dumps(config))
        return path

    # What it saw

    def writes(self, *, leases: bool = False) -> list[Seen]:
        """The writes that were passed on or refused so far, in order; without those of leader election and Events."""
        return [seen for seen in self.requests if seen.is_write and (leases or not _is_chatter(seen))]

    def inspect(self, look: Callable[[Seen], Awaitable[None]]) -> None:
        """Have every request looked at before anything becomes of it, also before what was injected for it."""
        self._inspectors.append(look)

    # How it misbehaves

    def inject(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str = "",
        times: int | None = 1,
        after: int = 0,
        watches: bool | None = None,
    ) -> Injection:
        """Do `fault` to the next `times` requests (None: all) that match, leaving the first `after` in peace.

        `path` is a regular expression, searched for in the URL path. The oldest injection that takes a request wins.
        """
        injection = Injection(fault, method, re.compile(path), times, after, watches)
        self._injections.append(injection)
        return injection

    def remove(self, injection: Injection) -> None:
        self._injections.remove(injection)

    def kill_at(
        self,
        *,
        write: int = 1,
        side: Side,
        kill: Callable[[], object],
        matching: Callable[[Seen], bool] = lambda seen: True,
    ) -> Injection:
        """Call `kill` right before or right after write number `write`, and cut the connection.

        That is what a SIGKILL of the operator at that point looks like from here. Writes are numbered from 1, now
        on; those of leader election and Events do not count, nor those that are not `matching`.
        """

        async def end(seen: Seen) -> None:
            kill()
            raise _Cut

        call = Call(before=end) if side is Side.Before else Call(after=end)
        injection = _WriteInjection(call, None, re.compile(""), 1, write - 1, watches=None, matching=matching)
        self._injections.append(injection)
        return injection

    # Of watches and lists: `path` is a regular expression, searched for in the URL path, as everywhere.

    def drop_watches(self, path: str = "") -> None:
        """Cut the connections of all that are open now."""
        self._end_watches(b"", path)

    def expire_watches(self, code: int = 410, reason: str = "Expired", path: str = "") -> None:
        """End all that are open with an ERROR event, as the API server does when their resourceVersion is too old."""
        status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "injected"}
        self._end_watches(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n", path)

    def stall_watches(self, path: str = "") -> None:
        """Let nothing through (connections stay open), of new ones neither, until `resume_watches` or `see`."""
        self._stalled.add(path)

    def resume_watches(self, path: str = "") -> None:
        self._stalled.discard(path)
        self._resumed.set()
        self._resumed = asyncio.Event()

    def delay_watches(self, path: str, seconds: float) -> None:
        """Let everything through so much later, until `see`."""
        self._delays[path] = seconds

    def replay_watches(self, path: str) -> int:
        """Let the first half of what each has sent come again; how many lines that is."""
        again = [(watch, line) for watch in self._matching(path) for line in watch.past[: (len(watch.past) + 1) // 2]]
        for watch, line in again:
            watch.coming.put_nowait((0.0, line))
        return len(again)

    def lose_deletions(self, path: str) -> None:
        """Let no word of a deletion through, until `see`."""
        self._lossy.add(path)

    def show_past(self, path: str) -> None:
        """Have everything listed anew, and answer with what was listed first, until `see`."""
        self._past.add(path)
        self.expire_watches(path=path)

    def see(self, path: str) -> None:
        """The present is seen again."""
        self._delays.pop(path, None)
        self._past.discard(path)
        self._lossy.discard(path)
        self.resume_watches(path)
        self.drop_watches(path)

    @property
    def open_watches(self) -> int:
        return len(self._watches)

    def _matching(self, path: str) -> list[_Watch]:
        return [watch for watch in self._watches if re.search(path, watch.path)]

    def _end_watches(self, last_words: bytes, path: str) -> None:
        for watch in self._matching(path):
            watch.last_words = last_words
            watch.ended.set()

    # How it works

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path, dict(request.query), await request.read())
        try:
            for look in self._inspectors:  # before it can be seen: a test may answer it by changing the world
                await look(seen)
            self.requests.append(seen)
            return await self._suffer(request, seen)
        except (_Cut, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _suffer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        match next((each.fault for each in self._injections if each.takes(seen)), None):
            case Answer() as answer:
                return _answer(answer, seen)
            case Refuse():
                raise _Cut
            case LoseAnswer():
                await self._do(request, seen)
                raise _Cut
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Call(before, after):
                return await self._call(request, seen, before, after)
            case None:
                pass
        return await self._do(request, seen)

    async def _do(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        """Pass it on to the end, even if whoever asked goes away meanwhile; watches end with their client."""
        doing = self._pass_on(request, seen)
        return await (doing if seen.is_watch else asyncio.shield(doing))

    async def _call(
        self,
        request: web.Request,
        seen: Seen,
        before: Callable[[Seen], Awaitable[None]] | None,
        after: Callable[[Seen], Awaitable[None]] | None,
    ) -> web.StreamResponse:
        if before:
            await before(seen)
        response = await self._do(request, seen)
        if after:
            await after(seen)
        return response

    async def _pass_on(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_HEADERS}
        tls = self._upstream.tls
        if "Authorization" not in headers:
            headers |= self._upstream.headers()
        elif tls is not None:
            tls = self._without_certificate(tls)
        async with self._session.request(
            request.method,
            self._upstream.url + request.path_qs,
            data=seen.body or None,
            headers=headers,
            ssl=tls or True,
            timeout=aiohttp.ClientTimeout(total=None if seen.is_watch else 60),
        ) as answer:
            seen.status = answer.status
            if seen.is_watch and answer.status == 200:
                return await self._stream(request, answer)
            body = await answer.read()
            if answer.status == 401 or (answer.status == 403 and _NO_RIGHT.search(body)):
                self.denied.append(seen)
            if seen.method == "GET" and answer.status == 200 and _LISTS.match(request.path):
                body = self._listed(request, body)
            return web.Response(status=answer.status, body=body, headers=_end_to_end(answer.headers))

    def _without_certificate(self, tls: ssl.SSLContext) -> ssl.SSLContext:
        """The same authorities, and not our certificate: the API server believes that one before any token."""
        if self._bare_tls is None:
            authorities = "".join(map(ssl.DER_cert_to_PEM_cert, tls.get_ca_certs(binary_form=True)))
            self._bare_tls = ssl.create_default_context(cadata=authorities)
        return self._bare_tls

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
        await response.prepare(request)
        watch = _Watch(request.path)
        self._watches.add(watch)
        try:
            if await self._pump_until(watch, answer.content, response):
                return response
            if not watch.last_words:
                raise _Cut
            await response.write(watch.last_words)
        finally:
            hang_up(answer)
            self._watches.discard(watch)
        return response

    async def _pump_until(self, watch: _Watch, events: aiohttp.StreamReader, response: web.StreamResponse) -> bool:
        """Pass events on; False if that was cut short, True if the API server ended the watch itself."""
        take = asyncio.ensure_future(self._take(watch, events))
        give = asyncio.ensure_future(self._give(watch, response))
        stop = asyncio.ensure_future(watch.ended.wait())
        try:
            await asyncio.wait((give, stop), return_when=asyncio.FIRST_COMPLETED)
            return give.done()
        finally:
            for task in (take, give, stop):
                task.cancel()
            await asyncio.gather(take, give, stop, return_exceptions=True)

    async def _take(self, watch: _Watch, events: aiohttp.StreamReader) -> None:
        rest = b""
        try:
            async for chunk in events.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                due = time.monotonic() + self._delay_of(watch.path)
                lossy = any(re.search(each, watch.path) for each in self._lossy)
                for line in (line for line in lines if not (lossy and line.startswith(b'{"type":"DELETED"'))):
                    watch.coming.put_nowait((due, line + b"\n"))
        finally:
            watch.coming.put_nowait((0.0, b""))

    async def _give(self, watch: _Watch, response: web.StreamResponse) -> None:
        while True:
            due, line = await watch.coming.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while any(re.search(each, watch.path) for each in self._stalled):
                await self._resumed.wait()
            if not line:
                return
            watch.past.append(line)
            await response.write(line)

    def _delay_of(self, path: str) -> float:
        return max((seconds for each, seconds in self._delays.items() if re.search(each, path)), default=0.0)

    def _listed(self, request: web.Request, body: bytes) -> bytes:
        """The answer to a list: what it is, or was at first."""
        first = self._first_lists.setdefault(f"{request.path_qs} {request.headers.get('Accept')}", body)
        return first if any(re.search(each, request.path) for each in self._past) else body


@dataclass
class _WriteInjection(Injection):
    matching: Callable[[Seen], bool] = lambda seen: True

    def _matches(self, seen: Seen) -> bool:
        return seen.is_write and not _is_chatter(seen) and self.matching(seen)


def _is_chatter(seen: Seen) -> bool:
    """Writes that go on by themselves, or that nothing depends on."""
    return "/leases" in seen.path or "/events" in seen.path


def _answer(answer: Answer, seen: Seen) -> web.Response:
    seen.status = answer.status
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": answer.status}
    body = json.dumps(status | {"message": answer.message, "reason": answer.reason}).encode()
    return web.Response(
        status=answer.status,
        body=body if answer.body is None else answer.body,
        headers={"Content-Type": "application/json", **answer.headers},
    )


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    dropped = HOP_HEADERS | {"content-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in dropped}
