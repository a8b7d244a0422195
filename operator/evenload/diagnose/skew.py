"""Is traffic spread as it should be? The test of algorithms section 1, which asks three things at once.

Significance alone (G) fires on any benign spread once there is traffic enough, and an effect size alone fires on noise
when there is little. Together, and on 2 of 3 ticks, they raise at most 0.5% false alarms a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from evenload.diagnose.statistics import chi2_quantile, g_statistic, normal_quantile, share_spread
from evenload.model.fleet import Bools, Floats, some
from evenload.model.once import once
from evenload.model.vectors import median

SIGNIFICANCE = 0.999
FAMILY_ERROR = 1e-3  # of naming any pod wrongly, over all pods
SURELY_Z = 2.0  # a benign spread comes near the tolerance, and chance adds to it: so far beyond, it is no chance
SPREAD_SIGMAS = 4.0
MOST_EXCUSED_RATIO = 2.5  # a wide spread explains no more than this: with half of the pods hot, the MAD is the fault
LEARNING_RATE = 0.1
MOST_SPREAD = 0.25  # learnt: beyond it, uneven traffic would become usual

Vector = TypeVar("Vector", Floats, Bools)


@dataclass(frozen=True, kw_only=True)
class Skew:
    """By pod: `ratio` is share over target share (NaN where not judged), `hot` those that break every limit.

    `worst` is the largest ratio; `spread`, the benign standard deviation of ln(ratio) in this window, by its
    well-behaved majority; `counts` and `shares`, of the judged pods.
    """

    ratio: Floats
    hot: Bools
    counts: Floats
    shares: Floats
    g_limit: float
    threshold: float
    spread: float
    worst: float | None

    @once
    def g(self) -> float:
        """How unlikely these counts are by chance. Most windows have no hot pod, and nobody asks."""
        return g_statistic(self.counts, self.shares) if self.counts.size else 0.0

    @once
    def seen(self) -> bool:
        """Whether this window shows skew."""
        return some(self.hot) and self.g > self.g_limit


def measure(
    requests: Floats,
    targets: Floats,
    *,
    asked: Floats,
    tolerance_ratio: float,
    spread: float | None,
    explained: bool,
) -> Skew:
    """Compare counts by pod with target shares by pod; pods without a count or a target are not judged.

    `asked` is the share by pod that the weights ask for: what differs from that is the balancer's own spread.
    `spread` is what calm ticks taught, None while they taught nothing: few pods make a poor estimate of it in a window
    with a hot one. It disperses counts beyond chance by phi = 1 + n spread^2. `explained`: the weights themselves ask
    for the skew, so a wide spread excuses nothing.
    """
    judged = (targets > 0) & (requests >= 0)
    counts, shares = requests[judged], targets[judged]
    total = float(counts.sum())
    if counts.size < 2 or total <= 0:
        return _nothing(requests)
    shares = shares / shares.sum()
    ratios = counts / (total * shares)
    seen_spread = _spread(counts, asked[judged], ratios)
    phi = 1 + (spread or 0.0) ** 2 * total / counts.size
    threshold = (
        tolerance_ratio if explained else max(tolerance_ratio, _excused(seen_spread if spread is None else spread))
    )
    hot = ratios > threshold
    if some(hot):  # seldom: what chance could do need not be known otherwise
        z = (counts - total * shares) / np.sqrt(total * shares * (1 - shares) * phi)
        hot &= z > normal_quantile(1 - FAMILY_ERROR / counts.size)
        if not explained:
            chance = 1 + SURELY_Z / np.sqrt(np.maximum(counts, 1.0))
            hot &= ratios > tolerance_ratio * np.maximum(chance, median(ratios))
    return Skew(
        ratio=_spread_out(judged, ratios, np.full(judged.size, np.nan)),
        hot=_spread_out(judged, hot, np.zeros(judged.size, dtype=bool)),
        counts=counts,
        shares=shares,
        g_limit=chi2_quantile(SIGNIFICANCE, counts.size - 1) * phi,
        threshold=threshold,
        spread=seen_spread,
        worst=float(ratios.max()),
    )


def learned(known: float | None, seen: float) -> float:
    """The usual spread after one more calm tick."""
    seen = min(seen, MOST_SPREAD)
    return seen if known is None else known + LEARNING_RATE * (seen - known)


def _spread(counts: Floats, asked: Floats, ratios: Floats) -> float:
    """Of shares about what the weights ask for; about the targets where some pod is asked for nothing."""
    if not (asked > 0).all():
        return share_spread(ratios, counts)
    return share_spread(counts / (counts.sum() * asked / asked.sum()), counts)


def _excused(spread: float) -> float:
    return min(math.exp(SPREAD_SIGMAS * spread), MOST_EXCUSED_RATIO)


def _spread_out(judged: Bools, values: Vector, everyone: Vector) -> Vector:
    """Values of the judged pods put into a vector over all pods."""
    everyone[judged] = values
    return everyone


def _nothing(requests: Floats) -> Skew:
    return Skew(
        ratio=np.full(requests.size, np.nan),
        hot=np.zeros(requests.size, dtype=bool),
        counts=np.empty(0),
        shares=np.empty(0),
        g_limit=math.inf,
        threshold=math.inf,
        spread=0.0,
        worst=None,
    )
