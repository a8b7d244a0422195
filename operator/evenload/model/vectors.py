"""What numpy does too, but for short vectors at a tenth of the cost: a Balancer's are short, and there are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.float64]) -> float:
    """As numpy's; NaN for an empty one."""
    if not values.size:
        return float("nan")
    ordered = values.copy()
    ordered.sort()
    return middle(ordered)


def middle(ordered: NDArray[np.float64]) -> float:
    """The median of what is sorted and not empty."""
    half = ordered.size // 2
    upper: float = ordered.item(half)
    return upper if ordered.size % 2 else (ordered.item(half - 1) + upper) / 2
