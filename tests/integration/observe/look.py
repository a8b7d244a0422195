"""What is read of a real Prometheus, joined to Snapshots of pods by name."""

from __future__ import annotations

from typing import Any

from evenload.model.snapshot import Snapshot
from evenload.model.spec import Signals
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.observe.queries import Source, source_of
from tests.unit.observe.fleets import NOW, member


class Look:
    """Reads Snapshots of pods by name, each a backend of its own."""

    def __init__(self, url: str, reader: SignalReader, *, window_seconds: float, scrape_seconds: float) -> None:
        self.url = url
        self.reader = reader
        self._window_seconds, self._scrape_seconds = window_seconds, scrape_seconds

    def source(self, **signals: Any) -> Source:
        asked = Signals(**{"preset": "app", "window": f"{self._window_seconds:g}s", **signals})
        return source_of(asked, default_url=self.url, scrape_seconds=self._scrape_seconds)

    async def samples(self, *pods: str, namespace: str, **signals: Any) -> Samples:
        interest = Interest(source=self.source(**signals), namespaces=frozenset({namespace}), pods=pods)
        return (await self.reader.read({"it": interest}))["it"]

    async def at(self, *pods: str, namespace: str = "shop", **signals: Any) -> Snapshot:
        samples = await self.samples(*pods, namespace=namespace, **signals)
        fleet = Fleet(backends={pod: {pod: member(pod, namespace=namespace)} for pod in pods})
        weights = dict.fromkeys(pods, 1)
        return snapshot_of(time=NOW, weights=weights, fleet=fleet, samples=samples, max_age_seconds=60)
