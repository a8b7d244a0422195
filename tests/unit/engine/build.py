"""Snapshots in a line: a fleet of healthy single-pod backends, changed where a test says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.plan import Drain, RestartPod, SetWeights, Write
from evenload.model.snapshot import SIGNALS, Backend, Pod, Signal, Snapshot

NOW = 1_760_000_000.0
WINDOW = 15.0


def pod(name: str = "a-0", **changes: object) -> Pod:
    """Ready, an hour old, 240 requests in the window, no errors, a third of its CPU."""
    healthy: dict[str, object] = {
        "ready": True,
        "age": 3600.0,
        "uid": f"uid-{name}",
        "node": "n1",
        "workload": f"Deployment/{name[:-2]}",
        "requests": 240.0,
        "errors": 0.0,
        "latency": 0.02,
        "cpu": 0.08,
        "cpu_limit": 0.25,
        "memory": 8e7,
        "memory_limit": 2.5e8,
        "in_flight": 1.0,
        **changes,
    }
    return Pod(**healthy)  # type: ignore[arg-type]


def snapshot(
    pods: Mapping[str, Mapping[str, object]] | None = None,
    *,
    backends: Iterable[str] = "abcd",
    weights: Mapping[str, int] | None = None,
    **changes: object,
) -> Snapshot:
    """One pod `x-0` a backend `x`; `pods` changes some by name, `weights` the weight of 100."""
    changed = pods or {}
    known = {
        name: Backend(
            weight=(weights or {}).get(name, 100), pods={f"{name}-0": pod(f"{name}-0", **changed.get(f"{name}-0", {}))}
        )
        for name in backends
    }
    fields: dict[str, object] = {
        "time": NOW,
        "window": WINDOW,
        "backends": known,
        "signals": {name: Signal(age=2.0) for name in SIGNALS},
        **changes,
    }
    return Snapshot(**fields)  # type: ignore[arg-type]


def later(known: Snapshot, seconds: float, **changes: object) -> Snapshot:
    """The same, some seconds on; but for a hair of latency, as live traffic never is quite the same."""
    backends = {name: _stirred(backend, 1 + 1e-9 * seconds) for name, backend in known.backends.items()}
    return msgspec.structs.replace(known, **{"time": known.time + seconds, "backends": backends} | changes)


def _stirred(backend: Backend, factor: float) -> Backend:
    pods = {
        name: pod if pod.latency is None else msgspec.structs.replace(pod, latency=pod.latency * factor)
        for name, pod in backend.pods.items()
    }
    return msgspec.structs.replace(backend, pods=pods)


HALF_WINDOW = WINDOW / 2  # by then every pod was scraped again: a look of its own


def steps(engine: Engine, known: Snapshot, count: int, tick: float = HALF_WINDOW) -> Decision:
    """The last of `count` decisions on the same sight."""
    decision = engine.step(known)
    for number in range(1, count):
        decision = engine.step(later(known, tick * number))
    return decision


def write_of(decision: Decision) -> Write | None:
    """What it writes, if anything."""
    return next((action for action in decision.actions if isinstance(action, SetWeights | Drain | RestartPod)), None)
