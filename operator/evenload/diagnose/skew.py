"""Is traffic spread as it should be? The test of algorithms section 1, which asks three things at once.

Significance alone (G) fires on any benign spread once there is traffic enough, and an effect size alone fires on noise
when there is little. Together, and on 2 of 3 ticks, they raise at most 0.5% false alarms a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenload.diagnose.statistics import chi2_quantile, g_statistic, median, normal_quantile, share_spread
from evenload.model.fleet import Bools, Floats

SIGNIFICANCE = 0.999
FAMILY_ERROR = 1e-3  # of naming any pod wrongly, over all pods
SPREAD_SIGMAS = 4.0
MOST_EXCUSED_RATIO = 2.5  # a wide spread explains no more than this: with half of the pods hot, the MAD is the fault
PHI_RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """By pod: `ratio` is share over target share (NaN where not judged), `hot` those that break every limit."""

    ratio: Floats
    hot: Bools
    g: float
    g_limit: float
    threshold: float
    dispersion: float  # G over its degrees of freedom: 1 when only chance spreads the counts

    @property
    def seen(self) -> bool:
        """Whether this window shows skew."""
        return self.g > self.g_limit and bool(self.hot.any())


def measure(requests: Floats, targets: Floats, *, tolerance_ratio: float, phi: float, explained: bool) -> Skew:
    """Compare counts by pod with target shares by pod; pods without a count or a target are not judged.

    `phi` is the learned dispersion of healthy ticks. `explained`: the weights themselves ask for the skew, so a wide
    spread excuses nothing.
    """
    judged = (targets > 0) & (requests >= 0)
    counts, shares = requests[judged], targets[judged]
    total = float(counts.sum())
    if counts.size < 2 or total <= 0:
        return _nothing(requests)
    shares = shares / shares.sum()
    ratios = counts / (total * shares)
    degrees = counts.size - 1
    g = g_statistic(counts, shares)
    threshold = tolerance_ratio if explained else max(tolerance_ratio, _excused(ratios, counts))
    z = (counts - total * shares) / np.sqrt(total * shares * (1 - shares) * phi)
    hot = (z > normal_quantile(1 - FAMILY_ERROR / counts.size)) & (ratios > threshold)
    if not explained:
        hot &= ratios > tolerance_ratio * median(ratios)
    return Skew(
        ratio=_spread_out(judged, ratios, np.nan),
        hot=_spread_out(judged, hot, 0.0) > 0,
        g=g,
        g_limit=chi2_quantile(SIGNIFICANCE, degrees) * phi,
        threshold=threshold,
        dispersion=g / degrees,
    )


def learned(phi: float, dispersion: float) -> float:
    """The dispersion after one more healthy tick; never below what chance alone gives."""
    return max(1.0, phi + PHI_RATE * (dispersion - phi))


def _excused(ratios: Floats, counts: Floats) -> float:
    return min(math.exp(SPREAD_SIGMAS * share_spread(ratios, counts)), MOST_EXCUSED_RATIO)


def _spread_out(judged: Bools, values: Floats | Bools, otherwise: float) -> Floats:
    """Values of the judged pods back in a vector over all pods."""
    everyone = np.full(judged.size, otherwise)
    everyone[judged] = values
    return everyone


def _nothing(requests: Floats) -> Skew:
    unknown = np.full(requests.size, np.nan)
    nobody = np.zeros(requests.size, dtype=bool)
    return Skew(ratio=unknown, hot=nobody, g=0.0, g_limit=math.inf, threshold=math.inf, dispersion=1.0)
