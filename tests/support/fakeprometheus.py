"""A stand-in for Prometheus on a real socket. It does not evaluate PromQL: it knows each pod's numbers, tells from a
query's text which signal is meant, and answers in Prometheus' format, well or badly.

    async with FakePrometheus() as prometheus:
        prometheus.pods["shop", "shop-a-1"] = {"requests": 100, "errors": 2, "latency": 0.02, "inFlight": 3}
        prometheus.mode = Mode.Slow              # and back: Mode.Ok
        prometheus.modes["memory"] = Mode.NaN    # only this signal
        ... SignalReader / the operator with prometheus.url ...
        assert prometheus.asked["requests"] == 3

Range queries are answered from `history`, a function of the time (None: a gap, nothing was scraped):

        prometheus.history = lambda time: {("shop", "shop-a-1"): {"requests": 100}} if time > 1760089500 else None

Numbers are what Evenload should see: counts are answered stretched the way increase() does (`window` / `span`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from time import monotonic
from types import TracebackType
from typing import Any, Self

from aiohttp import web

HTML = b"<!doctype html><html><body><h1>Please sign in</h1></body></html>"

# The longest name first: errors and requests share a metric.
_SIGNS: tuple[tuple[str, str], ...] = (
    ("errors", r'http_requests_total\{[^}]*=~"5'),
    ("requests", r"http_requests_total"),
    ("latency", r"http_request_duration_seconds"),
    ("inFlight", r"http_requests_in_flight"),
    ("cpu", r"container_cpu_usage_seconds_total"),
    ("memory", r"container_memory_working_set_bytes"),
    ("weights", r"evenload_backend_weight"),
    ("ready", r"kube_pod_status_ready"),
    ("started", r"kube_pod_start_time"),
    ("cpuLimit", r'kube_pod_container_resource_limits\{[^}]*"cpu"'),
    ("memoryLimit", r'kube_pod_container_resource_limits\{[^}]*"memory"'),
)
_COUNTS = frozenset({"requests", "errors"})


class Mode(Enum):
    """How a query is answered."""

    Ok = "ok"
    Slow = "slow"  # after `delay_seconds`
    Drip = "drip"  # a byte at a time, for ever
    NaN = "nan"  # every value is NaN
    Stale = "stale"  # the newest sample is `stale_seconds` old
    Empty = "empty"  # success, and no series
    Half = "half"  # every second pod is missing
    Http500 = "500"
    Echo = "echo"  # an error whose text repeats how the request was signed in, as debugging proxies do
    Html = "html"
    Garbage = "garbage"  # half a JSON document
    Cut = "cut"  # the connection is cut before an answer


Numbers = dict[tuple[str, str], Mapping[str, float]]
"""By namespace and pod: signal -> number."""


class FakePrometheus:
    """See the module. Use as an async context manager."""

    def __init__(self, *, window_seconds: float = 15.0, scrape_seconds: float = 5.0) -> None:
        self.pods: Numbers = {}
        self.idle: dict[tuple[str, str], float] = {}  # scraped that many seconds ago, without a request counter
        self.uncoded: dict[tuple[str, str], Mapping[str, str]] = {}  # labels of the counters that carry no status
        self.history: Callable[[float], Numbers | None] = lambda time: {}
        self.weights: Callable[[float], Mapping[str, float]] = lambda time: {}  # what our own metric remembers
        self.ranges: list[tuple[float, float, float]] = []  # of the requests' range queries: start, end, step
        self.most_moments = 11_000
        self.mode = Mode.Ok
        self.modes: dict[str, Mode] = {}
        self.preset = "app/code"  # the candidate that its series are of, for those who look
        self.frozen = False  # the same answer again and again, as from a stuck cache
        self.age_seconds = 2.0
        self.measured_at: float | None = None  # on the monotonic clock; None: always just now
        self.stale_seconds = 120.0
        self.delay_seconds = 30.0
        self.warnings: list[str] = []
        self.asked: Counter[str] = Counter()
        self.queries: list[str] = []
        self.authorizations: list[str | None] = []
        self.requests: list[str] = []  # all that came of each: headers and form
        self.largest_outstanding = 0
        self._stretch = window_seconds / (window_seconds - scrape_seconds)
        self._outstanding = 0
        self._ended = asyncio.Event()
        self._port = 0  # at first any that is free

    async def __aenter__(self) -> Self:
        await self.come_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        await self.go_down()

    async def go_down(self) -> None:
        """Nobody listens any more, and what was connected is cut off."""
        await self._runner.cleanup()

    async def come_up(self) -> None:
        """At the same address as before."""
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/api/v1/query", self._handle)
        application.router.add_route("*", "/api/v1/query_range", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._outstanding += 1
        self.largest_outstanding = max(self.largest_outstanding, self._outstanding)
        try:
            return await self._answer(request)
        finally:
            self._outstanding -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = {**request.query, **{key: str(value) for key, value in (await request.post()).items()}}
        query = form.get("query", "")
        signal = _signal_of(query)
        self.queries.append(query)
        self.asked[signal] += 1
        self.authorizations.append(request.headers.get("Authorization"))
        self.requests.append(f"{dict(request.headers)} {form}")
        match self.modes.get(signal, self.mode):
            case Mode.Http500:
                return web.json_response(
                    {"status": "error", "errorType": "internal", "error": "disk on fire"}, status=500
                )
            case Mode.Echo:
                sent = [value for name, value in request.headers.items() if name.startswith(("Authorization", "X-"))]
                return web.Response(status=401, text=f"refused: {'; '.join(sent)}")
            case Mode.Html:
                return web.Response(body=HTML, content_type="text/html")
            case Mode.Garbage:
                return web.Response(body=self._vector(signal, query, Mode.Ok)[:-20], content_type="application/json")
            case Mode.Cut:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case Mode.Drip:
                return await self._drip(request)
            case mode:
                if mode is Mode.Slow:
                    await self._wait(self.delay_seconds)
                if request.path.endswith("_range"):
                    return self._range(signal, query, mode, *(float(form[key]) for key in ("start", "end", "step")))
                return web.Response(body=self._vector(signal, query, mode), content_type="application/json")

    def _range(self, signal: str, query: str, mode: Mode, start: float, end: float, step: float) -> web.Response:
        times = [start + step * index for index in range(int((end - start) / step + 1e-9) + 1)]
        if signal == "requests":
            self.ranges.append((start, end, step))
        if len(times) > self.most_moments:
            error = {"status": "error", "errorType": "execution", "error": "too many samples"}
            return web.json_response(error, status=422)
        series: dict[str, Any] = {}
        for time in times:
            for row in self._rows_then(signal, query, mode, time):
                found = series.setdefault(
                    json.dumps(row["metric"], sort_keys=True), {"metric": row["metric"], "values": []}
                )
                found["values"].append([time, row["value"][1]])
        answer = {"status": "success", "data": {"resultType": "matrix", "result": list(series.values())}}
        return web.json_response(answer)

    def _rows_then(self, signal: str, query: str, mode: Mode, time: float) -> list[Any]:
        if signal == "weights":
            labels = {"evenload": "value", "namespace": "shop"}
            return [
                {"metric": labels | {"backend": backend}, "value": [time, repr(weight)]}
                for backend, weight in self.weights(time).items()
            ]
        then = self.history(time)
        if then is None or mode is Mode.Empty:
            return []
        return self._rows(signal, query, mode, then)

    def _age(self) -> float:
        return self.age_seconds + (0.0 if self.measured_at is None else monotonic() - self.measured_at)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while not self._ended.is_set():
            await response.write(b" ")
            await self._wait(0.05)
        return response

    def _vector(self, signal: str, query: str, mode: Mode) -> bytes:
        rows = [] if mode is Mode.Empty else self._rows(signal, query, mode, self.pods)
        answer = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        return json.dumps(answer | ({"warnings": self.warnings} if self.warnings else {})).encode()

    def _rows(self, signal: str, query: str, mode: Mode, numbers: Numbers) -> list[Any]:
        namespaces = _namespaces(query)
        pods = [key for key in sorted(numbers) if namespaces.fullmatch(key[0]) and signal in numbers[key]]
        if mode is Mode.Half:
            pods = pods[::2]
        if f'"{self.preset}"' in query:
            return [_row(self.preset, 1.0, *key) for key in pods]
        if _LOOKS_FOR_PRESETS in query:
            return []
        stretch = self._stretch if signal in _COUNTS else 1.0
        age = self.stale_seconds if mode is Mode.Stale else self._age()
        rows = [_row("age", age, namespace) for namespace in sorted({namespace for namespace, _ in pods})]
        for key in pods:
            value = float("nan") if mode is Mode.NaN else numbers[key][signal] * stretch
            if signal == "latency" and not self.frozen:
                value *= 1 + 1e-9 * self.asked[signal]  # live traffic never is quite the same
            if signal != "errors" or (value != 0 and key not in self.uncoded):
                rows.append(_row("value", value, *key))
        if signal == "requests":
            rows += [_row("idle", age, *key) for key, age in self.idle.items() if namespaces.fullmatch(key[0])]
        if signal == "errors":
            rows += [_row("uncoded", 1.0, *key, **self.uncoded[key]) for key in pods if key in self.uncoded]
            if '"coded"' in query:
                rows += [_row("coded", 1.0, *key) for key in pods if key not in self.uncoded]
        return rows


_LOOKS_FOR_PRESETS = '"evenload", "app/"'


def _row(kind: str, value: float, namespace: str, pod: str | None = None, **labels: str) -> Any:
    metric = labels | {"evenload": kind, "namespace": namespace} | ({"pod": pod} if pod is not None else {})
    return {"metric": metric, "value": [1760089500.781, "NaN" if value != value else repr(value)]}


def _signal_of(query: str) -> str:
    return next((signal for signal, pattern in _SIGNS if re.search(pattern, query)), "unknown")


def _namespaces(query: str) -> re.Pattern[str]:
    found = re.search(r'namespace=~"([^"]*)"', query)
    return re.compile(found[1] if found else ".*")
