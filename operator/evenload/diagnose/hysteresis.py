"""From what one window shows to what is believed: a fault is raised on its second look, not on its first.

Two ticks closer than half a window are one look: a window is two scrapes long or more, so only then has every pod been
scraped again. Even so two looks share samples. Where one window alone is as unlikely by chance as two that share none,
two looks will do; else the fault has to last from one window into another that has no sample of the first.

Two exceptions, because seconds count there: a pod with far too many requests that drowns in them (two signals agree),
and one that a skew overloaded and that still fails badly in a clean window, without getting better (the prior is
strong).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenload.diagnose.cold import COLD_TICKS
from evenload.diagnose.facts import BAD_ERROR_FACTOR, SICK_LATENCY_RATIO, STEADY_RATIO, Facts
from evenload.diagnose.memory import Memory
from evenload.diagnose.outliers import FAMILY_ERROR
from evenload.diagnose.skew import SPREAD_SIGMAS
from evenload.diagnose.update import Suspicion
from evenload.model.diagnosis import Label
from evenload.model.fleet import Bools, Floats, some
from evenload.model.vectors import median

CONFIRMING_LOOKS = 2
SLOW_LOOKS = 3  # a burst makes anyone slow for a window; the first and the third look share no sample
LOOK_WINDOWS = 0.45  # between two looks: half a window, and ticks are not punctual
COMMON_WINDOWS = 1.5  # after which all show in full what befell them together, whenever they are scraped
OTHERS_ERROR_RATIO = 0.01  # of all that do not stand out: so much is nobody's noise, if it is far above the usual
FAR_RATIO = 2.0  # times its share: no benign spread does that
MILD_HITS, FAR_HITS, DROWNING_HITS = 3, 2, 1  # ticks on which a pod has to be hot, one miss forgiven
LATELY_SECONDS = 60.0
SURGE_RATIO = 1.5
CALM_RATIO = 1.3  # a total below this much of the usual: whatever is slow, it is not for more traffic
STOPPED_RATIO = 0.02
DEPENDENCY_POD_RATIO = 0.6
SURGE_UTILIZATION = 0.8
AFTER_FLOOD_WINDOWS = 1.5
SICK_ERROR_RATIO = 0.3
RELEASED_RATIO = 0.5  # of the limit, in logarithms: so far back, a fault that was told is over
FALLING_RATIO = 0.6  # less than this of the last tick's error ratio: it may be recovering, look again


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What has been seen often enough to be believed."""

    skew: bool
    lingering: bool  # the skew is gone from the weights, its requests are still in the window
    failing: Bools
    slow: Bools
    slow_lately: Bools
    surge: bool
    dependency: bool
    stopped: bool
    update: Suspicion | None  # an update on probation that made things worse
    empty_backends: bool
    all_zero: bool
    starved: bool
    cold: Bools
    bent_by_backend: Bools  # the weights lean against a balancer that still bends them


def confirm(facts: Facts, memory: Memory, suspected: Suspicion | None = None) -> Confirmed:
    """Count this tick in. Called once a tick. `suspected`: an update that this tick speaks against."""
    if surging(facts) and _full(facts):
        memory.flooded_at = facts.time
    settled = facts.weights_wrong or facts.compensating or facts.clean
    # While our own ejection or ramp is in the window, shares differ from the weights: that is no skew.
    seen = facts.skew.seen and (facts.clean or not facts.held_back) and (facts.weights_wrong or _unmoved(facts))
    lingering = not settled and (seen or some(facts.undecided))
    confirmed = Confirmed(
        skew=memory.skew_raised(
            _hot(facts) if seen and not lingering else {},
            explained=facts.weights_wrong,
            time=facts.time,
            apart=apart_seconds(facts),
        ),
        lingering=lingering,
        failing=_failing(facts, memory),
        slow=_slow(facts, memory),
        slow_lately=_slow_lately(facts, memory),
        surge=_lasts(facts, memory, Label.Surge, surging(facts), surely=beyond_bursts(facts)),
        dependency=_lasts(facts, memory, Label.Dependency, suffers_together(facts)) and depends(facts),
        stopped=_lasts(facts, memory, Label.TrafficStopped, stopped(facts)),
        update=suspected if _lasts(facts, memory, Label.BadUpdate, suspected is not None, counted=False) else None,
        empty_backends=_lasts(facts, memory, Label.Failing, some(empty_with_weight(facts)), counted=False),
        starved=_lasts(facts, memory, Label.RolloutInProgress, some(facts.starved_by_backend), counted=False),
        all_zero=_lasts(facts, memory, Label.LoadBalancerSkew, facts.all_zero, counted=False),
        cold=_cold(facts, memory),
        bent_by_backend=_bent(facts, memory),
    )
    memory.error_ratios = {facts.fleet.names[i]: float(facts.error_ratios[i]) for i in facts.bad.nonzero()[0]}
    return confirmed


def _unmoved(facts: Facts) -> bool:
    """Whether the total stands still, or moves because of who drowns: it answers less than it is sent, and is late.

    Pods are scraped in turn, so while all get more their counts differ: that is no skew.
    """
    drowns = facts.skew.hot & facts.drowning
    if facts.steady or not some(drowns):
        return facts.steady
    rest = 1 - float(facts.requests[drowns].sum()) / facts.fleet.total_requests
    return facts.moved_ratio * rest <= STEADY_RATIO


def _hot(facts: Facts) -> dict[str, int]:
    """Hot pods by name, and on how many ticks each has to be hot for skew to be raised.

    One is enough where two signals of different origin agree: far too many requests, and late answers or no CPU left.
    """
    found = facts.skew.hot.nonzero()[0].tolist()
    if not found:
        return {}
    far = facts.skew.ratio > FAR_RATIO
    hits = np.where(far, np.where(facts.drowning, DROWNING_HITS, FAR_HITS), MILD_HITS)
    return {facts.fleet.names[index]: int(hits[index]) for index in found}


def surging(facts: Facts) -> bool:
    """Whether the total is far above the usual."""
    return facts.traffic_ratio is not None and facts.traffic_ratio > SURGE_RATIO


def beyond_bursts(facts: Facts) -> bool:
    """Whether a surge is farther above the usual than bursts and counting come to in one window."""
    if not surging(facts):
        return False
    usual = max((facts.usual_rps or 0.0) * facts.snapshot.window, 1.0)
    spread = max(facts.memory.baseline.spread(facts.time), usual**-0.5)
    return bool(math.log(facts.traffic_ratio or 1.0) > SPREAD_SIGMAS * spread)


def flooded(facts: Facts, *, surge: bool) -> bool:
    """Whether a surge (confirmed, or perhaps just beginning) is why pods fail: who fails first is a matter of luck.

    What failed in a flood is in the window for a while after it.
    """
    lately = facts.time - facts.memory.flooded_at <= AFTER_FLOOD_WINDOWS * facts.snapshot.window
    return lately or (surging(facts) and (not surge or _full(facts)))


def _full(facts: Facts) -> bool:
    """Whether the median pod has hardly any CPU left."""
    return facts.median_utilization > SURGE_UTILIZATION


def stopped(facts: Facts) -> bool:
    """Whether nothing to speak of arrives where usually enough does."""
    usual = facts.usual_rps or 0.0
    enough = facts.policy.min_requests_per_pod * facts.fleet.ready_witnesses
    return usual * facts.snapshot.window >= enough and facts.rps < STOPPED_RATIO * usual


def depends(facts: Facts) -> bool:
    """Whether most pods suffer together, and no surge explains that."""
    return suffers_together(facts) and not flooded(facts, surge=True)


def suffers_together(facts: Facts) -> bool:
    """Whether most pods fail together, or all got slow without more traffic."""
    return facts.bad_ratio >= DEPENDENCY_POD_RATIO or slow_together(facts)


def slow_together(facts: Facts) -> bool:
    """Whether the median pod is far slower than usual though the total is not up."""
    usual, ratio = facts.memory.baseline.latency, facts.traffic_ratio
    calm = ratio is not None and ratio < CALM_RATIO
    return calm and usual is not None and facts.median_latency > SICK_LATENCY_RATIO * usual


def empty_with_weight(facts: Facts) -> Bools:
    """Backends that are sent traffic though they have no ready pod, by backend."""
    fleet = facts.fleet
    empty: Bools = (fleet.ready_by_backend == 0) & (fleet.weights > 0)
    return empty


def _lasts(
    facts: Facts, memory: Memory, label: Label, seen: bool, *, surely: bool = True, counted: bool = True
) -> bool:
    """Whether it was seen often enough. `counted`: in requests; weights and pods are as they are at each tick."""
    streak = memory.streak(label, "", facts.time, seen, apart_seconds(facts) if counted else 0.0)
    if streak is None or streak.looks < CONFIRMING_LOOKS:
        return False
    return surely or facts.time - streak.since >= facts.snapshot.window


def apart_seconds(facts: Facts) -> float:
    """Seconds between two looks."""
    return LOOK_WINDOWS * facts.snapshot.window


def _failing(facts: Facts, memory: Memory) -> Bools:
    confirmed = np.zeros(len(facts.fleet.names), dtype=bool)
    if not some(facts.failing):
        memory.keep_only(Label.Failing, {""})
        return confirmed
    drowning = facts.over_share & ~facts.sheltered  # skew is asked about first, if it takes a tick longer
    candidates = np.flatnonzero(facts.failing & ~facts.undecided & ~drowning).tolist()
    together, rising = depends(facts), others_fail(facts)
    for index in candidates:
        confirmed[index] = _fails_on(facts, memory, index, others_fail=rising) and not together
    memory.keep_only(Label.Failing, {"", *(facts.fleet.names[index] for index in candidates)})
    return confirmed


def others_fail(facts: Facts) -> bool:
    """Whether those that do not stand out fail more than usual too: who is scraped first shows a common fault first."""
    others = ~facts.failing & (facts.requests > 0) & (facts.fleet.errors >= 0)
    requests = float(facts.requests[others].sum())
    limit = max(OTHERS_ERROR_RATIO, BAD_ERROR_FACTOR * (facts.memory.baseline.error_ratio or 0.0))
    return float(facts.fleet.errors[others].sum()) > limit * requests


def _fails_on(facts: Facts, memory: Memory, index: int, *, others_fail: bool) -> bool:
    name, ratio = facts.fleet.names[index], float(facts.error_ratios[index])
    before = memory.error_ratios.get(name, 0.0)
    streak = memory.streak(Label.Failing, name, facts.time, True, apart_seconds(facts))
    if streak is None or ratio < FALLING_RATIO * before:
        return False
    if facts.marked[index] and ratio >= SICK_ERROR_RATIO:
        return True
    surely = facts.failing_chance[index] <= FAMILY_ERROR**2
    windows = COMMON_WINDOWS if others_fail else 0.0 if surely else 1.0
    lasts = facts.time - streak.since >= windows * facts.snapshot.window
    return bool(lasts and streak.looks >= CONFIRMING_LOOKS)


def _slow(facts: Facts, memory: Memory) -> Bools:
    confirmed = np.zeros(len(facts.fleet.names), dtype=bool)
    candidates = facts.slow.nonzero()[0].tolist() if facts.clean else []
    for index in candidates:
        streak = memory.streak(Label.Slow, facts.fleet.names[index], facts.time, True, apart_seconds(facts))
        confirmed[index] = streak is not None and streak.looks >= SLOW_LOOKS
    memory.keep_only(Label.Slow, {facts.fleet.names[index] for index in candidates})
    return confirmed


def _cold(facts: Facts, memory: Memory) -> Bools:
    confirmed = np.zeros(len(facts.fleet.names), dtype=bool)
    candidates = facts.avoided.nonzero()[0].tolist()
    for index in candidates:
        streak = memory.streak(Label.LoadBalancerSkew, facts.fleet.names[index], facts.time, True)
        confirmed[index] = streak is not None and streak.looks >= COLD_TICKS
    memory.keep_only(Label.LoadBalancerSkew, {"", *(facts.fleet.names[index] for index in candidates)})
    return confirmed


def _bent(facts: Facts, memory: Memory) -> Bools:
    """Backends whose weight leans against a gain beyond the tolerance; told until the gain is half-way back.

    A gain within twice the usual spread of this fleet is no fault, even if it is what is left of one.
    """
    fleet = facts.fleet
    if not facts.compensating:
        memory.bent = frozenset()
        return np.zeros(len(fleet.backends), dtype=bool)
    raised = math.log(facts.policy.tolerance_ratio)
    released = min(raised, max(RELEASED_RATIO * raised, 2 * (memory.spread or 0.0)))
    known = np.array([name in memory.bent for name in fleet.backends], dtype=bool)
    gains = facts.gains_by_backend
    bent: Bools = (np.abs(gains) > np.where(known, released, raised)) & _leans_against(facts, gains)
    memory.bent = frozenset(facts.backends(bent))
    return bent


def _leans_against(facts: Facts, gains: Floats) -> Bools:
    """Whether each backend's weight makes up for at least half of its gain."""
    fleet, targets = facts.fleet, facts.targets_by_backend
    weighted = (fleet.weights > 0) & (targets > 0)
    lean = np.log(np.where(weighted, fleet.commanded, 1.0) / np.where(weighted, targets, 1.0))
    lean = lean - median(lean[weighted])
    against: Bools = weighted & (-np.sign(gains) * lean > RELEASED_RATIO * np.abs(gains))
    return against


def _slow_lately(facts: Facts, memory: Memory) -> Bools:
    """Pods that were slow within the last minute: who shares a place with a slow pod is often just below the limit."""
    memory.slow_at.update(dict.fromkeys(facts.names(facts.slow), facts.time))
    if not memory.slow_at:
        return np.zeros(len(facts.fleet.names), dtype=bool)
    memory.slow_at = {name: when for name, when in memory.slow_at.items() if facts.time - when <= LATELY_SECONDS}
    return np.array([name in memory.slow_at for name in facts.fleet.names], dtype=bool)
