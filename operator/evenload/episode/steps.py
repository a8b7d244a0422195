"""The steps of an episode: each is planned before its write, put into the record, found again and judged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from msgspec.structs import asdict, replace

from evenload.episode.transitions import judged
from evenload.model.decision import Decision, Verdict
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.plan import Isolate, RestartPod, Write

MOST_STEPS = 128  # of the CRD; a law that writes every tick gets there in twenty minutes

_SETTLED = frozenset({StepState.Verified, StepState.Abandoned, StepState.Reverted})
_NOT_OF_A_STEP = frozenset({"because", "step"})


def opened(name: str, decision: Decision) -> Episode:
    """The episode that `decision` opens."""
    return Episode(
        name=name,
        opened_at=decision.time,
        label=decision.diagnosis.label,
        phase=decision.phase or Phase.Observed,
    )


def progressed(episode: Episode, decision: Decision) -> Episode:
    """The episode after `decision`: its verdicts, its phase, the pods it found overloaded."""
    return replace(
        episode,
        steps=judge(episode.steps, decision.verdicts, decision.time),
        phase=decision.phase or episode.phase,
        overloaded_pods=decision.overloaded_pods or episode.overloaded_pods,
    )


def judge(steps: tuple[Step, ...], verdicts: Iterable[Verdict], at: float) -> tuple[Step, ...]:
    """The steps after these verdicts; one about a step that is not there says nothing."""
    for verdict in verdicts:
        steps = tuple(judged(step, verdict, at) if step.name == verdict.step else step for step in steps)
    return steps


def planned(steps: tuple[Step, ...], write: Write, decision: Decision, at: float) -> Step:
    """The record of a new step, named uniquely: "3-restore" is the third of its episode."""
    ordinal = 1 + max((_ordinal(step.name) for step in steps), default=0)
    match write:
        case Isolate():
            what = "isolate"
        case RestartPod():
            what = "restart"
        case _:
            what = write.purpose.lower()
    details = {name: value for name, value in asdict(write).items() if name not in _NOT_OF_A_STEP}
    return Step(
        name=f"{ordinal}-{what}",
        action=type(write).__name__,  # type: ignore[arg-type]  # the classes are the words
        state=StepState.Planned,
        planned_at=at,
        error_ratio=decision.error_ratio,
        requests_per_second=decision.requests_per_second,
        message=write.because,
        **details,
    )


def _ordinal(name: str) -> int:
    found = re.match(r"\d+", name)
    return int(found.group()) if found else 0


def again(step: Step) -> Write:
    """The write of a stored step, naming it: the inverse of `planned`."""
    kind: type[Write] = next(kind for kind in get_args(Write) if kind.__name__ == step.action)
    known = {name: getattr(step, name) for name in kind.__struct_fields__ if name not in _NOT_OF_A_STEP}
    return kind(**known, because=step.message, step=step.name)


def find(steps: Iterable[Step], name: str | None) -> Step | None:
    """The step of this name."""
    return next((step for step in steps if step.name == name), None)


def put(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """The steps with `step` in the place of the one of its name, or as the newest."""
    if find(steps, step.name) is None:
        return (*_room(steps), step)
    return tuple(step if known.name == step.name else known for known in steps)


def _room(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Where the list is full, the oldest settled weight change makes room; the first stays, its `before` undoes all."""
    if len(steps) < MOST_STEPS:
        return steps
    settled = (step for step in steps[1:] if step.action == "SetWeights" and step.state in _SETTLED)
    victim = next(settled, steps[1])
    return tuple(step for step in steps if step is not victim)
