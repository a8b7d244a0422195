"""The engine at rest in a simulated world with all its noise: what it tells costs nothing."""

from __future__ import annotations

import pytest

from evenload.api.v1alpha1 import BalancerStatus
from evenload.model.policy import Policy
from evenload.model.spec import Mode
from evenload.record.conditions import Facts, status_of
from evenload.record.events import Chronicle
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import play

FIRST_TICKS = 20  # the first words, and the weights remembered as good


@pytest.mark.parametrize("size", [4, 10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_healthy_balancer_is_told_at_the_start_and_then_left_alone(size: int, seed: int) -> None:
    trial = BY_NAME["healthy"].trial(size, seed)
    run = play(trial, keep_snapshots=True)
    status, chronicle = BalancerStatus(), Chronicle()
    written: list[int] = []
    for at, (snapshot, tick) in enumerate(zip(run.snapshots, run.ticks, strict=True)):
        facts = Facts(
            time=snapshot.time,
            generation=1,
            mode=Mode.Auto,
            subject="HTTPRoute shop",
            snapshot=snapshot,
            decision=tick.decision,
            policy=Policy.of(trial.spec),
        )
        told = status_of(status, facts)
        if told != status:
            written.append(at)
        status = told
        assert chronicle.happenings(snapshot, tick.decision) == ()
    assert [at for at in written if at > FIRST_TICKS] == []
    assert len(written) <= 6
    assert status.forecasts == ()
    assert status.known_good is not None
