"""Budgets over time: how many restarts an hour, how long to leave a pod alone, how long to keep still after an undo.

Their memory is the ledger, which comes from the Remediations: a new operator inherits every one of them. It holds the
restarts of the workloads behind the Balancer, by whichever Balancer, and the freezes of the Balancer's name.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf

from evenload.episode.pauses import DENIED_SECONDS, FREEZE_SECONDS, MOST_DOUBLINGS, denial, frozen_until, latest
from evenload.govern.case import Case, finishes, takes_away
from evenload.model.decision import Held, HeldReason
from evenload.model.episode import EFFECTIVE_STATES, Disruption, StepState
from evenload.model.plan import Drain, PodAction, Purpose, Write
from evenload.model.wording import clock, duration

HOUR = 3600.0
CONTESTED_SECONDS = 3600.0


def write_interval(case: Case, write: Write) -> Held | None:
    """Writes in quick succession are judged by nobody."""
    if case.waiting and write.step is None:
        return Held(action=write, reason=HeldReason.WriteInterval, detail="the last write is still on its way")
    applied = [step.applied_at for step in case.steps if step.applied_at is not None and step.before is not None]
    until = max(applied, default=-inf) + case.policy.min_write_interval_seconds
    if case.snapshot.time >= until:
        return None
    return Held(action=write, reason=HeldReason.WriteInterval, detail="the last write is very young", until=until)


def denied(case: Case, write: Write) -> Held | None:
    """A person said no to this very diagnosis not long ago."""
    entry = denial(case.snapshot.ledger, case.diagnosis.label)
    if entry is None or finishes(write):
        return None
    until = entry.time + DENIED_SECONDS
    if case.snapshot.time >= until:
        return None
    detail = f"a person denied this at {clock(entry.time)}; keeping still until {clock(until)}"
    return Held(action=write, reason=HeldReason.Denied, detail=detail, until=until)


def contested(case: Case, write: Write) -> Held | None:
    """Two writers at one route make it swing: the other one wins, by name."""
    if case.contested_by is not None:
        detail = f"{case.contested_by} keeps setting the weights; the fix belongs where it gets them from"
        return Held(action=write, reason=HeldReason.Contested, detail=detail)
    entry = latest(case.snapshot.ledger, "Contested")
    if entry is None or case.snapshot.time >= entry.time + CONTESTED_SECONDS:
        return None
    detail = f"another writer took the weights back twice, last at {clock(entry.time)}"
    return Held(action=write, reason=HeldReason.Contested, detail=detail, until=entry.time + CONTESTED_SECONDS)


def frozen_after_revert(case: Case, write: Write) -> Held | None:
    """What was undone is not tried again at once; ten minutes, doubling."""
    last = latest(case.snapshot.ledger, "Revert")
    until = frozen_until(case.snapshot.ledger)
    if last is None or finishes(write) or case.snapshot.time >= until:
        return None
    detail = f"a change was undone at {clock(last.time)}; keeping still until {clock(until)}"
    return Held(action=write, reason=HeldReason.Frozen, detail=detail, until=until)


def keeps_still(case: Case) -> bool:
    """Whether this very diagnosis was denied, or what was done about it undone, so short a while ago that nothing is
    to be proposed again."""
    label, now = case.diagnosis.label, case.snapshot.time
    no = denial(case.snapshot.ledger, label)
    undone = latest(case.snapshot.ledger, "Revert")
    is_frozen = undone is not None and undone.label in (label, None) and now < frozen_until(case.snapshot.ledger)
    return is_frozen or (no is not None and now < no.time + DENIED_SECONDS)


def restarts_per_hour(case: Case, write: Write) -> Held | None:
    """At most so many restarts an hour of what is behind this Balancer, whoever made them."""
    if not takes_away(write):
        return None
    recent = sorted(e.time for e in _restarts(case) if e.time > case.snapshot.time - HOUR)
    allowed = case.policy.restarts_per_hour
    if len(recent) < allowed:
        return None
    until = recent[len(recent) - allowed] + HOUR if allowed else None
    detail = f"{len(recent)} restarts in the last hour, at most {allowed} are allowed"
    return Held(action=write, reason=HeldReason.Budget, detail=detail, until=until)


def cool_down(case: Case, write: Write) -> Held | None:
    """A pod is left alone for a while after its restart, each time for twice as long; its workload for less."""
    if not isinstance(write, Drain | PodAction) or not takes_away(write):
        return None
    refused = _drained_in_vain(case, write) or _after_refusals(case, write)
    if refused is not None:
        return refused
    pod = case.pod(write.uid)
    workload = pod.workload if pod is not None else None
    of_pod = [entry.time for entry in _restarts(case) if entry.pod == write.pod]
    of_workload = [entry.time for entry in _restarts(case) if workload is not None and entry.workload == workload]
    doublings = 2 ** min(len(of_pod) - 1, MOST_DOUBLINGS)
    until = max(
        max(of_pod, default=-inf) + case.policy.pod_cooldown_seconds * doublings,
        max(of_workload, default=-inf) + case.policy.workload_cooldown_seconds,
    )
    if case.snapshot.time >= until:
        return None
    detail = f"restarted {duration(case.snapshot.time - max(of_pod + of_workload))} ago"
    return Held(action=write, reason=HeldReason.CoolDown, detail=detail, until=until)


def _drained_in_vain(case: Case, write: Drain | PodAction) -> Held | None:
    """A pod that got its traffic back without having been evicted is not drained again: nothing says it would be now.

    It was reported. What is sick keeps a probe's worth of traffic, and recovers or is looked at.
    """
    if not isinstance(write, Drain) or write.step is not None:
        return None
    standing = [step for step in case.steps if step.before is not None and step.state in EFFECTIVE_STATES]
    given_back = (Purpose.Eject, Purpose.Ramp)  # any other was about the weights, not about this pod
    vain = (a for a, b in pairwise(standing) if a.action == "Drain" and a.uid == write.uid and b.purpose in given_back)
    last = max((step.planned_at for step in vain), default=None)
    if last is None:
        return None
    detail = f"{write.pod} was drained at {clock(last)} and could not be evicted; restart it by hand"
    return Held(action=write, reason=HeldReason.CoolDown, detail=detail)


def _after_refusals(case: Case, write: Drain | PodAction) -> Held | None:
    """An eviction that was refused for too long is asked for again later, each time after twice as long."""
    steps = [step for step in case.steps if step.uid == write.uid and step.state is StepState.Abandoned]
    since = {step.name: step.refused_since for step in steps if step.refused_since is not None}
    if not since:
        return None
    last = max(step.judged_at or since[step.name] for step in steps if step.name in since)
    until = last + FREEZE_SECONDS * 2 ** min(len(since) - 1, MOST_DOUBLINGS)
    if case.snapshot.time >= until:
        return None
    detail = f"its eviction was refused and given up at {clock(last)}: {steps[-1].message}"
    return Held(action=write, reason=HeldReason.CoolDown, detail=detail, until=until)


def _restarts(case: Case) -> list[Disruption]:
    return [entry for entry in case.snapshot.ledger if entry.kind == "Restart"]
