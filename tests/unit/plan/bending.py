"""Fleets whose balancer bends its weights, and laws that have watched them."""

from __future__ import annotations

from evenload.model.fleet import Fleet
from evenload.plan.law import Law
from tests.unit.engine.build import snapshot


def fleet(weights: dict[str, int], gains: dict[str, float], total: float = 4000.0, cpu: float = 0.08) -> Fleet:
    bent = {name: weights[name] * gains.get(name, 1.0) for name in weights}
    every = sum(bent.values())
    pods = {f"{name}-0": {"requests": round(total * bent[name] / every), "cpu": cpu} for name in weights}
    return Fleet(snapshot(pods, weights=weights))


def watched(known: Fleet, ticks: int = 4, law: Law | None = None, start: float = 0.0) -> Law:
    law = law or Law()
    for tick in range(ticks):
        law.observe(known, start + 5.0 * tick, 15.0, 2.5)
    return law
