"""A server on a real socket that may do whatever it likes with it: for answers that no HTTP library would give.

with RawServer(lambda sock, request: sock.sendall(b"HTTP/1.1 200 OK\\r\\nX: ")) as server:
    ... ask server.url ...
    assert server.requests[0].startswith(b"POST /api/v1/query")
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Handler = Callable[[socket.socket, bytes], None]
"""Given the connection and one request (headers and body). The connection stays open until one of both closes it."""

EMPTY = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


class RawServer:
    """See the module."""

    def __init__(
        self,
        handler: Handler,
        *,
        before: Callable[[socket.socket], None] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`before`: what to do with a new connection before a request is read."""
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        """For handlers that go on for ever: set when the test is over."""
        self._handler = handler
        self._before = before
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        with self._lock:
            for sock in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with self._lock:
                    if self.ended.is_set():
                        sock.close()
                        return
                    self.connections += 1
                    self._open.append(sock)
                self._begin(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            if self._before is not None:
                self._before(sock)
            if self._tls is not None:
                sock = stack.enter_context(self._tls.wrap_socket(sock, server_side=True))
                self._open.append(sock)
            while request := _request(sock):
                self.requests.append(request)
                self._handler(sock, request)


def _request(sock: socket.socket) -> bytes:
    """The next request; b"" if there is none, or not all of it."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := sock.recv(65536)):
            return b""
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        if not (more := sock.recv(65536)):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def reply(body: bytes = EMPTY, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(body: bytes = EMPTY, status: str = "200 OK", *headers: str) -> Handler:
    """The same answer to everything."""
    whole = reply(body, status, *headers)
    return lambda sock, request: sock.sendall(whole)
