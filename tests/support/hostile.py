"""Servers in the place of a Prometheus that mean harm, one for each way of answering."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from evenload.kube.resources import HTTPROUTES
from tests.support.rawserver import EMPTY
from tests.support.town import SIGNALS, Shop, route

PAIR = ("shop-a", "shop-b")
LONGEST_SECONDS = 600.0  # no hostile answer goes on for longer

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def trickled_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    await _every_second(writer, b"a")


async def dripping_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n")
    await _every_second(writer, b" ")


async def endless_continue(writer: asyncio.StreamWriter) -> None:
    await _every_second(writer, b"HTTP/1.1 103 Early Hints\r\n\r\n")


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(LONGEST_SECONDS)


async def _every_second(writer: asyncio.StreamWriter, text: bytes) -> None:
    for _ in range(int(LONGEST_SECONDS)):
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(1)


async def gzip_bomb(writer: asyncio.StreamWriter) -> None:
    await _whole(writer, BOMB, b"Content-Encoding: gzip\r\n")


async def many_rows(writer: asyncio.StreamWriter) -> None:
    """Two million."""
    await _begin(writer, b"Connection: close\r\n")
    for piece in rows():
        writer.write(piece)
        await writer.drain()
    writer.close()


@functools.cache
def rows() -> tuple[bytes, ...]:
    """In pieces of half a megabyte."""
    row = b'{"metric":{"namespace":"s","pod":"%07d"},"value":[1,"1"]}'
    pieces = [
        b",".join(row % number for number in range(first, first + 10_000)) for first in range(0, 2_000_000, 10_000)
    ]
    return (
        b'{"status":"success","data":{"resultType":"vector","result":[',
        b",".join(pieces[:1]),
        *(b"," + piece for piece in pieces[1:]),
        b"]}}",
    )


async def reset(writer: asyncio.StreamWriter) -> None:
    await _begin(writer, b"Content-Length: 1000\r\n")
    writer.write(b'{"status":')
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def slow_tls(writer: asyncio.StreamWriter) -> None:
    """A handshake, a byte a second."""
    await _every_second(writer, b"\x16")


async def redirect(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def nonsense(writer: asyncio.StreamWriter) -> None:
    """A list in a list in a list."""
    await _whole(writer, b'{"status":"success","data":{"resultType":"vector","result":' + 200_000 * b"[")


async def _begin(writer: asyncio.StreamWriter, headers: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers + b"\r\n")
    await writer.drain()


async def _whole(writer: asyncio.StreamWriter, body: bytes, headers: bytes = b"") -> None:
    await _begin(writer, headers + b"Content-Length: %d\r\n" % len(body))
    writer.write(body)
    await writer.drain()


BOMB = gzip.compress(bytes(200 << 20))
HOSTILE: tuple[Answer, ...] = (
    trickled_headers,
    dripping_body,
    endless_continue,
    silence,
    slow_tls,
    gzip_bomb,
    many_rows,
    reset,
    redirect,
    nonsense,
)
MOMENTS = {"read": b"/query ", "warm start": b"/query_range "}
"""Which questions are answered so; the others as if there were no series. Having to end comes on top of both."""


class Host(NamedTuple):
    """A server that means harm."""

    answer: Answer
    url: str
    asked: list[bytes]  # first lines of requests


@contextlib.asynccontextmanager
async def hosts(*answers: Answer, moments: Iterable[bytes] = (b"",)) -> AsyncIterator[list[Host]]:
    """One for each kind of answer and moment: what is in the questions that are answered so; b"" is in all."""
    tasks: set[asyncio.Task[object]] = set()

    def serve(answer: Answer, moment: bytes, asked: list[bytes]) -> Serve:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                if answer is slow_tls:
                    asked.append(moment)
                    await answer(writer)
                head = await reader.readuntil(b"\r\n\r\n")
                asked.append(head.partition(b"\r\n")[0])
                await (answer(writer) if moment in head else _whole(writer, EMPTY))
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.transport.abort()

        return handle

    servers, found = [], []
    for answer in answers:
        for moment in moments:
            asked: list[bytes] = []
            server = await asyncio.start_server(serve(answer, moment, asked), "127.0.0.1", 0)
            servers.append(server)
            scheme = "https" if answer is slow_tls else "http"
            found.append(Host(answer, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked))
    try:
        yield found
    finally:
        for server in servers:
            server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask_there(shop: Shop, name: str, url: str) -> None:
    """Another Balancer of that shop, with a route of its own, whose Prometheus is said to be there."""
    balanced = route(dict.fromkeys(PAIR, 1)) | {"metadata": {"name": name}}
    await shop.client.create(HTTPROUTES, shop.namespace, balanced)
    target = {"kind": "HTTPRoute", "name": name}
    await shop.create_balancer({"targetRef": target, "signals": {**SIGNALS, "prometheusUrl": url}}, name=name)
