"""Every preset, answered by a real Prometheus: a pod of known numbers, and one that has served nothing yet.

Pages are as each project's documentation has them (the preset's `source`); what a client library writes itself is taken
from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evenload.model.snapshot import Pod, SignalState, Snapshot
from evenload.model.spec import SignalLabels
from evenload.observe.prometheus import SignalReader
from evenload.observe.queries import Source, found_in
from evenload.presets import PRESETS
from tests.integration.observe.look import Look
from tests.support.otel import instrumented
from tests.support.scraped import Exporters, Page, scraping, serve
from tests.support.wait import until

# With the other tests that need a Prometheus: where `make integration` has not built it, it is compiled first.
pytestmark = [pytest.mark.xdist_group("prometheus"), pytest.mark.timeout(1800)]

SCRAPE_SECONDS, WINDOW_SECONDS = 1.0, 4.0
RATE, FAILING, LATENCY_SECONDS, IN_FLIGHT = 50, 5, 0.02, 3  # so few that a slow machine can serve them for real


def busy(text: str) -> Page:
    """A server that has answered `ok` and `failed` requests so far, and spent so many seconds on them."""

    def page(seconds: float) -> str:
        ok, failed = int((RATE - FAILING) * seconds), int(FAILING * seconds)
        spent = LATENCY_SECONDS * (ok + failed)
        numbers = {"ok": ok, "failed": failed, "all": ok + failed, "spent": spent, "spent_ms": 1000 * spent}
        numbers |= {"started": ok + failed + IN_FLIGHT, "flight": IN_FLIGHT, "noise": int(500 * seconds)}
        return text % numbers

    return page


PAGES = Path(__file__).parent / "pages"
"""What servers show: with %(ok)d and the like for the numbers."""

OTEL = ("otel", "otel-old")  # one server that has the names of both
GAUGES = PRESETS["micrometer"].in_flight.gauge  # type: ignore[union-attr]


def pages_of(name: str, *variants: tuple[str, str, str]) -> dict[str, Page]:
    """By pod: a page as it is, and with something replaced in it."""
    text = (PAGES / f"{name}.txt").read_text()
    return {pod: busy(text.replace(before, after)) for pod, before, after in (variants or ((name, "", ""),))}


WRITTEN: dict[str, dict[str, Page]] = {
    **{name: pages_of(name) for name in ("grpc", "linkerd")},
    "app": pages_of("app", ("app", "", ""), ("app-status", "code=", "status_code=")),
    "istio": pages_of("istio") | pages_of("istio-grpc"),
    "micrometer": pages_of("micrometer", *((f"gauge-{n}", GAUGES[0], gauge) for n, gauge in enumerate(GAUGES))),
}
"""By preset and pod."""
BUSY = {preset: list(pages) for preset, pages in WRITTEN.items()} | {preset: [preset] for preset in OTEL}
# What a server that has not been asked anything shows.
IDLE = {
    "app": "http_requests_in_flight 0",
    "otel": "target_info 1",
    "otel-old": "target_info 1",
    "micrometer": "jvm_threads_live_threads 20",
    "grpc": 'grpc_server_started_total{grpc_method="Buy"} 0',
    "istio": "istio_build 1",
    "linkerd": "proxy_build_info 1",
}
NO_GAUGE = {"istio", "linkerd"}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pages = {f"/{preset}/{pod}": page for preset, pods in WRITTEN.items() for pod, page in pods.items()}
    pages |= {f"/{preset}/idle": partial(_same, f"{text}\n") for preset, text in IDLE.items()}
    with instrumented(RATE, FAILING) as otel:
        exporters = Exporters(pages | {f"/{preset}/{preset}": otel for preset in OTEL})
        with (
            serve(exporters) as address,
            scraping(configuration(address), tmp_path_factory.mktemp("prometheus")) as url,
        ):
            yield url


def _same(text: str, seconds: float) -> str:
    return text


def configuration(address: str) -> dict[str, Any]:
    def target(namespace: str, pod: str) -> dict[str, Any]:
        labels = {"__metrics_path__": f"/{namespace}/{pod}", "namespace": namespace, "pod": pod}
        return {"targets": [address], "labels": labels}

    every = f"{SCRAPE_SECONDS:g}s"
    jobs = [
        {"job_name": preset, "static_configs": [target(preset, pod) for pod in (*pods, "idle")]}
        for preset, pods in BUSY.items()
    ]
    return {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": jobs}


@pytest.fixture
def look(prometheus: str) -> Iterator[Look]:
    reader = SignalReader()
    yield Look(prometheus, reader, window_seconds=WINDOW_SECONDS, scrape_seconds=SCRAPE_SECONDS)
    reader.close()


def numbers(snapshot: Snapshot, pod: str) -> Pod:
    return snapshot.backends[pod].pods[pod]


async def settled(look: Look, preset: str, *pods: str, **signals: Any) -> Snapshot:
    """Once a whole window has been scraped."""
    seen: list[Snapshot] = []

    async def whole() -> bool:
        seen.append(await look.at(*pods, namespace=preset, preset=preset, **signals))
        counts = [numbers(seen[-1], pod).requests for pod in pods]
        return all(count is not None for count in counts) and max(filter(None, counts), default=0) > 0.8 * RATE * (
            WINDOW_SECONDS - SCRAPE_SECONDS
        )

    await until(whole, seconds=120, what=f"numbers of {preset}")
    return seen[-1]


@pytest.mark.parametrize(("preset", "pod"), [(preset, pod) for preset, pods in BUSY.items() for pod in pods])
async def test_a_busy_pod_has_its_numbers(look: Look, preset: str, pod: str) -> None:
    span = WINDOW_SECONDS - SCRAPE_SECONDS
    labels = SignalLabels(code="status_code" if pod == "app-status" else None)
    found = numbers(await settled(look, preset, pod, labels=labels), pod)
    assert found.requests == pytest.approx(RATE * span, rel=0.2)
    assert found.errors == pytest.approx(FAILING * span, rel=0.2)
    if preset in OTEL:  # its requests take what they take
        assert found.latency is not None
        assert 0 <= found.latency < LATENCY_SECONDS
    else:
        assert found.latency == pytest.approx(LATENCY_SECONDS, rel=0.2)
    assert found.in_flight == (None if preset in NO_GAUGE else 0 if preset in OTEL else IN_FLIGHT)


@pytest.mark.parametrize("preset", sorted(BUSY))
async def test_a_pod_without_any_request_is_idle_and_not_unknown(look: Look, preset: str) -> None:
    snapshot = await settled(look, preset, BUSY[preset][0], "idle")
    idle = numbers(snapshot, "idle")
    assert (idle.requests, idle.errors) == (0, 0)
    assert snapshot.signals["requests"].state is SignalState.Fresh
    assert snapshot.signals["errors"].state is SignalState.Fresh


@pytest.mark.parametrize("preset", sorted(NO_GAUGE))
async def test_what_a_preset_has_not_is_said(look: Look, preset: str) -> None:
    snapshot = await settled(look, preset, preset)
    assert snapshot.signals["inFlight"].state is SignalState.Missing
    assert f"the preset {preset} has no such metric" in snapshot.signals["inFlight"].detail


@pytest.mark.parametrize("preset", sorted(BUSY))
async def test_with_another_label_for_the_status_errors_are_unknown(look: Look, preset: str) -> None:
    pod = next(iter(BUSY[preset]))
    snapshot = await settled(look, preset, pod, labels=SignalLabels(code="sttus"))
    assert numbers(snapshot, pod).errors is None
    assert PRESETS[preset].requests in snapshot.signals["errors"].detail


@pytest.mark.parametrize("preset", sorted(BUSY))
async def test_where_none_is_named_it_is_found(look: Look, preset: str) -> None:
    pod = BUSY[preset][0]
    await settled(look, preset, pod)
    found = await search(look, preset, pod)
    assert found is not None
    expected = "otel" if preset in OTEL else preset  # one server that has the names of both
    assert found.preset == PRESETS[expected]
    assert found.code == PRESETS[expected].code


async def test_a_status_under_another_name_is_found(look: Look) -> None:
    await settled(look, "app", "app-status")
    found = await search(look, "app", "app-status")
    assert found is not None
    assert (found.preset, found.code) == (PRESETS["app"], "status_code")


async def test_for_pods_that_nobody_scrapes_none_is_found(look: Look) -> None:
    await settled(look, "app", "app")
    assert await search(look, "app", "nobody") is None
    snapshot = await look.at("nobody", namespace="app", preset=None)
    assert "no preset answers for these pods" in snapshot.signals["requests"].detail


async def search(look: Look, namespace: str, pod: str) -> Source | None:
    samples = await look.samples(pod, namespace=namespace, preset=None, window=None)
    return found_in(samples.source, samples.readings["requests"].found, {(namespace, pod)})


def test_every_preset_that_names_pods_is_tried_here() -> None:
    assert BUSY.keys() == IDLE.keys() == {name for name, preset in PRESETS.items() if preset.findable}
