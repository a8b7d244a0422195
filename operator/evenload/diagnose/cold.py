"""Who is ready and gets next to nothing: ejected by the proxy, or never reached by long-lived connections.

Its siblings carry its share, and are not to blame for it. Too little is judged against the median peer, so that one
hot pod, which leaves all the others too little, makes nobody cold; and by a tail that holds for small counts too.
"""

from __future__ import annotations

import math

import numpy as np

from evenload.model.fleet import Bools, Floats, some
from evenload.model.vectors import median

COLD_RATIO = 0.3  # of what the median peer gets: no benign spread goes so far
COLD_TICKS = 6  # about a minute: nobody suffers from it at once
FAMILY_ERROR = 1e-3  # of naming any pod wrongly, over all pods


def cold(requests: Floats, targets: Floats, excused: Bools) -> Bools:
    """Pods whose count is far below their share; who has no count or no target, or is excused, is not judged.

    With mu requests due, n or fewer come by chance with a probability of at most exp(n - mu + n ln(mu / n)) (Chernoff's
    bound of the Poisson tail: exact for n = 0, never too small). Nobody is cold where half of the pods would be.
    """
    judged = (targets > 0) & (requests >= 0)
    found = np.zeros(requests.size, dtype=bool)
    counts, shares = requests[judged], targets[judged]
    if counts.size < 3:
        return found
    ratios = counts / shares
    usual = median(ratios)
    little = (ratios < COLD_RATIO * usual) & ~excused[judged]
    if not some(little):
        return found
    due = usual * shares[little]
    came = counts[little]
    unlikely = due - came + came * np.log(np.maximum(came, 1e-9) / due)
    little[little] = unlikely > math.log(counts.size / FAMILY_ERROR)
    if 2 * int(little.sum()) < counts.size:
        found[judged] = little
    return found
