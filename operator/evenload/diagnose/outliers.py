"""Which pods fail, and which are slow, compared with their peers (algorithms section 1)."""

from __future__ import annotations

import numpy as np

from evenload.diagnose.statistics import against_median_z, leave_one_out_z, log_outlier_z
from evenload.model.fleet import Bools, Floats, some
from evenload.model.vectors import median

LEAST_REQUESTS = 20.0
ERROR_POINTS = 0.05  # above the median pod
LEAVE_ONE_OUT_Z = 4.0
MEDIAN_Z = 6.0
LATENCY_Z = 3.5
LATENCY_RATIO = 1.5
LATENCY_SPREAD_FLOOR = 0.1  # of ln latency: pods that agree to the millisecond make nobody an outlier
BENIGN_COST_RATIO = 1.25  # servers of one kind differ by so much in what a request costs
MOST_UTILIZATION = 0.95  # beyond it a queue tells how long the overload lasts, not how busy the server is
LEAST_PEERS = 3  # of two pods, which one is the slow one?


def failing(errors: Floats, requests: Floats) -> Bools:
    """Pods whose error ratio is far above the others', by chance practically never. Unknown counts are not judged."""
    judged = (requests >= LEAST_REQUESTS) & (errors >= 0)
    found = np.zeros(errors.size, dtype=bool)
    known_errors, known_requests = errors[judged], requests[judged]
    if known_errors.size < 2 or not some(known_errors):
        return found
    ratios = known_errors / known_requests
    far = ratios > median(ratios) + ERROR_POINTS
    if not some(far):
        return found
    found[judged] = far & (
        (leave_one_out_z(known_errors, known_requests) > LEAVE_ONE_OUT_Z)
        | (against_median_z(ratios, known_requests) > MEDIAN_Z)
    )
    return found


def slow(latency: Floats, requests: Floats, utilization: Floats) -> Bools:
    """Pods far slower than the median pod, and that not only because they are busier.

    A queue before a server at use u makes its requests take 1 / (1 - u) times as long (M/M/1): near the limit a little
    more load is much more latency. What is left without that is the server's own time; where use is unknown, all of it.
    Use that more requests do not explain is no excuse: a cold or throttled server is busy because it is slow.
    """
    judged = (latency > 0) & (requests >= LEAST_REQUESTS)
    found = np.zeros(latency.size, dtype=bool)
    known = latency[judged]
    if known.size >= LEAST_PEERS:
        found[judged] = _far(known)
    if some(found):
        found[judged] &= _far(known * (1 - explained_use(requests[judged], utilization[judged])))
    return found


def explained_use(requests: Floats, utilization: Floats) -> Floats:
    """CPU use that so many requests (above none) explain at about what one costs the median pod; 0 where unknown."""
    use = np.where(np.isnan(utilization), 0.0, utilization)
    explained = BENIGN_COST_RATIO * median(use / requests) * requests
    return np.minimum(np.minimum(use, explained), MOST_UTILIZATION)


def _far(latency: Floats) -> Bools:
    far: Bools = latency > LATENCY_RATIO * median(latency)
    if not some(far):
        return far
    return far & (log_outlier_z(latency, LATENCY_SPREAD_FLOOR) > LATENCY_Z)
