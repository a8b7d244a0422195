"""An update of the balancer by another writer is on probation for a while: did it make things worse?

What was before it is known, so little has to be proven: two ticks with more failed requests than chance allows, or with
answers far later than usual, just where the update can have brought them about. A fault that was there before the
update, or that one pod has, is no update's.
"""

from __future__ import annotations

import math

import numpy as np

from evenload.diagnose import hysteresis
from evenload.diagnose.facts import SICK_LATENCY_RATIO, Facts
from evenload.diagnose.outliers import FAMILY_ERROR, LEAST_REQUESTS
from evenload.diagnose.statistics import hypergeometric_tail
from evenload.diagnose.update import Level, Suspicion
from evenload.model.episode import FIELD_MANAGER
from evenload.model.fleet import Bools, some
from evenload.model.snapshot import RouteWrite

GAINED_RATIO = 1.1  # of its share before: a backend that gets more by the update
WORSE_FACTOR, WORSE_POINTS = 2.0, 0.01  # of the error ratio before: as the rollback test of our own steps
MOST_PODS = 0.6  # of those that an update concerns: fewer are ill by themselves


def suspicion(facts: Facts) -> Suspicion | None:
    """The last update, while it is on probation, if this tick shows that it made things worse."""
    write = facts.snapshot.last_write
    if write is None or write.manager == FIELD_MANAGER:
        return None
    before = facts.memory.levels.before(write, facts.snapshot.window)
    if before is None or not write.time < facts.time <= write.time + facts.policy.probation_seconds:
        return None
    gained, worse = _gained(facts, write), _worse_pods(facts, before)
    concerned = gained[facts.fleet.where]
    if some(gained) and _brought_on(facts, concerned, worse, before):
        if facts.weights_wrong and set(facts.backends(gained)) <= (write.before or {}).keys():
            return None  # the weights alone say what is wrong: that is skew
        pods = worse & concerned
        return Suspicion(write=write, before=before, gained=facts.backends_of(pods), pods=pods)
    if facts.weights_wrong or not (write.elsewhere or write.before is None):
        return None
    if hysteresis.stopped(facts) or (hysteresis.depends(facts) and _worse(facts, facts.fleet.ready, before)):
        return Suspicion(write=write, before=before, pods=worse)
    return None


def _gained(facts: Facts, write: RouteWrite) -> Bools:
    """Backends that the weights give more than before the update, by backend."""
    fleet, before = facts.fleet, write.before
    if not before or not any(before.values()):
        return np.zeros(len(fleet.backends), dtype=bool)
    total = sum(before.values())
    had = np.array([before.get(name, 0) / total for name in fleet.backends])
    gained: Bools = fleet.commanded > GAINED_RATIO * had
    return gained


def _brought_on(facts: Facts, concerned: Bools, worse: Bools, before: Level) -> bool:
    """Whether most of the `concerned` pods, those of backends that gained, are `worse`, and the others are not."""
    if not _most(facts, worse, concerned) or _most(facts, worse, ~concerned):
        return False
    late = worse & ~(facts.error_ratios > before.ratio + WORSE_POINTS)
    return _worse(facts, concerned, before) or _most(facts, late, concerned)


def _most(facts: Facts, worse: Bools, among: Bools) -> bool:
    judged, count = among & facts.fleet.ready & (facts.counted >= LEAST_REQUESTS), facts.witnesses.count
    return some(judged) and count(worse & judged) >= MOST_PODS * count(judged)


def _worse_pods(facts: Facts, before: Level) -> Bools:
    """Ready pods that fail more than all did before the update, or answer far later than is usual."""
    usual = facts.memory.baseline.latency
    late = facts.fleet.latency > SICK_LATENCY_RATIO * (np.inf if usual is None else usual)
    asked = facts.fleet.ready & (facts.counted >= LEAST_REQUESTS)
    worse: Bools = asked & ((facts.error_ratios > _limit(before)) | late)
    return worse


def _limit(before: Level) -> float:
    return max(WORSE_FACTOR * before.ratio, before.ratio + WORSE_POINTS)


def _worse(facts: Facts, pods: Bools, before: Level) -> bool:
    """Whether these pods together fail more than all did before, by more than chance (Fisher's exact test)."""
    known = pods & facts.fleet.ready & (facts.fleet.errors >= 0) & (facts.requests > 0)
    requests, errors = round(float(facts.requests[known].sum())), math.floor(float(facts.fleet.errors[known].sum()))
    if requests == 0 or errors / requests <= _limit(before):
        return False
    chance = hypergeometric_tail(errors, requests, errors + before.errors, requests + before.requests)
    return chance < FAMILY_ERROR
