"""Nothing secret that the operator reads or is given comes out of it again, also where somebody repeats it to it.

Planted are tokens, passwords, headers and keys where the chart mounts them, secrets in the objects that it watches, and
answers of addresses that tenants name. Looked through is all that it says, stores or sends, and all that the command
line makes of that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from evenload.cli.main import app
from evenload.kube.resources import BALANCERS, EVENTS, HTTPROUTES, LEASES, REMEDIATIONS
from tests.campaign.conftest import tally
from tests.integration.operator.conftest import HEAVY, Start
from tests.support.apiproxy import Answer, ApiProxy
from tests.support.fakeprometheus import Mode
from tests.support.processes import OperatorProcess
from tests.support.rawserver import Handler, RawServer, answering
from tests.support.town import BAD, POD_SECRET, SIGNALS, Shop, Town, route

TOKEN, PASSWORD, HEADER = "planted-token-7d1f", "planted-password-93ab", "planted-header-c20e"
pytestmark = [HEAVY]
FOREIGN = "planted-page-4b8e"  # of a server that a tenant points the operator at, to read what it answers
PAIR = ("shop-a", "shop-b")
TOKEN_BOUND = BALANCERS, REMEDIATIONS, EVENTS, LEASES

ANSWERS: Mapping[str, bytes] = {
    "error": b'{"status":"error","errorType":"x","error":"%s"}',
    "page": b"<html>%s</html>",
    "text": b"%s",
    "result": b'{"status":"success","data":{"resultType":"%s","result":[]}}',
    "row": b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"evenload":"value","namespace":"x",'
    b'"pod":"%s"},"value":[1,"1"]},{"metric":{"evenload":"value","namespace":"x","pod":"%s"},"value":[1,"1"]}]}}',
    "number": b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"%s"]}]}}',
    "warning": b'{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["%s"]}',
}
HEADS = (
    FOREIGN,
    f"HTTP/1.1 {FOREIGN}",
    f"HTTP/1.1 200 OK\r\n{FOREIGN}",
    f"HTTP/1.1 200 OK\r\nContent-Length: {FOREIGN}",
    f"HTTP/1.1 200 OK\r\nContent-Encoding: {FOREIGN}",
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{FOREIGN}",
)
"""Of what is not HTTP, or not quite."""
STATUSES = ("200 OK", f"401 {FOREIGN}", f"302 Found\r\nLocation: http://127.0.0.1:9/{FOREIGN}", f"500 {FOREIGN}")


class Planted(NamedTuple):
    """Where one operator's secrets are, and how they read."""

    settings: Mapping[str, object]
    secrets: tuple[str, ...]


@pytest.fixture
def with_token(tmp_path: Path) -> Planted:
    """A bearer token and a header of a folder."""
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "X-Api-Key").write_text(HEADER)
    (tmp_path / "token").write_text(TOKEN)
    settings = {"prometheus_token_file": tmp_path / "token", "prometheus_headers_folder": tmp_path / "headers"}
    return Planted(settings, (TOKEN, HEADER))


@pytest.fixture
def with_password(tmp_path: Path) -> Planted:
    """A user and a password, and a client certificate."""
    key, certificate = tmp_path / "client.key", tmp_path / "client.crt"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 2"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    (tmp_path / "user").write_text("ann")
    (tmp_path / "password").write_text(PASSWORD)
    settings = {
        "prometheus_username_file": tmp_path / "user",
        "prometheus_password_file": tmp_path / "password",
        "prometheus_cert_file": certificate,
        "prometheus_key_file": key,
    }
    pair = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    return Planted(settings, (PASSWORD, pair, *key.read_text().splitlines()[1:-1]))


@pytest.mark.timeout(900)
async def test_what_is_secret_does_not_come_out_again(
    town: Town, start: Start, proxy: ApiProxy, token: str, with_token: Planted, with_password: Planted
) -> None:
    first, second, evil = await asyncio.gather(
        town.open_shop(), town.open_shop(), town.open_shop(balancer=False, backends=PAIR)
    )
    shops = (first, second)
    with foreign() as addresses:
        await point_at(evil, addresses)
        operators = [
            start(second, whole=True, log_level="debug", **with_password.settings),
            start(first, evil, whole=True, log_level="debug", **with_token.settings),
        ]
        for shop in shops:
            await shop.until(shop.remembers_good_weights)
        town.prometheus.mode = Mode.Echo
        for shop in shops:
            await shop.until(lambda shop=shop: complains(shop), what="a complaint")
        said = await put_out(*shops, evil, operators=operators)
        town.prometheus.mode = Mode.Ok
        repeat(proxy, second, token)
        for shop in shops:
            await shop.until(shop.healthy)
            await shop.set_weights(BAD)
        await asyncio.gather(
            *(shop.until(shop.closed, seconds=240) for shop in shops)
        )  # tenants' servers stretch ticks
        said += await put_out(*shops, evil, operators=operators)
        asked = [request.decode() for server in addresses.values() for request in server.requests]
        assert all(server.requests for server in addresses.values())
    planted = [*with_token.secrets, *with_password.secrets, token, FOREIGN, POD_SECRET]
    assert all(said)
    assert {"(removed)" in text for text in said} == {True, False}  # it was repeated to it
    assert found(planted, said) == []
    assert found(planted, asked) == []
    assert found([token, FOREIGN, POD_SECRET], town.prometheus.requests) == []
    assert found(planted, [f"{seen.path} {seen.query} {seen.body!r}" for seen in proxy.requests]) == []
    assert [seen.path for seen in proxy.requests if "/secrets" in seen.path] == []
    tally("planted secrets", trials=len(addresses) + 2, ticks=0, writes=len(proxy.writes()), broken=0)


async def complains(shop: Shop) -> bool:
    return "401" in json.dumps((await shop.balancer())["status"])


@contextlib.contextmanager
def foreign() -> Iterator[dict[str, RawServer]]:
    """Servers that answer with what a tenant should not see."""
    handlers = {
        f"{what}-{status[:3]}": answering(body.replace(b"%s", FOREIGN.encode()), status, f"X-Page: {FOREIGN}")
        for what, body in ANSWERS.items()
        for status in STATUSES
    } | {f"head-{number}": cut_off(head) for number, head in enumerate(HEADS)}
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(RawServer(handler)) for name, handler in handlers.items()}


def cut_off(head: str) -> Handler:
    """Say this, and no more."""

    def handle(sock: socket.socket, request: bytes) -> None:
        sock.sendall(f"{head}\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_RDWR)

    return handle


async def point_at(shop: Shop, servers: Mapping[str, RawServer]) -> None:
    """A Balancer and a route for each server."""
    for name, server in servers.items():
        manifest = route(dict.fromkeys(PAIR, 1)) | {"metadata": {"name": name}}
        await shop.client.create(HTTPROUTES, shop.namespace, manifest)
        target = {"kind": "HTTPRoute", "name": name}
        await shop.create_balancer({"targetRef": target, "signals": {**SIGNALS, "prometheusUrl": server.url}}, name)


def repeat(proxy: ApiProxy, shop: Shop, token: str) -> None:
    """Have the API server, or what stands before it, repeat the token in an error of every kind of request."""
    where = f"/namespaces/{shop.namespace}/"
    message = f'admission webhook "debug.example" got the headers {{"Authorization": "Bearer {token}"}}'
    for status, method, path in (
        (500, "PATCH", f"{where}httproutes/"),
        (403, "POST", f"{where}remediations"),
        (500, "PATCH", f"{where}remediations/.*/status"),
        (403, "PATCH", f"{where}balancers/.*/status"),
        (500, "POST", f"{where}pods/.*/eviction"),
        (403, "POST", f"{where}events"),
        (500, "PUT", f"{where}leases/"),
        (500, "GET", f"{where}pods"),
        (403, "GET", f"{where}balancers"),
        (500, "GET", f"{where}balancers"),
    ):
        proxy.inject(Answer(status, message=message), method=method, path=path)
    proxy.inject(Answer(502, body=message.encode()), method="GET", path=f"{where}remediations")
    proxy.drop_watches()


async def put_out(*shops: Shop, operators: list[OperatorProcess]) -> list[str]:
    """All that was said and stored, flight recordings unpacked; each of it says something."""
    said = [operator.log.read_text() for operator in operators]
    said += [(await operator.page(name))[1] for operator in operators for name in ("metrics", "healthz", "readyz")]
    for shop in shops:
        for resource in TOKEN_BOUND:
            objects, _ = await shop.client.list(resource, shop.namespace)
            said += [json.dumps(each) for each in objects]
            said += [
                unpacked(each["status"]["recording"]) for each in objects if each.get("status", {}).get("recording")
            ]
        said += await asyncio.to_thread(printed, shop, await shop.remediations())
    return said


def unpacked(recording: str) -> str:
    return gzip.decompress(base64.b64decode(recording)).decode()


def printed(shop: Shop, remediations: list[dict[str, dict[str, str]]]) -> list[str]:
    """What the command line makes of it."""
    names = [each["metadata"]["name"] for each in remediations]
    commands = [
        ["get", "-o", "json"],
        ["status"],
        ["history", "-o", "json"],
        *(["report", name, "-o", "json"] for name in names),
        *([["why", "shop", "-o", "json"]] if "shop-c" in shop.backends else []),
    ]
    return [CliRunner().invoke(app, [*command, "-n", shop.namespace]).output for command in commands]


def found(secrets: list[str], texts: list[str]) -> list[tuple[str, str]]:
    """Each secret in the midst of what is around it."""
    return [
        (secret, text[max(0, at - 200) : at + 60])
        for text in texts
        for secret in secrets
        if (at := text.find(secret)) >= 0
    ]
