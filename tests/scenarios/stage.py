"""Runs of the closed loop for tests: a scenario, something done to it on the way, and what is looked at afterwards."""

from __future__ import annotations

import functools
from collections.abc import Callable

from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.spec import Mode
from evenload.simulate.loop import Operator, Run
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import ticks
from evenload.simulate.world import START, Trial

Interference = Callable[[Operator, int], None]


def trial(name: str, size: int = 4, seed: int = 1) -> Trial:
    return BY_NAME[name].trial(size, seed)


def operate(
    played: Trial,
    interfere: Interference = lambda operator, tick: None,
    *,
    max_mode: Mode = Mode.Auto,
    duration: float | None = None,
    keep_snapshots: bool = False,
) -> Operator:
    """The operator after the run; `interfere` is called before each of its ticks, with the tick's ordinal."""
    operator = Operator(
        played.spec, played.plant, window_seconds=played.window, max_mode=max_mode, keep_snapshots=keep_snapshots
    )
    for ordinal, now in enumerate(ticks(played)):
        if duration is not None and now > duration:
            break
        interfere(operator, ordinal)
        operator.tick()
    return operator


@functools.cache
def calm_run(name: str, size: int, seed: int) -> Run:
    """A run nobody interferes with, played once for all tests that look at it."""
    return operate(trial(name, size, seed)).run


def onset(played: Trial) -> float:
    """Run seconds of the first fault."""
    return min(time for time, _ in played.events)


def first_seen(run: Run, label: Label) -> float | None:
    """Run seconds at which it was first the primary diagnosis."""
    return next((time - START for time, given in run.labels() if given is label), None)


def mitigated(run: Run, threshold: float = 0.01) -> float:
    """Run seconds from which on fewer than this share of each tick's requests failed, for good."""
    at = 0.0
    for before, after in zip(run.ticks, run.ticks[1:], strict=False):
        if after.failed - before.failed > threshold * (after.arrived - before.arrived):
            at = after.time - START
    return at


def held_reasons(run: Run) -> set[HeldReason]:
    return {held.reason for tick in run.ticks for held in tick.decision.held}
