"""A server with OpenTelemetry's own instrumentation: its page is written by its SDK, nothing of it by us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from wsgiref.util import setup_testing_defaults

import prometheus_client
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider

from tests.support.scraped import Page


@contextmanager
def instrumented(rate: int, failing: int) -> Iterator[Page]:
    """Of so many requests a second, in both conventions: the names before the stable ones, and those."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
        provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
        server = OpenTelemetryMiddleware(_answer, meter_provider=provider)
    served, one_at_a_time = 0, threading.Lock()

    def page(seconds: float) -> str:
        """What has been due since the last scrape is asked and answered now."""
        nonlocal served
        with one_at_a_time:
            for number in range(served, int(rate * seconds)):
                environ = {"PATH_INFO": "/failing" if number * failing % rate < failing else "/"}
                setup_testing_defaults(environ)
                b"".join(server(environ, _ignore))
                served = number + 1
            return prometheus_client.generate_latest().decode()

    try:
        yield page
    finally:
        provider.shutdown()


def _answer(environ, start_response):  # type: ignore[no-untyped-def]
    start_response("503 Service Unavailable" if environ["PATH_INFO"] == "/failing" else "200 OK", [])
    return [b"done"]


def _ignore(*_: object) -> Callable[[bytes], object]:
    return len
