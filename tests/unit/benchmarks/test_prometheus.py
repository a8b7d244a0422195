"""The benchmarks' stand-in for Prometheus knows the queries that the reader asks."""

from __future__ import annotations

import pytest

from benchmarks.prometheus import signal_of
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.model.spec import Signals
from evenload.observe.queries import render, source_of


@pytest.mark.parametrize("signal", SIGNALS)
def test_each_signals_query_is_recognised(signal: SignalName) -> None:
    source = source_of(Signals(preset="app"), default_url="http://p:1", scrape_seconds=10.0)
    assert signal_of(render(source, signal, ["shop"])) == signal
