"""What became of the steps, told by the traffic: planned, landed, followed, ineffective, harmful, or overwritten.

Pure. It never trusts that a write worked because it was made: weights are compared with what is commanded now, and
traffic with what the weights predict, in a window that holds no request from before the write.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from evenload.episode.disruptions import OVERWRITES_TO_CONTEST, overwritten_by_others
from evenload.episode.steps import again, judge
from evenload.model.base import Value
from evenload.model.decision import Verdict
from evenload.model.episode import ANOTHER_EVENLOAD, EFFECTIVE_STATES, FIELD_MANAGER, Episode, Step, StepState
from evenload.model.fleet import Fleet, Floats
from evenload.model.plan import WEIGHT_ACTIONS, Purpose, Write
from evenload.model.policy import Policy
from evenload.model.snapshot import Pod, Snapshot
from evenload.model.wording import percent, weights

UNSEEN_SECONDS = 10.0  # a write of ours may be that much ahead of the view we watch the route through
FORGOTTEN_PLAN_SECONDS = 120.0  # a plan this old belongs to another situation: plan anew
INEFFECTIVE_TICKS = 5
FOLLOWED_RATIO = 0.5  # of the predicted movement
NOISE_SHARE = 0.1
HARM_FACTOR, HARM_POINTS, HARM_SIGMAS, HARM_TICKS = 2.0, 0.01, 3.0, 3
STEADY_TOTAL_RATIO = 1.3  # beyond it, more errors may come from more traffic


class Verification(Value, frozen=True, kw_only=True):
    """`episode` has the new states; `resume` is a planned write to make now; `harmful` a step to undo."""

    episode: Episode | None = None
    verdicts: tuple[Verdict, ...] = ()
    resume: Write | None = None
    waiting: bool = False  # a write is on its way: make no other
    harmful: Step | None = None
    contested_by: str | None = None


class Memory:
    """Counts of ticks for the step being judged. Lost in a crash, they are counted again."""

    def __init__(self) -> None:
        self.step: str | None = None
        self.harmful_ticks = 0
        self.clean_ticks = 0

    def about(self, step: str) -> None:
        """Start counting anew for another step."""
        if step != self.step:
            self.step, self.harmful_ticks, self.clean_ticks = step, 0, 0


def verify(snapshot: Snapshot, fleet: Fleet, policy: Policy, memory: Memory, *, readable: bool) -> Verification:
    """Judge the open episode's steps. `readable`: traffic can be believed this tick."""
    episode = snapshot.episode
    if episode is None:
        return Verification()
    landed = _landing(snapshot, episode)
    episode = _judged(episode, landed.verdicts, snapshot.time)
    judged, harmful = _traffic(snapshot, fleet, policy, episode, memory) if readable else ((), None)
    episode = _judged(episode, judged, snapshot.time)
    return Verification(
        episode=episode,
        verdicts=(*landed.verdicts, *judged),
        resume=landed.resume,
        waiting=landed.waiting,
        harmful=harmful,
        contested_by=_contested_by(episode),
    )


def _judged(episode: Episode, verdicts: tuple[Verdict, ...], time: float) -> Episode:
    """The episode as it will be stored with these verdicts."""
    return msgspec.structs.replace(episode, steps=judge(episode.steps, verdicts, time)) if verdicts else episode


# --- did it land? ---------------------------------------------------------------------------------------------------


def _landing(snapshot: Snapshot, episode: Episode) -> Verification:
    planned = next((step for step in reversed(episode.steps) if step.state is StepState.Planned), None)
    if planned is None:
        return _still_ours(snapshot, episode)
    match planned.action:
        case "RestartPod":
            return _eviction(snapshot, planned)
        case "Isolate":
            return _isolation(snapshot, planned)
    now = weights_now(snapshot)
    if now == planned.after:
        return _verdict(planned, StepState.Applied, "the route holds these weights")
    if now != planned.before:
        return _overwritten(snapshot, episode, planned, now)
    if snapshot.time - planned.planned_at > FORGOTTEN_PLAN_SECONDS:
        return _verdict(planned, StepState.Abandoned, "it was planned long ago and never written")
    return Verification(resume=again(planned), waiting=True)


def weights_now(snapshot: Snapshot) -> dict[str, int]:
    """What is commanded, by backend."""
    return {name: backend.weight for name, backend in snapshot.backends.items()}


def _eviction(snapshot: Snapshot, step: Step) -> Verification:
    pod = _behind(snapshot, step) or _isolated(snapshot, step)
    if pod is None:
        return _verdict(step, StepState.Applied, f"{step.pod} is gone")
    if pod.terminating:
        return _verdict(step, StepState.Applied, f"{step.pod} is terminating")
    return Verification(resume=again(step), waiting=True)


def _isolation(snapshot: Snapshot, step: Step) -> Verification:
    if _isolated(snapshot, step) is not None:
        return _verdict(step, StepState.Applied, f"{step.pod} has no label {step.label} any more")
    pod = _behind(snapshot, step)
    if pod is None or pod.terminating:
        return _verdict(step, StepState.Abandoned, f"{step.pod} is gone by itself")
    return Verification(resume=again(step), waiting=True)


def _behind(snapshot: Snapshot, step: Step) -> Pod | None:
    """The step's pod, where it stands behind a backend."""
    pods = (pod for backend in snapshot.backends.values() for pod in backend.pods.values())
    return next((pod for pod in pods if pod.uid == step.uid), None)


def _isolated(snapshot: Snapshot, step: Step) -> Pod | None:
    return next((pod for pod in snapshot.isolated.values() if pod.uid == step.uid), None)


def _given_label(snapshot: Snapshot, episode: Episode) -> Step | None:
    """A step that isolated a pod, which has its label again and is not evicted yet: somebody put it back."""
    evicted = {step.uid for step in episode.steps if step.action == "RestartPod"}
    for step in episode.steps:
        stands = step.action == "Isolate" and step.state is StepState.Applied and step.uid not in evicted
        seen = snapshot.time - (step.applied_at or 0.0) >= UNSEEN_SECONDS
        if stands and seen and _behind(snapshot, step) is not None and _isolated(snapshot, step) is None:
            return step
    return None


def _still_ours(snapshot: Snapshot, episode: Episode) -> Verification:
    if (relabelled := _given_label(snapshot, episode)) is not None:
        because = f"somebody gave {relabelled.pod} its label {relabelled.label} back"
        return _verdict(relabelled, StepState.Overwritten, because)
    step = last_weight_step(episode)
    now = weights_now(snapshot)
    if step is None or now == step.after:
        return Verification()
    if now == step.before and _unseen(snapshot, step):
        return Verification(waiting=True)
    return _overwritten(snapshot, episode, step, now)


def last_weight_step(episode: Episode) -> Step | None:
    """The weights it left are the ones that should be there."""
    weighted = (step for step in reversed(episode.steps) if step.action in WEIGHT_ACTIONS)
    last = next((step for step in weighted if step.state is not StepState.Abandoned), None)
    return last if last is not None and last.state in EFFECTIVE_STATES else None


def _unseen(snapshot: Snapshot, step: Step) -> bool:
    """Whether the view is merely behind our own write."""
    write = snapshot.last_write
    foreign = write is not None and write.manager != FIELD_MANAGER and write.time > (step.applied_at or 0.0)
    return not foreign and snapshot.time - (step.applied_at or 0.0) < UNSEEN_SECONDS


def _overwritten(snapshot: Snapshot, episode: Episode, step: Step, now: dict[str, int]) -> Verification:
    manager = _writer(snapshot, episode, step, now)
    by = f" by {manager}" if manager else ""
    return _verdict(step, StepState.Overwritten, f"the weights were set to {weights(now)}{by}", manager)


def _writer(snapshot: Snapshot, episode: Episode, step: Step, now: dict[str, int]) -> str | None:
    """Who wrote what stands there. Our own name proves nothing: another installation or Balancer writes under it too.

    It was us where some step of this episode knows these weights, and they were written before the last step was: then
    the view lags. Times in managedFields are whole seconds.
    """
    write = snapshot.last_write
    if write is None or write.manager != FIELD_MANAGER:
        return write.manager if write is not None else None
    known = any(now in (each.before, each.after) for each in episode.steps)
    since = step.planned_at if step.applied_at is None else step.applied_at
    return FIELD_MANAGER if known and write.time < math.floor(since) else ANOTHER_EVENLOAD


def _verdict(step: Step, state: StepState, because: str, manager: str | None = None) -> Verification:
    return Verification(verdicts=(Verdict(step=step.name, state=state, because=because, manager=manager),))


def _contested_by(episode: Episode) -> str | None:
    """The foreign manager, or other Evenload, who put weights back twice, if one did."""
    foreign = [step.manager for step in overwritten_by_others(episode.steps)]
    return (foreign[-1] or "another writer") if len(foreign) >= OVERWRITES_TO_CONTEST else None


# --- did it help? ---------------------------------------------------------------------------------------------------


def _traffic(
    snapshot: Snapshot, fleet: Fleet, policy: Policy, episode: Episode, memory: Memory
) -> tuple[tuple[Verdict, ...], Step | None]:
    last = last_weight_step(episode)
    superseded = tuple(
        Verdict(step=step.name, state=StepState.Verified, because="the next step stands on it")
        for step in episode.steps
        if step.action in WEIGHT_ACTIONS and step.state is StepState.Applied and step is not last
    )
    if last is None or last.state is not StepState.Applied or last.applied_at is None:
        return superseded, None
    memory.about(last.name)
    if snapshot.time - snapshot.window < last.applied_at + policy.actuator_lag_seconds:
        return superseded, None
    memory.clean_ticks += 1
    if _harmed(snapshot, fleet, last, memory):
        return superseded, last
    own = _followed(fleet, last, memory)
    return (*superseded, own) if own is not None else superseded, None


def _harmed(snapshot: Snapshot, fleet: Fleet, step: Step, memory: Memory) -> bool:
    """The rollback test (algorithms section 6): > 2x the level before, + 1 point, > 3 sigma, on 3 ticks running.

    What is put back may well be worse: that was known, or a person wanted it.
    """
    worse = step.purpose is not Purpose.Revert and _worse(snapshot, fleet, step)
    memory.harmful_ticks = memory.harmful_ticks + 1 if worse else 0
    return memory.harmful_ticks >= HARM_TICKS


def _worse(snapshot: Snapshot, fleet: Fleet, step: Step) -> bool:
    asked = _asked_before(snapshot, fleet, step)
    before, now = step.error_ratio, asked.error_ratio()
    if before is None or now is None or _total_moved(snapshot, fleet, step):
        return False
    sigma = (before * (1 - before) / asked.total_requests) ** 0.5
    return now > HARM_FACTOR * before and now > before + HARM_POINTS and now > before + HARM_SIGMAS * sigma


def _asked_before(snapshot: Snapshot, fleet: Fleet, step: Step) -> Fleet:
    """Without the sick backends that get traffic again because their restart was given up: they had nothing to fail."""
    before, after = step.before or {}, step.after or {}
    returning = {name for name, weight in after.items() if weight > 0 and before.get(name) == 0}
    if step.purpose is not Purpose.Eject or not returning:
        return fleet
    others = {name: backend for name, backend in snapshot.backends.items() if name not in returning}
    return Fleet(msgspec.structs.replace(snapshot, backends=others))


def _total_moved(snapshot: Snapshot, fleet: Fleet, step: Step) -> bool:
    before, now = step.requests_per_second, fleet.total_requests / snapshot.window
    return not before or not 1 / STEADY_TOTAL_RATIO <= now / before <= STEADY_TOTAL_RATIO


def _followed(fleet: Fleet, step: Step, memory: Memory) -> Verdict | None:
    asked, had = _shares(fleet, step.after), _shares(fleet, step.before)
    if np.isnan(fleet.shares).any():
        return None
    away, planned = _distance(fleet.shares, asked), _distance(had, asked)
    if away <= max(FOLLOWED_RATIO * planned, NOISE_SHARE):
        if memory.clean_ticks < HARM_TICKS or memory.harmful_ticks:
            return None
        return Verdict(step=step.name, state=StepState.Verified, because=f"traffic is within {percent(away)} of it")
    if memory.clean_ticks >= INEFFECTIVE_TICKS and step.purpose is not Purpose.Rebalance:
        because = f"{percent(away)} of the requests still go elsewhere after {memory.clean_ticks} ticks"
        return Verdict(step=step.name, state=StepState.Ineffective, because=because)
    return None


def _shares(fleet: Fleet, asked: dict[str, int] | None) -> Floats:
    vector = np.array([(asked or {}).get(name, 0) for name in fleet.backends], dtype=float)
    return vector / max(float(vector.sum()), 1.0)


def _distance(one: Floats, other: Floats) -> float:
    """Share of the requests that would have to go elsewhere (total variation)."""
    return float(np.abs(one - other).sum()) / 2
