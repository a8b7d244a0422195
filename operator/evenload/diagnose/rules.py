"""The diagnosis table: first match wins, and the order is the policy. docs/reference/diagnoses.md is generated from it.

The order matters. Skew stands before Failing because a pod that drowns in traffic fails, and restarting it would be for
nothing; a sinkhole stands before skew because a pod that fails fast looks quick and draws the traffic to itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from evenload.diagnose import hysteresis
from evenload.diagnose.facts import YOUNG_SECONDS, Facts
from evenload.diagnose.findings import (
    Finding,
    blame,
    cold_evidence,
    error_evidence,
    gain_evidence,
    hottest,
    latency_evidence,
    leak_evidence,
    named,
    share_evidence,
    traffic_evidence,
    weight_evidence,
    whole_error_evidence,
)
from evenload.diagnose.hysteresis import Confirmed
from evenload.diagnose.inside import Why, why
from evenload.diagnose.probation import WORSE_POINTS
from evenload.diagnose.update import Suspicion
from evenload.model.base import Value
from evenload.model.diagnosis import Evidence, Label, SkewCause
from evenload.model.fleet import Bools, some
from evenload.model.labels import LABELS
from evenload.model.vectors import median
from evenload.model.wording import clock, duration, listing, milliseconds, number, percent, rate, times

SINKHOLE_LATENCY_RATIO = 0.7  # of the median: it fails so fast that it looks quick

Test = Callable[[Facts, Confirmed], Finding | None]


class Rule(Value, frozen=True, kw_only=True):
    """One row. `explains`: labels that are not told beside this one, because it is why they seem true."""

    label: Label
    test: Test
    why_here: str
    explains: frozenset[Label] = frozenset()
    counted: bool = True  # False: stands on weights and pods alone, so few requests do not weaken it
    calm: bool = False  # nobody suffers from it just now: such ticks teach what is usual, and end an incident


def all_zero(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if not confirmed.all_zero:
        return None
    write = facts.snapshot.last_write
    return Finding(
        sentence=f"all weights were set to 0{blame(facts)}: every request is answered 503",
        cause=SkewCause.WeightsWrong,
        manager=write.manager if write is not None else None,
        backends=facts.fleet.backends,
    )


def cut_off(facts: Facts, confirmed: Confirmed) -> Finding | None:
    """Nothing arrives since an update that is no matter of weights: of what it matches, say."""
    if confirmed.update is None or not confirmed.stopped:
        return None
    usual = facts.usual_rps or 0.0
    stopped = f"almost nothing arrives ({rate(facts.rps)} requests/s, usual are {rate(usual)})"
    return Finding(
        sentence=f"{stopped} {_since(confirmed.update)}",
        manager=confirmed.update.write.manager,
        evidence=traffic_evidence(facts),
    )


def bad_update(facts: Facts, confirmed: Confirmed) -> Finding | None:
    update = confirmed.update
    if update is None:
        return None
    where = listing(update.gained) or "most pods"
    rest = "; the other backends do not" if update.gained else ""
    return Finding(
        sentence=f"{where} {_suffering(facts, update)} {_since(update)}{rest}",
        manager=update.write.manager,
        pods=facts.names(update.pods),
        backends=update.gained,
        evidence=(*error_evidence(facts, update.pods), *latency_evidence(facts, update.pods), _level(facts, update)),
    )


def _suffering(facts: Facts, update: Suspicion) -> str:
    requests, errors = facts.requests[update.pods], facts.fleet.errors[update.pods]
    ratio = float(np.nansum(errors)) / max(float(np.nansum(requests)), 1.0)
    if ratio > update.before.ratio + WORSE_POINTS:
        return f"{number(update.gained or ('', ''), 'fails', 'fail')} {percent(ratio)} of {_its(update)} requests"
    latency = median(facts.fleet.latency[update.pods])
    usual = milliseconds(facts.memory.baseline.latency or 0.0)
    return f"{number(update.gained or ('', ''), 'answers', 'answer')} in {milliseconds(latency)} (usual are {usual})"


def _its(update: Suspicion) -> str:
    return number(update.gained or ("", ""), "its", "their")


def _since(update: Suspicion) -> str:
    """ "since the update by argocd at 12:00:03, which changed /spec/rules/0/filters": who, when, what."""
    write = update.write
    changed = f", which changed {listing(write.elsewhere)}" if write.elsewhere else ""
    return f"since the update by {write.manager} at {clock(write.time)}{changed}"


def _level(facts: Facts, update: Suspicion) -> Evidence:
    before, now = update.before, facts.error_ratio
    return Evidence(
        metric="error_ratio",
        observed=now,
        expected=before.ratio,
        sentence=f"{percent(before.ratio)} of all requests failed before the update"
        + (f"; {percent(now)} do now" if now is not None else ""),
    )


def traffic_stopped(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if not confirmed.stopped:
        return None
    usual = facts.usual_rps or 0.0
    sentence = (
        f"almost nothing arrives: {rate(facts.rps)} requests/s, usual are {rate(usual)}; look before the balancer"
    )
    return Finding(sentence=sentence, evidence=traffic_evidence(facts))


def rollout(facts: Facts, confirmed: Confirmed) -> Finding | None:
    hold = next((hold for hold in facts.snapshot.holds if hold.reason == "Rollout" and not hold.restarts_only), None)
    if hold is None:
        return None
    detail = f": {hold.detail}" if hold.detail else ""
    return Finding(sentence=f"a rollout is moving pods{detail}; nothing is judged for certain or written until it ends")


def progressive_delivery(facts: Facts, confirmed: Confirmed) -> Finding | None:
    hold = next((hold for hold in facts.snapshot.holds if hold.reason == "ProgressiveDelivery"), None)
    return None if hold is None else Finding(sentence=f"{hold.detail}; they are left alone")


def sinkhole(facts: Facts, confirmed: Confirmed) -> Finding | None:
    """Hot, an error outlier, and both quicker and idler than its peers. Needs latency and CPU."""
    if not confirmed.skew or facts.weights_wrong:
        return None
    quick = facts.fleet.latency < SINKHOLE_LATENCY_RATIO * facts.median_latency
    use = facts.witnesses.each(facts.witnesses.means(facts.fleet.utilization))
    idle = use < facts.median_utilization
    pods = facts.skew.hot & facts.failing & quick & idle & ~facts.undecided
    if not pods.any():
        return None
    latency = median(facts.fleet.latency[pods])
    return Finding(
        sentence=f"{named(facts, pods)} fails fast and so looks quick: it answers in {milliseconds(latency)} "
        f"(median {milliseconds(facts.median_latency)}), mostly with errors, and draws traffic to itself",
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=(*error_evidence(facts, pods), *latency_evidence(facts, pods), *share_evidence(facts)),
    )


def empty_backend(facts: Facts, confirmed: Confirmed) -> Finding | None:
    """Its pods tell nothing, because there are none; the weights and the pod list do."""
    if not confirmed.empty_backends:
        return None
    empty = hysteresis.empty_with_weight(facts)
    share = float(facts.fleet.commanded[empty].sum())
    names = facts.backends(empty)
    return Finding(
        sentence=f"{listing(names)} {number(names, 'has', 'have')} no ready pod, but weights give "
        f"{number(names, 'it', 'them')} {percent(share)} of the requests: those are answered 503",
        backends=names,
    )


def skew(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if confirmed.lingering:
        return _lingering_skew(facts)
    if confirmed.starved:
        return _starved(facts)
    if not confirmed.skew:
        return None
    if _weights_explain(facts):
        return _wrong_weights(facts)
    return _ignored_weights(facts) if len(facts.fleet.backends) > 1 else _inside(facts)


def _weights_explain(facts: Facts) -> bool:
    """Whether any hot pod stands behind a weight that asks for it."""
    return bool(facts.wrong_by_backend[facts.fleet.where[facts.skew.hot]].any())


def _wrong_weights(facts: Facts) -> Finding:
    backends = facts.backends(facts.wrong_by_backend)
    first = int(np.flatnonzero(facts.wrong_by_backend)[0])
    write = facts.snapshot.last_write
    return Finding(
        sentence=f"{hottest(facts)}: the weight of {backends[0]} was set to "
        f"{facts.fleet.weights[first]:.0f}{blame(facts)}",
        cause=SkewCause.WeightsWrong,
        manager=write.manager if write is not None else None,
        pods=facts.names(facts.skew.hot),
        backends=backends,
        evidence=(*share_evidence(facts), *weight_evidence(facts), *whole_error_evidence(facts)),
    )


def _ignored_weights(facts: Facts) -> Finding:
    hot = facts.skew.hot
    return Finding(
        sentence=f"{hottest(facts)}, though the weights are right: traffic does not follow them",
        cause=SkewCause.WeightsIgnored,
        pods=facts.names(hot),
        backends=facts.backends_of(hot),
        evidence=(*share_evidence(facts), *whole_error_evidence(facts)),
    )


def _inside(facts: Facts) -> Finding:
    """Of a single Service: there are no weights that could be right or wrong."""
    hot = facts.skew.hot
    reason = _why(facts)
    return Finding(
        sentence=f"{hottest(facts)}: {reason.sentence}",
        cause=reason.cause,
        pods=facts.names(hot),
        backends=facts.backends_of(hot),
        evidence=(*share_evidence(facts), *reason.evidence, *whole_error_evidence(facts)),
    )


def _why(facts: Facts) -> Why:
    steering = facts.snapshot.backends[facts.fleet.backends[0]].steering
    return why(facts.fleet.pods, facts.requests, facts.due > 0, steering)


def _lingering_skew(facts: Facts) -> Finding:
    hot = facts.skew.hot | facts.undecided
    what = f"whether {named(facts, facts.undecided)} recovers" if facts.undecided.any() else "whether traffic follows"
    return Finding(
        sentence=f"the weights are right since {clock(facts.changed_at)}; the window still holds requests from before, "
        f"too early to tell {what}",
        cause=SkewCause.WeightsWrong,
        pods=facts.names(hot),
        backends=facts.backends_of(hot),
        evidence=(*share_evidence(facts), *error_evidence(facts, facts.undecided)),
    )


def _starved(facts: Facts) -> Finding:
    """What the weights ask for now: what was before them, nobody remembers for certain."""
    starved = facts.starved_by_backend
    names = facts.backends(starved)
    commanded, fair = float(facts.fleet.commanded[starved].sum()), float(facts.targets_by_backend[starved].sum())
    return Finding(
        sentence=f"the weights{_set(facts)} give {listing(names)} {percent(commanded)} of the requests; "
        f"{number(names, 'its share is', 'their share is')} {percent(fair)}",
        cause=SkewCause.WeightsWrong,
        backends=names,
        evidence=tuple(weight_evidence(facts)),
    )


def _set(facts: Facts) -> str:
    return f" set{blame(facts)}" if facts.snapshot.last_write is not None else ""


def dependency(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if not confirmed.dependency:
        return None
    if hysteresis.slow_together(facts):
        usual = facts.memory.baseline.latency or 0.0
        what = (
            f"all pods got slow together: the median answers in {milliseconds(facts.median_latency)}, "
            f"usual are {milliseconds(usual)}"
        )
    else:
        what = f"{percent(facts.bad_ratio)} of the {facts.one}s fail together, each over {percent(facts.error_limit)}"
    return Finding(
        sentence=f"{what}; it is something they share, so no pod is touched",
        pods=facts.names(facts.bad),
        evidence=(*whole_error_evidence(facts), *latency_evidence(facts, facts.bad), *traffic_evidence(facts)),
    )


def surge(facts: Facts, confirmed: Confirmed) -> Finding | None:
    drowned = hysteresis.flooded(facts, surge=True) and hysteresis.suffers_together(facts)
    if not (confirmed.surge or drowned):
        return None
    much = f"{rate(facts.rps)} requests/s arrive, {times(facts.traffic_ratio or 0.0)} the usual, evenly spread"
    failing = f"{percent(facts.error_ratio or 0.0)} of them fail"
    if hysteresis.surging(facts):
        what = f"{much}, and {failing}" if drowned else much
    else:
        what = f"{failing}: the window still holds what drowned in a surge"
    return Finding(
        sentence=f"{what}: more capacity helps, a restart does not",
        evidence=(*traffic_evidence(facts), *whole_error_evidence(facts)),
    )


def failing(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if not some(confirmed.failing) or hysteresis.flooded(facts, surge=confirmed.surge):
        return None
    pods = confirmed.failing & ~(facts.slow & ~facts.bad) & ~_unproven(facts)
    if not pods.any():
        return None
    how = " though it gets no more than its share now" if (pods & facts.marked).any() else ""
    ratio = float(np.nanmax(facts.error_ratios[pods]))
    return Finding(
        sentence=f"{named(facts, pods)} fails {percent(ratio)} of its requests{how}; its peers do not",
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=error_evidence(facts, pods),
    )


def _unproven(facts: Facts) -> Bools:
    """Young pods: what fails there may be the warm-up."""
    return facts.young


def warm_up(facts: Facts, confirmed: Confirmed) -> Finding | None:
    pods = (confirmed.failing | confirmed.slow) & facts.young
    if not some(pods):
        return None
    return Finding(
        sentence=f"{named(facts, pods)} is younger than {YOUNG_SECONDS:.0f} s and still warming up",
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=(*error_evidence(facts, pods & (facts.error_ratios >= 0)), *latency_evidence(facts, pods)),
    )


def slow(facts: Facts, confirmed: Confirmed) -> Finding | None:
    if not some(confirmed.slow & ~facts.young):
        return None
    pods: Bools = facts.slow & ~facts.young
    latency = float(np.nanmax(facts.fleet.latency[pods]))
    told_apart = ~facts.fleet.by_service[facts.fleet.where]  # a place is suspected where its very pods are slow
    place = _shared_place(facts, confirmed.slow_lately & ~facts.young & told_apart)
    suspicion = f"; {place} is where they are and most pods there are slow: suspect that" if place else ""
    evidence = latency_evidence(facts, pods)
    if place:
        shared = Evidence(metric="slow_place", subject=place, observed=float(pods.sum()), sentence=suspicion[2:])
        evidence = (*evidence, shared)
    return Finding(
        sentence=f"{named(facts, pods)} answers in {milliseconds(latency)}, the median {facts.one} in "
        f"{milliseconds(facts.median_latency)}{suspicion}",
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=evidence,
    )


def _shared_place(facts: Facts, pods: Bools) -> str:
    """A node or zone with two or more of the slow pods, two thirds of all of them, where most others are slow too."""
    slow = [facts.fleet.pods[index] for index in np.flatnonzero(pods).tolist()]
    ready = [facts.fleet.pods[index] for index in np.flatnonzero(facts.fleet.ready).tolist()]
    for kind in ("node", "zone"):
        places = Counter(getattr(pod, kind) for pod in slow if getattr(pod, kind) is not None)
        place, count = next(iter(places.most_common(1)), ("", 0))
        there = sum(getattr(pod, kind) == place for pod in ready)
        if count >= 2 and 3 * count >= 2 * len(slow) and 2 * count > there:
            return f"{kind} {place}"
    return ""


def not_reached(facts: Facts, confirmed: Confirmed) -> Finding | None:
    """Too little is a fault, too: half of the capacity may stand idle, and whoever carries the rest has no reserve."""
    pods = confirmed.cold
    if not some(pods):
        return None
    evidence = cold_evidence(facts, pods)
    names = facts.subjects(pods)
    observed, due = (sum(getattr(each, what) or 0.0 for each in evidence) for what in ("observed", "expected"))
    reason = _why(facts) if len(facts.fleet.backends) == 1 else None
    known = reason is not None and reason.cause is not SkewCause.InsideService
    because = reason.sentence if reason and known else "ejected by the proxy, or not reached by long-lived connections"
    return Finding(
        sentence=f"{listing(names)} {number(names, 'is ready and gets', 'are ready and get')} {percent(observed)} of "
        f"the requests (fair: {percent(due)}): {because}; "
        f"{number(names, 'its siblings carry its', 'their siblings carry their')} share",
        cause=SkewCause.NotReached,
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=(*evidence, *(reason.evidence if reason and known else ()), *whole_error_evidence(facts)),
    )


def memory_leak(facts: Facts, confirmed: Confirmed) -> Finding | None:
    leaks = facts.memory.outlook.leaks
    if not leaks:
        return None
    found = [index for index, pod in enumerate(facts.fleet.pods) if pod.uid in leaks]
    if not found:
        return None
    pods = np.zeros(len(facts.fleet.names), dtype=bool)
    pods[found] = True
    first = min((leaks[facts.fleet.pods[index].uid] for index in found), key=lambda leak: leak.seconds)
    return Finding(
        sentence=f"the memory of {listing(facts.names(pods))} rises without end: full in {duration(first.seconds)} "
        f"({duration(first.soonest)} to {duration(first.latest)})",
        pods=facts.names(pods),
        backends=facts.backends_of(pods),
        evidence=leak_evidence(facts, pods),
    )


def compensated(facts: Facts, confirmed: Confirmed) -> Finding | None:
    """A balancer that we lean against hides its fault from everyone who looks at traffic alone: so it is said."""
    bent = confirmed.bent_by_backend
    if not bent.any():
        return None
    worst = int(np.argmax(np.where(bent, np.abs(facts.gains_by_backend), 0.0)))
    name, factor = facts.fleet.backends[worst], float(np.exp(facts.gains_by_backend[worst]))
    return Finding(
        sentence=f"compensated: traffic is even only because the weights lean against the balancer, which gives {name} "
        f"{times(factor)} what its weight asks for",
        cause=SkewCause.WeightsIgnored,
        backends=facts.backends(bent),
        evidence=(*gain_evidence(facts, bent), *whole_error_evidence(facts)),
    )


def healthy(facts: Facts, confirmed: Confirmed) -> Finding:
    worst = 1.0 if facts.skew.worst is None else facts.skew.worst
    failed = "how many fail is not known" if facts.error_ratio is None else f"{percent(facts.error_ratio)} fail"
    return Finding(
        sentence=f"{rate(facts.rps)} requests/s are spread as they should be "
        f"(the busiest {facts.one} has {times(worst)} its share), {failed}",
        evidence=(*traffic_evidence(facts), *whole_error_evidence(facts)),
    )


SYMPTOMS = frozenset(label for label, row in LABELS.items() if row.symptom)

RULES: tuple[Rule, ...] = (
    Rule(
        label=Label.RolloutInProgress,
        test=rollout,
        why_here="pods come and go by intention: hold, but tell what is seen",
        counted=False,
    ),
    Rule(
        label=Label.RolloutInProgress,
        test=progressive_delivery,
        why_here="uneven weights are the work of a canary controller: they are its intention",
        explains=frozenset({Label.LoadBalancerSkew}),
        counted=False,
    ),
    Rule(
        label=Label.LoadBalancerSkew,
        test=all_zero,
        why_here="known from the weights alone; it is why no traffic arrives",
        explains=frozenset({Label.TrafficStopped}),
        counted=False,
    ),
    Rule(
        label=Label.BadUpdate,
        test=cut_off,
        why_here="before TrafficStopped: it is why no traffic arrives",
        explains=frozenset({Label.TrafficStopped}),
        counted=False,
    ),
    Rule(
        label=Label.TrafficStopped,
        test=traffic_stopped,
        why_here="without traffic, nothing below can be seen",
        counted=False,
    ),
    Rule(
        label=Label.Failing,
        test=empty_backend,
        why_here="known from the pod list alone, and every request there is lost",
        explains=frozenset({Label.LoadBalancerSkew}),
        counted=False,
    ),
    Rule(
        label=Label.BadUpdate,
        test=bad_update,
        why_here="before all that looks at pods: what fails since an update, and only where it changed something, is "
        "no pod's fault; weights that are wrong by themselves are left to skew",
        explains=SYMPTOMS | {Label.LoadBalancerSkew},
    ),
    Rule(
        label=Label.Failing,
        test=sinkhole,
        why_here="before skew: more weight elsewhere would leave the cause in place",
        explains=frozenset({Label.LoadBalancerSkew, Label.Failing}),
    ),
    Rule(
        label=Label.LoadBalancerSkew,
        test=skew,
        why_here="before all that looks at single pods: an overloaded pod is slow and fails, and is not to blame",
        explains=SYMPTOMS,
    ),
    Rule(
        label=Label.Dependency,
        test=dependency,
        why_here="before Failing: what all pods do together is no pod's fault",
        explains=SYMPTOMS,
    ),
    Rule(label=Label.Surge, test=surge, why_here="before Failing: too many requests, evenly spread"),
    Rule(label=Label.Failing, test=failing, why_here="an outlier that none of the above explains"),
    Rule(label=Label.WarmUp, test=warm_up, why_here="after Failing: only if nothing but young pods stand out"),
    Rule(label=Label.Slow, test=slow, why_here="after all that fails: slow is the milder fault"),
    Rule(
        label=Label.LoadBalancerSkew,
        test=not_reached,
        why_here="who gets too little harms nobody at once; whoever suffers comes first",
    ),
    Rule(
        label=Label.MemoryLeak,
        test=memory_leak,
        why_here="a matter of hours, told beside whatever is a matter of minutes",
        calm=True,
    ),
    Rule(
        label=Label.LoadBalancerSkew,
        test=compensated,
        why_here="even traffic is no proof of a sound balancer while the weights lean; it hurts nobody, so all else "
        "comes first",
        calm=True,
    ),
    Rule(label=Label.Healthy, test=healthy, why_here="nothing above matched", calm=True),
)
