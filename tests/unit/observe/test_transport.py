"""Servers that do not play by the rules: every request ends on time, within its size, and at once when closed."""

from __future__ import annotations

import gc
import gzip
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evenload.errors import SignalsUnavailable
from evenload.observe import transport
from evenload.observe.access import Access
from evenload.observe.prometheus import Prometheus
from evenload.observe.room import ROOM_BYTES, Room
from evenload.observe.transport import Limits
from tests.support.rawserver import EMPTY, Handler, RawServer, answering, reply
from tests.support.wait import PATIENCE_SECONDS

DEADLINE_SECONDS = 0.4  # where none comes in time
LATEST_SECONDS = 30.0  # of a busy machine; who does not keep to the deadline goes on for minutes
SMALL = Limits(100_000, 100)


def ask(url: str, limits: Limits = SMALL, *, seconds: float = PATIENCE_SECONDS, **options: Any) -> bytes:
    """`options` are those of Prometheus."""
    prometheus = Prometheus(url, deadline_seconds=seconds, **options)
    try:
        return prometheus.now("up", bytes, limits)
    finally:
        prometheus.close()


def problem(url: str, limits: Limits = SMALL, **options: Any) -> str:
    with pytest.raises(SignalsUnavailable) as caught:
        ask(url, limits, **options)
    return str(caught.value)


def drip(first: bytes, again: bytes) -> Handler:
    """`first`, and then `again` every few milliseconds: no timeout between two bytes ever comes."""

    def handle(sock: socket.socket, request: bytes) -> None:
        sock.sendall(first)
        while True:
            sock.sendall(again)
            time.sleep(0.02)  # the server's own pace

    return handle


def silent(sock: socket.socket, request: bytes) -> None:
    """Say nothing until the caller has gone."""
    sock.recv(1)


DRIPS: dict[str, Handler] = {
    "status line": drip(b"HTTP/1.1 2", b"0"),
    "header": drip(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"),
    "endless 100 Continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless 103": drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body by length": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b" "),
    "body until it closes": drip(b"HTTP/1.0 200 OK\r\n\r\n", b" "),
    "chunk size": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailer": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: a\r\n"),
    "gzip": drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 90000\r\n\r\n\x1f\x8b\x08", b"\0"),
    "nothing": silent,
}


class TestDeadline:
    @pytest.mark.parametrize("kind", DRIPS)
    def test_a_server_that_goes_on_for_ever_is_given_up_at_the_deadline(self, kind: str) -> None:
        with RawServer(DRIPS[kind]) as server:
            started = time.monotonic()
            said = problem(server.url, seconds=DEADLINE_SECONDS)
            assert time.monotonic() - started < LATEST_SECONDS
        if kind not in {"endless 103", "headers"}:  # urllib3 may have a reason of its own before
            assert said == f"Prometheus at {server.url} took too long to answer"

    def test_an_answer_cut_off_at_the_deadline_is_not_taken_for_a_whole_one(self) -> None:
        with RawServer(drip(b"HTTP/1.0 200 OK\r\n\r\n" + EMPTY, b" ")) as server:
            assert "took too long" in problem(server.url, seconds=DEADLINE_SECONDS)

    def test_a_tls_handshake_that_never_ends_is_given_up(self) -> None:
        def stall(sock: socket.socket) -> None:
            sock.recv(65536)
            sock.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB is announced
            while True:
                sock.sendall(b"\0")
                time.sleep(0.02)  # the server's own pace

        with RawServer(answering(), before=stall) as server:
            started = time.monotonic()
            assert "took too long" in problem(server.url.replace("http:", "https:"), seconds=DEADLINE_SECONDS)
            assert time.monotonic() - started < LATEST_SECONDS

    def test_a_connection_that_is_used_again_has_a_deadline_too(self) -> None:
        answers = iter([reply(), b"HTTP/1.1 200 OK\r\nX: "])

        def handle(sock: socket.socket, request: bytes) -> None:
            sock.sendall(next(answers))
            while len(server.requests) > 1:
                sock.sendall(b"a")
                time.sleep(0.02)  # the server's own pace

        with RawServer(handle) as server:
            prometheus = Prometheus(server.url, deadline_seconds=3.0)
            assert prometheus.now("up", bytes) == EMPTY
            with pytest.raises(SignalsUnavailable, match="took too long"):
                prometheus.now("up", bytes)
            assert server.connections == 1
            prometheus.close()

    def test_a_name_that_is_looked_up_for_ever_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: ended.wait(120) and [])
        started = time.monotonic()
        assert "took too long" in problem("http://slow.example", seconds=DEADLINE_SECONDS)
        assert time.monotonic() - started < LATEST_SECONDS
        ended.set()

    def test_many_addresses_that_do_not_answer_share_one_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        taken = [socket.socket() for _ in range(4)]
        for sock in taken:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: [found] * 500)
        started = time.monotonic()
        problem("http://many.example", seconds=DEADLINE_SECONDS)
        assert time.monotonic() - started < LATEST_SECONDS
        for sock in (full, *taken):
            sock.close()

    def test_the_query_timeout_is_sent_along(self) -> None:
        with RawServer(answering()) as server:
            ask(server.url, seconds=2.5)
            assert b"timeout=2500ms" in server.requests[0]


class TestClosing:
    @pytest.mark.parametrize("kind", DRIPS)
    def test_what_is_under_way_fails_at_once(self, kind: str) -> None:
        said: list[str] = []
        with RawServer(DRIPS[kind]) as server:
            prometheus = Prometheus(server.url, deadline_seconds=120.0)

            def wait() -> None:
                try:
                    prometheus.now("up", bytes, Limits(1 << 30))
                except SignalsUnavailable as error:
                    said.append(str(error))

            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            while not server.requests:
                assert thread.is_alive()
                thread.join(0.01)
            started = time.monotonic()
            prometheus.close()
            thread.join(PATIENCE_SECONDS)
            assert time.monotonic() - started < LATEST_SECONDS
        assert said
        assert "closed" in said[0] or kind in {"endless 103", "headers"}

    def test_a_name_that_is_being_looked_up_does_not_hold_it_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, ended = threading.Event(), threading.Event()

        def look_up(*arguments: object) -> list[object]:
            asked.set()
            ended.wait(120)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        prometheus = Prometheus("http://slower.example", deadline_seconds=120.0)
        said: list[BaseException] = []

        def wait() -> None:
            try:
                prometheus.now("up", bytes)
            except SignalsUnavailable as error:
                said.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert asked.wait(PATIENCE_SECONDS)
        prometheus.close()
        thread.join(LATEST_SECONDS)
        assert "closed" in str(said[0])
        ended.set()

    def test_it_answers_no_question_any_more(self) -> None:
        with RawServer(answering()) as server:
            prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)
            prometheus.close()
            with pytest.raises(SignalsUnavailable, match="closed"):
                prometheus.now("up", bytes)
            assert not server.requests

    @pytest.mark.parametrize("kind", ["header", "body by length", "nothing"])
    def test_the_process_ends_while_a_server_goes_on(self, kind: str) -> None:
        program = """
            import asyncio, sys
            from evenload.model.spec import Signals
            from evenload.observe.queries import source_of
            from evenload.observe.prometheus import Interest, SignalReader

            async def main():
                source = source_of(Signals(preset="app", prometheus_url=sys.argv[1]), default_url="", scrape_seconds=5)
                reader = SignalReader(deadline_seconds=600)
                reading = asyncio.create_task(reader.read({"a": Interest(source=source, namespaces=frozenset())}))
                await asyncio.to_thread(sys.stdin.readline)
                reading.cancel()

            asyncio.run(main())
        """
        with RawServer(DRIPS[kind]) as server:
            command = [sys.executable, "-c", textwrap.dedent(program), server.url]
            with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
                while not server.requests:
                    assert process.poll() is None
                    time.sleep(0.01)  # the one who is waited for is another process
                process.communicate(b"\n", timeout=120)
            assert process.returncode == 0


BIG = b'{"status":"success","data":{"resultType":"vector","result":[]},"x":"' + b"a" * (64 << 20) + b'"}'


class TestSize:
    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP "])
    def test_a_small_answer_that_unpacks_to_a_large_one_is_given_up_at_the_limit(self, encoding: str) -> None:
        packed = gzip.compress(BIG, 6)
        with RawServer(answering(packed, "200 OK", f"Content-Encoding: {encoding}")) as server:
            ask_once = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)  # what is imported once is not counted
            tracemalloc.start()
            with pytest.raises(SignalsUnavailable, match=r"more than 1\.91 MiB"):
                ask_once.now("up", bytes, Limits(2_000_000))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            ask_once.close()
        assert peak < 2_000_000 * 1.2 + 4 * transport.CHUNK_BYTES

    @pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "gzip, identity", "nonsense"])
    def test_only_what_was_asked_for_is_unpacked(self, encoding: str) -> None:
        with RawServer(answering(zlib.compress(EMPTY), "200 OK", f"Content-Encoding: {encoding}")) as server:
            said = problem(server.url)
        assert "encoding that was not asked for" in said
        assert encoding not in said

    def test_gzip_is_unpacked_also_in_several_parts(self) -> None:
        packed = gzip.compress(EMPTY[:10]) + gzip.compress(b"") + gzip.compress(EMPTY[10:])
        with RawServer(answering(packed, "200 OK", "Content-Encoding: gzip")) as server:
            assert ask(server.url) == EMPTY
            assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()

    @pytest.mark.parametrize(
        "packed", [b"\x1f\x8b\x08nonsense", gzip.compress(EMPTY)[:-9], b""], ids=["no gzip", "cut", "nothing"]
    )
    def test_gzip_that_is_broken_is_no_answer(self, packed: bytes) -> None:
        with RawServer(answering(packed, "200 OK", "Content-Encoding: gzip")) as server:
            assert "gzip that" in problem(server.url)

    @pytest.mark.parametrize("size", [99_999, 100_000])
    def test_an_answer_as_large_as_allowed_is_taken(self, size: int) -> None:
        with RawServer(answering(b" " * size)) as server:
            assert len(ask(server.url, seconds=PATIENCE_SECONDS)) == size

    @pytest.mark.parametrize(
        "first",
        [
            reply(b" " * 100_001),
            b"HTTP/1.1 200 OK\r\nX: "
            + b"a" * 60_000
            + b"\r\nY: "
            + b"a" * 60_000
            + b"\r\nZ: "
            + b"a" * 60_000
            + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 200_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        ],
        ids=["body", "headers", "trailers", "chunk extension", "1xx"],
    )
    def test_whatever_part_of_an_answer_is_too_large_it_is_given_up(self, first: bytes) -> None:
        with RawServer(lambda sock, request: sock.sendall(first)) as server:
            started = time.monotonic()
            problem(server.url, seconds=240.0)
            assert time.monotonic() - started < 120.0


@contextmanager
def full(room: Room) -> Iterator[None]:
    """Nobody gets any more of it."""
    with room.share() as filling, room.share() as beyond:
        for share, nbytes in ((filling, ROOM_BYTES), (beyond, 1)):
            room.take(share, nbytes, lambda: False, 0.0)
        yield


class TestRoom:
    """Answers that are being read have so much memory together."""

    @pytest.mark.parametrize("tenant", [False, True])
    def test_where_others_fill_it_an_answer_fails_with_what_to_do(self, tenant: bool) -> None:
        limits = SMALL._replace(tenant=tenant)
        with RawServer(answering(EMPTY)) as server, full(limits.room):
            said = problem(server.url, limits, seconds=2.0)
            assert "other answers fill the 64 MiB" in said
            assert "spec.signals.matchers" in said
            assert ask(server.url, limits._replace(tenant=not tenant)) == EMPTY

    def test_what_waits_for_room_fails_at_once_when_closed(self) -> None:
        with RawServer(answering(EMPTY)) as server, full(SMALL.room):
            prometheus = Prometheus(server.url, deadline_seconds=60.0)
            said: list[str] = []

            def wait_for_it() -> None:
                with pytest.raises(SignalsUnavailable) as caught:
                    prometheus.now("up", bytes, SMALL)
                said.append(str(caught.value))

            waiting = threading.Thread(target=wait_for_it)
            waiting.start()
            while not server.requests:
                waiting.join(0.01)
            prometheus.close()
            waiting.join(LATEST_SECONDS)
        assert "closed" in said[0]

    def test_it_is_given_back_whatever_comes_of_the_answer(self) -> None:
        before = SMALL.room.held
        with RawServer(answering(b" " * 99_000)) as server:
            ask(server.url)
        for body in (b" " * 100_001, b"cut"):
            with RawServer(answering(body)) as server:
                prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)
                with pytest.raises(SignalsUnavailable):
                    prometheus.now("up", lambda body: 1 // 0, SMALL)
        assert SMALL.room.held == before


class TestRules:
    def test_no_redirect_is_followed_and_its_body_is_not_unpacked(self) -> None:
        packed = gzip.compress(BIG, 6)
        with (
            RawServer(answering()) as other,
            RawServer(answering(packed, "302 Found", f"Location: {other.url}/x", "Content-Encoding: gzip")) as server,
        ):
            ask_once = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)
            tracemalloc.start()
            with pytest.raises(SignalsUnavailable, match="answered 302"):
                ask_once.now("up", bytes)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            ask_once.close()
            assert not other.requests
        assert peak < 3_000_000

    def test_no_cookie_is_kept(self) -> None:
        with RawServer(answering(EMPTY, "200 OK", "Set-Cookie: a=b; Path=/")) as server:
            prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)
            for _ in range(2):
                prometheus.now("up", bytes)
            prometheus.close()
            assert len(server.requests) == 2
            assert not any(b"cookie" in request.lower() for request in server.requests)

    def test_connections_are_used_again(self) -> None:
        with RawServer(answering(gzip.compress(EMPTY), "200 OK", "Content-Encoding: gzip")) as server:
            prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS)
            for _ in range(5):
                assert prometheus.now("up", bytes) == EMPTY
            prometheus.close()
            assert server.connections == 1

    def test_nothing_is_left_open(self) -> None:
        handles = len(list(Path("/proc/self/fd").iterdir()))
        with RawServer(answering(EMPTY, "500 Broken")) as server:
            for _ in range(20):
                problem(server.url)
        for _ in range(20):
            problem("http://127.0.0.1:9")
        deadline = time.monotonic() + PATIENCE_SECONDS  # what other threads close is closed a moment later
        while (left := len(list(Path("/proc/self/fd").iterdir()))) > handles + 4 and time.monotonic() < deadline:
            gc.collect()  # an exception and its frames may hold a socket until then
            time.sleep(0.02)
        assert left <= handles + 4


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 2"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run([*command.split(), *more], check=True, capture_output=True, timeout=120)
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> Access:
    return Access(ca_file=str(certificate))


class TestTls:
    def test_it_is_spoken_and_connections_are_used_again(self, tls: ssl.SSLContext, trusting: Access) -> None:
        with RawServer(answering(), tls=tls) as server:
            prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS, access=trusting)
            assert [prometheus.now("up", bytes) for _ in range(3)] == [EMPTY] * 3
            prometheus.close()
            assert server.connections == 1

    @pytest.mark.parametrize("kind", ["header", "body by length", "body until it closes", "nothing"])
    def test_the_deadline_holds_there_too(self, tls: ssl.SSLContext, trusting: Access, kind: str) -> None:
        with RawServer(DRIPS[kind], tls=tls) as server:
            started = time.monotonic()
            assert "took too long" in problem(server.url, access=trusting, seconds=DEADLINE_SECONDS)
            assert time.monotonic() - started < LATEST_SECONDS

    def test_a_certificate_of_an_unknown_authority_is_refused(self, tls: ssl.SSLContext) -> None:
        with RawServer(answering(), tls=tls) as server:
            assert "certificate verify failed" in problem(server.url, seconds=PATIENCE_SECONDS)
            assert not server.requests


SECRET = "hunter2"
ANSWERS: dict[str, bytes] = {
    "body": reply(SECRET.encode(), "403 Forbidden"),
    "error of an API": reply(f'{{"error": "{SECRET}", "errorType": "{SECRET}"}}'.encode(), "403 Forbidden"),
    "reason phrase": reply(b"", f"403 {SECRET}"),
    "success": reply(SECRET.encode()),
    "status line": f"{SECRET} is no HTTP\r\n\r\n".encode(),
    "status": f"HTTP/1.1 {SECRET} OK\r\n\r\n".encode(),
    "chunk size": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n".encode(),
    "length": f"HTTP/1.1 200 OK\r\nContent-Length: {SECRET}\r\n\r\n".encode(),
    "encoding": reply(b"", "200 OK", f"Content-Encoding: {SECRET}"),
    "location": reply(b"", "302 Found", f"Location: http://{SECRET}/"),
    "header": f"HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n".encode(),
    "long line": b"HTTP/1.1 200 " + SECRET.encode() * 20_000,
}


class TestForeignServers:
    @pytest.mark.parametrize("kind", ANSWERS)
    def test_nothing_of_what_another_server_says_is_repeated(self, kind: str) -> None:
        def handle(sock: socket.socket, request: bytes) -> None:
            sock.sendall(ANSWERS[kind])
            sock.shutdown(socket.SHUT_WR)

        def refuse(body: bytes | bytearray) -> None:
            from evenload.observe.prometheus import Unreadable

            raise Unreadable("answered with something", bytes(body))

        with RawServer(handle) as server:
            prometheus = Prometheus(server.url, deadline_seconds=PATIENCE_SECONDS, foreign=True)
            with pytest.raises(SignalsUnavailable) as caught:
                prometheus.now("up", refuse, SMALL)
            prometheus.close()
        assert SECRET not in str(caught.value)
        assert server.url in str(caught.value)

    def test_the_status_is_reported(self) -> None:
        with RawServer(answering(b"x", "403 Forbidden")) as server:
            assert problem(server.url, foreign=True) == f"Prometheus at {server.url} answered 403"

    def test_the_words_of_the_installations_own_are_repeated(self) -> None:
        with RawServer(answering(b'{"error": "query timed out"}', "503 Unavailable")) as server:
            assert problem(server.url) == f"Prometheus at {server.url} answered 503: query timed out"
