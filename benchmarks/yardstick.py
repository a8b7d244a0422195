"""A fixed piece of work to measure machines by: a figure divided by it means the same on a slow machine and a fast one.

Half of it is what Python's own JSON reader does with 50,000 pods' numbers, half is numpy sorting and taking logarithms
of as many; it uses nothing of Evenload, so that a change in Evenload cannot move it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import numpy as np

_PODS = 50_000


def cpu_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The median CPU time of `work`, over its user and system part."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def measure() -> float:
    """CPU seconds of the yardstick on this machine, now."""
    text = json.dumps({f"shop-{pod}": {"ready": True, "requests": pod * 1.5, "cpu": 0.25} for pod in range(_PODS)})
    values = np.random.default_rng(1).lognormal(size=(20, _PODS))
    return cpu_seconds(lambda: (json.loads(text), np.sort(np.log(values), axis=1)))
