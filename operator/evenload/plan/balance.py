"""Skew: bring wrong weights back in one step, lean against a balancer that ignores right ones."""

from __future__ import annotations

import numpy as np

from evenload.model.decision import Verdict
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import StepState
from evenload.model.fleet import Bools, Fleet, Floats
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.model.wording import listing, weights
from evenload.plan.law import LEAST_DEAD_BAND
from evenload.plan.moves import Plan
from evenload.plan.scene import Predict, Scene
from evenload.plan.targets import desired_shares, restored, shares_of, weights_of

STARVED_RATIO = 0.5  # of its share: what leaning against a balancer may cost a backend before it leans less
RESTORE_FRACTIONS = (1.0, 0.75, 0.5, 0.25)  # of the way back, where the receivers cannot take all at once
FINISHING_WINDOWS = 4.0  # since the last step: its rest is mended to within the dead band; later only what is too much


def rescue(scene: Scene) -> Plan | None:
    """Wrong weights hurt now: they come before anything that was begun."""
    diagnosis = scene.diagnosis
    if diagnosis.label is not Label.LoadBalancerSkew or diagnosis.cause is not SkewCause.WeightsWrong:
        return None
    after = restored(scene.fleet, scene.policy, scene.snapshot.known_good)
    if not diagnosis.backends or after == scene.before or not any(after.values()) or _lingers(scene):
        return None
    step = _affordable(scene, after, scene.predict)
    if step == scene.before:  # in whole per cent, a part of the way may be none
        return None
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
    # While a server drowns the upper bound counts: to be given too little for a while hurts less than too much.
    gains = scene.law.gains.certain_at_most if scene.overloaded else None
    return lean(scene, scene.diagnosis.sentence, gains) or Plan()


def _names(fleet: Fleet, mask: Bools) -> list[str]:
    return [fleet.backends[index] for index in np.flatnonzero(mask).tolist()]


def _found_ineffective(scene: Scene) -> bool:
    steps = scene.steps
    return any(step.purpose is Purpose.Rebalance and step.state is StepState.Ineffective for step in steps)


def _ineffective(scene: Scene) -> Advise:
    because = f"{scene.diagnosis.sentence}; weights do not move it: look for sticky sessions or long connections"
    return Advise(topic="ActuatorIneffective", because=because)


def lean(scene: Scene, why: str, gains: Floats | None = None) -> Plan | None:
    """The weight law's next step, as far as the receivers' headroom allows.

    Only gains beyond doubt count: while one backend has most of the traffic, the others' few requests tell little, and
    weights that follow chance make new hot spots (100 pods: 12 ticks until it is even instead of 8).
    """
    certain = scene.law.gains.certain if gains is None else gains
    return _step(scene, certain, f"{why}; setting", "to lean against it")


def _step(scene: Scene, gains: Floats, why: str, what_for: str) -> Plan | None:
    fleet, desired = scene.fleet, desired_shares(scene.fleet, scene.policy)
    drowning, correcting = bool(scene.overloaded), scene.work.compensating
    shares = scene.law.wanted(fleet, desired, gains, drowning=drowning, correcting=correcting)
    if shares is None:
        return None
    after = _affordable(scene, weights_of(fleet, shares), lambda asked: scene.predict(scene.law.gains.bent(asked)))
    if after == scene.before:  # in whole per cent, a small step may be none
        return None
    because = f"{why} {weights(after)} {what_for}"
    return Plan(writes=(SetWeights(before=scene.before, after=after, purpose=Purpose.Rebalance, because=because),))


def keep_leaning(scene: Scene) -> Plan:
    """Traffic is even because the weights lean: say so, and write only where they lean too much or too little."""
    because = f"{scene.diagnosis.sentence}; mend the balancer: the weights come back by themselves once it follows them"
    tell = (Advise(topic="BalancerIgnoresWeights", because=because),)
    step = lean(scene, scene.diagnosis.sentence) if scene.calm and _leans_wrongly(scene) else None
    return Plan(writes=step.writes if step is not None else (), tell=tell)


def _leans_wrongly(scene: Scene) -> bool:
    """A backend is starved, or one that is known to draw traffic still gets too much."""
    desired, certain = desired_shares(scene.fleet, scene.policy), scene.law.gains.certain
    bent = scene.fleet.commanded * np.exp(certain)
    limit = np.full(bent.size, scene.policy.tolerance_ratio)
    if _just_stepped(scene):  # by chance somebody's estimate is always off: what is within that is no rest to mend
        limit = np.minimum(limit, np.maximum(1 + LEAST_DEAD_BAND, np.exp(scene.law.gains.doubt)))
    fed = (certain > 0) & (bent / bent.sum() > limit * desired)
    return bool((scene.fleet.shares < STARVED_RATIO * desired).any() or fed.any())


def _just_stepped(scene: Scene) -> bool:
    last = scene.work.last
    since = scene.snapshot.time - (last.applied_at or last.planned_at) if last is not None else np.inf
    return bool(since <= FINISHING_WINDOWS * scene.snapshot.window)


def give_back(scene: Scene) -> Plan | None:
    """What the weights leaned against is over: they come back step by step, at last to the digit.

    A slow pod's share follows its latency; a balancer's gain is believed to be gone once traffic is calm.
    """
    if scene.episode is not None and scene.episode.label is Label.Slow:
        step = lean(scene, "what was slow recovers")
    elif scene.calm:
        step = _step(
            scene, np.zeros_like(scene.law.gains.gain), "the balancer follows its weights again; setting", "for now"
        )
    else:
        return None
    if step is not None or scene.law.leans:
        return step
    after = restored(scene.fleet, scene.policy, scene.snapshot.known_good)
    because = f"what the weights leaned against is over; putting back {weights(after)}"
    return Plan(writes=(SetWeights(before=scene.before, after=after, purpose=Purpose.Restore, because=because),))
