"""Range queries: the presets' own text, asked for many moments at once, read into arrays.

An answer has a row a pod, not a row a moment; `Answer.at` turns it round into the Reading that an instant query would
have given then. Absent stays absent here too: `known` says which numbers were answered, so that a NaN is still a NaN.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenload.observe.copies import Labels, PodName, Told, sort_out
from evenload.observe.prometheus import (
    LARGEST_ANSWER,
    NOT_SERIES,
    ByPod,
    LabelNames,
    Reading,
    Unreadable,
    counted,
    described,
    each_row,
    labelled,
    whole,
)
from evenload.observe.queries import PodLabels
from evenload.observe.transport import Body, Limits


class Grid(NamedTuple):
    """Moments at even distances: `moments` of them, `step` seconds apart.

    `start` is in whole seconds since the epoch: the range API takes no others.
    """

    start: float
    step: float
    moments: int

    @classmethod
    def between(cls, since: float, until: float, step: float) -> Grid:
        """All steps within [since, until]."""
        start = math.ceil(since)
        return cls(float(start), step, max(0, math.floor((until - start) / step + 1e-9) + 1))

    @property
    def end(self) -> float:
        """The last moment."""
        return self.start + self.step * (self.moments - 1)

    @property
    def times(self) -> tuple[float, ...]:
        return tuple(self.start + self.step * index for index in range(self.moments))

    def split(self, most: int) -> tuple[Grid, Grid]:
        """The first `most` moments or a few fewer, so that the rest begins on a whole second too; and the rest."""
        size = min(most, self.moments)
        while size > 1 and size < self.moments and not float(self.start + self.step * size).is_integer():
            size -= 1
        return self._replace(moments=size), Grid(self.start + self.step * size, self.step, self.moments - size)


Row = tuple[list[int] | slice, list[float]]
"""Where on the grid a pod's samples are, and their numbers."""

_EVERYWHERE: Final = slice(None)


class Matrix:
    """Numbers by moment and by pod. Keys are sorted; a pod that was never answered is not among them."""

    def __init__(self, moments: int, rows: Mapping[PodName, Row]) -> None:
        self.keys = sorted(rows)
        self.known: NDArray[np.bool_] = np.zeros((moments, len(rows)), dtype=bool)
        numbers = np.zeros((moments, len(rows)))
        for column, key in enumerate(self.keys):
            places, values = rows[key]
            self.known[places, column] = True
            numbers[places, column] = values
        self._numbers: list[list[float]] = numbers.tolist()
        self._whole: list[bool] = np.all(self.known, axis=1).tolist()
        self._namespaces = _runs([namespace for namespace, _ in self.keys])
        self._names = [name for _, name in self.keys]

    def zeros(self, column: int) -> NDArray[np.bool_]:
        """When the pod of that key was answered with 0."""
        return np.array([row[column] == 0 for row in self._numbers], dtype=bool) & self.known[:, column]

    def newest(self) -> dict[PodName, float]:
        """The last number of each pod."""
        count = len(self._numbers)
        last = count - 1 - self.known[::-1].argmax(axis=0) if self.keys else []
        return {key: self._numbers[row][column] for column, (key, row) in enumerate(zip(self.keys, last, strict=True))}

    def at(self, index: int) -> ByPod:
        """What an instant query would have answered at that moment."""
        row, by_pod = self._numbers[index], {}
        known = None if self._whole[index] else self.known[index].tolist()
        for namespace, start, end in self._namespaces:
            names, numbers = self._names[start:end], row[start:end]
            pods = dict(zip(names, numbers, strict=True))
            if known is not None:
                pods = {name: pods[name] for name, there in zip(names, known[start:end], strict=True) if there}
            if pods:
                by_pod[namespace] = pods
        return by_pod


def _runs(values: Sequence[str]) -> list[tuple[str, int, int]]:
    edges = [place for place, value in enumerate(values) if place == 0 or values[place - 1] != value] + [len(values)]
    return [(values[start], start, end) for start, end in itertools.pairwise(edges) if end > start]


class Uncoded(NamedTuple):
    """A pod whose counter carried no status, when, and the names of its labels (observe/presets.py)."""

    pod: PodName
    names: LabelNames
    known: NDArray[np.bool_]  # by moment


class Answer(NamedTuple):
    """One signal over one Grid: its kinds of rows, or why there are none."""

    value: Matrix
    idle: Matrix
    age: Matrix
    problem: str = ""
    warnings: tuple[str, ...] = ()
    nbytes: int = 0
    coded: Matrix | None = None
    torn: Matrix | None = None
    uncoded: tuple[Uncoded, ...] = ()
    refused: Mapping[str, dict[str, str]] = {}  # by namespace and pod: why its numbers must not be used

    def at(self, index: int) -> Reading:
        """The Reading as of that moment."""
        if self.problem:
            return Reading(problem=self.problem)
        return Reading(
            values=self.value.at(index),
            idle=self.idle.at(index) if self.idle.keys else {},
            coded=self.coded.at(index) if self.coded is not None else {},
            torn=self.torn.at(index) if self.torn is not None else {},
            uncoded=self._uncoded_at(index),
            refused=dict(self.refused),
            ages={namespace: ages[""] for namespace, ages in self.age.at(index).items()},
            warnings=self.warnings,
        )

    def _uncoded_at(self, index: int) -> dict[str, dict[str, LabelNames]]:
        by_pod: dict[str, dict[str, LabelNames]] = {}
        for (namespace, name), names, known in self.uncoded:
            if known[index]:
                by_pod.setdefault(namespace, {})[name] = names
        return by_pod


def unanswered(problem: str) -> Answer:
    nothing = Matrix(0, {})
    return Answer(nothing, nothing, nothing, problem)


def parse_range(body: Body, labels: PodLabels, grid: Grid, limits: Limits = LARGEST_ANSWER) -> Answer:
    """One answer to a rendered query. Raises SignalsUnavailable (a predicate: "answered ...") if it is none."""
    return read_range(body, labels, grid, limits, by_target=False).answer({}, named=not limits.tenant)


class Rows(NamedTuple):
    """What was answered over a grid, before it is known whose the rows of pods with several are."""

    grid: Grid
    kinds: Mapping[str, dict[PodName, Row]]
    several: Mapping[PodName, list[tuple[Labels, Row]]]
    uncoded: Sequence[Uncoded]
    warnings: tuple[str, ...]
    nbytes: int

    def answer(self, told: Mapping[PodName, Told], *, named: bool) -> Answer:
        """Takes the rows of pods with several out of `kinds`. `named`: whether labels may be repeated."""
        refused: dict[str, dict[str, str]] = {}
        values = self.kinds.get("value", {})
        for (namespace, pod), rows in self.several.items():
            found = _settled(rows, told.get((namespace, pod), Told()), self.grid, named=named)
            if isinstance(found, str):
                values.pop((namespace, pod), None)
                refused.setdefault(namespace, {})[pod] = found
            else:
                values[namespace, pod] = found
        nothing = Matrix(self.grid.moments, {})
        matrices = {kind: Matrix(self.grid.moments, rows) for kind, rows in self.kinds.items()}
        return Answer(
            value=matrices.get("value", nothing),
            idle=matrices.get("idle", nothing),
            age=matrices.get("age", nothing),
            warnings=self.warnings,
            nbytes=self.nbytes,
            coded=matrices.get("coded"),
            torn=matrices.get("torn"),
            uncoded=tuple(sorted(self.uncoded, key=lambda each: each.pod)),
            refused=refused,
        )


def read_range(body: Body, labels: PodLabels, grid: Grid, limits: Limits, *, by_target: bool) -> Rows:
    """`by_target`: a pod may have several rows. Raises as `parse_range` does."""
    try:
        with limits.room.parsing:
            answer = counted(body, limits)
            kinds: dict[str, dict[PodName, Row]] = {}
            several: dict[PodName, list[tuple[Labels, Row]]] = {}
            for row in each_row(answer, _decoder(labels), limits):
                _take(kinds, several if by_target else None, row, grid)
            for pod, metric, _, values in whole(body, labels, "value") if several else ():
                if pod in several:
                    several[pod].append((metric, _placed(values, grid)))
            uncoded = list(_uncoded(body, labels, grid)) if "uncoded" in kinds else []
    except NOT_SERIES as error:
        raise Unreadable(f"answered with {described(body)}", error) from error
    return Rows(grid, kinds, {pod: rows for pod, rows in several.items() if rows}, uncoded, answer.warnings, len(body))


def _settled(rows: Sequence[tuple[Labels, Row]], told: Told, grid: Grid, *, named: bool) -> Row | str:
    """A pod's several rows as one; or why not."""
    table = np.full((len(rows), grid.moments), np.nan)
    for index, (_, (places, numbers)) in enumerate(rows):
        table[index, places] = numbers
    known = ~np.isnan(table)
    present = np.flatnonzero(known.any(axis=0))
    table[~known] = 0.0
    last = table[:, present[-1]].tolist() if len(present) else [0.0] * len(rows)
    parts = sort_out([labels for labels, _ in rows], last, told, named=named)
    if isinstance(parts, str):
        return parts
    sums = np.stack([table[list(target)].sum(axis=0) for target in parts.targets])
    return present.tolist(), sums.max(axis=0)[present].tolist()


def _uncoded(body: Body, labels: PodLabels, grid: Grid) -> Iterator[Uncoded]:
    """A pod has several such rows where it was another of its series that was answered at another moment."""
    for row in labelled(body, labels):
        known = np.zeros(grid.moments, dtype=bool)
        known[_placed(row.values, grid)[0]] = True
        yield Uncoded((row.namespace, row.pod), row.names, known)


def _take(
    kinds: dict[str, dict[PodName, Row]], several: dict[PodName, list[tuple[Labels, Row]]] | None, row: Any, grid: Grid
) -> None:
    kind = row.metric.evenload or "value"
    rows = kinds.setdefault(kind, {})
    if kind == "uncoded":
        return  # whole series: a pod may have several
    key = (row.metric.namespace, row.metric.pod if kind != "age" else "")
    if several is not None and (kind == "merged" or (kind == "value" and key in rows)):
        several.setdefault(key, [])
        return
    if key in rows or (kind != "age" and not key[1]):
        raise ValueError(f'"{key[1]}" has not one row; a query must give one series a pod')
    rows[key] = _placed(row.values, grid)


def _placed(values: msgspec.Raw, grid: Grid) -> Row:
    start, step, moments = grid
    text = bytes(values)
    numbers = text.split(b'"')[1::2]
    if len(numbers) == moments and text.startswith((b"[[%d," % start, b"[[%d." % start)):
        return _EVERYWHERE, _read(numbers)  # no gap, the usual case: the times need no reading
    placed = [(round((time - start) / step), float(number)) for time, number in _SAMPLES.decode(values)]
    within = [each for each in placed if 0 <= each[0] < moments]
    return [place for place, _ in within], [number for _, number in within]


def _read(numbers: list[bytes]) -> list[float]:
    """Prometheus writes numbers as JSON would, NaN and infinities apart: read at once in a third of float()'s time."""
    try:
        read = _NUMBERS.decode(b"[" + b",".join(numbers) + b"]")
    except msgspec.DecodeError:
        read = []
    return read if len(read) == len(numbers) else list(map(float, numbers))


_NUMBERS: Final = msgspec.json.Decoder(list[float])
_SAMPLES: Final = msgspec.json.Decoder(list[tuple[float, str]])


@functools.lru_cache(maxsize=256)
def _decoder(labels: PodLabels) -> msgspec.json.Decoder[Any]:
    fields = [(name, str, "") for name in ("namespace", "pod", "evenload")]
    rename = {"namespace": labels.namespace, "pod": labels.pod}
    metric = msgspec.defstruct("Metric", fields, rename=rename, gc=False)
    row = msgspec.defstruct("Row", [("metric", metric), ("values", msgspec.Raw)])
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def pieces(grid: Grid, most: int) -> Iterator[Grid]:
    """The grid in parts of at most `most` moments."""
    while grid.moments:
        first, grid = grid.split(most)
        yield first
