"""What is read of a real Prometheus, joined to Snapshots of pods by name."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from evenload.model.snapshot import Snapshot
from evenload.model.spec import Signals
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.observe.queries import Source, source_of
from tests.support.wait import PATIENCE_SECONDS
from tests.unit.observe.fleets import NOW, member

LATE = 0.2  # of the time between two scrapes
QUIET_SECONDS = 20.0  # a machine that is so busy all the time is taken as it is


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
        """As soon as Prometheus has scraped these pods in time all through the window.

        On a busy machine it does not always, and then numbers are not what they should be, by no fault of ours.
        """
        ends = time.monotonic() + QUIET_SECONDS
        while True:
            seen = await self._now(*pods, namespace=namespace, **signals)
            if not await asyncio.to_thread(self.disturbed, pods) or time.monotonic() > ends:
                return seen
            await asyncio.sleep(0.2)

    def disturbed(self, pods: Iterable[str], seconds: float | None = None) -> bool:
        """Whether a scrape was late or left out, in the last `seconds`; two windows if nothing is said."""
        seconds = seconds or 2 * self._window_seconds
        names = "|".join(map(re.escape, pods))
        took = f'scrape_duration_seconds{{%s=~"{names}"}}[{seconds:g}s]'.replace("\\", "\\\\")
        usual = seconds / self._scrape_seconds
        late, missed = (
            f"max_over_time({took}) > {LATE * self._scrape_seconds}",
            f"count_over_time({took}) < {usual - 1}",
        )
        query = " or ".join(each % label for each in (late, missed) for label in ("pod", "k8s_pod"))
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
                return bool(json.load(answer)["data"]["result"])
        except OSError:  # it has not begun
            return True

    async def _now(self, *pods: str, namespace: str, **signals: Any) -> Snapshot:
        samples = await self.samples(*pods, namespace=namespace, **signals)
        fleet = Fleet(backends={pod: {pod: member(pod, namespace=namespace)} for pod in pods})
        weights = dict.fromkeys(pods, 1)
        return snapshot_of(time=NOW, weights=weights, fleet=fleet, samples=samples, max_age_seconds=60)
