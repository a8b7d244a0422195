"""Mishaps in any order, an operator that dies anywhere: whatever is diagnosed, the rules that always hold are kept."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.episode import StepState
from evenload.simulate.loop import CrashPoint, Operator
from tests.scenarios.stage import operate, trial

RUNS = tuple((size, seed) for size in (2, 4, 10) for seed in (1, 2, 3))
WRITES = 60  # more than any of these runs makes


@pytest.mark.parametrize(("size", "seed"), RUNS)
def test_no_rule_is_broken_whatever_happens(size: int, seed: int) -> None:
    rng = np.random.default_rng([size, seed])
    crashes = {
        ordinal: CrashPoint.BeforeWrite if rng.random() < 0.5 else CrashPoint.AfterWrite
        for ordinal in range(WRITES)
        if rng.random() < 0.2
    }

    def hurt(operator: Operator, tick: int) -> None:
        operator.crashes = crashes
        if rng.random() < 0.03:
            operator.forget()

    run = operate(trial("chaos", size, seed), hurt).run
    assert run.faults == []
    assert len(run.restarts()) == len({restart.uid for _, restart in run.restarts()})
    assert not any(step.state is StepState.Planned for episode in run.episodes for step in episode.steps)
