"""A Snapshot as vectors: what the statistics compute with.

Backends and pods are sorted by name, so the order in which a cluster lists them cannot change an answer, not even in
the last bit of a sum. An absent number is NaN; so is one that cannot be (negative, infinite): neither reads as zero.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evenload.model.once import once
from evenload.model.snapshot import Pod, Snapshot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
Vector = TypeVar("Vector", Floats, Bools)

_ABSURD = 1e18  # more than any count, byte or second we could be told
_NOTHING = 1e-12  # less than any: ratios of such dust overflow


def some(mask: Bools | Floats) -> bool:
    """Whether any of it is true: `mask.any()` at a sixth of its cost, which is what counts with fifty pods."""
    return bool(np.count_nonzero(mask))


class Witnesses:
    """Who can say something of its own: every pod; but of a backend whose numbers are its Service's, all ready pods
    together. Their equal parts of one number agree, however it came about: to a test that takes pods for independent
    they would be so many proofs of the same.

    Vectors go from pods to witnesses and back. Where each pod speaks for itself they stay what they are.
    """

    def __init__(self, where: Ints, together: Bools) -> None:
        """`together`: pods that speak with the others of their backend (`where`) that do."""
        self.each_alone = not some(together)
        if self.each_alone:
            return
        alone = where.size + np.arange(where.size)
        _, self._first, self._of = np.unique(np.where(together, where, alone), return_index=True, return_inverse=True)
        self._size = np.bincount(self._of).astype(np.float64)

    def sums(self, values: Floats) -> Floats:
        """From pods to witnesses: counts, shares. NaN where that of a pod is."""
        return values if self.each_alone else np.bincount(self._of, weights=values).astype(np.float64, copy=False)

    def means(self, values: Floats) -> Floats:
        """From pods to witnesses: latency, use."""
        return values if self.each_alone else self.sums(values) / self._size

    def any(self, mask: Bools) -> Bools:
        """From pods to pods: whether it is so of any that it speaks with."""
        return mask if self.each_alone else self.each(self.sums(mask.astype(np.float64)) > 0)

    def most(self, mask: Bools) -> Bools:
        """From pods to pods: whether it is so of most that it speaks with."""
        return mask if self.each_alone else self.each(self.means(mask.astype(np.float64)) > 0.5)

    def each(self, found: Vector) -> Vector:
        """From witnesses to pods."""
        return found if self.each_alone else found[self._of]

    def indexes(self, mask: Bools) -> Ints:
        """A pod of each witness that has one in the mask."""
        found = np.flatnonzero(mask)
        if self.each_alone:
            return found
        _, first = np.unique(self._of[found], return_index=True)
        return found[np.sort(first)]

    def count(self, mask: Bools) -> int:
        """How many witnesses have a pod in the mask."""
        return int(np.count_nonzero(mask)) if self.each_alone else int(self.indexes(mask).size)


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
            names = sorted(pods)
            self.names += names
            self.pods += [pods[name] for name in names]
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
        self.by_service: Bools = np.array([snapshot.backends[name].by_service for name in self.backends], dtype=bool)
        self.weights_total = snapshot.weights_total
        self.learnt_by_backend: Floats = np.ones(len(self.backends))  # capacity over what CPU limits promise, if learnt
        self.errors = np.minimum(self.errors, self.requests)  # extrapolation can lift errors above requests

    def by_backend(self, values: Floats) -> Floats:
        """Sums of a pod vector by backend; NaN counts as nothing."""
        known = np.where(np.isnan(values), 0.0, values)
        return self._sums(known)

    def _sums(self, known: Floats | Bools) -> Floats:
        sums = np.bincount(self.where, weights=known, minlength=len(self.backends))
        return sums.astype(np.float64, copy=False)  # whole numbers where there is no pod

    @once
    def witnesses(self) -> Witnesses:
        """Who can say something of its own."""
        return Witnesses(self.where, self.ready & self.by_service[self.where])

    def subject(self, index: int) -> str:
        """Who that pod speaks for, by name: its backend, where its numbers are those of all pods of that."""
        where = int(self.where[index])
        return self.backends[where] if self.by_service[where] else self.names[index]

    @once
    def ready_witnesses(self) -> int:
        """How many can say what traffic does."""
        return self.witnesses.count(self.ready)

    @once
    def ready_by_backend(self) -> Floats:
        """How many ready pods each backend has."""
        return self._sums(self.ready)

    @once
    def ready_count(self) -> int:
        """How many pods are ready."""
        return int(np.count_nonzero(self.ready))

    @property
    def all_ready(self) -> bool:
        """Whether there is no pod that is not."""
        return self.ready_count == len(self.pods)

    @once
    def requests_by_backend(self) -> Floats:
        """Requests in the window, over the pods that told theirs."""
        return self.by_backend(self.requests)

    @once
    def told_by_backend(self) -> Bools:
        """Whether no ready pod of a backend lacks its count: else its sum says nothing."""
        told: Bools = self._sums(self.ready & np.isnan(self.requests)) == 0
        return told

    @once
    def utilization(self) -> Floats:
        """CPU over its limit, 0..1 and a little above; NaN where either is unknown."""
        limit: Floats = np.where(self.cpu_limit > 0, self.cpu_limit, np.nan)
        ratio: Floats = self.cpu / limit
        return ratio

    @once
    def total_requests(self) -> float:
        """Requests in the window, over all pods that told theirs."""
        total = float(self.requests.sum())
        return total if total == total else float(np.nansum(self.requests))  # nansum costs five times a sum

    @once
    def shares(self) -> Floats:
        """Share of the requests by backend; all NaN while there are none."""
        if not self.total_requests:
            return np.full(len(self.backends), np.nan)
        return self.requests_by_backend / self.total_requests

    @once
    def commanded(self) -> Floats:
        """Share by backend that the weights ask for; all NaN where they are all zero."""
        total = float(self.weights.sum())
        return self.weights / total if total else np.full(len(self.backends), np.nan)

    @once
    def errors_and_requests(self) -> tuple[float, float]:
        """Of the whole Balancer, over the pods that reported both."""
        errors = float(self.errors.sum())
        if errors == errors:
            return errors, self.total_requests
        known = ~np.isnan(self.errors)
        return float(self.errors[known].sum()), float(self.requests[known].sum())

    def error_ratio(self) -> float | None:
        """Errors over requests of the whole Balancer, or None where that is unknown."""
        errors, requests = self.errors_and_requests
        return errors / requests if requests > 0 else None


def _columns(pods: list[Pod]) -> Floats:
    values = np.array(
        [  # a list a column: numpy reads ten long lists in a third of the time of many short ones
            [pod.requests for pod in pods],
            [pod.errors for pod in pods],
            [pod.latency for pod in pods],
            [pod.cpu for pod in pods],
            [pod.cpu_limit for pod in pods],
            [pod.memory for pod in pods],
            [pod.memory_limit for pod in pods],
            [pod.in_flight for pod in pods],
            [pod.age for pod in pods],
            [pod.capacity for pod in pods],
        ],
        dtype=float,
    )
    believed = np.where((values >= 0) & (values < _ABSURD), values, np.nan)
    return np.where(believed < _NOTHING, 0.0, believed)
