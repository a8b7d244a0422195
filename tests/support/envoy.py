"""A real Envoy: before servers of ours with statistics by endpoint, or with a configuration that the test brings."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab import build, parts
from lab.control_plane import free_ports
from tests.support.wait import PATIENCE_SECONDS

_TYPES = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True)
class Envoy:
    admin_port: int
    port: int

    def ask(self, path: str) -> int:
        """The status of one request through it."""
        return get(self.port, path)[0]

    def page(self) -> str:
        return self.says("/stats/prometheus")

    def says(self, path: str) -> str:
        """What its administration page says there."""
        return get(self.admin_port, path)[1]


def get(port: int, path: str) -> tuple[int, str]:
    """The status and the body of one request to that port of the loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextlib.contextmanager
def answering(address: str) -> Iterator[int]:
    """A server at that loopback address: 503 where the path ends in "failing". Yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path.endswith("failing") else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def envoy(routes: Mapping[str, tuple[str, int]], folder: Path) -> Iterator[Envoy]:
    """One that leads each path prefix to an endpoint (address, port), by a cluster of its own."""
    with configured(partial(_configuration, routes), folder) as found:
        yield found


@contextlib.contextmanager
def configured(configuration: Callable[[int, int], Mapping[str, Any]], folder: Path) -> Iterator[Envoy]:
    """One with the static configuration made of (port of administration, port to listen at).

    Its program is fetched first where it is not there.
    """
    build.ensure(("envoy",))
    admin_port, port = free_ports(2)
    (folder / "envoy.json").write_text(json.dumps(configuration(admin_port, port)))
    program = parts.folder("envoy") / "envoy"
    arguments = ("--config-path", str(folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart")
    process = subprocess.Popen([str(program), *arguments, "--log-level", "error"])
    try:
        found = Envoy(admin_port, port)
        _wait_for(found, process)
        yield found
    finally:
        process.terminate()
        process.wait()


def _wait_for(found: Envoy, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "Envoy ended"
        with contextlib.suppress(OSError):
            if get(found.admin_port, "/ready")[0] == 200:
                return
        assert time.monotonic() < deadline, f"Envoy is not ready after {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.05)


def _configuration(routes: Mapping[str, tuple[str, int]], admin_port: int, port: int) -> dict[str, Any]:
    """As Envoy Gateway makes it of `enablePerEndpointStats`, with its names of clusters."""
    names = {prefix: f"httproute/shop/shop/rule/{number}" for number, prefix in enumerate(routes)}
    clusters = [
        {
            "name": names[prefix],
            "type": "STATIC",
            "connect_timeout": "5s",
            "track_cluster_stats": {"per_endpoint_stats": True},
            "load_assignment": {
                "cluster_name": names[prefix],
                "endpoints": [{"lb_endpoints": [{"endpoint": address_of(*endpoint)}]}],
            },
        }
        for prefix, endpoint in routes.items()
    ]
    matches = [{"match": {"prefix": prefix}, "route": {"cluster": names[prefix]}} for prefix in routes]
    served = {"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": matches}]}}
    return {
        "admin": address_of("127.0.0.1", admin_port),
        "static_resources": {"clusters": clusters, "listeners": [listener(port, served)]},
    }


def listener(port: int, routes: Mapping[str, Any]) -> dict[str, Any]:
    """For HTTP, at the loopback address; `routes`: field `route_config`, or `rds` where others send them."""
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        **routes,
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        ],
    }
    chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {**address_of("127.0.0.1", port), "filter_chains": [{"filters": chain}]}


def address_of(address: str, port: int) -> dict[str, Any]:
    return {"address": {"socket_address": {"address": address, "port_value": port}}}
