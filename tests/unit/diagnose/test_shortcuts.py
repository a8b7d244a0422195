"""Shortcuts through a healthy tick give what the long way gives, to the last bit: replay promises that."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evenload.diagnose import outliers
from evenload.diagnose.skew import FAMILY_ERROR, SURELY_Z, measure
from evenload.diagnose.statistics import hypergeometric_tail, log_outlier_z, normal_quantile
from evenload.model.fleet import Bools, Fleet, Floats, some
from evenload.model.vectors import median
from tests.unit.engine.build import snapshot

PODS = 5
NUMBERS = st.one_of(st.just(float("nan")), st.integers(0, 2000).map(float))
COUNTS = arrays(np.float64, PODS, elements=NUMBERS)
RATIOS = arrays(np.float64, PODS, elements=st.floats(0.0, 1.0))


@given(COUNTS, RATIOS)
def test_failing_pods_are_those_that_break_every_limit(requests: Floats, ratios: Floats) -> None:
    errors = np.floor(requests * ratios)
    judged = (requests >= outliers.LEAST_REQUESTS) & (errors >= 0)
    expected = np.zeros(PODS, dtype=bool)
    if np.count_nonzero(judged) >= 2 and errors[judged].any():
        of, failed = requests[judged], errors[judged]
        by_pod = failed / of
        far = by_pod > median(by_pod) + outliers.ERROR_POINTS
        drawn, marked = of + of[~far].sum(), failed + failed[~far].sum()
        tails = [hypergeometric_tail(*map(int, each)) for each in zip(failed, of, marked, drawn, strict=True)]
        expected[judged] = far & (np.array(tails) * len(of) < outliers.FAMILY_ERROR)
    found = outliers.failing_chance(errors, requests) < outliers.FAMILY_ERROR
    assert found.tolist() == expected.tolist()


@given(arrays(np.float64, PODS, elements=st.floats(0.001, 3.0)), COUNTS, RATIOS)
def test_slow_pods_are_those_that_break_every_limit(latency: Floats, requests: Floats, use: Floats) -> None:
    judged = requests >= outliers.LEAST_REQUESTS
    expected = np.zeros(PODS, dtype=bool)
    if judged.sum() >= outliers.LEAST_PEERS:
        expected[judged] = True
        excuse = outliers.explained_use(requests[judged], use[judged])
        floor = np.maximum(outliers.LATENCY_SPREAD_FLOOR, outliers.REQUEST_SPREAD / np.sqrt(requests[judged]))
        limit = max(outliers.LATENCY_Z, normal_quantile(1 - outliers.SLOW_FAMILY_ERROR / judged.sum()))
        for known in (latency[judged], latency[judged] * (1 - excuse)):
            far = known > outliers.LATENCY_RATIO * median(known)
            expected[judged] &= far & (log_outlier_z(known, floor) > limit)
    assert outliers.slow(latency, requests, use).tolist() == expected.tolist()


@given(COUNTS, st.one_of(st.none(), st.floats(0.0, 0.25)), st.booleans())
def test_hot_pods_are_those_that_break_every_limit(counts: Floats, spread: float | None, explained: bool) -> None:
    even = np.full(PODS, 1 / PODS)
    seen = measure(counts, even, asked=even, tolerance_ratio=1.3, spread=spread, explained=explained)
    assert seen.hot.tolist() == _hot(counts, spread, seen.threshold, explained).tolist()
    ratios = seen.ratio[~np.isnan(seen.ratio)]
    assert seen.worst == (ratios.max() if ratios.size else None)


def _hot(counts: Floats, spread: float | None, threshold: float, explained: bool) -> Bools:
    judged = ~np.isnan(counts)
    hot = np.zeros(PODS, dtype=bool)
    known, size = counts[judged], np.count_nonzero(judged)
    if size < 2 or not known.sum():
        return hot
    total, share = known.sum(), 1 / size
    ratios = known / (total * share)
    phi = 1 + (spread or 0.0) ** 2 * total / size
    z = (known - total * share) / np.sqrt(total * share * (1 - share) * phi)
    hot[judged] = (z > normal_quantile(1 - FAMILY_ERROR / size)) & (ratios > threshold)
    if not explained:
        hot[judged] &= ratios > 1.3 * np.maximum(1 + SURELY_Z / np.sqrt(np.maximum(known, 1)), median(ratios))
    return hot


@given(COUNTS, COUNTS)
def test_totals_are_those_of_the_pods_that_tell(requests: Floats, errors: Floats) -> None:
    names = [f"{backend}-0" for backend in "abcd"]
    told = zip(names, requests.tolist(), errors.tolist(), strict=False)
    fleet = Fleet(snapshot({name: {"requests": number, "errors": failed} for name, number, failed in told}))
    assert fleet.total_requests == float(np.nansum(fleet.requests))
    both = ~np.isnan(fleet.errors)
    of = float(fleet.requests[both].sum())
    assert fleet.error_ratio() == (float(fleet.errors[both].sum()) / of if of > 0 else None)


@given(arrays(np.bool_, st.integers(0, 6)))
def test_some_is_any(mask: Bools) -> None:
    assert some(mask) is bool(mask.any())
