"""A preset of a proxy that counts by address, answered by a real Prometheus that scrapes two real Envoys.

Pods have addresses of the loopback range. Of the busy one both Envoys know, one of them by two routes; it is scraped
twice, as by two jobs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from evenload.history.ranges import Grid
from evenload.history.reader import RangeReader
from evenload.model.snapshot import SignalState, Snapshot
from evenload.model.spec import Signals
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.observe.queries import Source, source_of
from tests.support.envoy import Envoy, answering, envoy
from tests.support.scraped import Exporters, Page, scraping, serve
from tests.support.wait import until
from tests.unit.observe.fleets import NOW, member

# With the other tests that need a Prometheus: where `make integration` has not built it, it is compiled first.
pytestmark = [pytest.mark.xdist_group("prometheus"), pytest.mark.timeout(1800)]

PRESET = "envoy-gateway"
SCRAPE_SECONDS, WINDOW_SECONDS = 1.0, 4.0
SPAN_SECONDS = WINDOW_SECONDS - SCRAPE_SECONDS
RATE, FAILING = 20, 4  # of each of the three ways to the busy pod, a second
BUSY, IDLE, NEIGHBOUR, LARGE = "127.0.0.2", "127.0.0.3", "127.0.0.20", "fd00::5"
WRITTEN = (  # as Envoy writes an IPv6 address
    "# TYPE envoy_cluster_endpoint_rq_total counter\n"
    'envoy_cluster_endpoint_rq_total{envoy_cluster_name="x",envoy_endpoint_address="[fd00::5]:8080"} %d\n'
    "# TYPE envoy_cluster_endpoint_rq_error counter\n"
    'envoy_cluster_endpoint_rq_error{envoy_cluster_name="x",envoy_endpoint_address="[fd00::5]:8080"} 0\n'
)


def page_of(one: Envoy, *prefixes: str) -> Page:
    """What has been due since the last scrape goes through it before it is asked."""
    asked, one_at_a_time = 0, threading.Lock()

    def page(seconds: float) -> str:
        nonlocal asked
        with one_at_a_time:
            for number in range(asked, int(RATE * seconds)):
                failing = number * FAILING % RATE < FAILING
                for prefix in prefixes:
                    assert one.ask(f"{prefix}/failing" if failing else prefix) == (503 if failing else 200)
                asked = number + 1
            return one.page()

    return page


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        busy, idle = (address_of(stack, address) for address in (BUSY, IDLE))
        first, second = (
            stack.enter_context(envoy(routes, tmp_path_factory.mktemp("envoy")))
            for routes in ({"/one": busy, "/two": busy, "/idle": idle}, {"/one": busy})
        )
        pages = {
            "/first": page_of(first, "/one", "/two"),
            "/second": page_of(second, "/one"),
            "/written": lambda seconds: WRITTEN % int(RATE * seconds),
        }
        address = stack.enter_context(serve(Exporters(pages)))
        yield stack.enter_context(scraping(configuration(address), tmp_path_factory.mktemp("prometheus")))


def address_of(stack: contextlib.ExitStack, address: str) -> tuple[str, int]:
    return address, stack.enter_context(answering(address))


def configuration(address: str) -> dict[str, Any]:
    def job(name: str, *envoys: str) -> dict[str, Any]:
        targets = [
            {
                "targets": [address],
                "labels": {"__metrics_path__": f"/{each}", "namespace": "envoy-gateway-system", "pod": each},
            }
            for each in envoys
        ]
        return {"job_name": name, "static_configs": targets}

    every = f"{SCRAPE_SECONDS:g}s"
    jobs = [job("envoys", "first", "second", "written"), job("again", "first")]
    return {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": jobs}


@pytest.fixture
def reader() -> Iterator[SignalReader]:
    reader = SignalReader()
    yield reader
    reader.close()


def source(url: str) -> Source:
    asked = Signals(preset=PRESET, window=f"{WINDOW_SECONDS:g}s")
    return source_of(asked, default_url=url, scrape_seconds=SCRAPE_SECONDS)


def joined(samples: Samples, **addresses: tuple[str, ...]) -> Snapshot:
    """Pods by name and address, each a backend of its own."""
    fleet = Fleet(backends={name: {name: member(name, addresses=each)} for name, each in addresses.items()})
    weights = dict.fromkeys(addresses, 1)
    return snapshot_of(time=NOW, weights=weights, fleet=fleet, samples=samples, max_age_seconds=60)


async def seen(url: str, reader: SignalReader, **addresses: tuple[str, ...]) -> Snapshot:
    """The same, once a window of the busy one is whole."""
    interest = Interest(source=source(url), namespaces=frozenset({"shop"}), pods=tuple(addresses))
    found: list[Snapshot] = []

    async def whole() -> bool:
        found.append(joined((await reader.read({"it": interest}))["it"], **addresses))
        busy = found[-1].backends["busy"].pods["busy"].requests
        return busy is not None and busy > 0.8 * 3 * RATE * SPAN_SECONDS

    await until(whole, seconds=120, what="numbers of the busy pod")
    return found[-1]


async def test_what_all_envoys_send_to_a_pod_is_added_up_and_no_copy_of_it(
    prometheus: str, reader: SignalReader
) -> None:
    snapshot = await seen(prometheus, reader, busy=(BUSY,), idle=(IDLE,))
    busy, idle = (snapshot.backends[name].pods[name] for name in ("busy", "idle"))
    assert busy.requests == pytest.approx(3 * RATE * SPAN_SECONDS, rel=0.3)
    assert busy.errors == pytest.approx(3 * FAILING * SPAN_SECONDS, rel=0.3)
    assert (busy.in_flight, busy.latency) == (0, None)
    assert (idle.requests, idle.errors, idle.in_flight) == (0, 0, 0)
    for signal in ("requests", "errors", "inFlight"):
        assert snapshot.signals[signal].state is SignalState.Fresh
        assert snapshot.signals[signal].age is not None
    assert f"the preset {PRESET} has no such metric" in snapshot.signals["latency"].detail


async def test_a_pod_whose_address_no_envoy_knows_has_no_number(prometheus: str, reader: SignalReader) -> None:
    snapshot = await seen(prometheus, reader, busy=(BUSY,), neighbour=(NEIGHBOUR,), unaddressed=())
    for name in ("neighbour", "unaddressed"):
        assert snapshot.backends[name].pods[name].requests is None
    assert snapshot.signals["requests"].state is SignalState.Partial
    assert "2 of 3 ready pods have no series: neighbour, unaddressed" in snapshot.signals["requests"].detail


async def test_history_is_read_by_address_as_the_present_is(prometheus: str, reader: SignalReader) -> None:
    """As a warm start does, over the last seconds."""
    live = await seen(prometheus, reader, busy=(BUSY,))
    history = RangeReader(source(prometheus), {"shop"}, deadline_seconds=60.0)
    now = time.time()
    *_, chunk = history.chunks(Grid.between(now - 3, now, 1.0))
    history.close()
    past = joined(chunk.samples(-1), busy=(BUSY,))
    then, now_ = (each.backends["busy"].pods["busy"] for each in (past, live))
    assert then.requests == pytest.approx(now_.requests, rel=0.4)
    assert then.errors == pytest.approx(now_.errors, rel=0.4)
    assert past.signals["requests"].state is SignalState.Fresh


async def test_a_pod_is_found_by_any_of_its_addresses(prometheus: str, reader: SignalReader) -> None:
    snapshot = await seen(prometheus, reader, busy=("fd00::2", BUSY), large=("10.0.0.5", LARGE))
    large = snapshot.backends["large"].pods["large"]
    assert large.requests == pytest.approx(RATE * SPAN_SECONDS, rel=0.3)
    assert large.errors == 0
