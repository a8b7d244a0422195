"""Reads a Source's signals over a stretch of time, in chunks that Prometheus and our memory can bear.

A chunk grows while its answers are small and is halved where Prometheus does not manage it (too slow, too many
samples). What fails even then is a problem of that signal, in words, as on the live path; only without requests is
there nothing to judge by.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Set
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenload.errors import SignalsUnavailable
from evenload.history.ranges import Answer, Grid, Rows, read_range, unanswered
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.observe.access import Access
from evenload.observe.copies import PodName
from evenload.observe.fair import FairThreads
from evenload.observe.prometheus import (
    BYTES_A_POD,
    LARGEST_ANSWER,
    UNREPEATED,
    Prometheus,
    Samples,
    limits_for,
    parse_copies,
)
from evenload.observe.queries import PodLabels, Source, render, render_copies
from evenload.observe.transport import Body

FIRST_CHUNK: Final = 240  # moments: an hour of 15-second ticks
LARGEST_CHUNK: Final = 2880  # Prometheus answers at most 11,000 a series
SMALLEST_CHUNK: Final = 15
SMALL_ANSWER_BYTES: Final = 4 << 20
_GAUGES: Final[tuple[SignalName, ...]] = ("inFlight", "memory")
THREADS: Final = len(SIGNALS)
BYTES_A_MOMENT: Final = 40  # of one pod: a time, a number, and what stands between


class Extra(NamedTuple):
    """A query beside the signals, and the labels that name its rows."""

    query: str
    labels: PodLabels


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """All that was answered for one Grid. What many Balancers ask of it is worked out once."""

    grid: Grid
    source: Source
    signals: Mapping[SignalName, Answer]
    extras: Mapping[str, Answer]
    _samples: dict[int, Samples] = field(default_factory=dict)

    def samples(self, index: int) -> Samples:
        """As the live path's reader would have given them at that moment."""
        if index not in self._samples:
            readings = {name: answer.at(index) for name, answer in self.signals.items()}
            self._samples[index] = Samples(source=self.source, readings=readings)
        return self._samples[index]

    def pods(self, namespaces: Collection[str]) -> tuple[list[PodName], NDArray[np.bool_]]:
        """Every pod of these namespaces, and at which moments it was there (moments x pods)."""
        keys, there = self._presence
        columns = [column for namespace in sorted(namespaces) for column in self._columns.get(namespace, ())]
        return [keys[column] for column in columns], there[:, columns]

    @cached_property
    def _columns(self) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for column, (namespace, _) in enumerate(self._presence[0]):
            columns.setdefault(namespace, []).append(column)
        return columns

    @cached_property
    def _presence(self) -> tuple[list[PodName], NDArray[np.bool_]]:
        """Gauges end with their pod; what is computed over a window (requests, cpu) outlives it by that window, and is
        looked at only for a pod that has no gauge."""
        answers = {name: answer for name, answer in self.signals.items() if not answer.problem}
        gauges = [answers[name].value for name in _GAUGES if name in answers]
        gauges += [answers["requests"].idle] if "requests" in answers else []
        others = [answer.value for name, answer in answers.items() if name not in _GAUGES]
        steady = {key for matrix in gauges for key in matrix.keys}
        keys = sorted(steady | {key for matrix in others for key in matrix.keys})
        places = {key: place for place, key in enumerate(keys)}
        there = np.zeros((self.grid.moments, len(keys)), dtype=bool)
        nobody: Set[PodName] = frozenset()
        for matrix, skipped in [*((each, nobody) for each in gauges), *((each, steady) for each in others)]:
            columns = [column for column, key in enumerate(matrix.keys) if key not in skipped]
            there[:, [places[matrix.keys[column]] for column in columns]] |= matrix.known[:, columns]
        return keys, there


class RangeReader:
    """Of one Source in some namespaces. `close` it at the end."""

    def __init__(
        self,
        source: Source,
        namespaces: Collection[str],
        *,
        pods: Collection[str] = (),
        extras: Mapping[str, Extra] | None = None,
        access: Access | None = None,
        deadline_seconds: float,
        expected_pods: int = 0,
        limited: bool = True,
    ) -> None:
        """`pods`: for a person's query that says $(pods).

        Answers are limited by `expected_pods`, smaller ones for what a tenant decides (another address, or a query);
        not so where it is not `limited`, as for a command that a person runs for themselves.
        """
        self._source = source
        self._queries = {name: render(source, name, namespaces, pods) for name in source.templates}
        self._copies = {
            query: render_copies(source, name, namespaces)
            for name, query in self._queries.items()
            if source.by_target(name)
        }
        self._extras = extras or {}
        self._prometheus = Prometheus(
            source.url, access=access, deadline_seconds=deadline_seconds, foreign=source.foreign and limited
        )
        self._threads = FairThreads(THREADS, THREADS, "history")
        self._expected_pods = expected_pods
        self._limited = limited
        self._lost: dict[str, str] = {}  # signals that fail however little is asked, and why

    @property
    def lost(self) -> Mapping[str, str]:
        """What could not be read at times, and the last reason."""
        return self._lost

    def close(self) -> None:
        """From any thread: what is under way fails at once."""
        self._threads.close()
        self._prometheus.close()

    def chunks(self, grid: Grid, first: int = FIRST_CHUNK) -> Iterator[Chunk]:
        """The grid from its start on. Raises SignalsUnavailable if not even the requests can be read."""
        size = first
        while grid.moments:
            part, rest = grid.split(size)
            chunk = self.chunk(part)
            failed: dict[str, str] = {name: one.problem for name, one in chunk.signals.items() if one.problem}
            if failed.keys() - self._lost and part.moments > SMALLEST_CHUNK:
                size = max(SMALLEST_CHUNK, part.moments // 2)
                continue
            if "requests" in failed:
                raise SignalsUnavailable(failed["requests"])
            self._lost |= failed
            yield chunk
            grid = rest
            if max(one.nbytes for one in chunk.signals.values()) < SMALL_ANSWER_BYTES:
                size = min(LARGEST_CHUNK, 2 * size)

    def chunk(self, grid: Grid) -> Chunk:
        """One grid, all signals; what fails has an Answer that says so. Raises SignalsUnavailable once closed."""
        signals = {
            name: self._started(query, self._source.pod_labels(name), grid) for name, query in self._queries.items()
        }
        extras = {name: self._started(extra.query, extra.labels, grid) for name, extra in self._extras.items()}
        return Chunk(
            grid=grid,
            source=self._source,
            signals={name: _result(future) for name, future in signals.items()},
            extras={name: _result(future) for name, future in extras.items()},
        )

    def _started(self, query: str, labels: PodLabels, grid: Grid) -> Future[Answer]:
        try:
            return self._threads.submit("", lambda: self._ask(query, labels, grid))
        except RuntimeError as error:
            raise SignalsUnavailable(f"no thread could be started to read the past: {error}") from error

    def _ask(self, query: str, labels: PodLabels, grid: Grid) -> Answer:
        bytes_a_pod = BYTES_A_POD + BYTES_A_MOMENT * grid.moments
        limits = LARGEST_ANSWER
        if self._limited:
            limits = limits_for(self._expected_pods, bytes_a_pod, tenant=self._source.own)
        over = (grid.start, math.ceil(grid.end), grid.step)
        copies = self._copies.get(query, "")

        def read(body: Body) -> Rows:
            return read_range(body, labels, grid, limits, by_target=bool(copies))

        try:
            rows = self._prometheus.over(query, *over, read, limits)
            told = (
                self._prometheus.over(copies, *over, lambda body: parse_copies(body, labels, limits), limits)
                if rows.several
                else {}
            )
            answer = rows.answer(told, named=not limits.tenant)
        except SignalsUnavailable as error:
            return unanswered(str(error))
        return answer._replace(warnings=(UNREPEATED,)) if answer.warnings and self._prometheus.foreign else answer


def _result(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except CancelledError as error:
        raise SignalsUnavailable("the past was not read to the end: the reader is closed") from error
