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
NEGLIGIBLE = 1e-12  # of a sum: what adds less is left out


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


def hypergeometric_tail(seen: int, drawn: int, marked: int, total: int) -> float:
    """The chance that among `drawn` of `total`, of which `marked` are marked, `seen` or more are.

    With failed requests as the marked ones it is Fisher's exact test, one-sided: the chance of so many failures at a
    pod if it fails as often as the others do. No approximation, so it holds for one request as for a million, and the
    true ratio need not be known. Terms are summed until they add nothing; accurate to about 1e-9 of the result.
    """
    if seen <= max(0, drawn + marked - total):
        return 1.0
    if seen > min(drawn, marked):
        return 0.0
    if seen * total <= drawn * marked:  # below the mean the terms rise: sum the other side, of what is not marked
        return 1.0 - hypergeometric_tail(drawn - seen + 1, drawn, total - marked, total)
    term = tail = 1.0
    for count in range(seen, min(drawn, marked)):
        term *= (drawn - count) * (marked - count) / ((count + 1) * (total - marked - drawn + count + 1))
        tail += term
        if term < NEGLIGIBLE * tail:
            break
    first = _log_choose(marked, seen) + _log_choose(total - marked, drawn - seen) - _log_choose(total, drawn)
    return min(1.0, math.exp(first) * tail)


def _log_choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


def log_outlier_z(values: Floats, floor: Floats | float) -> Floats:
    """z of ln(value) against median and MAD; `floor` is the least standard deviation believed, of each."""
    logs = np.log(np.maximum(values, 1e-9))
    away = logs - median(logs)
    z: Floats = away / np.maximum(MAD_TO_SIGMA * median(np.abs(away)), floor)
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
