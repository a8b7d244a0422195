"""What is not even begun in bad times, and what that was begun goes on."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import Label
from evenload.model.plan import Purpose, RestartPod, Write
from evenload.plan.strategy import plan
from tests.unit.engine.build import snapshot
from tests.unit.plan.scenes import EVEN, episode, scene, step

DRAINED = {**EVEN, "a": 0}
DRAIN = step(Purpose.Drain, EVEN, DRAINED, 60.0, backend="a", pod="a-0", uid="uid-a-0")


def writes(label: Label) -> tuple[Write, ...]:
    """Planned a minute after `a-0` was drained, with nothing in flight to it."""
    sight = snapshot({"a-0": {"in_flight": 0.0}}, weights=DRAINED, episode=episode(DRAIN))
    return plan(scene(sight, label)).writes


@pytest.mark.parametrize("label", [Label.RolloutInProgress, Label.Dependency, Label.TrafficStopped])
def test_a_restart_that_was_begun_is_planned_on_in_bad_times_for_the_governor_to_decide(label: Label) -> None:
    assert [type(write) for write in writes(label)] == [RestartPod]


def test_without_data_not_even_what_was_begun_goes_on() -> None:
    assert writes(Label.NoData) == ()
