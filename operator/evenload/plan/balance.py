"""Skew: bring wrong weights back in one step, lean against a balancer that ignores right ones."""

from __future__ import annotations

import numpy as np

from evenload.model.decision import Verdict
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import StepState
from evenload.model.fleet import Bools, Fleet
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.model.wording import listing, weights
from evenload.plan.moves import Plan
from evenload.plan.scene import Predict, Scene
from evenload.plan.targets import desired_shares, restored, shares_of, weights_of

RESTORE_FRACTIONS = (1.0, 0.75, 0.5, 0.25)  # of the way back, where the receivers cannot take all at once


def rescue(scene: Scene) -> Plan | None:
    """Wrong weights hurt now: they come before anything that was begun."""
    diagnosis = scene.diagnosis
    if diagnosis.label is not Label.LoadBalancerSkew or diagnosis.cause is not SkewCause.WeightsWrong:
        return None
    after = restored(scene.fleet, scene.policy, scene.snapshot.known_good)
    if not diagnosis.backends or after == scene.before or not any(after.values()) or _lingers(scene):
        return None
    step = _affordable(scene, after, scene.predict)
    part = "" if step == after else f", as far as the receivers' headroom allows towards {weights(after)}"
    blind = "" if not np.isnan(scene.predict(after)).all() else " (no CPU signal: headroom not checked)"
    because = f"{diagnosis.sentence}; putting back {weights(step)}{part}{blind}"
    write = SetWeights(before=scene.before, after=step, purpose=Purpose.Restore, because=because)
    return Plan(writes=(write,))


def _lingers(scene: Scene) -> bool:
    """The skew is of requests from before; the weights are right (equal shares, whatever the digits)."""
    fleet = scene.fleet
    return bool(fleet.weights.any()) and all(evidence.metric != "weight_share" for evidence in scene.diagnosis.evidence)


def _affordable(scene: Scene, goal: dict[str, int], predict: Predict) -> dict[str, int]:
    """The largest step towards `goal` under which no receiver is busier than the cap, or than who it relieves."""
    fleet, wanted = scene.fleet, shares_of(scene.fleet, goal)
    step = goal
    for fraction in RESTORE_FRACTIONS if fleet.weights.any() else (1.0,):
        shares = fleet.commanded + fraction * (wanted - fleet.commanded)
        step = goal if fraction == 1.0 else weights_of(fleet, shares)
        use, receives = predict(step), wanted > fleet.commanded
        relieved = float(np.nanmax(np.where(receives | np.isnan(use), 0.0, use), initial=0.0))
        if not bool((use[receives] > max(scene.policy.max_utilization, relieved)).any()):
            break
    return step


def rebalance(scene: Scene) -> Plan:
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
    return lean(scene, scene.diagnosis.sentence) or Plan()


def _names(fleet: Fleet, mask: Bools) -> list[str]:
    return [fleet.backends[index] for index in np.flatnonzero(mask).tolist()]


def _found_ineffective(scene: Scene) -> bool:
    steps = scene.steps
    return any(step.purpose is Purpose.Rebalance and step.state is StepState.Ineffective for step in steps)


def _ineffective(scene: Scene) -> Advise:
    because = f"{scene.diagnosis.sentence}; weights do not move it: look for sticky sessions or long connections"
    return Advise(topic="ActuatorIneffective", because=because)


def lean(scene: Scene, why: str) -> Plan | None:
    """The weight law's next step, as far as the receivers' headroom allows."""
    fleet, desired = scene.fleet, desired_shares(scene.fleet, scene.policy)
    use = fleet.utilization[fleet.ready & ~np.isnan(fleet.utilization)]
    hottest = float(use.max(initial=0.0))
    bends = scene.diagnosis.cause is SkewCause.WeightsIgnored
    correcting = scene.work.compensating
    shares = scene.law.wanted(fleet, desired, hottest=hottest, correcting=correcting, bends=bends)
    if shares is None:
        return None
    after = _affordable(scene, weights_of(fleet, shares), lambda asked: scene.predict(scene.law.bent(asked)))
    because = f"{why}; setting {weights(after)} to lean against it"
    return Plan(writes=(SetWeights(before=scene.before, after=after, purpose=Purpose.Rebalance, because=because),))
