"""From diagnosis to plan: the order is the policy. Every answer is the next safe move; the loop closes every tick."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from evenload.model.diagnosis import INSIDE, Label, SkewCause
from evenload.model.episode import EFFECTIVE_STATES, Phase, Step, StepState
from evenload.model.labels import LABELS
from evenload.model.plan import Advise, Freeze, PodAction, Purpose
from evenload.plan.balance import give_back, keep_leaning, rebalance, rescue
from evenload.plan.moves import Plan, ended_well
from evenload.plan.progress import continue_ejection, continue_restart, give_up
from evenload.plan.respread import respread
from evenload.plan.rollback import roll_back
from evenload.plan.scene import Scene
from evenload.plan.sick import mend_failing, relieve_leak, spare_slow
from evenload.plan.undo import after_undo, resume, undo_harm, wished

Move = Callable[[Scene], Plan | None]


def plan(scene: Scene) -> Plan:
    """The answer of the first move that has one."""
    answers = (move(scene) for move in MOVES)
    answer = next((answer for answer in answers if answer is not None), Plan())
    return answer if scene.weighted else _without_weights(answer)


def _without_weights(answer: Plan) -> Plan:
    """All of it but the writes that no driver could make."""
    return replace(answer, writes=tuple(write for write in answer.writes if isinstance(write, PodAction)))


def _blind(scene: Scene) -> Plan | None:
    """Bad data, no traffic, a rollout, a common cause: nothing is written, not even what was begun."""
    because = LABELS[scene.diagnosis.label].freezes
    if not because:
        return None
    if scene.diagnosis.early:
        return Plan(tell=(Freeze(because=scene.diagnosis.sentence),))
    tell: list[Freeze | Advise] = [Freeze(because=f"{because}: {scene.diagnosis.sentence}")]
    if scene.diagnosis.label is Label.Dependency:
        tell.append(Advise(topic="CheckDependency", because=scene.diagnosis.sentence))
    if scene.diagnosis.label is Label.TrafficStopped:
        tell.append(Advise(topic="CheckUpstream", because=scene.diagnosis.sentence))
    if scene.work.restart is not None and scene.diagnosis.label is not Label.NoData:
        resumed = continue_restart(scene)
        return Plan(writes=resumed.writes if resumed else (), tell=tuple(tell))
    return Plan(tell=tuple(tell))


def _mend(scene: Scene) -> Plan | None:
    match scene.diagnosis.label:
        case Label.Failing:
            return mend_failing(scene)
        case Label.LoadBalancerSkew if scene.diagnosis.cause is SkewCause.NotReached:
            return Plan(tell=(Advise(topic="TooLittleTraffic", because=scene.diagnosis.sentence),))
        case Label.LoadBalancerSkew if scene.diagnosis.cause in INSIDE:
            return respread(scene)
        case Label.LoadBalancerSkew if scene.diagnosis.compensated:
            return keep_leaning(scene)
        case Label.LoadBalancerSkew if scene.diagnosis.cause is SkewCause.WeightsIgnored:
            return rebalance(scene)
        case Label.Surge:
            return Plan(tell=(Advise(topic="ScaleUp", because=scene.diagnosis.sentence),))
        case Label.Slow:
            return spare_slow(scene)
        case Label.MemoryLeak:
            return relieve_leak(scene)
        case Label.Healthy if scene.work.compensating:
            return give_back(scene)
        case _:
            return None


def _finish(scene: Scene) -> Plan | None:
    episode = scene.episode
    if episode is None:
        return None
    written = any(step.state in EFFECTIVE_STATES or _corrected(step) for step in episode.steps)
    if scene.calm and scene.work.idle and not scene.work.compensating:
        return Plan(close=Phase.Succeeded if written else Phase.Expired, verdicts=ended_well(scene.unjudged))
    return None


def _corrected(step: Step) -> bool:
    """A rollback that stood until somebody corrected the update that it took back."""
    return step.purpose is Purpose.Rollback and step.state is StepState.Overwritten


MOVES: tuple[Move, ...] = (
    wished,  # a person's word first
    after_undo,  # an undo that landed ends the episode
    give_up,  # a restart that cannot go on gives the weight back
    resume,  # a write that was stored and did not land
    undo_harm,  # what made things worse is taken back
    _blind,  # bad data, no traffic, a rollout, a common cause: nothing is begun
    roll_back,  # a bad update hurts now
    rescue,  # wrong weights hurt now: before anything that was begun
    continue_restart,
    continue_ejection,
    _mend,  # only then what is new
    _finish,
)
