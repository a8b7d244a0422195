"""What it is not, and the number that says so: people chase the wrong cause for hours, so this is half of an answer."""

from __future__ import annotations

import numpy as np

from evenload.diagnose.facts import Facts
from evenload.diagnose.hysteresis import CALM_RATIO, DEPENDENCY_POD_RATIO, SURGE_RATIO
from evenload.model.diagnosis import Label, RuledOut
from evenload.model.wording import listing, percent, rate


def refuted(facts: Facts, label: Label) -> tuple[RuledOut, ...]:
    """The other causes that someone would think of first, each with its refutation, as far as there is one."""
    told = ((other, because(facts, label)) for other, because in _REFUTATIONS.items() if other is not label)
    return tuple(RuledOut(label=other, because=because) for other, because in told if because)


def _surge(facts: Facts, label: Label) -> str | None:
    ratio = facts.traffic_ratio
    if ratio is None or ratio > SURGE_RATIO:
        return None
    if ratio > CALM_RATIO:
        return f"the total is {ratio:.2f} of the usual {rate(facts.usual_rps or 0)} requests/s, below {SURGE_RATIO}"
    return f"the total is {ratio:.2f} of the usual {rate(facts.usual_rps or 0)} requests/s: nobody floods us"


def _failing(facts: Facts, label: Label) -> str | None:
    if label is not Label.LoadBalancerSkew:
        return (
            None
            if facts.failing.any() or not facts.errors_known
            else f"no {facts.one}'s error ratio stands out from its peers'"
        )
    explained = (facts.failing | facts.bad) & facts.skew.hot
    if not explained.any():
        return None
    share = float(np.nansum(facts.requests[explained])) / facts.fleet.total_requests
    return f"the errors of {listing(facts.subjects(explained))} are explained by its overload: it gets {percent(share)}"


def _skew(facts: Facts, label: Label) -> str | None:
    worst = facts.skew.worst
    if facts.skew.seen or worst is None:
        return None
    return f"the busiest {facts.one} has {worst:.2f} of its share, within {facts.policy.tolerance_ratio:.2f}"


def _dependency(facts: Facts, label: Label) -> str | None:
    if facts.bad_ratio >= DEPENDENCY_POD_RATIO or not facts.errors_known:
        return None
    bad = f"{percent(facts.bad_ratio)} of the {facts.one}s"
    return f"{bad} are over {percent(facts.error_limit)} errors; their peers are fine"


_REFUTATIONS = {
    Label.Surge: _surge,
    Label.Failing: _failing,
    Label.LoadBalancerSkew: _skew,
    Label.Dependency: _dependency,
}
