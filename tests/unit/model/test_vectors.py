"""Short cuts of short vectors, against numpy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evenload.model.vectors import median


@pytest.mark.parametrize("size", [1, 2, 5, 50, 51])
def test_the_median_is_numpys(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    assert median(values) == np.median(values)


def test_the_median_of_nothing_is_unknown() -> None:
    assert math.isnan(median(np.array([])))
