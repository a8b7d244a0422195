"""Fleets and samples for the tests of the join: short to write, complete where it matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from evenload.model.snapshot import SignalName, Snapshot
from evenload.model.spec import SignalLabels
from evenload.observe.cluster import Fleet, Member
from evenload.observe.join import snapshot_of
from evenload.observe.pods import PodFacts
from evenload.observe.prometheus import Reading, Samples
from evenload.observe.queries import Source
from evenload.presets import PRESETS

NOW = 1_760_089_500.0
SOURCE = Source(
    url="http://prometheus", preset=PRESETS["app"], labels=SignalLabels(), window_seconds=15.0, scrape_seconds=5.0
)
FACTS = PodFacts(
    namespace="shop",
    name="",
    uid="",
    ready=True,
    terminating=False,
    started_at=NOW - 3600,
    node="n1",
    zone=None,
    owner=None,
    protected=False,
    pre_stop_seconds=5.0,
    capacity=None,
    cpu_limit=0.5,
    memory_limit=2.5e8,
)


def member(name: str, *, ready: bool = True, workload: str | None = "Deployment/shop", **facts: Any) -> Member:
    full = msgspec.structs.replace(FACTS, **{"name": name, "uid": f"uid-{name}", **facts})
    return Member(facts=full, ready=ready, workload=workload)


def fleet(*names: str, **ready: bool) -> Fleet:
    """One pod a backend; `b=False` makes pod b not ready."""
    members = {name: member(name, ready=ready.get(name, True)) for name in names}
    return Fleet(backends={f"shop-{name}": {name: each} for name, each in members.items()})


def reading(ages: float | None = 2.0, **values: float) -> Reading:
    return Reading(values={"shop": dict(values)} if values else {}, ages={} if ages is None else {"shop": ages})


def samples(**readings: Reading) -> Samples:
    """Signals that are not named were answered without any series."""
    empty: dict[SignalName, Reading] = {
        name: Reading() for name in ("requests", "errors", "latency", "cpu", "memory", "inFlight")
    }
    return Samples(source=SOURCE, readings=empty | readings)  # type: ignore[arg-type]


def snapshot(who: Fleet, readings: Samples, **more: Any) -> Snapshot:
    weights: Mapping[str, int] = dict.fromkeys(who.backends, 100)
    return snapshot_of(time=NOW, weights=weights, fleet=who, samples=readings, max_age_seconds=60.0, **more)
