"""Which pods fail, and which are slow, compared with their peers.

Chances are those of naming *any* pod wrongly: each pod's own, times how many are looked at (Bonferroni; Dunn 1961). The
procedure of Benjamini and Hochberg would find more, but it bounds the wrong share of what is found, and in a sound
fleet all that is found is wrong, each at the price of a write.
"""

from __future__ import annotations

import numpy as np

from evenload.diagnose.statistics import hypergeometric_tail, log_outlier_z, normal_quantile
from evenload.model.fleet import Bools, Floats, some
from evenload.model.vectors import median

LEAST_REQUESTS = 20.0
ERROR_POINTS = 0.05  # above the median pod
FAMILY_ERROR = 1e-4  # of naming any pod wrongly in a window, over all pods
LATENCY_Z = 3.5
SLOW_FAMILY_ERROR = 1e-3
LATENCY_RATIO = 1.5
LATENCY_SPREAD_FLOOR = 0.1  # of ln latency: pods that agree to the millisecond make nobody an outlier
REQUEST_SPREAD = 1.0  # of single requests' times, standard deviation over mean: at least as if exponential
BENIGN_COST_RATIO = 1.25  # servers of one kind differ by so much in what a request costs
MOST_UTILIZATION = 0.95  # beyond it a queue tells how long the overload lasts, not how busy the server is
LEAST_PEERS = 3  # of two pods, which one is the slow one?


def failing_chance(errors: Floats, requests: Floats) -> Floats:
    """By pod, the chance of errors so far above the median pod's if it fails as often as the others; 1 if not far.

    "The others" are the pods that are not far above: so nobody is part of his own yardstick, and several that fail do
    not hide each other, as they do from Envoy's success-rate rule. Unknown counts are not judged.
    """
    judged = np.flatnonzero((requests >= LEAST_REQUESTS) & (errors >= 0))
    chance = np.ones(errors.size)
    known = errors[judged]
    if judged.size < 2 or not some(known):
        return chance
    ratios = known / requests[judged]
    far = ratios > median(ratios) + ERROR_POINTS
    if not some(far):
        return chance
    others = judged[~far]
    of_others = round(float(requests[others].sum()))
    failed_others = min(round(float(errors[others].sum())), of_others)
    for index in judged[far].tolist():
        count = round(float(requests[index]))
        failed = min(round(float(errors[index])), count)
        tail = hypergeometric_tail(failed, count, failed + failed_others, count + of_others)
        chance[index] = min(1.0, judged.size * tail)
    return chance


def slow(latency: Floats, requests: Floats, utilization: Floats, limits: Floats | None = None) -> Bools:
    """Pods far slower than the median pod, and that not only because they are busier.

    A queue before a server at use u makes its requests take 1 / (1 - u) times as long (M/M/1): near the limit a little
    more load is much more latency. What is left without that is the server's own time; where use is unknown, all of it.
    Use that more requests do not explain is no excuse: a cold or throttled server is busy because it is slow.
    """
    judged = (latency > 0) & (requests >= LEAST_REQUESTS)
    found = np.zeros(latency.size, dtype=bool)
    known = latency[judged]
    if known.size >= LEAST_PEERS:
        found[judged] = _far(known, requests[judged])
    if some(found):
        cores = None if limits is None else limits[judged]
        own = known * (1 - explained_use(requests[judged], utilization[judged], cores))
        found[judged] &= _far(own, requests[judged])
    return found


def explained_use(requests: Floats, utilization: Floats, limits: Floats | None = None) -> Floats:
    """CPU use that so many requests (above none) explain at about what one costs the median pod; 0 where unknown.

    `utilization` is of `limits` in cores, where these differ: the same request takes more of a smaller limit.
    """
    known = ~np.isnan(utilization)
    use = np.where(known, utilization, 0.0)
    cores = np.where(known, 1.0 if limits is None else limits, 1.0)
    explained = BENIGN_COST_RATIO * median(use * cores / requests) * requests / cores
    return np.minimum(np.minimum(use, explained), MOST_UTILIZATION)


def _far(latency: Floats, requests: Floats) -> Bools:
    """Mean latencies of so many requests each. A mean of few is uncertain by its own spread, whatever the others'."""
    far: Bools = latency > LATENCY_RATIO * median(latency)
    if not some(far):
        return far
    floor = np.maximum(LATENCY_SPREAD_FLOOR, REQUEST_SPREAD / np.sqrt(requests))
    limit = max(LATENCY_Z, normal_quantile(1 - SLOW_FAMILY_ERROR / latency.size))
    return far & (log_outlier_z(latency, floor) > limit)
