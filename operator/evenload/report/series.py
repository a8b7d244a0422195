"""A flight recording as lines to draw: per backend the share, the error ratio, the latency and the weight.

What was not measured is NaN here, which draws as a gap; it is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from evenload.model.base import Value
from evenload.model.decision import Decision
from evenload.model.snapshot import Backend, Pod, Snapshot

Recording = Sequence[tuple[Snapshot, Decision]]
Lines = dict[str, tuple[float, ...]]

NAN = math.nan


class Series(Value, frozen=True, kw_only=True):
    """One value a tick for each backend; ratios from 0 to 1, latency in seconds, times in seconds since the epoch."""

    times: tuple[float, ...]
    shares: Lines
    targets: Lines
    errors: Lines
    latencies: Lines
    weights: Lines
    total_errors: tuple[float, ...]

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(self.shares)


def series(recording: Recording) -> Series:
    """All lines of the recording. A backend that comes or goes has gaps where it is not."""
    ticks = [snapshot for snapshot, _ in recording]
    names = sorted({name for snapshot in ticks for name in snapshot.backends})
    return Series(
        times=tuple(snapshot.time for snapshot in ticks),
        shares=_lines(names, [_shares(snapshot.backends) for snapshot in ticks]),
        targets=_lines(names, [decision.targets for _, decision in recording]),
        errors=_lines(names, [_each(snapshot, error_ratio) for snapshot in ticks]),
        latencies=_lines(names, [_each(snapshot, _latency) for snapshot in ticks]),
        weights=_lines(names, [_each(snapshot, lambda backend: float(backend.weight)) for snapshot in ticks]),
        total_errors=tuple(_total_error_ratio(snapshot.backends.values()) for snapshot in ticks),
    )


def failed_requests(recording: Recording) -> float | None:
    """About how many requests failed, by the servers' own counters: a tick's errors, scaled to the time it stands for.

    Windows overlap (a window is often longer than a tick), so a tick counts for the time since the one before it. None
    where no tick had both counts. It misses what never reached a server.
    """
    total: float | None = None
    previous: float | None = None
    for snapshot, _ in recording:
        errors = _sum(snapshot.backends.values(), "errors")
        elapsed = snapshot.window if previous is None else snapshot.time - previous
        previous = snapshot.time
        if errors is not None:
            total = (total or 0.0) + errors * min(1.0, elapsed / snapshot.window)
    return total


def error_ratio(backend: Backend) -> float:
    """Errors / requests of one backend in the window; NaN without requests."""
    return _total_error_ratio([backend])


def _total_error_ratio(backends: Iterable[Backend]) -> float:
    backends = list(backends)
    requests, errors = _sum(backends, "requests"), _sum(backends, "errors")
    return errors / requests if requests and errors is not None else NAN


def _shares(backends: Mapping[str, Backend]) -> dict[str, float]:
    counts = {name: _sum([backend], "requests") for name, backend in backends.items()}
    total = sum(count for count in counts.values() if count is not None)
    return {name: count / total for name, count in counts.items() if count is not None and total}


def _latency(backend: Backend) -> float:
    """The pods' latency, weighted by their requests."""
    known = [pod for pod in backend.pods.values() if pod.latency is not None and pod.requests]
    requests = sum(pod.requests or 0.0 for pod in known)
    return sum((pod.latency or 0.0) * (pod.requests or 0.0) for pod in known) / requests if requests else NAN


def _sum(backends: Iterable[Backend], attribute: str) -> float | None:
    """The pods' counts added up; None where no pod has one."""
    pods: list[Pod] = [pod for backend in backends for pod in backend.pods.values()]
    known = [value for value in (getattr(pod, attribute) for pod in pods) if value is not None]
    return float(sum(known)) if known else None


def _each(snapshot: Snapshot, value: Callable[[Backend], float]) -> dict[str, float]:
    return {name: value(backend) for name, backend in snapshot.backends.items()}


def _lines(names: Sequence[str], ticks: Sequence[Mapping[str, float]]) -> Lines:
    return {name: tuple(tick.get(name, NAN) for tick in ticks) for name in names}
