"""A Snapshot as vectors: what the statistics compute with.

Backends and pods are sorted by name, so the order in which a cluster lists them cannot change an answer, not even in
the last bit of a sum. An absent number is NaN; so is one that cannot be (negative, infinite): neither reads as zero.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evenload.model.snapshot import Pod, Snapshot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

_ABSURD = 1e18  # more than any count, byte or second we could be told


class Fleet:
    """The pods of one Balancer side by side. Vectors are by pod; those named `..._by_backend` are by backend.

    `ready` means: takes new requests (ready and not terminating). Counts are over the window, `latency` in seconds,
    `cpu` in cores, `memory` in bytes, `age` in seconds.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.backends = tuple(sorted(snapshot.backends))
        self.names: list[str] = []
        self.pods: list[Pod] = []
        where: list[int] = []
        for index, backend in enumerate(self.backends):
            pods = snapshot.backends[backend].pods
            self.names += sorted(pods)
            self.pods += [pods[name] for name in sorted(pods)]
            where += [index] * len(pods)
        self.where: Ints = np.array(where, dtype=np.intp)
        self.weights: Floats = np.array([snapshot.backends[name].weight for name in self.backends], dtype=float)
        self.ready: Bools = np.array([pod.ready and not pod.terminating for pod in self.pods], dtype=bool)
        (
            self.requests,
            self.errors,
            self.latency,
            self.cpu,
            self.cpu_limit,
            self.memory,
            self.memory_limit,
            self.in_flight,
            self.age,
            self.capacity,
        ) = _columns(self.pods)
        self.errors = np.minimum(self.errors, self.requests)  # extrapolation can lift errors above requests

    def by_backend(self, values: Floats) -> Floats:
        """Sums of a pod vector by backend; NaN counts as nothing."""
        known = np.where(np.isnan(values), 0.0, values)
        return np.bincount(self.where, weights=known, minlength=len(self.backends)).astype(np.float64)

    @cached_property
    def ready_by_backend(self) -> Floats:
        """How many ready pods each backend has."""
        return self.by_backend(self.ready.astype(np.float64))

    @cached_property
    def utilization(self) -> Floats:
        """CPU over its limit, 0..1 and a little above; NaN where either is unknown."""
        limit: Floats = np.where(self.cpu_limit > 0, self.cpu_limit, np.nan)
        ratio: Floats = self.cpu / limit
        return ratio

    @cached_property
    def total_requests(self) -> float:
        """Requests in the window, over all pods that told theirs."""
        return float(np.nansum(self.requests))

    @cached_property
    def shares(self) -> Floats:
        """Share of the requests by backend; all NaN while there are none."""
        if not self.total_requests:
            return np.full(len(self.backends), np.nan)
        return self.by_backend(self.requests) / self.total_requests

    @cached_property
    def commanded(self) -> Floats:
        """Share by backend that the weights ask for; all NaN where they are all zero."""
        total = float(self.weights.sum())
        return self.weights / total if total else np.full(len(self.backends), np.nan)

    def error_ratio(self) -> float | None:
        """Errors over requests of the whole Balancer, or None where that is unknown."""
        known = ~np.isnan(self.errors)
        requests = float(self.requests[known].sum())
        return float(self.errors[known].sum()) / requests if requests > 0 else None


def _columns(pods: list[Pod]) -> Floats:
    rows = [
        (
            pod.requests,
            pod.errors,
            pod.latency,
            pod.cpu,
            pod.cpu_limit,
            pod.memory,
            pod.memory_limit,
            pod.in_flight,
            pod.age,
            pod.capacity,
        )
        for pod in pods
    ]
    values = np.array(rows, dtype=float).reshape(len(rows), 10).T
    return np.where((values >= 0) & (values < _ABSURD), values, np.nan)
