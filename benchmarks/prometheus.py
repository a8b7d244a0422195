"""A stand-in for Prometheus on a real socket: answers each signal's query for every pod, from text made beforehand.

It runs as a process of its own, so that its CPU is not counted as the operator's. `python -m benchmarks.prometheus
--balancers 1000 --pods 50` prints its address and serves until its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs

BACKENDS: Final = 5
REQUESTS: Final = 750  # in the window, of each pod

METRICS: Final = {  # what tells the signals' queries apart, the telling ones first
    "errors": '"5.."',
    "latency": "http_request_duration_seconds",
    "cpu": "container_cpu_usage_seconds_total",
    "memory": "container_memory_working_set_bytes",
    "requests": "http_requests_total",
    "inFlight": "http_requests_in_flight",
}


def namespace_of(balancer: int) -> str:
    """Twenty Balancers a namespace."""
    return f"team-{balancer // 20:03d}"


def pod_names(balancer: int, pods: int) -> list[tuple[str, str]]:
    """(backend, pod) of a Balancer's pods."""
    size = max(1, pods // BACKENDS)
    backends = [f"shop-{balancer:04d}-{min(row // size, BACKENDS - 1)}" for row in range(pods)]
    return [(backend, f"{backend}-6b9f7c5d8-{row:05d}") for row, backend in enumerate(backends)]


def answers(balancers: int, pods: int) -> dict[str, bytes]:
    """The body of each signal's answer; every tenth Balancer sends its first backend three times its share."""
    dice = random.Random(7)
    rows: dict[str, list[str]] = {signal: [] for signal in METRICS}
    for balancer in range(balancers):
        for backend, pod in pod_names(balancer, pods):
            share = 3.0 if balancer % 10 == 0 and backend.endswith("-0") else 1.0
            numbers = {
                "requests": REQUESTS * share * dice.uniform(0.95, 1.05),
                "latency": 0.03 * dice.uniform(0.9, 1.1),
                "inFlight": 2,
                "cpu": 0.3 * share * dice.uniform(0.95, 1.05),
                "memory": 1.6e8 * dice.uniform(0.95, 1.05),
            }
            for signal, number in numbers.items():
                rows[signal].append(
                    _row({"namespace": namespace_of(balancer), "pod": pod, "evenload": "value"}, number)
                )
    for namespace in sorted({namespace_of(balancer) for balancer in range(balancers)}):
        for signal in rows:
            rows[signal].append(_row({"namespace": namespace, "evenload": "age"}, 3.2))
    return {signal: _body(lines) for signal, lines in rows.items()}


def _row(metric: dict[str, str], number: float) -> str:
    return json.dumps({"metric": metric, "value": [1760089500.781, f"{number:.6f}"]}, separators=(",", ":"))


def _body(rows: list[str]) -> bytes:
    return ('{"status":"success","data":{"resultType":"vector","result":[' + ",".join(rows) + "]}}").encode()


def signal_of(query: str) -> str:
    """Which signal a query asks for."""
    return next(signal for signal, mark in METRICS.items() if mark in query)


def server(bodies: dict[str, bytes]) -> ThreadingHTTPServer:
    """Listens on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = bodies[signal_of(form["query"][0])]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--balancers", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=50)
    arguments = parser.parse_args()
    serving = server(answers(arguments.balancers, arguments.pods))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{serving.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
