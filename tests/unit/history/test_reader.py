"""Reading the past gives up at once when closed by another thread, and a tenant's answers are limited there too."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from evenload.errors import SignalsUnavailable
from evenload.history.ranges import Grid
from evenload.history.reader import RangeReader
from evenload.model.spec import Signals
from evenload.observe.queries import Source, source_of
from tests.support.rawserver import RawServer, answering
from tests.support.wait import PATIENCE_SECONDS

GRID = Grid(1000.0, 10.0, 5)


def foreign(server: RawServer) -> Source:
    return source_of(Signals(preset="app", prometheus_url=server.url), default_url="", scrape_seconds=5.0)


def reader_of(source: Source, *, seconds: float = PATIENCE_SECONDS, limited: bool = True, pods: int = 0) -> RangeReader:
    return RangeReader(source, {"shop"}, deadline_seconds=seconds, limited=limited, expected_pods=pods)


def drip(sock: socket.socket, request: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        sock.sendall(b"a")
        time.sleep(0.02)  # the server's own pace


def series(number: int) -> bytes:
    row = '{"metric":{"namespace":"shop","pod":"p%d"},"values":[[1000,"1"]]}'
    return b'{"data":{"result":[%s]}}' % ",".join(row % each for each in range(number)).encode()


def test_closing_it_ends_a_chunk_that_is_being_read() -> None:
    said: list[str] = []
    with RawServer(drip) as server:
        reader = reader_of(foreign(server), seconds=600.0)

        def read() -> None:
            try:
                said.append(reader.chunk(GRID).signals["requests"].problem)
            except SignalsUnavailable as error:
                said.append(str(error))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        while not server.requests:
            thread.join(0.01)
        started = time.monotonic()
        reader.close()
        thread.join(PATIENCE_SECONDS)
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert "closed" in said[0]
    with pytest.raises(SignalsUnavailable, match="closed"):
        reader.chunk(GRID)


@pytest.mark.parametrize(("pods", "most"), [(0, 2420), (10, 140)])
def test_a_tenants_answer_is_limited_by_the_pods_that_are_expected(pods: int, most: int) -> None:
    for number, refused in ((most, False), (most + 1, True)):
        with RawServer(answering(series(number))) as server:
            reader = reader_of(foreign(server), pods=pods)
            assert ("series" in reader.chunk(GRID).signals["requests"].problem) is refused
            reader.close()


def test_a_person_who_reads_for_themselves_is_not_limited() -> None:
    with RawServer(answering(series(3000) + b" " * (3 << 20))) as server:
        reader = reader_of(foreign(server), limited=False)
        assert len(reader.chunk(GRID).signals["requests"].value.keys) == 3000
        reader.close()


def test_nothing_of_what_another_server_says_is_repeated() -> None:
    warned = b'{"data":{"result":[]},"warnings":["hunter2"]}'
    for body, status in ((b"hunter2", "403 hunter2"), (warned, "200 OK"), (b'{"data":"hunter2"}', "200 OK")):
        with RawServer(answering(body, status)) as server:
            reader = reader_of(foreign(server))
            answer = reader.chunk(GRID).signals["requests"]
            reader.close()
        assert answer.problem or answer.warnings
        assert "hunter2" not in repr((answer.problem, answer.warnings))
