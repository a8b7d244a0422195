"""Deeds a trial asks for: judges that do nothing, or the wrong thing, are seen to owe them."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights, Write
from evenload.model.snapshot import Snapshot
from evenload.simulate.loop import Operator, Run
from evenload.simulate.score import ticks
from evenload.simulate.trials_owed import leaking, own_harm
from evenload.simulate.world import START, Trial, World


class Idle:
    """Sees everything and does nothing."""

    def step(self, snapshot: Snapshot) -> Decision:
        return Decision(time=snapshot.time, diagnosis=Diagnosis(label=Label.Healthy))


def leak() -> Trial:
    return leaking(0.01)(World(np.random.default_rng(3), 3))


def harm() -> Trial:
    return own_harm(World(np.random.default_rng(3), 3))


def weights(purpose: Purpose) -> SetWeights:
    return SetWeights(before={"a": 1}, after={"a": 2}, purpose=purpose, because="told to")


def restart(pod: str) -> RestartPod:
    return RestartPod(backend="a", pod=pod, uid=f"uid-{pod}", workload="Deployment/a", because="it leaks")


def drain(pod: str) -> Drain:
    return Drain(before={"a": 1}, after={"a": 0}, backend="a", pod=pod, uid=f"uid-{pod}", because="it leaks")


def test_a_leak_that_nobody_mends_runs_out_of_memory_and_is_owed() -> None:
    played = leak()
    operator = Operator(played.spec, played.plant, window_seconds=30, judge=lambda spec: Idle())
    for _ in ticks(played):
        operator.tick()
    assert list(played.owed(operator.run)) == ["out of memory 1 times", "0 of 1 leaking pods restarted in time"]


@pytest.mark.parametrize(
    ("writes", "owed"),
    [
        ([(10.0, drain("x")), (20.0, restart("x"))], []),
        ([(20.0, restart("x"))], ["x restarted without a drain"]),
        ([(10.0, drain("y")), (20.0, restart("x"))], ["x restarted without a drain"]),
    ],
)
def test_a_leaking_pod_is_to_be_drained_before_it_is_restarted(
    writes: list[tuple[float, Write]], owed: list[str]
) -> None:
    assert list(leak().owed(Run(writes=writes))) == owed


@pytest.mark.parametrize(
    ("times", "owed"),
    [
        ([], ["no write at all"]),
        ([200.0], ["the harmful write of second 200 not taken back within 70 s"]),
        ([200.0, 280.0], ["the harmful write of second 200 not taken back within 70 s"]),
        ([200.0, 260.0], []),
    ],
)
def test_harm_of_our_own_is_to_be_taken_back_within_three_ticks_of_seeing_it(
    times: list[float], owed: list[str]
) -> None:
    writes: list[tuple[float, Write]] = [(START + time, weights(Purpose.Rebalance)) for time in times]
    assert list(harm().owed(Run(writes=writes))) == owed
