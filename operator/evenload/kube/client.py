"""The API server's verbs, without a model of its kinds: JSON in, JSON out, and honest errors.

What it refuses to do: retry. A read that failed raises Unavailable; a write whose answer was lost raises Unknown,
because whoever asked knows best how to find out whether it landed. aiohttp's own habit of sending a PUT or DELETE
again when a kept-alive connection breaks is switched off for the same reason.

Connections are bounded, and every request has a deadline. Watches have their own connections: there is one a
reflector, and they must not starve the requests.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from evenload.errors import Conflict, DisruptionRefused, Gone, KubeError, NotFound, Refused, Unavailable, Unknown
from evenload.kube.config import Connection
from evenload.kube.resources import PODS, Manifest, Resource

T = TypeVar("T")

FIELD_MANAGER: Final = "evenload"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
METADATA_PAGE: Final = 500
REQUEST_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
MAX_CONNECTIONS: Final = 16

Observer = Callable[[str, str, float], None]
"""Told (verb, code, seconds) of every finished request; code is the HTTP status, "lost" or "unreachable"."""


class _AnswerLost(Exception):
    """The connection broke while a write was under way. No kin of aiohttp's errors, or aiohttp would send it again."""


_LOST = (_AnswerLost, aiohttp.ClientError, OSError)
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_WRITES = frozenset({"create", "replace", "patch", "apply", "delete", "evict"})
_ANOTHER_POD = re.compile(r"\bUID in (the )?precondition")
_JSON_PATCH_FAILED = "the server rejected our request due to an error in our request"


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct, rename="camel"):
    causes: tuple[_Cause, ...] = ()
    retry_after_seconds: float | None = None


class Status(msgspec.Struct):
    """The API server's own account of a failure (meta/v1 Status), as far as we read it."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None

    def cause(self, reason: str) -> str | None:
        """The message of the cause with that reason, if there is one."""
        causes = self.details.causes if self.details else ()
        return next((cause.message for cause in causes if cause.reason == reason), None)


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    cont: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct):
    """One page of a list: undecoded items, for the caller to decode to what it needs."""

    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    verb: str
    method: str
    path: str
    query: dict[str, str] = {}
    body: object = None
    content_type: str = "application/json"
    accept: str = "application/json"

    @property
    def writes(self) -> bool:
        return self.verb in _WRITES

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class Client:
    """Make it inside a running event loop, and close it (or use `async with`)."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout_seconds: float = REQUEST_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
        observer: Observer | None = None,
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        self.connection = connection
        self._timeout_seconds = timeout_seconds
        self._observe = observer or _ignore
        self._field_manager = field_manager
        self._requests = _session(max_connections)
        self._watches = _session(0)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._requests.close()
        await self._watches.close()

    # Reads: they raise Unavailable, NotFound, Gone or Refused.

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, timeout: float | None = None
    ) -> Manifest:
        request = _Request(verb="get", method="GET", path=resource.path(namespace, name))
        return await self._send(request, timeout, Manifest)

    async def list(
        self, resource: Resource, namespace: str | None = None, selector: str | None = None
    ) -> tuple[list[Manifest], str]:
        """All objects, read in pages, and the resourceVersion of the list."""
        items: list[Manifest] = []
        version = ""
        async for page in self.pages(resource, namespace, selector):
            items += [msgspec.json.decode(item, type=Manifest) for item in page.items or ()]
            version = page.metadata.resource_version
        return items, version

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str | None = None,
        *,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """The list page by page. Raises Gone when the rest of the list has expired: start again.

        `metadata_only`: the API server leaves out everything but apiVersion, kind and metadata.
        """
        limit, accept = (METADATA_PAGE, METADATA_ONLY) if metadata_only else (resource.page, "application/json")
        query = {"limit": str(limit)} | ({"labelSelector": selector} if selector else {})
        while True:
            request = _Request(verb="list", method="GET", path=resource.path(namespace), query=query, accept=accept)
            page = await self._send(request, 3 * self._timeout_seconds, Page)
            yield page
            if not page.metadata.cont:
                return
            query = query | {"continue": page.metadata.cont}

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        *,
        selector: str | None = None,
        server_seconds: float = 290.0,
        silence_seconds: float = 70.0,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:
        """The watch's events as lines of JSON, until the server ends it (after `server_seconds`). Close it (`aclosing`)
        when leaving early, or its connection stays until the garbage collector comes by.

        `opened` is called once the server has agreed. Raises Gone (list again), or Unavailable: also when nothing,
        not even a bookmark, came for `silence_seconds`.
        """
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query |= {"timeoutSeconds": str(max(1, round(server_seconds)))} | (
            {"labelSelector": selector} if selector else {}
        )
        request = _Request(verb="watch", method="GET", path=resource.path(namespace), query=query)
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=silence_seconds)
        try:
            async with self._open(self._watches, request, timeout) as response:
                self._observe("watch", str(response.status), 0.0)
                if response.status != 200:
                    raise self._failure(request, response, await response.read())
                opened()
                try:
                    async with aclosing(_lines(response.content)) as lines:
                        async for line in lines:
                            yield line
                finally:
                    hang_up(response)
        except (*_NEVER_SENT, *_LOST) as error:
            raise Unavailable(f"{request}: the watch broke ({_reason(error)})") from error

    # Writes: they may raise Unknown, too.

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, object]) -> Manifest:
        """Raises Conflict if the object exists already."""
        return await self._write("create", "POST", resource.path(namespace), body)

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, object],
        *,
        subresource: str | None = None,
        timeout: float | None = None,
    ) -> Manifest:
        """PUT. Raises Conflict if `body` carries a resourceVersion that is no longer the newest."""
        path = resource.path(namespace, name, subresource)
        return await self._write("replace", "PUT", path, body, timeout=timeout)

    async def patch_json(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Mapping[str, object]],
        *,
        subresource: str | None = None,
    ) -> Manifest:
        """RFC 6902. Raises Conflict if a `test` fails, or a path is not there any more."""
        path = resource.path(namespace, name, subresource)
        return await self._write("patch", "PATCH", path, operations, "application/json-patch+json")

    async def patch_merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, object],
        *,
        subresource: str | None = None,
    ) -> Manifest:
        """RFC 7386. Raises Conflict if `body` carries a resourceVersion that is no longer the newest."""
        path = resource.path(namespace, name, subresource)
        return await self._write("patch", "PATCH", path, body, "application/merge-patch+json")

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, object],
        *,
        force: bool = False,
        subresource: str | None = None,
    ) -> Manifest:
        """Server-side apply. Raises Conflict if another manager owns a field and `force` is not given."""
        path = resource.path(namespace, name, subresource)
        query = {"force": "true"} if force else {}
        return await self._write("apply", "PATCH", path, body, "application/apply-patch+yaml", query=query)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete, in the background; with `uid`, only that very object (else Conflict)."""
        body: Manifest = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        await self._write("delete", "DELETE", resource.path(namespace, name), body)

    async def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> None:
        """Ask for this very pod to be evicted; with `dry_run`, whether it might be: nothing is done then.

        Raises DisruptionRefused (a PodDisruptionBudget says no for now), NotFound (it is gone, or the pod of that name
        is another one by now).
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        # The API server itself tries for 10 s before it says that the UID is another one.
        await self._write(
            "evict",
            "POST",
            PODS.path(namespace, pod, "eviction"),
            body,
            query={"dryRun": "All"} if dry_run else None,
            timeout=2 * self._timeout_seconds,
        )

    async def _write(
        self,
        verb: str,
        method: str,
        path: str,
        body: object,
        content_type: str = "application/json",
        *,
        query: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> Manifest:
        manager = {} if method == "DELETE" else {"fieldManager": self._field_manager}
        request = _Request(
            verb=verb, method=method, path=path, query=manager | (query or {}), body=body, content_type=content_type
        )
        return await self._send(request, timeout, Manifest)

    async def _send(self, request: _Request, timeout: float | None, kind: type[T]) -> T:
        started = time.monotonic()
        code = "lost"
        try:
            async with self._open(self._requests, request, self._limits(timeout)) as response:
                body = await response.read()
                code = str(response.status)
        except _NEVER_SENT as error:
            code = "unreachable"
            raise Unavailable(f"{request}: the API server cannot be reached ({_reason(error)})") from error
        except _LOST as error:
            raise _lost(request, error) from error
        finally:
            self._observe(request.verb, code, time.monotonic() - started)
        if response.status >= 300:
            raise self._failure(request, response, body)
        return _decode(request, body, kind)

    def _failure(self, request: _Request, response: aiohttp.ClientResponse, body: bytes) -> KubeError:
        return failure(request, response.status, body, response.headers, said=self.connection.unsigned)

    def _address(self, request: _Request) -> URL:
        """The path is quoted already: aiohttp would decode and resolve parts of it again."""
        try:
            server = URL(self.connection.url)
        except ValueError as error:
            raise aiohttp.InvalidURL(self.connection.url) from error
        return server.with_path(server.raw_path.rstrip("/") + request.path, encoded=True)

    def _limits(self, timeout: float | None) -> aiohttp.ClientTimeout:
        total = timeout or self._timeout_seconds
        return aiohttp.ClientTimeout(total=total, connect=min(CONNECT_SECONDS, 0.9 * total))

    def _open(
        self, session: aiohttp.ClientSession, request: _Request, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        headers = self.connection.headers() | {"Accept": request.accept}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        return session.request(
            request.method,
            self._address(request),
            params=request.query,
            headers=headers,
            data=None if request.body is None else msgspec.json.encode(request.body),
            timeout=timeout,
            ssl=self.connection.tls or True,
            server_hostname=self.connection.server_name,
            proxy=self.connection.proxy,
            allow_redirects=False,
            middlewares=(_never_resend,) if request.writes else (),
        )


async def _never_resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except _NEVER_SENT:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _AnswerLost(str(error)) from error


def _session(connections: int) -> aiohttp.ClientSession:
    # No proxies or .netrc from the environment: credentials go to the API server alone.
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


async def _lines(stream: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    # Not `async for line in stream`: that gives up on lines beyond 128 KiB, and objects may have 1.5 MB.
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def hang_up(response: aiohttp.ClientResponse) -> None:
    """End a stream at once. Without it the connection lingers in TLS's long goodbye, for up to half a minute."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


def failure(
    request: object, code: int, body: bytes, headers: Mapping[str, str], *, said: Callable[[str], str] = str
) -> KubeError:
    """The exception for an answer that is not a success. `said`: what may be repeated of a text in it."""
    status = _status(body, code, said)
    message = f"{request}: {code} {status.message or status.reason}".rstrip()
    verb = request.verb if isinstance(request, _Request) else ""
    if code == 429:
        return _too_many(message, status, headers)
    if code >= 500:
        return _server_error(message, verb, code, status, headers)
    return _kind(verb, code, status)(message, status=code)


def _kind(verb: str, code: int, status: Status) -> type[KubeError]:
    if code == 404 or (verb == "evict" and code == 409 and _ANOTHER_POD.search(status.message)):
        return NotFound
    if code == 409 or (verb == "patch" and code == 422 and status.message.startswith(_JSON_PATCH_FAILED)):
        return Conflict
    return Gone if code == 410 else Refused


def _too_many(message: str, status: Status, headers: Mapping[str, str]) -> KubeError:
    retry_after = _retry_after(status, headers)
    budget = status.cause("DisruptionBudget")
    if budget is None:
        return Unavailable(message, status=429, retry_after_seconds=retry_after)
    # Which budget, and how many pods it needs, stands only there.
    return DisruptionRefused(f"{message} {budget}", status=429, retry_after_seconds=retry_after)


def _server_error(message: str, verb: str, code: int, status: Status, headers: Mapping[str, str]) -> KubeError:
    if verb == "evict" and "more than one PodDisruptionBudget" in status.message:
        return Refused(message, status=code)
    # A write that failed in the server (etcd timing out, say) may have landed all the same.
    kind = Unknown if verb in _WRITES else Unavailable
    return kind(message, status=code, retry_after_seconds=_retry_after(status, headers))


def _retry_after(status: Status, headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    return status.details.retry_after_seconds if status.details else None


def _status(body: bytes, code: int, said: Callable[[str], str]) -> Status:
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(message=said(body.decode(errors="replace"))[:200].strip(), code=code)
    return msgspec.structs.replace(status, message=said(status.message), reason=said(status.reason))


def _lost(request: _Request, error: BaseException) -> KubeError:
    if request.writes:
        return Unknown(f"{request}: no usable answer came, it may have been done ({_reason(error)})")
    return Unavailable(f"{request}: no usable answer came ({_reason(error)})")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _decode(request: _Request, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise _lost(request, error) from error


def _ignore(verb: str, code: str, seconds: float) -> None:
    pass
