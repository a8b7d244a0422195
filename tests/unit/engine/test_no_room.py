"""The surge rule: nobody is restarted while more is asked than can be borne; capacity is added first."""

from __future__ import annotations

from evenload.engine import Engine
from evenload.model.decision import Decision, HeldReason
from evenload.model.diagnosis import Label
from evenload.model.plan import Advise, Drain
from evenload.model.snapshot import Snapshot
from tests.unit.engine.build import later, snapshot, write_of
from tests.unit.engine.plant import spec

SICK = {"errors": 100.0}


def loaded(traffic: float, use: float, **first: float) -> Snapshot:
    """`traffic` times the usual requests at this use of the CPU limit; `first` changes the first pod."""
    pods = {f"{n}-0": {"requests": 240.0 * traffic, "cpu": 0.25 * use} for n in "abcd"}
    return snapshot({**pods, "a-0": {**pods["a-0"], **first}})


def watch(engine: Engine, sight: Snapshot, start: int, seconds: int) -> list[Decision]:
    return [engine.step(later(sight, time)) for time in range(start, start + seconds, 5)]


def advised(decision: Decision) -> dict[str, str]:
    return {action.topic: action.because for action in decision.actions if isinstance(action, Advise)}


def test_a_pod_that_fails_in_a_surge_is_told_of_and_left_alone() -> None:
    engine = Engine(spec())
    watch(engine, loaded(1.0, 0.4), 0, 300)
    decisions = watch(engine, loaded(2.0, 0.8, **SICK), 300, 240)[3:]
    assert {decision.diagnosis.label for decision in decisions} == {Label.Surge}
    assert all(Label.Failing in decision.diagnosis.also for decision in decisions)
    assert all(write_of(decision) is None for decision in decisions)
    assert all("ScaleUp" in advised(decision) for decision in decisions)


def test_a_pod_that_others_cannot_stand_in_for_is_restarted_only_once_there_is_room() -> None:
    engine = Engine(spec())
    watch(engine, loaded(1.0, 0.75), 0, 120)
    held = watch(engine, loaded(1.0, 0.75, **SICK), 120, 120)[-1]
    assert held.diagnosis.label is Label.Failing
    assert write_of(held) is None
    assert {one.reason for one in held.held} == {HeldReason.Headroom}
    assert advised(held)["ScaleUp"].endswith("add capacity first")
    freed = Engine(spec())
    watch(freed, loaded(1.0, 0.4), 0, 120)
    ejected = watch(freed, loaded(1.0, 0.4, **SICK), 120, 120)
    assert any(write_of(decision) is not None for decision in ejected)
    assert isinstance(write_of(ejected[-1]), Drain)


def test_what_is_seen_while_traffic_begins_to_flow_is_no_cost_that_holds_a_restart() -> None:
    """CPU is of this moment, requests are of a window that was empty: each would seem to cost seven times as much."""
    engine = Engine(spec())
    for tick, traffic in enumerate((0.14, 0.42, 0.71, 1.0)):
        engine.step(later(loaded(traffic, 0.4), 5 * tick))
    decisions = watch(engine, loaded(1.0, 0.4, **SICK), 20, 60)
    assert any(decision.diagnosis.label is Label.Failing for decision in decisions)
    assert {held.reason for decision in decisions for held in decision.held} == set()
    assert any(write_of(decision) is not None for decision in decisions)
