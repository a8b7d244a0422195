"""A Scene as the engine would make it, for one move at a time."""

from __future__ import annotations

import numpy as np

from evenload.episode.under_way import under_way
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.plan import Purpose
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.plan.law import Law
from evenload.plan.scene import Scene
from tests.unit.engine.build import NOW
from tests.unit.engine.plant import spec

EVEN = dict.fromkeys("abcd", 100)
EJECTED = {**EVEN, "a": 5}


def episode(*steps: Step, **changes: object) -> Episode:
    fields: dict[str, object] = {
        "name": "rem",
        "opened_at": NOW - 300,
        "label": Label.Failing,
        "phase": Phase.Executing,
        "steps": steps,
        **changes,
    }
    return Episode(**fields)  # type: ignore[arg-type]


def done(
    name: str, purpose: Purpose, before: dict[str, int], after: dict[str, int], ago: float = 60.0, **changes: object
) -> Step:
    """Applied some seconds ago."""
    fields: dict[str, object] = {
        "name": name,
        "action": "Drain" if purpose is Purpose.Drain else "SetWeights",
        "state": StepState.Applied,
        "planned_at": NOW - ago,
        "applied_at": NOW - ago,
        "purpose": purpose,
        "before": before,
        "after": after,
        **changes,
    }
    return Step(**fields)  # type: ignore[arg-type]


def step(purpose: Purpose, before: dict[str, int], after: dict[str, int], ago: float = 60.0, **changes: object) -> Step:
    """The same, named by what it is for."""
    return done(f"{purpose}-{ago:.0f}", purpose, before, after, ago, **changes)


def eviction(**changes: object) -> Step:
    fields: dict[str, object] = {
        "name": "restart",
        "action": "RestartPod",
        "state": StepState.Applied,
        "planned_at": NOW - 60,
        "applied_at": NOW - 60,
        "backend": "a",
        "pod": "a-0",
        "uid": "uid-a-0",
        "workload": "Deployment/a",
        **changes,
    }
    return Step(**fields)  # type: ignore[arg-type]


def scene(sight: Snapshot, diagnosis: Diagnosis | Label = Label.Failing, /, **changes: object) -> Scene:
    """Of what `sight` shows, with the plain policy of tests."""
    fleet = Fleet(sight)
    fields: dict[str, object] = {
        "snapshot": sight,
        "fleet": fleet,
        "policy": Policy.of(spec()),
        "diagnosis": Diagnosis(label=diagnosis, sentence="a-0 fails") if isinstance(diagnosis, Label) else diagnosis,
        "episode": sight.episode,
        "work": under_way(sight.episode),
        "resume": None,
        "harmful": None,
        "predict": lambda weights: np.full(len(fleet.backends), 0.4),
        "calm_ticks": 0,
        "clean": True,
        "law": Law(),
        "tick_seconds": 5.0,
        "overloaded": {},
        "usual": lambda time: None,
        **changes,
    }
    return Scene(**fields)  # type: ignore[arg-type]
