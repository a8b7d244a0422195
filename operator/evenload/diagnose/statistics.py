"""The few statistics the diagnosis stands on, over vectors. Tests check them against scipy, which is not shipped."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from evenload.model.fleet import Floats, Ints
from evenload.model.vectors import median, middle

_NORMAL = NormalDist()
MAD_TO_SIGMA = 1.4826  # of a normal distribution
BOUND_Z = 1.96  # of a 95% interval


@cache
def normal_quantile(probability: float) -> float:
    """The z below which a standard normal falls with this probability (0..1, exclusive)."""
    return _NORMAL.inv_cdf(probability)


@cache
def chi2_quantile(probability: float, degrees: int) -> float:
    """Quantile of chi-squared by Wilson and Hilferty (1931): within 1% from 3 degrees of freedom, 6% at 1 and 2."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + normal_quantile(probability) * spread**0.5) ** 3)


def g_statistic(counts: Floats, shares: Floats) -> float:
    """Likelihood ratio of `counts` against `shares` (positive, sum 1): chi-squared with N-1 degrees if they agree.

    G = 2 sum n ln(n / (n_total d)) (Sokal and Rohlf). A zero count adds nothing.
    """
    seen = counts > 0
    observed = counts[seen]
    return 2 * float((observed * np.log(observed / (counts.sum() * shares[seen]))).sum())


def robust_sigma(values: Floats) -> float:
    """Standard deviation of the well-behaved majority: 1.4826 MAD."""
    return MAD_TO_SIGMA * median(np.abs(values - median(values)))


def share_spread(ratios: Floats, counts: Floats) -> float:
    """Benign spread of ln(share / target): the robust sigma less what counting alone would give (variance 1/n)."""
    logs = np.log(np.maximum(ratios, 1e-6))
    excess = robust_sigma(logs) ** 2 - median(1 / np.maximum(counts, 1.0))
    return math.sqrt(max(0.0, excess))


def leave_one_out_z(errors: Floats, requests: Floats) -> Floats:
    """z of each pod's error ratio against all others' together (two proportions, pooled).

    Two pods or more, each with requests; where none or all of these failed, z is 0. Unlike Envoy's success-rate rule it
    does not go blind when several fail: nobody is part of his own yardstick.
    """
    others = requests.sum() - requests
    pooled = errors.sum() / requests.sum()
    variance = pooled * (1 - pooled) * (1 / requests + 1 / others)
    z: Floats = (errors / requests - (errors.sum() - errors) / others) / np.sqrt(np.maximum(variance, 1e-12))
    return z


def against_median_z(ratios: Floats, requests: Floats) -> Floats:
    """z of each pod's error ratio against the median pod's: sees an outlier that hides behind other outliers.

    Each pod with requests; where neither failed, z is 0.
    """
    middle = median(ratios)
    between = (ratios + middle) / 2
    return (ratios - middle) / np.sqrt(np.maximum(between * (1 - between), 1e-9) / requests)


def log_outlier_z(values: Floats, floor: float) -> Floats:
    """z of ln(value) against median and MAD; `floor` is the least standard deviation believed."""
    logs = np.log(np.maximum(values, 1e-9))
    away = logs - median(logs)
    z: Floats = away / max(MAD_TO_SIGMA * median(np.abs(away)), floor)
    return z


@cache
def pairs(size: int) -> tuple[Ints, Ints]:
    """Every pair of places in a vector, the later one and the earlier one: asked for at a few sizes, on every bin."""
    later, earlier = np.triu_indices(size, 1)[::-1]
    return later, earlier


def mann_kendall_z(values: Floats) -> Floats:
    """Mann and Kendall's trend statistic of each column (or of a vector), as a standard normal z (without ties)."""
    size = values.shape[0]
    later, earlier = pairs(size)
    score = np.sign(values[later] - values[earlier]).sum(axis=0)
    z: Floats = (score - np.sign(score)) / math.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    return z


def theil_sen(values: Floats, steps: Floats | None = None, stretch: float = 1.0) -> tuple[float, float, float]:
    """Median slope a step, and its 95% bounds by Sen's rank method.

    `steps`: where on the axis each value is; a step apart if not given. `stretch` widens the bounds, for values that
    are not independent.
    """
    size = values.size
    axis = np.arange(size, dtype=float) if steps is None else steps
    later, earlier = pairs(size)
    slopes = np.sort((values[later] - values[earlier]) / (axis[later] - axis[earlier]))
    reach = stretch * BOUND_Z * math.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    low = max(0, round((slopes.size - reach) / 2) - 1)
    high = min(slopes.size - 1, round((slopes.size + reach) / 2))
    return middle(slopes), float(slopes[low]), float(slopes[high])
