"""What a person wishes, and taking back: one write says every inverse."""

from __future__ import annotations

from evenload.model.decision import Verdict
from evenload.model.episode import EFFECTIVE_STATES, ApprovalDecision, Episode, Phase, Step, StepState, Undoing
from evenload.model.plan import POD_ACTIONS, Purpose, SetWeights
from evenload.model.wording import weights
from evenload.plan.moves import Plan
from evenload.plan.scene import Scene

IN_FLIGHT_SECONDS = 30.0  # a planned write may still be on its way for so long
APPROVAL_SECONDS = 24 * 3600.0
WISH_SECONDS = 600.0  # a wish that could not be met for so long is about another moment
FOLLOW_SECONDS = 300.0  # traffic tells within a few windows, or it cannot tell
_ABORTED = frozenset({StepState.Abandoned, StepState.Ineffective})


def wished(scene: Scene) -> Plan | None:
    episode = scene.episode
    if episode is None:
        return None
    if episode.approval is ApprovalDecision.Denied:
        return Plan(close=Phase.Denied)
    if _stale(scene, episode):
        return Plan(close=Phase.Expired)
    if episode.undoes is not None:
        return _undo_closed(scene, episode, episode.undoes)
    return _undo(scene, episode) if episode.undo_requested else None


def _stale(scene: Scene, episode: Episode) -> bool:
    """A plan that nobody approved for a day is about another day."""
    waiting = episode.phase is Phase.AwaitingApproval and not any(
        step.state in EFFECTIVE_STATES for step in scene.steps
    )
    return waiting and scene.snapshot.time - episode.opened_at > APPROVAL_SECONDS


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
    if not scene.weighted:
        return Plan(close=Phase.Expired, busy="nothing is undone: there is a single backend now, and no weight to set")
    write = _revert(scene, first, "a person asked for undo")
    return Plan(writes=(write,), busy="undoing every weight change, as asked")


def _undo_closed(scene: Scene, episode: Episode, wish: Undoing) -> Plan:
    """One write, and what traffic makes of it. Nothing else is begun in such an episode."""
    step = next((step for step in reversed(episode.steps) if step.state is not StepState.Abandoned), None)
    if step is None:
        return _grant(scene, episode, wish)
    if step.state is StepState.Planned:
        return Plan(writes=(scene.resume,) if scene.resume is not None else (), busy=f"undoing {wish.of}")
    since = step.planned_at if step.applied_at is None else step.applied_at
    if step.state is StepState.Applied and scene.snapshot.time - since < FOLLOW_SECONDS:
        return Plan(busy=f"{wish.of} is undone, as a person asked; waiting for traffic to follow")
    done = step.state in (StepState.Applied, StepState.Verified)
    return Plan(close=Phase.Succeeded if done else Phase.Failed, busy=f"{wish.of} is undone" if done else step.message)


def _grant(scene: Scene, episode: Episode, wish: Undoing) -> Plan:
    """The inverse of all it changed, if everything still is as it left it."""
    refusal = wish.refusal or _outdated(scene, wish)
    if not refusal and scene.snapshot.time - episode.opened_at > WISH_SECONDS:
        refusal = "it could not be undone within ten minutes; ask again"
    if refusal:
        return Plan(close=Phase.Expired, busy=f"{wish.of} is not undone: {refusal}")
    because = f"a person asked for {wish.of} to be undone: putting back {weights(wish.found)}"
    write = SetWeights(before=scene.before, after=wish.found, purpose=Purpose.Revert, because=because)
    return Plan(writes=(write,), busy=f"undoing {wish.of}, as asked")


def _outdated(scene: Scene, wish: Undoing) -> str:
    if scene.before == wish.found:
        return f"the weights it found stand already: {weights(wish.found)}"
    if scene.before != wish.left:
        return f"it left the weights {weights(wish.left)}, and they are {weights(scene.before)} now"
    return ""


def resume(scene: Scene) -> Plan | None:
    """A write that was planned and did not land: the same again."""
    return Plan(writes=(scene.resume,)) if scene.resume is not None else None


def undo_harm(scene: Scene) -> Plan | None:
    step = scene.harmful
    if step is None:
        return None
    write = _revert(scene, step, f"errors more than doubled after {step.name}")
    return Plan(writes=(write,), busy=f"{step.name} made things worse")


def after_undo(scene: Scene) -> Plan | None:
    """A revert stands: what it undid is Reverted, and the episode is over."""
    steps = scene.steps
    last = next((step for step in reversed(steps) if step.state in EFFECTIVE_STATES and step.before is not None), None)
    if last is None or last.purpose is not Purpose.Revert:
        return None
    undone = [step for step in steps if step.name == last.reverts and step.state in EFFECTIVE_STATES]
    ended = any(step.action in POD_ACTIONS and step.state in _ABORTED for step in steps)
    phase = Phase.Failed if ended else Phase.RolledBack
    return Plan(close=phase, verdicts=_reverted(undone, "undone"))


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
