"""The share of traffic each backend should have, and whole-number weights that ask for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evenload.model.fleet import Fleet, Floats
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.spec import DesiredType

WEIGHT_PER_BACKEND = 1000  # on average: ratios of 1:400 stay exact to a fraction of a percent
MOST_WEIGHT = 1_000_000  # of the Gateway API


def desired_shares(fleet: Fleet, policy: Policy) -> Floats:
    """By backend, sum 1; 0 for a backend without ready pods. All 0 when nothing is ready.

    Even gives every ready pod the same, so a backend with twice the ready pods deserves twice; ByCapacity goes by the
    capacity annotation of all ready pods, else by their CPU limits as use has corrected them, else it is Even.
    Explicit shares that are not of exactly these backends ask for nothing: then it is what the weights ask for already.
    """
    if shares_problem(policy, fleet.backends) is not None:
        return np.nan_to_num(fleet.commanded)
    claims = np.where(fleet.ready_by_backend > 0, _claims(fleet, policy), 0.0)
    total = float(claims.sum())
    if total <= 0:  # the explicit shares name only backends that are not ready: serve from those that are
        claims = fleet.ready_by_backend
        total = float(claims.sum())
    return claims / total if total else claims


def _claims(fleet: Fleet, policy: Policy) -> Floats:
    if policy.desired is DesiredType.Explicit:
        return np.array([policy.explicit_shares[name] for name in fleet.backends])
    return _capacities(fleet) if policy.desired is DesiredType.ByCapacity else fleet.ready_by_backend


def annotated(fleet: Fleet) -> bool:
    """Whether people declare the capacity of every ready pod."""
    return bool((fleet.capacity[fleet.ready] > 0).all())


def _capacities(fleet: Fleet) -> Floats:
    if annotated(fleet):
        return fleet.by_backend(np.where(fleet.ready, fleet.capacity, 0.0))
    if bool((fleet.cpu_limit[fleet.ready] > 0).all()):
        return fleet.by_backend(np.where(fleet.ready, fleet.cpu_limit, 0.0)) * fleet.learnt_by_backend
    return fleet.ready_by_backend


def weights_of(fleet: Fleet, shares: Floats) -> dict[str, int]:
    """Whole weights in these proportions, about WEIGHT_PER_BACKEND each, or of the plane's total; a positive share
    never becomes 0."""
    if fleet.weights_total is not None:
        return fitted(dict(zip(fleet.backends, shares.tolist(), strict=True)), fleet.weights_total)
    scaled = shares * (WEIGHT_PER_BACKEND * len(fleet.backends) / max(float(shares.sum()), 1e-12))
    return {
        name: min(MOST_WEIGHT, max(1, round(value))) if value > 0 else 0
        for name, value in zip(fleet.backends, scaled.tolist(), strict=True)
    }


def shares_of(fleet: Fleet, weights: Mapping[str, float]) -> Floats:
    """The shares that these weights ask for, by backend in the order of `fleet`; all 0 where they are."""
    vector = np.array([weights.get(name, 0) for name in fleet.backends], dtype=float)
    total = float(vector.sum())
    return vector / total if total else vector


def restored(fleet: Fleet, policy: Policy, known_good: Mapping[str, int] | None) -> dict[str, int]:
    """The weights to put back: the remembered ones, to the digit, where they still ask for what is desired."""
    shares = desired_shares(fleet, policy)
    if known_good is not None and _serves(fleet, policy, known_good, shares):
        return without_empty(fleet, known_good)
    return weights_of(fleet, shares)


def _serves(fleet: Fleet, policy: Policy, known_good: Mapping[str, int], shares: Floats) -> bool:
    if set(known_good) != set(fleet.backends):
        return False
    asked = shares_of(fleet, without_empty(fleet, known_good))
    wanted = shares > 0
    if not bool(((asked > 0) == wanted).all()):
        return False
    ratios = asked[wanted] / shares[wanted]
    return bool((ratios <= policy.tolerance_ratio).all() and (ratios >= 1 / policy.tolerance_ratio).all())


def without_empty(fleet: Fleet, weights: Mapping[str, int]) -> dict[str, int]:
    """No weight for a backend that nobody answers behind: its share would be 503s."""
    ready = fleet.ready_by_backend > 0
    kept = {name: int(weights[name]) if ready[i] else 0 for i, name in enumerate(fleet.backends)}
    return kept if kept == weights else fitted(kept, fleet.weights_total)


def scaled_down(base: Mapping[str, int], factors: Mapping[str, float], total: int | None = None) -> dict[str, int]:
    """`base` with some backends at a fraction of theirs; all are scaled up alike where whole numbers are too coarse.

    A factor above 0 never gives weight 0, and factors of 1 give `base` to the digit. `total`: of the plane, if any.
    """
    if total is not None:
        scaled = {name: weight * factors.get(name, 1.0) for name, weight in base.items()}
        return dict(base) if scaled == base else fitted(scaled, total)
    partial = [base[name] * factor for name, factor in factors.items() if 0 < factor < 1 and base.get(name, 0) > 0]
    scale = math.ceil(_FINEST / min(partial)) if partial and min(partial) < _FINEST else 1
    scale = max(1, min(scale, MOST_WEIGHT // max(*base.values(), 1)))
    return {name: _fraction(weight * scale, factors.get(name, 1.0)) for name, weight in base.items()}


def fitted(weights: Mapping[str, float], total: int | None) -> dict[str, int]:
    """Whole weights in these proportions that come to `total`, by largest remainder; a positive one never becomes 0.

    As they are where the plane has no total, all are 0, or more are positive than there are parts.
    """
    given = {name: weight for name, weight in weights.items() if weight > 0}
    if total is None or not 0 < len(given) <= total:
        return {name: int(weight) for name, weight in weights.items()}
    scale = total / math.fsum(given.values())
    quotas = {name: weight * scale for name, weight in given.items()}
    whole = {name: max(1, math.floor(quota)) for name, quota in quotas.items()}
    while (missing := total - sum(whole.values())) != 0:
        step = 1 if missing > 0 else -1
        able = (name for name in sorted(whole) if whole[name] + step > 0)
        whole[max(able, key=lambda name: step * (quotas[name] - whole[name]))] += step
    return {name: whole.get(name, 0) for name in weights}


_FINEST = 10  # a weight of at least this is within 5% of what was meant


def _fraction(weight: int, factor: float) -> int:
    return max(1, round(weight * factor)) if weight > 0 and factor > 0 else 0
