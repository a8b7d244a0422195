"""What must not be done: the days on which an operator's best move is none."""

from __future__ import annotations

import pytest

from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.snapshot import Hold
from evenload.model.spec import Mode
from evenload.simulate.loop import Operator
from tests.scenarios.stage import calm_run, first_seen, held_reasons, operate, trial

SIZES = (4, 10, 40)
RUNS = ((4, 1), (4, 2), (10, 1), (10, 2), (40, 1))  # size, seed


@pytest.mark.parametrize(("size", "seed"), RUNS)
@pytest.mark.parametrize("name", ["healthy", "healthy-sparse", "healthy-unequal", "canary", "neutral-change"])
def test_nothing_is_written_and_no_episode_opened_while_all_is_well(name: str, size: int, seed: int) -> None:
    run = calm_run(name, size, seed)
    assert run.writes == []
    assert run.episodes == []
    assert run.faults == []


@pytest.mark.parametrize(("size", "seed"), RUNS)
@pytest.mark.parametrize("name", ["surge-1.8", "surge-3"])
def test_a_surge_is_called_one_and_nothing_is_written(name: str, size: int, seed: int) -> None:
    run = calm_run(name, size, seed)
    assert first_seen(run, Label.Surge) is not None
    assert run.writes == []


def test_a_server_near_its_limit_is_not_called_slow_for_its_queue() -> None:
    """In this run a surge lasts until it is usual, and one of forty servers has an eighth more to do."""
    run = calm_run("surge-1.8", 40, 22)
    assert run.writes == []
    assert Label.Slow not in {label for _, label in run.labels()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["stale", "missing-pods", "idle", "traffic-stops"])
def test_without_data_nothing_is_written(name: str, size: int) -> None:
    run = calm_run(name, size, 1)
    labels = {label for _, label in run.labels()}
    assert labels & {Label.NoData, Label.TrafficStopped}
    assert run.writes == []
    assert run.faults == []


def test_observing_holds_every_write_and_still_says_what_is_wrong() -> None:
    run = operate(trial("postmortem"), max_mode=Mode.Observe).run
    assert run.writes == []
    assert first_seen(run, Label.LoadBalancerSkew) is not None
    assert HeldReason.ObserveMode in held_reasons(run)


def test_a_pause_stops_writes() -> None:
    def pause(operator: Operator, tick: int) -> None:
        operator.plant.cluster.holds = [Hold(reason="Paused", detail="evenload.dev/paused on the Balancer")]

    run = operate(trial("postmortem"), pause).run
    assert run.writes == []
    assert HeldReason.Paused in held_reasons(run)
