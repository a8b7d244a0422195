"""The preset `traefik`, answered by the lab's Prometheus, which scrapes the lab's Traefik: the names are Traefik's own.

Run inside a lab: `python -m lab run -- pytest tests/e2e/test_traefik_counts.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from evenload.drivers.base import Place
from evenload.model.snapshot import Backend, SignalState, Snapshot
from evenload.model.spec import Signals
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, SignalReader
from evenload.observe.queries import source_of
from lab import clients, state
from tests.support.naming import ask, deploy, http_route, server, weighted
from tests.support.wait import until
from tests.unit.observe.fleets import NOW, member

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SCRAPE_SECONDS, WINDOW_SECONDS = 5.0, 20.0
SPAN_SECONDS = WINDOW_SECONDS - SCRAPE_SECONDS
PAUSE_SECONDS = 0.02
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/failing" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


class Clients:
    """Ask the route again and again, and count what was answered."""

    def __init__(self, url: str | None, host: str) -> None:
        self._url, self._host = url, host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failed = self.answered = 0

    def ask(self, path: str) -> int:
        return ask(f"{self._url}{path}", self._host)[0]

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            failing = self.answered % 5 == 0
            self.failed += self.ask("/failing" if failing else "/") == 503
            self.answered += 1


@pytest.fixture
def namespace(lab: state.LabState) -> Iterator[str]:
    name = f"counts-{os.urandom(4).hex()}"
    clients.kubectl(lab, "create", "namespace", name)
    yield name
    clients.kubectl(lab, "delete", "namespace", name, "--wait=false")


async def test_what_traefik_counts_of_each_service_is_its_backends_in_equal_parts(
    lab: state.LabState, namespace: str
) -> None:
    """Two Services at 3 to 1, the larger one with two pods, and one never asked; every fifth request fails."""
    host = f"{namespace}.test"
    replicas = {"many-http": 2, "few": 1, "never": 1}  # "-http" is what older Traefiks write before the port
    command = ["python3", "-c", SERVER]
    servers = [each for name, count in replicas.items() for each in server(name, command, replicas=count)]
    backends = weighted(**{"many-http": 3, "few": 1, "never": 0})
    deploy(lab, namespace, *servers, http_route("shop-svc-1", "traefik", host, backends))
    with Clients(lab.gateway_url, host) as crowd:
        await until(lambda: crowd.ask("/") == 200, seconds=120, what="a routed answer")
        seen = await whole(lab.prometheus_url, namespace, replicas)
    many, few, never = (seen.backends[name] for name in replicas)
    assert all(each.by_service for each in (many, few, never))
    first, second = many.pods.values()
    assert (first.requests, first.errors, first.latency) == (second.requests, second.errors, second.latency)
    assert sum_of(many) == pytest.approx(3 * sum_of(few), rel=0.3)
    assert sum_of(never) == 0
    for backend in (many, few):
        for pod in backend.pods.values():
            assert pod.requests is not None
            assert pod.errors == pytest.approx(0.2 * pod.requests, rel=0.35)
            assert pod.latency is not None
            assert 0 < pod.latency < 1
    assert seen.signals["requests"].state is SignalState.Fresh
    assert crowd.answered > sum_of(many) + sum_of(few) > 0.1 * SPAN_SECONDS / PAUSE_SECONDS


def sum_of(backend: Backend) -> float:
    return sum(pod.requests or 0.0 for pod in backend.pods.values())


async def whole(url: str | None, namespace: str, replicas: dict[str, int]) -> Snapshot:
    """Once a whole window of both has been scraped."""
    asked = Signals(preset="traefik", window=f"{WINDOW_SECONDS:g}s")
    source = source_of(asked, default_url=url or "", scrape_seconds=SCRAPE_SECONDS)
    pods = {name: [f"{name}-{n}" for n in range(count)] for name, count in replicas.items()}
    fleet = Fleet(
        backends={name: {pod: member(pod, namespace=namespace) for pod in mine} for name, mine in pods.items()},
        services={name: Place(namespace=namespace, name=name) for name in pods},
    )
    interest = Interest(source=source, namespaces=frozenset({namespace}))
    reader, found = SignalReader(deadline_seconds=60.0), []

    async def seen() -> bool:
        samples = (await reader.read({"it": interest}))["it"]
        assert not samples.readings["requests"].problem
        weights = dict.fromkeys(pods, 1)
        found.append(snapshot_of(time=NOW, weights=weights, fleet=fleet, samples=samples, max_age_seconds=60))
        counts = [sum_of(found[-1].backends[name]) for name in ("many-http", "few")]
        before = [sum_of(found[-2].backends[name]) for name in ("many-http", "few")] if len(found) > 1 else [0, 0]
        return all(now > 5 and now < 1.1 * then for now, then in zip(counts, before, strict=True))

    try:
        await until(seen, seconds=180, pause=SCRAPE_SECONDS, what="a window of Traefik's counters")
    finally:
        reader.close()
    return found[-1]
