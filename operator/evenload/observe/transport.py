"""Requests that end: by an absolute deadline from the look-up of the name to the last byte, and within a size.

A socket's own timeout is between two bytes. A server that sends a byte now and then (of its TLS handshake, its status
lines, its headers, its body) would hold a thread for ever. So each request is an Exchange that holds a second handle of
the socket it uses; when its time is over, or its session is closed by another thread, the socket is shut down, and
whatever waits for it returns at once. A handle of its own, because a file descriptor that somebody else closed may be
another file by then.

One daemon thread watches the deadlines of the whole process. A `threading.Timer` for each request would cost a thread
each, and could not be started just when threads are short.

Looking up a name cannot be interrupted, so it runs in a daemon thread, one for all that want the same name.

The size is counted where bytes are taken from the socket, so that headers, chunk sizes and trailers count too, and
again after decompression. Only gzip is unpacked, in pieces of bounded size. Answers under way have a Room together.

`requests.Session.send` is not used: it would follow redirects (reading their bodies without a limit) and keep cookies.
"""

from __future__ import annotations

import heapq
import io
import itertools
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import Any, Final, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from evenload.errors import SignalsUnavailable
from evenload.observe.access import Access
from evenload.observe.room import Room, Share

CHUNK_BYTES: Final = 256 * 1024
HEAD_BYTES: Final = 64 * 1024  # what an answer may need beside its body
COMPLAINT_BYTES: Final = 4096  # of an answer that is an error
LOOKUPS_AT_ONCE: Final = 64

Body = bytes | bytearray


class Limits(NamedTuple):
    """What one answer may be. `rows` of None: as many as fit."""

    nbytes: int
    rows: int | None = None
    tenant: bool = False  # whether a tenant decided what is asked, or whom
    advice: str = ""  # what to do about an answer that is larger; begins a clause

    @property
    def text(self) -> str:
        return f"{self.nbytes / 2**20:.3g} MiB"

    @property
    def room(self) -> Room:
        """Where the answer is held. Tenants have one of their own, so that they take none from what all ask."""
        return _ROOMS[self.tenant]


_ROOMS: Final = {False: Room(), True: Room()}


class Late(SignalsUnavailable):
    """The deadline of a request is over."""


class Closed(SignalsUnavailable):
    """The session was closed by another thread."""


class Exchange:
    """One request under way. `end` may be called by any thread."""

    def __init__(self, seconds: float, limits: Limits, share: Share) -> None:
        self.limits = limits
        self._share = share
        self._patience_seconds = seconds / 2  # then what it waited for is worth reporting before time is over
        self.ends_at = time.monotonic() + seconds
        self.over: Future[SignalsUnavailable] = Future()  # done when ended from outside, with the reason
        self.over.add_done_callback(lambda _: share.room.wake())
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self._received = 0

    @property
    def left_seconds(self) -> float:
        return max(0.001, self.ends_at - time.monotonic())

    def check(self) -> None:
        """Raises Late or Closed if it was ended."""
        if self.over.done():
            raise self.over.result()

    def hold(self, sock: socket.socket) -> None:
        """Remember the socket that the request uses from now on. Raises Late or Closed."""
        with self._lock:
            self.check()
            # dup() of a TLS socket is refused, and a plain handle is what we want: shutting down is below TLS.
            self._handles.append(socket.fromfd(sock.fileno(), sock.family, sock.type, sock.proto))

    def end(self, reason: SignalsUnavailable) -> None:
        """Have the request fail with this reason, at once."""
        with self._lock:
            if self.over.done():
                return
            self.over.set_result(reason)
            for handle in self._handles:
                with suppress(OSError):  # not connected yet, or not any more
                    handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """The request is over: its connection may serve another."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    def keep(self, nbytes: int) -> None:
        """Have room for so much more of the answer, waiting for it. Raises Full, Late or Closed."""
        self._share.room.take(self._share, nbytes, self.over.done, self._patience_seconds)
        self.check()

    def received(self, nbytes: int) -> None:
        """Count what came from the socket. Raises SignalsUnavailable."""
        self._received += nbytes
        if self._received > self.limits.nbytes + HEAD_BYTES:
            raise too_large(self.limits)


def too_large(limits: Limits) -> SignalsUnavailable:
    return SignalsUnavailable(f"gave an answer of more than {limits.text}{limits.advice}")


class _Watchdog:
    """Ends Exchanges when their time is over."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Exchange]] = []
        self._number = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, exchange: Exchange) -> None:
        """Raises RuntimeError if its thread cannot be started."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread
            heapq.heappush(self._due, (exchange.ends_at, next(self._number), exchange))
            if self._due[0][2] is exchange:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().end(Late("took too long to answer"))

    def _next(self) -> Exchange:
        """The next Exchange whose time is over; those that have ended are let through too, and `end` is harmless."""
        with self._changed:
            while True:
                pause = self._due[0][0] - time.monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(pause)


_watchdog = _Watchdog()


class _Lookups:
    """Addresses of names, each looked up by one thread for all that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Future[list[Any]]] = {}

    def addresses(self, host: str, port: int, exchange: Exchange) -> list[Any]:
        """As getaddrinfo gives them. Raises OSError, or Late or Closed if the Exchange ends first."""
        found = self._started(host, port, exchange)
        either: tuple[Future[Any], ...] = (found, exchange.over)
        wait(either, exchange.left_seconds, FIRST_COMPLETED)
        exchange.check()
        if not found.done():
            raise Late("took too long to answer")
        return found.result()

    def _started(self, host: str, port: int, exchange: Exchange) -> Future[list[Any]]:
        with self._lock:
            found = self._under_way.get((host, port))
            if found is not None:
                return found
            if exchange.limits.tenant and len(self._under_way) >= LOOKUPS_AT_ONCE:
                raise SignalsUnavailable("was not asked: too many names are being looked up; try again later")
            found = self._under_way[host, port] = Future()
            try:
                threading.Thread(target=self._look_up, args=(host, port, found), name="lookup", daemon=True).start()
            except BaseException:
                del self._under_way[host, port]
                raise
            return found

    def _look_up(self, host: str, port: int, found: Future[list[Any]]) -> None:
        try:
            result = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except BaseException as error:  # for those that wait
            found.set_exception(error)
        else:
            found.set_result(result)
        finally:
            with self._lock:
                self._under_way.pop((host, port), None)


_lookups = _Lookups()
_this_thread = threading.local()


def _current() -> Exchange:
    exchange: Exchange = _this_thread.exchange
    return exchange


class _Counted(io.RawIOBase):
    """The bytes of a socket, counted."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._exchange = _current()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        nbytes: int | None = self._raw.readinto(buffer)
        self._exchange.received(nbytes or 0)
        return nbytes

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Tap:
    """As much of a socket as HTTPResponse takes: a file to read."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Counted(self._sock.makefile("rb", buffering=0)))


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(_Tap(sock), *arguments, **options)  # type: ignore[arg-type]


class _Held:
    """Of a connection: its socket belongs to the Exchange of the thread that uses it."""

    response_class: Any = _Response

    def _new_conn(self: Any) -> socket.socket:
        try:
            return _connected(_current(), self._dns_host.strip("[]"), self.port, self.timeout, self.socket_options)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

    def request(self: Any, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:  # kept alive since an earlier request
            _current().hold(self.sock)
        super().request(*arguments, **options)  # type: ignore[misc]


def _connected(exchange: Exchange, host: str, port: int, seconds: float, options: Any) -> socket.socket:
    """The first of the name's addresses that takes a connection. Raises OSError, Late or Closed."""
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _lookups.addresses(host, port, exchange):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(min(seconds, exchange.left_seconds))
            exchange.hold(sock)
            sock.connect(address)
            exchange.check()  # a socket that was shut down while it connected looks like a connected one
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        exchange.check()
    raise failure


class _Http(_Held, HTTPConnection):
    pass


class _Https(_Held, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


NO_ACCESS: Final = Access()
"""Nothing to sign in with, and the usual certificates: read once for all, in 50 ms of CPU."""


class _Adapter(HTTPAdapter):
    """Connections of our kind; answers without the cookies that the usual adapter collects."""

    def __init__(self, access: Access, **options: Any) -> None:
        self._access = access
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, tls | ({"ssl_context": self._access.tls()} if host["scheme"] == "https" and verify is True else {})

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if verify is not True:  # else the context above does
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        return response


class Session(requests.Session):
    """What PrometheusConnect asks through. Parameters go into the body; the answer is left unread by it: `Answer`.

    A request is made inside `exchange`. `close` may be called by any thread, and ends what is under way at once.
    """

    def __init__(self, deadline_seconds: float, access: Access | None, *, connections: int = 10) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Accept-Encoding"] = "gzip"
        self._deadline_seconds = deadline_seconds
        self._access = access or NO_ACCESS
        self._adapter = _Adapter(self._access, pool_connections=1, pool_maxsize=connections)
        self._lock = threading.Lock()
        self._under_way: set[Exchange] = set()
        self._closed = False

    def get_adapter(self, url: Any) -> Any:
        return self._adapter

    @contextmanager
    def exchange(self, limits: Limits, share: Share) -> Iterator[Exchange]:
        """The requests of this thread until it ends are one Exchange; `share` holds its answer. Raises Closed."""
        exchange = Exchange(self._deadline_seconds, limits, share)
        with self._lock:
            if self._closed:
                raise Closed("was not asked: the reader is closed")
            self._under_way.add(exchange)
        _this_thread.exchange = exchange
        try:
            _watchdog.watch(exchange)
            yield exchange
        finally:
            del _this_thread.exchange
            exchange.release()
            with self._lock:
                self._under_way.discard(exchange)

    def request(self, method: Any, url: Any, params: Any = None, **options: Any) -> Any:  # type: ignore[override]
        headers = self._access.headers()
        fields = {"data" if method == "POST" else "params": params}
        prepared = self.prepare_request(requests.Request(method, url, headers=headers, **fields))
        chosen = {name: options[name] for name in ("timeout", "verify", "cert")}
        with self._adapter.send(prepared, stream=True, **chosen) as response:
            if response.status_code != 200:
                raise HttpStatus(response.status_code, _beginning(response))
            return Answer(_whole(response, _current()))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            under_way = tuple(self._under_way)
        for exchange in under_way:
            exchange.end(Closed("was not asked to the end: the reader is closed"))
        self._adapter.close()
        super().close()


class HttpStatus(SignalsUnavailable):
    """An answer that is an error; `body` is the beginning of what it says, which may be anything."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"answered {status}")
        self.body = body


def _beginning(response: requests.Response) -> bytes:
    """Of a body: the status is worth reporting even where nothing more can be read."""
    try:
        return next(_pieces(response, COMPLAINT_BYTES), b"")
    except Exception:
        return b""


class Answer:
    """As much of a response as PrometheusConnect looks at. Its "result" is the whole body, parsed later."""

    status_code: Final = 200

    def __init__(self, body: Body) -> None:
        self.content = body

    def json(self) -> dict[str, dict[str, tuple[Body]]]:
        return {"data": {"result": (self.content,)}}


def _whole(response: requests.Response, exchange: Exchange) -> bytearray:
    """Raises SignalsUnavailable. Never holds more than the limit and one piece."""
    body = bytearray()
    for piece in _pieces(response, CHUNK_BYTES):
        if len(body) + len(piece) > exchange.limits.nbytes:
            raise too_large(exchange.limits)
        exchange.keep(len(piece))
        body += piece
    return body


def _pieces(response: requests.Response, most: int) -> Iterator[bytes]:
    """The body, unpacked, in pieces of at most `most` bytes."""
    wire = response.raw.stream(most, decode_content=False)
    match response.headers.get("Content-Encoding", "").strip().lower():
        case "" | "identity":
            yield from wire
        case "gzip" | "x-gzip":
            yield from _unzipped(wire, most)
        case _:
            raise SignalsUnavailable("answered in an encoding that was not asked for")


def _unzipped(wire: Iterator[bytes], most: int) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for data in wire:
            while data:
                if unpacking.eof:
                    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)  # gzip may be several in a row
                yield unpacking.decompress(data, most)
                data = unpacking.unconsumed_tail or unpacking.unused_data
    except zlib.error as error:
        raise SignalsUnavailable("answered with gzip that cannot be unpacked") from error
    if not unpacking.eof:
        raise SignalsUnavailable("answered with gzip that ends too early")
