"""Which rows of an answer are one pod's counter told several times, and which are parts of it. Pure.

A pod may be scraped by two jobs, through two Services, once for each container, by two replicas of Prometheus: each is
a target of its own, and its series are copies of the same counter. They must never be added up; one target's series
must be: an application counts by code, method and path. So a row is asked for each pod *and target*, and where a pod
has several, it is Prometheus itself that knows which labels are a target's: those of `up`. An application may well
have a label `endpoint` or `service` of its own.

What a pod's number is: of each target the sum, of all targets the largest. Refused, because it would be a guess:
- the same names in two clusters, or targets that no label asked for tells apart;
- two addresses of one pod whose counters stand too far apart to be copies: two containers with traffic of their own,
  or a proxy that sees more than the application does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

Labels = Mapping[str, str]
PodName = tuple[str, str]
"""Namespace and name."""

PLACES: Final = frozenset({"cluster", "cluster_id", "cluster_name", "k8s_cluster", "k8s_cluster_name"}) | frozenset(
    {"kubernetes_cluster", "region", "datacenter", "dc", "environment", "env", "stage", "tenant", "tenant_id", "site"}
)
"""Labels that tell clusters apart: where they differ, it is not the same pod."""

_PROMETHEUS_OWN: Final = ("job", "instance", "prometheus", "prometheus_replica")
"""Given by Prometheus: an application's label of that name would be called exported_job."""

_OPERATOR_OWN: Final = ("container", "endpoint", "service")
TARGET_LABELS: Final = (*_PROMETHEUS_OWN, *_OPERATOR_OWN, "replica", "metrics_path", *sorted(PLACES))
"""What may tell the targets of a pod apart: what Prometheus gives, what the ServiceMonitors and PodMonitors of the
Prometheus operator add, and what replicas and clusters are called."""

BURST: Final = 1.5  # copies are scraped up to a scrape apart; a window holds two or more, and traffic may jump
SLACK: Final = 5.0  # requests
NEGLIGIBLE: Final = 0.01  # of the largest: so little, or SLACK, does not matter. A port that counts its own scrapes
_SHOWN = 4
_LONGEST_VALUE = 64


class Told(NamedTuple):
    """What Prometheus knows of a pod that has several rows."""

    targets: Sequence[Labels] = ()  # all labels of its `up`
    totals: Sequence[tuple[Labels, float]] = ()  # the counters as they stand, where it has several addresses


class Parts(NamedTuple):
    """The rows of each target, as indexes."""

    targets: Sequence[Sequence[int]]

    def number(self, rows: Sequence[float]) -> float:
        """The pod's: of each target the sum, of all the largest. One that is not finite stays so."""
        sums = self.sums(rows)
        return math.nan if any(map(math.isnan, sums)) else max(sums)

    def sums(self, rows: Sequence[float]) -> list[float]:
        """Of each target."""
        return [sum(rows[index] for index in target) for target in self.targets]


def sort_out(rows: Sequence[Labels], numbers: Sequence[float], told: Told, *, named: bool) -> Parts | str:
    """Whose target each of a pod's rows is; or in a sentence why that cannot be known.

    `numbers`: the rows' increases in a window. `named`: whether labels may be repeated in the sentence.
    """
    whose = _Whose(told)
    targets: dict[Labels, list[int]] = {}
    for index, row in enumerate(rows):
        targets.setdefault(whose.target(row), []).append(index)
    parts = Parts(tuple(map(tuple, targets.values())))
    return (
        _unseen(targets, told, named=named)
        or _places(targets, named=named)
        or _distinct(tuple(targets), parts.sums(numbers), told, whose, named=named)
        or parts
    )


class _Key(dict[str, str]):
    """A target's labels."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    @classmethod
    def of(cls, labels: Labels, names: Iterable[str]) -> _Key:
        return cls({name: labels[name] for name in names if labels.get(name)})


class _Whose:
    """Which target a row is of.

    A target's labels are on all of its series, and what else is there is the application's, though another target of
    the pod may have a label of that name. So it is the target with the most labels of those whose labels the row has.
    """

    def __init__(self, told: Told) -> None:
        self._known = {_Key.of(labels, TARGET_LABELS) for labels in told.targets}
        self._names = _names_of_targets(told)

    def target(self, row: Labels) -> _Key:
        """Where none fits, or several as well as each other: one by itself, by all labels that targets have."""
        fitting = [known for known in self._known if known.items() <= row.items()]
        most = max(map(len, fitting), default=0)
        best = [known for known in fitting if len(known) == most]
        return _Key(best[0] | _Key.of(row, _PROMETHEUS_OWN)) if len(best) == 1 else _Key.of(row, self._names)


def _names_of_targets(told: Told) -> Collection[str]:
    if not told.targets:
        return {*_PROMETHEUS_OWN, *PLACES}
    seen = {name for labels in told.targets for name, value in labels.items() if value}
    return {*_PROMETHEUS_OWN, *(name for name in TARGET_LABELS if name in seen)}


def _unseen(targets: Collection[Labels], told: Told, *, named: bool) -> str:
    """Targets that differ only in a label that was not asked for: their series came as one row, added up."""
    for target in targets:
        same = [labels for labels in told.targets if _Key.of(labels, TARGET_LABELS) == target]
        differing = _differing(same)
        if differing:
            return _mixed(differing[0], _values(same, differing[0]), named=named)
    return ""


def _places(targets: Collection[Labels], *, named: bool) -> str:
    for name in _differing(tuple(targets)):
        if name in PLACES:
            return _mixed(name, _values(targets, name), named=named)
    return ""


def _distinct(targets: Sequence[Labels], rises: Sequence[float], told: Told, whose: _Whose, *, named: bool) -> str:
    """One address is one process; of several the counters are compared, as far as they still stand."""
    largest = max(rises)
    counting: dict[str, tuple[float, Labels]] = {}  # by address: what its counter holds, and its target
    for target, rise in zip(targets, rises, strict=True):
        totals = [total for labels, total in told.totals if whose.target(labels) == target]
        if totals and rise > max(SLACK, NEGLIGIBLE * largest):
            counting[target.get("instance", "")] = math.fsum(totals), target
    totals = [total for total, _ in counting.values()]
    if len(counting) < 2 or max(totals) - min(totals) <= BURST * largest + SLACK:
        return ""
    return _several([target for _, target in counting.values()], named=named)


def _mixed(name: str, values: Sequence[str], *, named: bool) -> str:
    what = f' (label "{name}": {_listed(values)})' if named else ""
    example = f", as in {name}={_quoted(values[0])}" if named else ""
    return (
        f"Prometheus has several pods or clusters under the same names{what}; choose one in spec.signals.matchers, or "
        f"for all Balancers in prometheus.matchers of the installation{example}"
    )


def _several(targets: Sequence[Labels], *, named: bool) -> str:
    name = next((each for each in (*_OPERATOR_OWN, "job") if each in _differing(targets)), "instance")
    values = _values(targets, name)
    what = f' (label "{name}": {_listed(values)})' if named else ""
    example = f", as in {name}={_quoted(values[-1])}," if named else ""
    return (
        f"a pod has several request counters that are no copies of each other{what}; choose one in "
        f"spec.signals.matchers{example} or add them up in spec.signals.queries"
    )


def _differing(targets: Sequence[Labels]) -> list[str]:
    names = {name for labels in targets for name in labels} - {"__name__", "evenload"}
    return sorted(name for name in names if len({labels.get(name, "") for labels in targets}) > 1)


def _values(targets: Iterable[Labels], name: str) -> list[str]:
    return sorted({labels.get(name, "") for labels in targets})


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(_quoted, values[:_SHOWN])) + (" ..." if len(values) > _SHOWN else "")


def _quoted(value: str) -> str:
    return json.dumps(value[:_LONGEST_VALUE])
