"""What is under way, read from the episode's steps: no memory, so that a crash changes nothing.

A backend is *held back* while a step of ours keeps it below its share: ejected, drained, or ramping up again. `base` is
the weights it comes back to.
"""

from __future__ import annotations

from evenload.model.base import Value
from evenload.model.episode import EFFECTIVE_STATES, FIELD_MANAGER, Episode, Step, StepState
from evenload.model.plan import POD_ACTIONS, Purpose, lowered
from evenload.model.snapshot import Snapshot

ENDED_STATES = frozenset({StepState.Verified, StepState.Ineffective, StepState.Abandoned})
_OFF = ENDED_STATES | {StepState.Reverted, StepState.Overwritten}  # of a restart: its pod is given back, or another's


class Restart(Value, frozen=True, kw_only=True):
    """One restart under way: drained or isolated (or neither is possible), evicted or not yet."""

    backend: str
    pod: str
    uid: str
    drain: Step | None = None
    isolation: Step | None = None
    eviction: Step | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """That take the pod away: isolated, evicted."""
        return tuple(step for step in (self.isolation, self.eviction) if step is not None)

    @property
    def waits_since(self) -> float | None:
        """When it was drained or isolated; None: neither is done."""
        step = self.drain or self.isolation
        return None if step is None else step.applied_at


class Work(Value, frozen=True, kw_only=True):
    """`ramps` are the ramp steps since the last ejection, drain or eviction.

    `compensating`: the weights lean (see Rebalance), or will again once what is held back has its share.
    """

    base: dict[str, int] | None = None
    held_back: tuple[str, ...] = ()
    held_since: float = 0.0
    restart: Restart | None = None
    ramps: tuple[Step, ...] = ()
    last: Step | None = None  # the last weight step that stands in the cluster
    compensating: bool = False

    @property
    def idle(self) -> bool:
        """Nothing has to be finished before the episode may end."""
        return not self.held_back and self.restart is None


def under_way(episode: Episode | None) -> Work:
    """Fold the steps, oldest first."""
    work = Work()
    for step in episode.steps if episode is not None else ():
        work = _taken(work, step) if step.action in POD_ACTIONS else _weighted(work, step)
    return work


def _taken(work: Work, step: Step) -> Work:
    """After a step that isolates or evicts a pod."""
    if step.state in _OFF or not (step.backend and step.pod and step.uid):
        return _with(work, restart=None)
    known = work.restart if work.restart is not None and work.restart.uid == step.uid else None
    isolates = step.action == "Isolate"
    restart = Restart(
        backend=step.backend,
        pod=step.pod,
        uid=step.uid,
        drain=known.drain if known is not None else None,
        isolation=step if isolates else known.isolation if known is not None else None,
        eviction=None if isolates else step,
    )
    return _with(work, restart=restart, ramps=())


def _weighted(work: Work, step: Step) -> Work:
    if step.state is StepState.Overwritten:
        return _released(work, None)  # the weights are another's now, and so is what they hold back
    if step.state not in EFFECTIVE_STATES:
        return work
    match step.purpose:
        case Purpose.Eject | Purpose.Drain | Purpose.Rollback:
            return _held(work, step)
        case Purpose.Ramp:
            finished = step.after == work.base
            return _released(work, step) if finished else _with(work, ramps=(*work.ramps, step), last=step)
        case _:
            return _released(work, step)


def _held(work: Work, step: Step) -> Work:
    restart = work.restart
    if restart is not None and not restart.steps and (step.after or {}).get(restart.backend, 0) > 0:
        restart = None  # traffic was given back: that restart is off
    if step.action == "Drain" and step.backend and step.pod and step.uid:
        restart = Restart(backend=step.backend, pod=step.pod, uid=step.uid, drain=step)
    return Work(
        base=work.base if work.base is not None else step.before,
        held_back=tuple(sorted({*work.held_back, *lowered(step.before or {}, step.after or {})})),
        held_since=step.planned_at if step.applied_at is None else step.applied_at,
        restart=restart,
        last=step,
        compensating=work.compensating,
    )


def _released(work: Work, step: Step | None) -> Work:
    """Nothing is held back any more; a pod that is being taken away still is."""
    begun = work.restart is not None and bool(work.restart.steps)
    leans = step is not None and (
        step.purpose is Purpose.Rebalance or (step.purpose is Purpose.Ramp and work.compensating)
    )
    return Work(restart=work.restart if begun else None, last=step, compensating=leans)


def _with(work: Work, **changes: object) -> Work:
    fields = {name: getattr(work, name) for name in work.__struct_fields__}
    return Work(**{**fields, **changes})


def is_ours(snapshot: Snapshot, work: Work) -> bool:
    """Whether the weights commanded now are the ones we wrote last."""
    if work.last is not None:
        return work.last.after == {name: backend.weight for name, backend in snapshot.backends.items()}
    return snapshot.last_write is not None and snapshot.last_write.manager == FIELD_MANAGER


def told_change(snapshot: Snapshot, work: Work) -> float | None:
    """When the cluster says that the weights changed: whoever wrote them, or our own last step."""
    times = [snapshot.last_write.time] if snapshot.last_write is not None else []
    if work.last is not None and work.last.applied_at is not None:
        times.append(work.last.applied_at)
    return max((time for time in times if time <= snapshot.time), default=None)
