"""Restarts: who, in what order, with what ramp (algorithms section 4). One move a tick.

Order: weight to nothing where the backend is this pod alone, wait until nothing is in flight, evict, wait for the
replacement, ramp, and only then is it over. A pod of a larger backend cannot be drained by weight: it is isolated (no
Service selects it any more), and evicted when nothing is in flight; where that is not possible, its preStop does it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenload.episode.under_way import Restart, Work
from evenload.model.decision import Verdict
from evenload.model.episode import Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.plan import Drain, Isolate, Purpose, RestartPod, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import Pod, SignalState, Snapshot
from evenload.model.wording import duration, listing, number
from evenload.plan.targets import fitted, scaled_down

RAMP_FRACTIONS = (0.1, 0.3, 0.6, 1.0)  # of the share, at equal parts of the ramp window: few writes
CLEARLY_MORE = 1.5  # held-back backends have a little more than their fraction: the others' sum is below the whole
STILL_ASKED_RATIO = 0.1  # of what a sibling gets
CREATED_SLACK_SECONDS = 2.0  # creation times are whole seconds


def find(snapshot: Snapshot, uid: str) -> Pod | None:
    """The very pod, if it is still there: behind its backend, or isolated."""
    return listed(snapshot, uid) or isolated(snapshot, uid)


def listed(snapshot: Snapshot, uid: str) -> Pod | None:
    """The very pod, if it stands behind a backend."""
    return next(
        (pod for backend in snapshot.backends.values() for pod in backend.pods.values() if pod.uid == uid), None
    )


def isolated(snapshot: Snapshot, uid: str) -> Pod | None:
    """The very pod, if its label is off."""
    return next((pod for pod in snapshot.isolated.values() if pod.uid == uid), None)


def alone(fleet: Fleet, backend: str) -> bool:
    """Whether this backend has no more than one ready pod, so that its weight is that pod's."""
    return bool(fleet.ready_by_backend[fleet.backends.index(backend)] <= 1)


def drain(snapshot: Snapshot, backend: str, pod: str, uid: str, because: str) -> Drain:
    """Take all weight off a backend that is one pod."""
    before = {name: known.weight for name, known in snapshot.backends.items()}
    after = fitted({**before, backend: 0}, snapshot.weights_total)
    return Drain(before=before, after=after, backend=backend, pod=pod, uid=uid, because=because)


def isolate(pod: Pod, name: str, backend: str, because: str) -> Isolate | None:
    """None where it cannot be isolated."""
    if pod.isolable_by is None:
        return None
    return Isolate(
        backend=backend,
        pod=name,
        uid=pod.uid,
        workload=pod.workload or "",
        label=pod.isolable_by,
        because=f"{because}; isolate it, then evict it",
    )


def drained(snapshot: Snapshot, policy: Policy, restart: Restart) -> str | None:
    """Why the pod may go now, or None: nothing in flight, seen after it stopped getting requests; or the timeout."""
    since = restart.waits_since
    if since is None:
        return "it cannot be drained by weight; its preStop hook does that"
    waited = snapshot.time - since
    if waited >= policy.drain_timeout_seconds:
        return f"the drain timeout of {duration(policy.drain_timeout_seconds)} is over"
    pod = find(snapshot, restart.uid)
    if pod is None or waited < policy.actuator_lag_seconds:
        return None
    if restart.isolation is not None:
        if listed(snapshot, restart.uid) is not None:
            return None
        if waited > snapshot.window + policy.actuator_lag_seconds and _still_asked(snapshot, restart, pod):
            return "requests go on arriving over connections that were open before"
    if pod.in_flight is not None:
        told_at = snapshot.time - _age(snapshot, "inFlight")
        quiet = pod.in_flight == 0 and told_at >= since + policy.actuator_lag_seconds
        return "nothing is in flight" if quiet else None
    return "no request arrives any more" if pod.requests == 0 and waited > snapshot.window else None


def _still_asked(snapshot: Snapshot, restart: Restart, pod: Pod) -> bool:
    """Whether an isolated pod gets what its siblings get: waiting would not end that, and what ends late is little."""
    backend = snapshot.backends.get(restart.backend)
    theirs = [each.requests for each in backend.pods.values() if each.ready and each.requests] if backend else []
    if pod.requests is None or not theirs:
        return False
    return pod.requests > STILL_ASKED_RATIO * sum(theirs) / len(theirs)


def _age(snapshot: Snapshot, signal: str) -> float:
    """Seconds since the signal's newest sample; where that is not told, a third of the window: one scrape."""
    known = snapshot.signals.get(signal)
    if known is None or known.age is None or known.state is not SignalState.Fresh:
        return snapshot.window / 3
    return known.age


def evict(snapshot: Snapshot, restart: Restart, because: str) -> RestartPod | None:
    """The eviction, or None where the pod is gone already or nobody would bring it back."""
    pod = find(snapshot, restart.uid)
    if pod is None or pod.terminating or pod.workload is None:
        return None
    return RestartPod(
        backend=restart.backend,
        pod=restart.pod,
        uid=restart.uid,
        workload=pod.workload,
        label=restart.isolation.label if restart.isolation is not None else None,
        because=because,
    )


def away(snapshot: Snapshot, policy: Policy, restart: Restart) -> bool:
    """Whether there is nothing more to do to the pod: evicted, kept, or isolated and then removed by somebody else."""
    if restart.eviction is not None:
        return True
    isolation = restart.isolation
    if isolation is None or isolation.state is not StepState.Applied:
        return False
    return kept(snapshot, policy, restart) or find(snapshot, restart.uid) is None


def kept(snapshot: Snapshot, policy: Policy, restart: Restart) -> bool:
    """Whether the isolated pod is kept for inspection: one of a workload, no more."""
    pod = isolated(snapshot, restart.uid)
    if not policy.keep_isolated or pod is None or restart.eviction is not None:
        return False
    others = (each for each in snapshot.isolated.values() if each.uid != restart.uid and not each.terminating)
    return not any(each.workload == pod.workload for each in others)


def replaced(snapshot: Snapshot, restart: Restart) -> bool:
    """Whether the old pod is gone and what replaces it is ready."""
    return bool(replacements(snapshot, restart))


def replacements(snapshot: Snapshot, restart: Restart) -> frozenset[str]:
    """The ready pods that may replace one that is gone: the first created since its eviction, or its isolation.

    A controller creates it as soon as the old one begins to go, so what was created later was scaled up. Of several
    created in the same second nobody can tell.
    """
    step = restart.isolation or restart.eviction
    if step is None or (restart.isolation is None and find(snapshot, restart.uid) is not None):
        return frozenset()
    pods = snapshot.backends[restart.backend].pods if restart.backend in snapshot.backends else {}
    created = {name: _created_at(pod, snapshot.time) for name, pod in pods.items() if not pod.terminating}
    since = _taken_at(step) - CREATED_SLACK_SECONDS
    new = {name: at for name, at in created.items() if at is None or at >= since}
    first = min((at for at in new.values() if at is not None), default=None)
    ready = frozenset(name for name, at in new.items() if at in (None, first) and pods[name].ready)
    if ready or restart.drain is None:
        return ready
    # A drained backend was this pod alone, so whoever is ready there replaces it, whatever the clocks say.
    return frozenset(name for name in created if pods[name].ready)


def _created_at(pod: Pod, time: float) -> float | None:
    """Its age will not do where better is known: it starts anew with each of its containers."""
    if pod.created_at is not None:
        return pod.created_at
    return time - pod.age if pod.age is not None else None


def _taken_at(step: Step) -> float:
    """At the earliest. While it is refused, nothing is created for it."""
    return step.planned_at if step.refused_since is None or step.applied_at is None else step.applied_at


def given_up(snapshot: Snapshot, policy: Policy, restart: Restart) -> Verdict | None:
    """The verdict that ends a restart which cannot go on, or None."""
    step = restart.eviction or restart.isolation
    if step is None:
        return None
    if step.state is StepState.Planned:
        refused = step.refused_since
        if refused is None or snapshot.time - refused < policy.eviction_deadline_seconds:
            return None
        because = f"the eviction was refused for {duration(snapshot.time - refused)}: {step.message}"
        return Verdict(step=step.name, state=StepState.Abandoned, because=because)
    if not away(snapshot, policy, restart):
        return None
    applied = step.planned_at if step.applied_at is None else step.applied_at
    if snapshot.time - applied < policy.replacement_timeout_seconds or replaced(snapshot, restart):
        return None
    because = f"no replacement of {restart.pod} was ready within {duration(policy.replacement_timeout_seconds)}"
    return Verdict(step=step.name, state=StepState.Ineffective, because=because)


def ended(restart: Restart, state: StepState, because: str) -> tuple[Verdict, ...]:
    """The verdicts on a restart whose replacement serves. Whether it helped is said of the step that ended it; that the
    pod was isolated stands then, and nothing of it is given back."""
    last = restart.steps[-1:]
    return tuple(
        Verdict(step=step.name, state=state if step in last else StepState.Verified, because=because)
        for step in restart.steps
    )


def drain_overdue(snapshot: Snapshot, policy: Policy, restart: Restart) -> bool:
    """Whether a drained pod has waited for its eviction so long that its capacity is worth more."""
    step = restart.drain
    if step is None or restart.eviction is not None or step.applied_at is None:
        return False
    return snapshot.time - step.applied_at > policy.drain_timeout_seconds + policy.eviction_deadline_seconds


def ramp(snapshot: Snapshot, fleet: Fleet, policy: Policy, work: Work, returning: frozenset[str]) -> SetWeights | None:
    """The next ramp step of the backends that may come back, or None if it is not due yet.

    Held-back backends that may not come back stay where they are.
    """
    if work.base is None or not returning:
        return None
    fraction = ramp_fraction(snapshot.time, policy, work)
    if fraction is None:
        return None
    before = {name: known.weight for name, known in snapshot.backends.items()}
    stages = [each for each in RAMP_FRACTIONS if each >= fraction] if fleet.weights_total is not None else [fraction]
    for stage in stages:  # in whole per cent, a stage may be no step: then the next one is taken
        factors = dict(_factors(fleet, work, returning, stage))
        after = scaled_down(work.base, factors, fleet.weights_total)
        if after != before:
            break
    else:
        return None
    least = min(factors[name] for name in returning)
    share = "all" if least == 1.0 else f"{100 * least:.0f}%"
    names = sorted(returning)
    because = f"{listing(names)} {number(names, f'ramps up: {share} of its', f'ramp up: {share} of their')} share"
    return SetWeights(before=before, after=after, purpose=Purpose.Ramp, because=because)


def ramp_fraction(time: float, policy: Policy, work: Work) -> float | None:
    """The fraction due now, or None if the last step already gave it."""
    stage = len(work.ramps)
    if not work.ramps or stage >= len(RAMP_FRACTIONS):
        return RAMP_FRACTIONS[0] if not stage else RAMP_FRACTIONS[-1]
    first = work.ramps[0]
    begun = first.planned_at if first.applied_at is None else first.applied_at
    due = begun + policy.ramp_window_seconds * stage / (len(RAMP_FRACTIONS) - 1)
    # One stage a step, however late we are: a ramp that jumps is none.
    return RAMP_FRACTIONS[stage] if time >= due else None


def _factors(fleet: Fleet, work: Work, returning: frozenset[str], fraction: float) -> Iterator[tuple[str, float]]:
    base = work.base or {}
    total, commanded = sum(base.values()), dict(zip(fleet.backends, fleet.commanded.tolist(), strict=True))
    for name in work.held_back:
        share = base.get(name, 0) / total if total else 0.0
        kept = float(np.clip(commanded.get(name, 0.0) / share, 0.0, 1.0)) if share else 0.0
        yield name, _due(fraction, kept) if name in returning else kept


def _due(fraction: float, kept: float) -> float:
    """A ramp takes nothing away: who already has clearly more than the stage that is due keeps it."""
    stage = min(fraction, _next_stage(kept))
    return stage if kept < CLEARLY_MORE * stage else kept


def _next_stage(kept: float) -> float:
    """Whoever gets ready later than the others begins at the beginning, too."""
    return next((fraction for fraction in RAMP_FRACTIONS if fraction > kept), RAMP_FRACTIONS[-1])
