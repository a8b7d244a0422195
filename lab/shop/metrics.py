"""What the server tells Prometheus, in the names of Evenload's `app` preset, and nothing that costs more to scrape."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lab.shop.model import FAILED, OK, OVERFLOWED

LATENCY_BUCKETS_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3),
    *(0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0),
)
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """One server's metrics in a registry of its own: the process collectors would double the cost of a scrape."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot the `-> None`
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests", "Requests answered, by status code.", ("code", "method"), registry=self._registry
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time from arrival to answer, waiting included.",
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Requests that wait or are worked on.", registry=self._registry
        )
        self.sick = Gauge("shop_sick", "1 when sick: the tests' truth, not for operators.", registry=self._registry)
        for code in (OK, FAILED, OVERFLOWED):  # rate() misses the first increase of a series that was not there at 0
            self._requests.labels(str(code), "GET")

    def answered(self, *, status: int, method: str, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(str(status), method).inc()
        self._duration.observe(seconds)

    def render(self) -> bytes:
        """The text that is scraped."""
        return generate_latest(self._registry)
