"""Why a Service spreads its requests unevenly over its pods: named only with evidence, and with what fixes it.

A setting of the Service is a cause where traffic shows its mark. Where nothing is set, connections that live long are
one: they stay where they were opened, so the older a pod, the more it gets. None of this blames a pod.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evenload.diagnose.statistics import g_statistic, normal_quantile
from evenload.model.base import Value
from evenload.model.diagnosis import Evidence, SkewCause
from evenload.model.fleet import Bools, Floats
from evenload.model.snapshot import Pod, Steering, Steers
from evenload.model.wording import duration, percent

PLACE_RATIO = 0.8  # of the unevenness (G), so much must lie between places for them to be its cause
AGE_RATIO = 2.0  # between the oldest and the youngest pod: pods that began together cannot be told by age
LEAST_AGE_GAP_SECONDS = 60.0
AGE_SIGNIFICANCE = 0.95  # of the rank correlation; that the spread is uneven is proven already
APART_RATIO = 2.0  # each old pod has so many times what the busiest new one has
APART_CHANCE = 0.2  # that just the youngest are those that get little: two of four, one of five

FIXES: Mapping[SkewCause, str] = {
    SkewCause.SessionAffinity: "set spec.sessionAffinity of the Service to None, or spread the clients",
    SkewCause.LongLivedConnections: "limit the age of connections in the server (gRPC: MAX_CONNECTION_AGE; HTTP: close "
    "keep-alive connections after some minutes), or balance single requests in the client, a gateway or a mesh",
    SkewCause.Locality: "run pods in proportion to the clients of each place (topologySpreadConstraints), or unset it",
    SkewCause.InsideService: "look for few clients with long connections, or for a client that keeps to one address",
}


class Why(Value, frozen=True, kw_only=True):
    """A cause in a clause that can follow the numbers, and what it rests on."""

    cause: SkewCause
    clause: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def sentence(self) -> str:
        """With what fixes it."""
        return f"{self.clause}; {FIXES[self.cause]}"


def why(pods: Sequence[Pod], requests: Floats, judged: Bools, steering: Sequence[Steering]) -> Why:
    """The cause of uneven `requests` of the `judged` pods, whose shares should be alike.

    `steering`: what is set on the Service. Counts of the window; NaN where unknown, and then not judged.
    """
    known = judged & (requests >= 0)
    mine = [pods[index] for index in np.flatnonzero(known).tolist()]
    counts = requests[known]
    found = (_place(mine, counts, steering), _affinity(steering), aged(mine, counts))
    return next((each for each in found if each is not None), _UNKNOWN)


_UNKNOWN = Why(
    cause=SkewCause.InsideService, clause="all of them stand behind one Service, and nothing that is known explains it"
)


def _affinity(steering: Sequence[Steering]) -> Why | None:
    setting = next((each.setting for each in steering if each.by is Steers.Client), None)
    if setting is None:
        return None
    clause = f"{setting} keeps each client with one pod, and clients are not alike"
    return Why(cause=SkewCause.SessionAffinity, clause=clause, evidence=(_setting(setting),))


def _setting(setting: str) -> Evidence:
    return Evidence(metric="setting", observed=None, subject=setting, sentence=f"the Service has {setting}")


def _place(pods: Sequence[Pod], counts: Floats, steering: Sequence[Steering]) -> Why | None:
    for each in steering:
        if each.by is Steers.Client:
            continue
        places = [pod.zone if each.by is Steers.Zone else pod.node for pod in pods]
        if between(places, counts) >= PLACE_RATIO:
            name, share, due = _fullest([place or "" for place in places], counts)
            what = f"{each.by.value.lower()} {name}"
            evidence = Evidence(
                metric="place_share",
                observed=share,
                expected=due,
                subject=what,
                sentence=f"{what} has {percent(due)} of the pods and gets {percent(share)} of the requests",
            )
            clause = f"{each.setting} keeps requests near their clients: {evidence.sentence}"
            return Why(cause=SkewCause.Locality, clause=clause, evidence=(_setting(each.setting), evidence))
    return None


def between(places: Sequence[str | None], counts: Floats) -> float:
    """How much of the unevenness of counts is that of their places, 0..1; 0 where a place is unknown or there is one.

    G over pods is G over places and G within each, exactly (Sokal and Rohlf).
    """
    names = sorted({place for place in places if place is not None})
    total = float(counts.sum())
    if None in places or len(names) < 2 or total <= 0:
        return 0.0
    where = np.array([names.index(place) for place in places if place is not None], dtype=np.intp)
    whole = g_statistic(counts, np.full(counts.size, 1 / counts.size))
    if whole <= 0:
        return 0.0
    sums: Floats = np.bincount(where, counts).astype(np.float64)
    return g_statistic(sums, np.bincount(where) / counts.size) / whole


def _fullest(places: Sequence[str], counts: Floats) -> tuple[str, float, float]:
    """The place with the most requests a pod: its name, its share of the requests and of the pods."""
    names = sorted(set(places))
    where = np.array([names.index(place) for place in places], dtype=np.intp)
    sums, sizes = np.bincount(where, counts), np.bincount(where)
    first = int(np.argmax(sums / sizes))
    return names[first], float(sums[first] / counts.sum()), float(sizes[first] / counts.size)


def aged(pods: Sequence[Pod], counts: Floats) -> Why | None:
    """Long-lived connections, where the older pods are those that get more, beyond chance; None where they are not."""
    ages, counts = _known(pods, counts)
    if ages.size < 3 or ages.max() < AGE_RATIO * ages.min() or ages.max() - ages.min() < LEAST_AGE_GAP_SECONDS:
        return None
    return _by_rank(ages, counts) or _scaled_up(ages, counts)


def scaled_up(pods: Sequence[Pod], counts: Floats) -> bool:
    """Whether just the pods that were added later get little: no benign spread leaves such a gap between two groups.

    `counts` of the window; NaN where unknown, and then not judged.
    """
    known = counts >= 0
    mine = [pods[index] for index in np.flatnonzero(known).tolist()]
    return _scaled_up(*_known(mine, counts[known])) is not None


def _known(pods: Sequence[Pod], counts: Floats) -> tuple[Floats, Floats]:
    """Ages, and the counts of these pods; without those whose age nobody knows."""
    ages = np.array([math.nan if pod.age is None else pod.age for pod in pods], dtype=float)
    known = ~np.isnan(ages)
    return ages[known], counts[known]


def _by_rank(ages: Floats, counts: Floats) -> Why | None:
    correlation = rank_correlation(ages, counts)
    limit = normal_quantile(AGE_SIGNIFICANCE) / math.sqrt(ages.size - 1)
    if correlation < limit:
        return None
    evidence = Evidence(
        metric="age_correlation",
        observed=correlation,
        threshold=limit,
        sentence=f"the rank correlation of requests with age is {correlation:.2f} over pods of {duration(ages.min())} "
        f"to {duration(ages.max())}; chance seldom passes {limit:.2f}",
    )
    return _connections(f"the older a pod, the more it gets (rank correlation {correlation:.2f})", evidence)


def _scaled_up(ages: Floats, counts: Floats) -> Why | None:
    """Of few pods ranks prove nothing. But where some were added later, and just these get little, that is no accident:
    of n pods it is the k youngest by chance once in n over k. A hot pod that happens to be the oldest is no such case.
    """
    order = np.argsort(ages, kind="stable")
    ages, counts = ages[order], counts[order]
    least_old = np.minimum.accumulate(counts[::-1])[::-1][1:]  # by how many pods are younger, less one
    gap = (ages[1:] >= AGE_RATIO * ages[:-1]) & (ages[1:] - ages[:-1] >= LEAST_AGE_GAP_SECONDS)
    apart = (least_old >= APART_RATIO * np.maximum.accumulate(counts)[:-1]) & (least_old > 0)
    size = ages.size
    splits = (int(at) + 1 for at in np.flatnonzero(gap[:-1] & apart[:-1]))
    new = next((each for each in splits if 1 / math.comb(size, each) <= APART_CHANCE), None)
    if new is None:
        return None
    young, gets = (f"{new} youngest of {size} pods", "get") if new > 1 else (f"youngest of {size} pods", "gets")
    share, due = float(counts[:new].sum() / counts.sum()), new / size
    text = (
        f"the {young}, up to {duration(float(ages[new - 1]))} old, {gets} {percent(share)} of the requests "
        f"(fair: {percent(due)}), and the others are {duration(float(ages[new]))} and older"
    )
    evidence = Evidence(metric="young_share", observed=share, expected=due, sentence=text)
    return _connections(f"just the {young} {gets} little", evidence)


def _connections(clause: str, evidence: Evidence) -> Why:
    return Why(
        cause=SkewCause.LongLivedConnections,
        clause=f"{clause}: long-lived connections stay where they began",
        evidence=(evidence,),
    )


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's: Pearson's of the ranks, ties with their mean; 0 where either is constant.

    By chance it has mean 0 and variance 1 / (n - 1), whatever the distributions (Kendall).
    """
    ranks = [_ranks(each) - (each.size + 1) / 2 for each in (one, other)]
    scale = math.sqrt(float((ranks[0] ** 2).sum()) * float((ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / scale if scale else 0.0


def _ranks(values: Floats) -> Floats:
    _, where, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    means: Floats = last - (sizes - 1) / 2
    return np.asarray(means[where], dtype=np.float64)
