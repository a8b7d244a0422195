"""The incident Evenload was born from, in a closed loop: found, mended by weights, one gentle restart, closed."""

from __future__ import annotations

import io

import pytest

from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights
from evenload.record.flight import Flight, unpack
from evenload.recording import Header, Recording, decision_line, read, write
from evenload.replay import replay
from evenload.simulate.loop import CrashPoint, Operator
from evenload.simulate.score import failed_alone
from evenload.simulate.world import PEOPLE, START
from tests.scenarios.stage import calm_run, first_seen, mitigated, onset, operate, trial

SEEDS = (1, 2, 3, 4, 5)
FIRST_RECORDED = 10  # ticks: from there on to the fault the recorder keeps all
ENOUGH = 390.0  # run seconds: two hundred after the fault


@pytest.mark.parametrize("seed", SEEDS)
class TestThePostmortem:
    def test_is_found_within_twenty_seconds(self, seed: int) -> None:
        seen = first_seen(calm_run("postmortem", 4, seed), Label.LoadBalancerSkew)
        assert seen is not None
        assert 0 < seen - onset(trial("postmortem", 4, seed)) <= 20

    def test_is_told_as_wrong_weights_with_the_name_of_the_writer(self, seed: int) -> None:
        run = calm_run("postmortem", 4, seed)
        first = next(t for t in run.ticks if t.decision.diagnosis.label is Label.LoadBalancerSkew)
        assert first.decision.diagnosis.cause is SkewCause.WeightsWrong
        assert first.decision.diagnosis.manager == PEOPLE

    def test_is_mitigated_within_forty_five_seconds(self, seed: int) -> None:
        run = calm_run("postmortem", 4, seed)
        assert mitigated(run) - onset(trial("postmortem", 4, seed)) <= 45

    def test_takes_exactly_one_restart_after_weights_and_drain(self, seed: int) -> None:
        run = calm_run("postmortem", 4, seed)
        kinds = [type(write) for _, write in run.writes]
        assert kinds.count(RestartPod) == 1
        assert kinds[0] is SetWeights
        assert Drain in kinds[: kinds.index(RestartPod)]
        assert all(
            w.purpose is Purpose.Ramp for _, w in run.writes[kinds.index(RestartPod) + 1 :] if hasattr(w, "purpose")
        )

    def test_is_resolved_within_a_hundred_and_fifty_seconds(self, seed: int) -> None:
        run = calm_run("postmortem", 4, seed)
        assert [episode.phase for episode in run.episodes] == [Phase.Succeeded]
        closed = next(tick.time for tick in run.ticks if tick.decision.phase is Phase.Succeeded)
        assert closed - START - onset(trial("postmortem", 4, seed)) <= 150
        assert len(set(run.ticks[-1].weights.values())) == 1
        assert run.ticks[-1].sick == 0

    def test_costs_a_fifth_of_the_requests_it_costs_when_left_alone(self, seed: int) -> None:
        run = calm_run("postmortem", 4, seed)
        assert run.ticks[-1].failed < failed_alone(trial("postmortem", 4, seed)) / 5

    def test_breaks_no_rule(self, seed: int) -> None:
        assert calm_run("postmortem", 4, seed).faults == []


def _ended_well(operator: Operator) -> None:
    run = operator.run
    assert run.faults == []
    assert len(run.restarts()) == 1
    assert run.ticks[-1].sick == 0
    assert len(set(run.ticks[-1].weights.values())) == 1
    assert [episode.phase for episode in run.episodes] == [Phase.Succeeded]
    unfinished = {StepState.Planned, StepState.Applied}
    assert not any(step.state in unfinished for step in run.episodes[0].steps)


@pytest.mark.parametrize("ordinal", range(34, 70))
def test_an_operator_that_loses_its_memory_at_any_tick_ends_well_and_doubles_nothing(ordinal: int) -> None:
    def forget(operator: Operator, tick: int) -> None:
        if tick == ordinal:
            operator.forget()

    _ended_well(operate(trial("postmortem"), forget, duration=ENOUGH))


def test_an_operator_that_loses_its_memory_at_every_tick_breaks_no_rule() -> None:
    def forget(operator: Operator, tick: int) -> None:
        operator.forget()

    operator = operate(trial("postmortem"), forget)
    assert operator.run.faults == []
    assert len(operator.run.restarts()) <= 1


@pytest.mark.parametrize("point", CrashPoint)
@pytest.mark.parametrize("ordinal", range(len(calm_run("postmortem", 4, 1).writes)))
def test_an_operator_that_dies_around_any_write_ends_well_and_doubles_nothing(point: CrashPoint, ordinal: int) -> None:
    def arm(operator: Operator, tick: int) -> None:
        operator.crashes = {ordinal: point}

    _ended_well(operate(trial("postmortem"), arm, duration=ENOUGH))


MANIFEST = {"kind": "Balancer", "spec": {"targetRef": {"name": "shop"}, "mode": "Auto"}}


def test_the_flight_recording_of_an_episode_replays_to_the_decisions_that_were_made() -> None:
    def begin(operator: Operator, tick: int) -> None:
        if tick == FIRST_RECORDED:
            operator.forget()  # an operator that starts now: its engine and its recorder begin together

    run = operate(trial("postmortem"), begin, keep_snapshots=True).run
    last = max(at for at, snapshot in enumerate(run.snapshots) if snapshot.episode is not None)
    flight = Flight()
    for snapshot in run.snapshots[FIRST_RECORDED : last + 1]:
        flight.record(snapshot)
    again = [decision_line(decision) for decision in replay(read(unpack(flight.pack(MANIFEST, 5))))]
    assert again == [decision_line(tick.decision) for tick in run.ticks[FIRST_RECORDED : last + 1]]
    assert any(b'"RestartPod"' in line for line in again)


def test_a_run_replays_to_the_same_bytes() -> None:
    played = trial("postmortem")
    run = operate(played, keep_snapshots=True).run
    file = io.BytesIO()
    write(Recording(header=Header.of(MANIFEST, 5), snapshots=run.snapshots), file)
    decided = [decision_line(tick.decision) for tick in run.ticks]
    assert [decision_line(decision) for decision in replay(read(io.BytesIO(file.getvalue())))] == decided
