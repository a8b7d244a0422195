"""From diagnosis to plan, in the order of what matters: a person's wish, what must be undone, what was begun, then what
is new. Every answer is the next safe move; the loop closes with the next tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from evenload.model.base import Value
from evenload.model.decision import Verdict
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.episode import EFFECTIVE_STATES, ApprovalDecision, Episode, Phase, Step, StepState
from evenload.model.fleet import Bools, Fleet, Floats
from evenload.model.plan import Advise, Freeze, Purpose, RestartPod, SetWeights, Write
from evenload.model.policy import Policy
from evenload.model.snapshot import Pod, Snapshot
from evenload.model.spec import RestartWhen
from evenload.model.wording import clock, duration, listing, weights
from evenload.plan import restarts
from evenload.plan.law import Law
from evenload.plan.moves import Plan
from evenload.plan.targets import desired_shares, restored, scaled_down, shares_of, weights_of
from evenload.plan.work import Restart, Work

PROBE_FRACTION = 0.05  # of its share: what an ejected backend keeps, to be seen recovering
EJECTED_SECONDS, MOST_EJECTED_SECONDS = 30.0, 300.0  # times the count of ejections (Envoy)
MOST_HELD_RATIO = 0.1  # of the ready pods, or one
RESTART_AFTER_TICKS = 6  # of failing after the ejection
CLOSING_TICKS = 3
APPROVAL_SECONDS = 24 * 3600.0
REPEAT_SECONDS = 1800.0  # the same fault this soon after a restart: another restart will not help either

IN_FLIGHT_SECONDS = 30.0  # a planned write may still be on its way for so long

FREEZING_LABELS = {
    Label.NoData: "the data cannot be trusted",
    Label.TrafficStopped: "no traffic arrives",
    Label.RolloutInProgress: "a rollout is in progress",
    Label.Dependency: "all pods suffer from something they share",
}


class Scene(Value, frozen=True, kw_only=True):
    """All a plan is made from. `episode` is as the verdicts of this tick leave it."""

    snapshot: Snapshot
    fleet: Fleet
    policy: Policy
    diagnosis: Diagnosis
    episode: Episode | None
    work: Work
    resume: Write | None
    harmful: Step | None
    predict: Callable[[Mapping[str, int]], Floats]
    calm_ticks: int
    clean: bool
    law: Law
    tick_seconds: float
    overloaded: dict[str, str]

    @property
    def before(self) -> dict[str, int]:
        """What is commanded now."""
        return {name: backend.weight for name, backend in self.snapshot.backends.items()}


def plan(scene: Scene) -> Plan:
    """The first of these that has something to do."""
    return (
        _wished(scene)
        or _after_undo(scene)
        or _give_up(scene)
        or _resume(scene)
        or _undo_harm(scene)
        or _blind(scene)
        or _rescue(scene)
        or _continue_restart(scene)
        or _continue_ejection(scene)
        or _mend(scene)
        or _finish(scene)
        or Plan()
    )


# --- wishes and undoing ---------------------------------------------------------------------------------------------


def _wished(scene: Scene) -> Plan | None:
    episode = scene.episode
    if episode is None:
        return None
    if episode.approval is ApprovalDecision.Denied:
        return Plan(close=Phase.Denied)
    return _undo(scene, episode) if episode.undo_requested else None


def _undo(scene: Scene, episode: Episode) -> Plan:
    """Every inverse, last first, comes to the weights before the first step: one write says it all."""
    planned = next((step for step in episode.steps if step.state is StepState.Planned), None)
    if planned is not None and scene.snapshot.time - planned.planned_at < IN_FLIGHT_SECONDS:
        return Plan(busy=f"undo was asked for; {planned.name} is still being written")
    effective = [step for step in episode.steps if step.state in EFFECTIVE_STATES and step.before is not None]
    undoable = [step for step in effective if step.purpose is not Purpose.Revert]
    first = undoable[0] if undoable else None
    if first is None or first.before == scene.before:
        return Plan(close=Phase.RolledBack, verdicts=_reverted(undoable, "undone, as a person asked"))
    write = _revert(scene, first, "a person asked for undo")
    return Plan(writes=(write,), busy="undoing every weight change, as asked")


def _resume(scene: Scene) -> Plan | None:
    """A write that was planned and did not land: the same again."""
    return Plan(writes=(scene.resume,)) if scene.resume is not None else None


def _revert(scene: Scene, step: Step, because: str) -> SetWeights:
    after = {name: weight for name, weight in (step.before or {}).items() if name in scene.before}
    return SetWeights(
        before=scene.before,
        after={**dict.fromkeys(scene.before, 0), **after},
        purpose=Purpose.Revert,
        because=f"{because}: putting back {weights(step.before or {})}",
        reverts=step.name,
    )


def _reverted(steps: list[Step], because: str) -> tuple[Verdict, ...]:
    return tuple(Verdict(step=step.name, state=StepState.Reverted, because=because) for step in steps)


def _undo_harm(scene: Scene) -> Plan | None:
    step = scene.harmful
    if step is None:
        return None
    write = _revert(scene, step, f"errors more than doubled after {step.name}")
    return Plan(writes=(write,), busy=f"{step.name} made things worse")


def _after_undo(scene: Scene) -> Plan | None:
    """A revert stands: what it undid is Reverted, and the episode is over."""
    steps = scene.episode.steps if scene.episode is not None else ()
    last = next((step for step in reversed(steps) if step.state in EFFECTIVE_STATES and step.before is not None), None)
    if last is None or last.purpose is not Purpose.Revert:
        return None
    undone = [step for step in steps if step.name == last.reverts and step.state in EFFECTIVE_STATES]
    ended = any(step.action == "RestartPod" and step.state in _ABORTED for step in steps)
    overdue = any(step.action == "Drain" for step in undone)
    phase = Phase.Failed if ended or (overdue and scene.harmful is None) else Phase.RolledBack
    return Plan(close=phase, verdicts=_reverted(undone, "undone"))


_ABORTED = frozenset({StepState.Abandoned, StepState.Ineffective})


# --- restarts under way ---------------------------------------------------------------------------------------------


def _give_up(scene: Scene) -> Plan | None:
    """A restart that cannot go on: give the weight back where somebody answers, then it has failed."""
    restart = scene.work.restart
    verdict = restarts.given_up(scene.snapshot, scene.policy, restart) if restart is not None else None
    overdue = restart is not None and restarts.drain_overdue(scene.snapshot, scene.policy, restart)
    because = verdict.because if verdict is not None else _refused(scene)
    if because is None and not overdue:
        return None
    verdicts = (verdict,) if verdict is not None else ()
    tell = (Advise(topic="RestartFailed", because=because or "the eviction was held back for too long"),)
    drain = _last_drain(scene)
    write = restarts.undrain(scene.snapshot, scene.work, drain) if drain is not None else None
    if write is None:
        return Plan(close=Phase.Failed, verdicts=verdicts, tell=tell)
    return Plan(writes=(write,), verdicts=verdicts, tell=tell, busy=write.because)


def _refused(scene: Scene) -> str | None:
    """Why the last eviction was given up earlier, if it was."""
    steps = scene.episode.steps if scene.episode is not None else ()
    last = next((step for step in reversed(steps) if step.action == "RestartPod"), None)
    given_up = last is not None and last.state is StepState.Abandoned and last.refused_since is not None
    return last.message if last is not None and given_up else None


def _last_drain(scene: Scene) -> Step | None:
    steps = scene.episode.steps if scene.episode is not None else ()
    return next((step for step in reversed(steps) if step.action == "Drain" and step.state in EFFECTIVE_STATES), None)


def _blind(scene: Scene) -> Plan | None:
    """Bad data, no traffic, a rollout, a common cause: nothing is written, not even what was begun."""
    because = FREEZING_LABELS.get(scene.diagnosis.label)
    if because is None:
        return None
    tell: list[Freeze | Advise] = [Freeze(because=f"{because}: {scene.diagnosis.sentence}")]
    if scene.diagnosis.label is Label.Dependency:
        tell.append(Advise(topic="CheckDependency", because=scene.diagnosis.sentence))
    if scene.diagnosis.label is Label.TrafficStopped:
        tell.append(Advise(topic="CheckUpstream", because=scene.diagnosis.sentence))
    if scene.work.restart is not None and scene.diagnosis.label is not Label.NoData:
        resumed = _continue_restart(scene)
        return Plan(writes=resumed.writes if resumed else (), tell=tuple(tell))
    return Plan(tell=tuple(tell))


def _rescue(scene: Scene) -> Plan | None:
    """Wrong weights hurt now: they come before anything that was begun."""
    diagnosis = scene.diagnosis
    if diagnosis.label is not Label.LoadBalancerSkew or diagnosis.cause is not SkewCause.WeightsWrong:
        return None
    after = restored(scene.fleet, scene.policy, scene.snapshot.known_good)
    if not diagnosis.backends or after == scene.before or not any(after.values()) or _lingers(scene):
        return None
    step = _affordable(scene, after)
    part = "" if step == after else f", as far as the receivers' headroom allows towards {weights(after)}"
    blind = "" if not np.isnan(scene.predict(after)).all() else " (no CPU signal: headroom not checked)"
    because = f"{diagnosis.sentence}; putting back {weights(step)}{part}{blind}"
    write = SetWeights(before=scene.before, after=step, purpose=Purpose.Restore, because=because)
    return Plan(writes=(write,))


RESTORE_FRACTIONS = (1.0, 0.75, 0.5, 0.25)


def _affordable(scene: Scene, goal: dict[str, int]) -> dict[str, int]:
    """The largest step towards `goal` under which no receiver is busier than the cap, or than who it relieves."""
    fleet, wanted = scene.fleet, shares_of(scene.fleet, goal)
    step = goal
    for fraction in RESTORE_FRACTIONS if fleet.weights.any() else (1.0,):
        shares = fleet.commanded + fraction * (wanted - fleet.commanded)
        step = goal if fraction == 1.0 else weights_of(fleet, shares)
        use, receives = scene.predict(step), wanted > fleet.commanded
        relieved = float(np.nanmax(np.where(receives | np.isnan(use), 0.0, use), initial=0.0))
        if not bool((use[receives] > max(scene.policy.max_utilization, relieved)).any()):
            break
    return step


def _lingers(scene: Scene) -> bool:
    """The skew is of requests from before; the weights are right (equal shares, whatever the digits)."""
    fleet = scene.fleet
    return bool(fleet.weights.any()) and all(evidence.metric != "weight_share" for evidence in scene.diagnosis.evidence)


def _continue_restart(scene: Scene) -> Plan | None:
    restart = scene.work.restart
    if restart is None:
        return None
    if restart.eviction is None:
        return _after_drain(scene, restart)
    if not restarts.replaced(scene.snapshot, restart):
        return Plan(busy=f"waiting for the replacement of {restart.pod}")
    return _ramp(scene) or _over(scene, restart)


def _after_drain(scene: Scene, restart: Restart) -> Plan | None:
    pod = restarts.find(scene.snapshot, restart.uid)
    if pod is None:
        return _ramp(scene)  # somebody else removed it: what stands there now may come back
    why = restarts.drained(scene.snapshot, scene.policy, restart)
    if why is None:
        return Plan(busy=f"waiting until nothing is in flight at {restart.pod}")
    write = restarts.evict(scene.snapshot, restart, f"{restart.pod} stays sick at its fair share; {why}")
    return Plan(writes=(write,) if write is not None else (), busy=f"restarting {restart.pod}")


def _over(scene: Scene, restart: Restart) -> Plan | None:
    """The replacement has its share: three clean ticks and the restart is verified."""
    if scene.work.held_back:
        return Plan(busy=f"{restart.backend} ramps up")
    step = restart.eviction
    if step is None or not _calm(scene):
        return None
    because = f"the replacement of {restart.pod} serves its share without a fault"
    return Plan(close=Phase.Succeeded, verdicts=(Verdict(step=step.name, state=StepState.Verified, because=because),))


def _ramp(scene: Scene) -> Plan | None:
    work = scene.work
    if not work.held_back:
        return None
    returning = frozenset(name for name in work.held_back if _may_return(scene, name))
    troubled = returning & set(scene.diagnosis.backends) if scene.diagnosis.label in _TROUBLE else frozenset()
    if troubled:
        return Plan(busy=f"the ramp of {listing(sorted(troubled))} waits: {scene.diagnosis.sentence}")
    write = restarts.ramp(scene.snapshot, scene.fleet, scene.policy, work, returning)
    return Plan(writes=(write,) if write is not None else (), busy=f"{listing(work.held_back)} ramps up")


_TROUBLE = frozenset({Label.WarmUp, Label.Failing})


def _may_return(scene: Scene, backend: str) -> bool:
    index = scene.fleet.backends.index(backend) if backend in scene.fleet.backends else -1
    return index >= 0 and bool(scene.fleet.ready_by_backend[index] > 0)


# --- ejections under way --------------------------------------------------------------------------------------------


def _continue_ejection(scene: Scene) -> Plan | None:
    """Ejected: restart what keeps failing, give another chance to the rest."""
    work = scene.work
    if not work.held_back or work.last is None:
        return None
    if work.ramps or work.last.purpose is not Purpose.Eject:
        return _mend_failing(scene) or _ramp(scene)
    held_for = scene.snapshot.time - work.held_since
    restart = _restart_ejected(scene, held_for)
    if restart is not None:
        return restart
    if any(not _may_return(scene, name) for name in work.held_back):
        return Plan(busy=f"{listing(work.held_back)} has no ready pod")
    if held_for < _ejection_seconds(scene):
        return Plan(
            busy=f"{listing(work.held_back)} stays ejected until {clock(work.held_since + _ejection_seconds(scene))}"
        )
    return _ramp(scene)


def _ejection_seconds(scene: Scene) -> float:
    steps = scene.episode.steps if scene.episode is not None else ()
    if _was_empty(scene):
        return 0.0
    count = sum(step.purpose is Purpose.Eject and step.state in EFFECTIVE_STATES for step in steps)
    return min(EJECTED_SECONDS * count, MOST_EJECTED_SECONDS)


def _was_empty(scene: Scene) -> bool:
    """It was ejected for want of pods: the moment one is ready it may come back."""
    last = scene.work.last
    return last is not None and all((last.after or {}).get(name) == 0 for name in scene.work.held_back)


def _restart_ejected(scene: Scene, held_for: float) -> Plan | None:
    if scene.policy.restart_when is not RestartWhen.Allowed or held_for < RESTART_AFTER_TICKS * scene.tick_seconds:
        return None
    fleet = scene.fleet
    for index in np.flatnonzero(fleet.ready).tolist():
        backend = fleet.backends[int(fleet.where[index])]
        stuck = backend in scene.work.held_back and restarts.alone(fleet, backend) and not _recovered(fleet, index)
        if stuck and not _restarted_lately(scene, fleet.pods[index]):
            return Plan(writes=tuple(_restart(scene, index, f"{fleet.names[index]} kept failing after its ejection")))
    return None


PROBES_NEEDED = 5.0
RECOVERED_ERROR_RATIO = 0.05


def _recovered(fleet: Fleet, index: int) -> bool:
    requests, errors = float(fleet.requests[index]), float(fleet.errors[index])
    return requests >= PROBES_NEEDED and errors <= RECOVERED_ERROR_RATIO * requests


# --- new faults -----------------------------------------------------------------------------------------------------


def _mend(scene: Scene) -> Plan | None:
    match scene.diagnosis.label:
        case Label.Failing:
            return _mend_failing(scene)
        case Label.LoadBalancerSkew if scene.diagnosis.cause is SkewCause.WeightsIgnored:
            return _rebalance(scene)
        case Label.Surge:
            return Plan(tell=(Advise(topic="ScaleUp", because=scene.diagnosis.sentence),))
        case Label.Slow:
            return _spare_slow(scene)
        case _:
            return None


def _rebalance(scene: Scene) -> Plan:
    """Traffic ignores right weights: lean against it, as long as that moves anything."""
    fleet, desired = scene.fleet, desired_shares(scene.fleet, scene.policy)
    hot = fleet.shares > scene.policy.tolerance_ratio * desired
    if not hot.any() or (desired > 0).sum() < 2:
        because = f"{scene.diagnosis.sentence}; it is inside one backend, which no weight of this route can change"
        return Plan(tell=(Advise(topic="ActuatorIneffective", because=because),))
    step = scene.work.last if scene.work.compensating else None
    if _found_ineffective(scene):
        return Plan(tell=(_ineffective(scene),))
    if scene.law.ineffective(fleet, hot, correcting=step is not None) and step is not None:
        because = f"after {listing(_names(fleet, hot))} was cut, its traffic did not follow"
        verdict = Verdict(step=step.name, state=StepState.Ineffective, because=because)
        return Plan(verdicts=(verdict,), tell=(_ineffective(scene),))
    return _lean(scene, scene.diagnosis.sentence) or Plan()


def _names(fleet: Fleet, mask: Bools) -> list[str]:
    return [fleet.backends[index] for index in np.flatnonzero(mask).tolist()]


def _found_ineffective(scene: Scene) -> bool:
    steps = scene.episode.steps if scene.episode is not None else ()
    return any(step.purpose is Purpose.Rebalance and step.state is StepState.Ineffective for step in steps)


def _ineffective(scene: Scene) -> Advise:
    because = f"{scene.diagnosis.sentence}; weights do not move it: look for sticky sessions or long connections"
    return Advise(topic="ActuatorIneffective", because=because)


def _lean(scene: Scene, why: str) -> Plan | None:
    """The weight law's next step, as far as the receivers' headroom allows."""
    fleet, desired = scene.fleet, desired_shares(scene.fleet, scene.policy)
    use = fleet.utilization[fleet.ready & ~np.isnan(fleet.utilization)]
    hottest = float(use.max(initial=0.0))
    bends = scene.diagnosis.cause is SkewCause.WeightsIgnored
    correcting = scene.work.compensating
    shares = scene.law.wanted(fleet, desired, hottest=hottest, correcting=correcting, bends=bends)
    if shares is None:
        return None
    after = _affordable(scene, weights_of(fleet, shares))
    because = f"{why}; setting {weights(after)} to lean against it"
    return Plan(writes=(SetWeights(before=scene.before, after=after, purpose=Purpose.Rebalance, because=because),))


def _spare_slow(scene: Scene) -> Plan:
    """Less traffic for slow pods; the place if they share one; a restart only of a single pod that stays slow."""
    suspect = any(evidence.metric == "slow_place" for evidence in scene.diagnosis.evidence)
    topic = "SuspectNode" if suspect else "SlowPods"
    tell = (Advise(topic=topic, because=scene.diagnosis.sentence),)
    since = scene.diagnosis.since
    lasting = since is not None and scene.snapshot.time - since >= SLOW_RESTART_SECONDS
    if lasting and len(scene.diagnosis.pods) == 1 and scene.policy.restart_when is RestartWhen.Allowed:
        index = scene.fleet.names.index(scene.diagnosis.pods[0])
        if not _restarted_lately(scene, scene.fleet.pods[index]):
            return Plan(writes=tuple(_restart(scene, index, scene.diagnosis.sentence)), tell=tell)
    leaning = _lean(scene, scene.diagnosis.sentence) if not suspect else None
    return Plan(writes=leaning.writes if leaning is not None else (), tell=tell)


SLOW_RESTART_SECONDS = 300.0


def _mend_failing(scene: Scene) -> Plan | None:
    if scene.diagnosis.label is not Label.Failing:
        return None
    if not scene.diagnosis.pods:
        return _eject_empty(scene)
    index = _worst(scene)
    if index is None:
        return None
    fleet = scene.fleet
    name, pod = fleet.names[index], fleet.pods[index]
    marked = scene.overloaded.get(name) == pod.uid
    repeated = _restarted_lately(scene, pod)
    writes: list[Write] = []
    if not repeated and _deserves_restart(scene, marked=marked):
        writes += _restart(scene, index, scene.diagnosis.sentence)
    writes += _eject(scene, index)
    tell = (_page(name, scene),) if repeated else ()
    return Plan(writes=tuple(writes), tell=tell)


def _deserves_restart(scene: Scene, *, marked: bool) -> bool:
    """After a skew at once: what it broke is known. Else only if the failure lasts, and the spec allows it."""
    match scene.policy.restart_when:
        case RestartWhen.Never:
            return False
        case RestartWhen.OnlyAfterOverload:
            return marked
        case RestartWhen.Allowed:
            return marked or _persists(scene)


def _page(name: str, scene: Scene) -> Advise:
    because = (
        f"{name} fails again within {duration(REPEAT_SECONDS)} of a restart; another one will not help: look at it"
    )
    return Advise(topic="RestartDidNotHelp", because=because)


def _persists(scene: Scene) -> bool:
    since = scene.diagnosis.since
    return since is not None and scene.snapshot.time - since >= RESTART_AFTER_TICKS * scene.tick_seconds


def _worst(scene: Scene) -> int | None:
    """The named pod with the most errors; those overloaded by a skew first: what helps them is known."""
    named = set(scene.diagnosis.pods)
    fleet = scene.fleet
    held = set(scene.work.held_back) if not scene.work.ramps else set()
    candidates = [
        index
        for index, name in enumerate(fleet.names)
        if name in named and fleet.ready[index] and fleet.backends[int(fleet.where[index])] not in held
    ]
    return max(candidates, key=lambda index: _badness(scene, index), default=None)


def _badness(scene: Scene, index: int) -> tuple[bool, float]:
    fleet = scene.fleet
    marked = scene.overloaded.get(fleet.names[index]) == fleet.pods[index].uid
    return marked, float(np.nan_to_num(fleet.errors[index]))


def _restarted_lately(scene: Scene, pod: Pod) -> bool:
    since = scene.snapshot.time - REPEAT_SECONDS
    return any(
        entry.kind == "Restart" and entry.workload == pod.workload and entry.time >= since
        for entry in scene.snapshot.ledger
    )


def _restart(scene: Scene, index: int, because: str) -> Iterator[Write]:
    """The first move of a restart: drain where the backend is this pod alone, evict where it has siblings."""
    fleet = scene.fleet
    name, pod, backend = fleet.names[index], fleet.pods[index], fleet.backends[int(fleet.where[index])]
    if not pod.uid:
        return
    if restarts.alone(fleet, backend) and len(fleet.backends) > 1:
        yield restarts.drain(scene.snapshot, backend, name, pod.uid, f"{because}; drain it, then restart it")
    else:
        yield RestartPod(backend=backend, pod=name, uid=pod.uid, workload=pod.workload or "", because=because)


def _eject(scene: Scene, index: int) -> Iterator[SetWeights]:
    """All but a probe's worth of traffic away from a backend that mostly fails."""
    fleet = scene.fleet
    where = int(fleet.where[index])
    backend = fleet.backends[where]
    failing = sum(fleet.where[i] == where and fleet.names[i] in scene.diagnosis.pods for i in range(len(fleet.names)))
    if 2 * failing <= fleet.ready_by_backend[where] or _too_many_held(scene, where):
        return
    base = scene.work.base if scene.work.base is not None else scene.before
    factors = {**dict.fromkeys(scene.work.held_back, PROBE_FRACTION), backend: PROBE_FRACTION}
    after = scaled_down(base, factors)
    if after != scene.before:
        because = f"{scene.diagnosis.sentence}; leaving {backend} {100 * PROBE_FRACTION:.0f}% of its share"
        yield SetWeights(before=scene.before, after=after, purpose=Purpose.Eject, because=because)


def _too_many_held(scene: Scene, where: int) -> bool:
    fleet = scene.fleet
    held = [fleet.backends.index(name) for name in scene.work.held_back if name in fleet.backends]
    pods = sum(float(fleet.ready_by_backend[index]) for index in {*held, where})
    return pods > max(1.0, float(fleet.ready_by_backend[where]), MOST_HELD_RATIO * float(fleet.ready.sum()))


def _eject_empty(scene: Scene) -> Plan | None:
    after = {**scene.before, **dict.fromkeys(scene.diagnosis.backends, 0)}
    if after == scene.before or not any(after.values()):
        return None
    write = SetWeights(
        before=scene.before,
        after=after,
        purpose=Purpose.Eject,
        because=f"{scene.diagnosis.sentence}; taking its weight away until a pod is ready",
    )
    return Plan(writes=(write,))


# --- the end --------------------------------------------------------------------------------------------------------


def _calm(scene: Scene) -> bool:
    return scene.calm_ticks >= CLOSING_TICKS and scene.clean


def _finish(scene: Scene) -> Plan | None:
    episode = scene.episode
    if episode is None:
        return None
    written = any(step.state in EFFECTIVE_STATES for step in episode.steps)
    if _calm(scene) and scene.work.idle:
        return Plan(close=Phase.Succeeded if written else Phase.Expired)
    waiting = episode.phase is Phase.AwaitingApproval and not written
    if waiting and scene.snapshot.time - episode.opened_at > APPROVAL_SECONDS:
        return Plan(close=Phase.Expired)
    return None
