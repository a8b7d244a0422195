"""What a rule says when it matches, and the sentences and numbers that go with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenload.diagnose.cold import COLD_RATIO
from evenload.diagnose.facts import Facts
from evenload.model.base import Value
from evenload.model.diagnosis import GAIN_METRIC, Evidence, SkewCause
from evenload.model.fleet import Bools, Floats
from evenload.model.vectors import median
from evenload.model.wording import clock, duration, listing, milliseconds, percent, rate, times

MOST_NAMED = 20  # pods or backends with evidence of their own: a status has room for so many


class Finding(Value, frozen=True, kw_only=True):
    """A match: who and why. `since` seconds since the epoch where the rule knows better than the tick."""

    sentence: str
    pods: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    cause: SkewCause | None = None
    manager: str | None = None


def share_evidence(facts: Facts) -> tuple[Evidence, ...]:
    """Share of each hot pod, what it should be, and from where on it is too much."""
    found = []
    total = facts.fleet.total_requests
    targets = _together(facts, facts.pod_targets) / max(float(facts.pod_targets.sum()), 1e-9)
    for index in _worst_first(facts, facts.skew.hot):
        share, target = float(facts.counted[index]) / total, float(targets[index])
        found.append(
            Evidence(
                metric="share",
                subject=facts.fleet.subject(index),
                observed=share,
                expected=target,
                threshold=target * facts.skew.threshold,
                sentence=f"{facts.fleet.subject(index)} gets {percent(share)} of the requests; "
                f"its share is {percent(target)}",
            )
        )
    return (*found, g_evidence(facts))


def cold_evidence(facts: Facts, pods: Bools) -> tuple[Evidence, ...]:
    """Share of each pod that gets next to nothing, and what it should be."""
    found = []
    for index in _first(facts, pods):
        share, target = float(facts.counted[index]) / facts.fleet.total_requests, float(facts.due_ratio[index])
        found.append(
            Evidence(
                metric="share",
                subject=facts.fleet.subject(index),
                observed=share,
                expected=target,
                threshold=COLD_RATIO * target,
                sentence=f"{facts.fleet.subject(index)} gets {percent(share)} of the requests; "
                f"its share is {percent(target)}",
            )
        )
    return tuple(found)


def g_evidence(facts: Facts) -> Evidence:
    """How unlikely this spread is by chance."""
    return Evidence(
        metric="g",
        observed=facts.skew.g,
        threshold=facts.skew.g_limit,
        sentence=f"the spread of requests has G = {facts.skew.g:.0f}; chance stays below {facts.skew.g_limit:.0f}",
    )


def weight_evidence(facts: Facts) -> Iterator[Evidence]:
    """What the weights command, for each backend that is commanded too much or left too little."""
    fleet = facts.fleet
    wrong = facts.wrong_by_backend | facts.starved_by_backend
    for index in np.flatnonzero(wrong)[:MOST_NAMED].tolist():
        commanded, target = float(fleet.commanded[index]), float(facts.targets_by_backend[index])
        yield Evidence(
            metric="weight_share",
            subject=fleet.backends[index],
            observed=commanded,
            expected=target,
            threshold=target * facts.policy.tolerance_ratio,
            sentence=f"weight {fleet.weights[index]:.0f} gives {fleet.backends[index]} {percent(commanded)}; "
            f"it should get {percent(target)}",
        )


def gain_evidence(facts: Facts, bent: Bools) -> Iterator[Evidence]:
    """What the balancer makes of the weight of each backend in the mask."""
    fleet = facts.fleet
    for index in np.flatnonzero(bent)[:MOST_NAMED].tolist():
        factor = float(np.exp(facts.gains_by_backend[index]))
        yield Evidence(
            metric=GAIN_METRIC,
            subject=fleet.backends[index],
            observed=factor,
            expected=1.0,
            threshold=facts.policy.tolerance_ratio,
            sentence=f"weight {fleet.weights[index]:.0f} asks for {percent(float(fleet.commanded[index]))}; "
            f"the balancer gives {fleet.backends[index]} {times(factor)} that",
        )


def error_evidence(facts: Facts, pods: Bools) -> tuple[Evidence, ...]:
    """Error ratio of these pods against the median pod's."""
    usual = _median(facts.witnesses.means(facts.error_ratios))
    return tuple(
        Evidence(
            metric="error_ratio",
            subject=facts.fleet.subject(index),
            observed=float(facts.error_ratios[index]),
            expected=usual,
            threshold=usual + BAD_POINTS,
            sentence=f"{facts.fleet.subject(index)} fails {percent(float(facts.error_ratios[index]))} of its "
            f"{facts.counted[index]:.0f} requests; the median {facts.one} fails {percent(usual)}",
        )
        for index in _first(facts, pods)
    )


BAD_POINTS = 0.05


def latency_evidence(facts: Facts, pods: Bools) -> tuple[Evidence, ...]:
    """Latency of these pods against the median pod's."""
    usual = facts.median_latency
    return tuple(
        Evidence(
            metric="latency_seconds",
            subject=facts.fleet.subject(index),
            observed=float(facts.fleet.latency[index]),
            expected=usual,
            threshold=1.5 * usual,
            sentence=f"{facts.fleet.subject(index)} answers in {milliseconds(float(facts.fleet.latency[index]))}; "
            f"the median {facts.one} in {milliseconds(usual)}",
        )
        for index in _first(facts, pods)
    )


def leak_evidence(facts: Facts, pods: Bools) -> tuple[Evidence, ...]:
    """When each leaking pod's memory is full."""
    found = []
    for index in np.flatnonzero(pods)[:MOST_NAMED].tolist():
        leak = facts.memory.outlook.leaks[facts.fleet.pods[index].uid]
        found.append(
            Evidence(
                metric="out_of_memory_seconds",
                subject=facts.fleet.names[index],
                observed=leak.seconds,
                expected=leak.latest,
                threshold=leak.soonest,
                sentence=f"{facts.fleet.names[index]} gains {60 * leak.slope / 1e6:.2g} MB a minute; full in "
                f"{duration(leak.seconds)} ({duration(leak.soonest)} to {duration(leak.latest)})",
            )
        )
    return tuple(found)


def traffic_evidence(facts: Facts) -> tuple[Evidence, ...]:
    """The total against the usual."""
    usual = facts.usual_rps
    told = f", usual are {rate(usual)}" if usual is not None else "; what is usual is not known yet"
    return (
        Evidence(
            metric="requests_per_second",
            observed=facts.rps,
            expected=usual,
            sentence=f"{rate(facts.rps)} requests/s arrive{told}",
        ),
    )


def whole_error_evidence(facts: Facts) -> tuple[Evidence, ...]:
    """Error ratio of the whole Balancer, where it is known."""
    if facts.error_ratio is None:
        return ()
    sentence = f"{percent(facts.error_ratio)} of all requests fail"
    return (Evidence(metric="error_ratio", observed=facts.error_ratio, sentence=sentence),)


def blame(facts: Facts) -> str:
    """Who set the weights and when, as far as the cluster tells: " was set to 970 by kubectl-patch at 04:12:09"."""
    write = facts.snapshot.last_write
    return f" by {write.manager} at {clock(write.time)}" if write is not None else ""


def hottest(facts: Facts) -> str:
    """The start of a sentence on skew: whom, how much, against what."""
    index = next(iter(_worst_first(facts, facts.skew.hot)))
    backend = int(facts.fleet.where[index])
    alone = facts.fleet.ready_by_backend[backend] == 1
    name = facts.fleet.backends[backend] if alone else facts.fleet.subject(index)
    total, due = float(facts.pod_targets.sum()), _together(facts, facts.pod_targets)
    share, fair = float(facts.counted[index]) / facts.fleet.total_requests, float(due[index]) / total
    return f"{percent(share)} of {rate(facts.rps)} requests/s go to {name} (fair: {percent(fair)})"


def named(facts: Facts, pods: Bools) -> str:
    """A few names, for a sentence."""
    return listing(facts.subjects(pods))


def _worst_first(facts: Facts, pods: Bools) -> list[int]:
    found = facts.witnesses.indexes(pods)
    order = np.argsort(-facts.skew.ratio[found], kind="stable")
    return [int(index) for index in found[order][:MOST_NAMED]]


def _first(facts: Facts, pods: Bools) -> list[int]:
    """One of each witness, as many as there is room for."""
    found: list[int] = facts.witnesses.indexes(pods)[:MOST_NAMED].tolist()
    return found


def _together(facts: Facts, values: Floats) -> Floats:
    """By pod, what it has with those that it speaks with."""
    return facts.witnesses.each(facts.witnesses.sums(values))


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return median(known) if known.size else 0.0
