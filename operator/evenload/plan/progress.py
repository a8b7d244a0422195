"""What was begun goes on: drain, evict, replacement, ramp; ejected, and given another chance."""

from __future__ import annotations

import numpy as np

from evenload.episode.under_way import Restart
from evenload.model.diagnosis import Label
from evenload.model.episode import EFFECTIVE_STATES, Phase, Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.labels import LABELS
from evenload.model.plan import POD_ACTIONS, Advise, Purpose, SetWeights
from evenload.model.spec import RestartWhen
from evenload.model.wording import clock, listing, number
from evenload.plan import restarts
from evenload.plan.moves import Plan, ended_well
from evenload.plan.scene import Scene
from evenload.plan.sick import PROBE_FRACTION, RESTART_AFTER_TICKS, begin_restart, mend_failing, restarted_lately
from evenload.plan.targets import scaled_down

EJECTED_SECONDS, MOST_EJECTED_SECONDS = 30.0, 300.0  # times the count of ejections (Envoy)
PROBES_NEEDED = 5.0
RECOVERED_ERROR_RATIO = 0.05


def give_up(scene: Scene) -> Plan | None:
    """A restart that cannot go on. Where the pod answers, it is held back like any sick one, and weights go on mending.

    What is sick stays sick: all its traffic back would undo the mitigation, and an undo keeps still for a while.
    """
    restart = scene.work.restart
    verdict = restarts.given_up(scene.snapshot, scene.policy, restart) if restart is not None else None
    overdue = restart is not None and restarts.drain_overdue(scene.snapshot, scene.policy, restart)
    drain = _standing_drain(scene)
    because = verdict.because if verdict is not None else _refused(scene, drain)
    if because is None and not overdue:
        return None
    verdicts = (verdict,) if verdict is not None else ()
    tell = (Advise(topic="RestartFailed", because=because or "the eviction was held back for too long"),)
    if verdict is not None and verdict.state is StepState.Abandoned and drain is None:
        return Plan(verdicts=verdicts, tell=tell)  # it was never drained: weights have nothing to take back
    write = _hold_back(scene, drain) if drain is not None else None
    if write is None:
        return Plan(close=Phase.Failed, verdicts=verdicts, tell=tell)
    return Plan(writes=(write,), verdicts=verdicts, tell=tell, busy=write.because)


def _refused(scene: Scene, drain: Step | None) -> str | None:
    """Why the eviction that this drain was for was given up earlier, if it was."""
    steps = scene.steps
    since = steps[steps.index(drain) :] if drain is not None else ()
    last = next((step for step in reversed(since) if step.action in POD_ACTIONS), None)
    given_up = last is not None and last.state is StepState.Abandoned and last.refused_since is not None
    return last.message if last is not None and given_up else None


def _standing_drain(scene: Scene) -> Step | None:
    """The drain that keeps all traffic from its backend now."""
    last = scene.work.last
    return last if last is not None and last.action == "Drain" else None


def _hold_back(scene: Scene, drain: Step) -> SetWeights | None:
    """A probe's worth of traffic for a drained backend, more where the others cannot bear the rest.

    None where nobody would answer.
    """
    backend, base = drain.backend or "", scene.work.base
    if base is None or not _may_return(scene, backend):
        return None
    others = np.array([name != backend for name in scene.fleet.backends], dtype=bool)
    held = dict.fromkeys(scene.work.held_back, PROBE_FRACTION)
    fraction, after = 1.0, base
    for fraction in (PROBE_FRACTION, *restarts.RAMP_FRACTIONS):
        after = scaled_down(base, {**held, backend: fraction}, scene.fleet.weights_total)
        if not bool((scene.predict(after)[others] > scene.policy.max_utilization).any()):
            break
    because = f"the restart of {drain.pod} is off; {backend} gets {100 * fraction:.0f}% of its share"
    purpose = Purpose.Eject if after != base else Purpose.Ramp
    return SetWeights(before=scene.before, after=after, purpose=purpose, because=because)


def continue_restart(scene: Scene) -> Plan | None:
    restart = scene.work.restart
    if restart is None:
        return None
    if not restarts.away(scene.snapshot, scene.policy, restart):
        return _before_eviction(scene, restart)
    if not restarts.replaced(scene.snapshot, restart):
        return Plan(busy=f"waiting for the replacement of {restart.pod}")
    return _sick_again(scene, restart) or _ramp(scene) or _over(scene, restart)


def _sick_again(scene: Scene, restart: Restart) -> Plan | None:
    """What replaced it fails, too: the restart did not help, and weights keep traffic away as from any other."""
    diagnosis = scene.diagnosis
    if diagnosis.label is not Label.Failing:
        return None
    if not restarts.replacements(scene.snapshot, restart) <= set(diagnosis.pods):
        return None
    because = f"the replacement of {restart.pod} fails, too: {diagnosis.sentence}"
    weights = mend_failing(scene)
    advice = Advise(topic="RestartDidNotHelp", because=f"{because}; another restart will not help: look at it")
    verdicts = restarts.ended(restart, StepState.Ineffective, because)
    return Plan(writes=weights.writes if weights else (), verdicts=verdicts, tell=(advice,))


def _before_eviction(scene: Scene, restart: Restart) -> Plan | None:
    pod = restarts.find(scene.snapshot, restart.uid)
    if pod is None:
        return _ramp(scene)  # somebody else removed it: what stands there now may come back
    why = restarts.drained(scene.snapshot, scene.policy, restart)
    if why is None:
        return Plan(busy=f"waiting until nothing is in flight at {restart.pod}")
    state = "stays sick at its fair share" if restart.isolation is None else "is isolated"
    write = restarts.evict(scene.snapshot, restart, f"{restart.pod} {state}; {why}")
    return Plan(writes=(write,) if write is not None else (), busy=f"restarting {restart.pod}")


def _over(scene: Scene, restart: Restart) -> Plan | None:
    """The replacement has its share: three clean ticks and the restart is verified."""
    if not scene.calm:
        return None
    because = f"the replacement of {restart.pod} serves its share without a fault"
    if restarts.kept(scene.snapshot, scene.policy, restart):
        because += f"; {restart.pod} is kept isolated for inspection: delete it with kubectl when that is done"
    verdicts = restarts.ended(restart, StepState.Verified, because)
    close = None if scene.work.compensating else Phase.Succeeded  # the weights lean still: why is not over
    return Plan(close=close, verdicts=(*verdicts, *ended_well(scene.unjudged)))


def _ramp(scene: Scene) -> Plan | None:
    work = scene.work
    if not work.held_back:
        return None
    returning = frozenset(name for name in work.held_back if _may_return(scene, name))
    troubled = returning & set(scene.diagnosis.backends) if LABELS[scene.diagnosis.label].delays_ramp else frozenset()
    if troubled:
        return Plan(busy=f"the ramp of {listing(sorted(troubled))} waits: {scene.diagnosis.sentence}")
    write = restarts.ramp(scene.snapshot, scene.fleet, scene.policy, work, returning)
    return Plan(
        writes=(write,) if write is not None else (),
        busy=f"{listing(work.held_back)} {number(work.held_back, 'ramps', 'ramp')} up",
    )


def _may_return(scene: Scene, backend: str) -> bool:
    index = scene.fleet.backends.index(backend) if backend in scene.fleet.backends else -1
    return index >= 0 and bool(scene.fleet.ready_by_backend[index] > 0)


def continue_ejection(scene: Scene) -> Plan | None:
    """Ejected: restart what keeps failing, give another chance to the rest."""
    work = scene.work
    if not work.held_back or work.last is None:
        return None
    if work.last.purpose is Purpose.Rollback:
        return _rolled_back(scene)
    if work.ramps or work.last.purpose is not Purpose.Eject:
        return mend_failing(scene) or _ramp(scene)
    held_for = scene.snapshot.time - work.held_since
    restart = _restart_ejected(scene, held_for)
    if restart is not None:
        return restart
    if not any(_may_return(scene, name) for name in work.held_back):
        return Plan(busy=f"{listing(work.held_back)} {number(work.held_back, 'has', 'have')} no ready pod")
    if held_for < _ejection_seconds(scene):
        stay = number(work.held_back, "stays", "stay")
        until = clock(work.held_since + _ejection_seconds(scene))
        return Plan(busy=f"{listing(work.held_back)} {stay} ejected until {until}")
    return _ramp(scene)


def _rolled_back(scene: Scene) -> Plan | None:
    """What an update added gets nothing while the very pods are there that failed: others get their chance."""
    work, fleet = scene.work, scene.fleet
    theirs = [pod for pod, where in zip(fleet.pods, fleet.where.tolist(), strict=True) if _held(scene, where)]
    ready = [pod for pod in theirs if pod.ready and not pod.terminating]
    since = work.held_since - restarts.CREATED_SLACK_SECONDS  # what failed has been there for more than one look
    if ready and all((pod.created_at or 0.0) >= since for pod in ready):
        return _ramp(scene)
    return Plan(busy=f"{listing(work.held_back)} gets nothing until the update is corrected or its pods are others")


def _held(scene: Scene, where: int) -> bool:
    return scene.fleet.backends[where] in scene.work.held_back


def _ejection_seconds(scene: Scene) -> float:
    steps = scene.steps
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
        known = backend in scene.work.held_back and backend not in scene.blind
        stuck = known and restarts.alone(fleet, backend) and _keeps_failing(fleet, index)
        if stuck and not restarted_lately(scene, fleet.pods[index]):
            return Plan(
                writes=tuple(begin_restart(scene, index, f"{fleet.names[index]} kept failing after its ejection"))
            )
    return None


def _keeps_failing(fleet: Fleet, index: int) -> bool:
    """Its probes say so. A pod that nobody asked, because its backend was empty until now, has not failed."""
    requests, errors = float(fleet.requests[index]), float(fleet.errors[index])
    return requests >= PROBES_NEEDED and errors > RECOVERED_ERROR_RATIO * requests
