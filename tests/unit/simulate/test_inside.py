"""Long-lived connections inside one Service: said with their cause, and nothing is done about them."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import SkewCause
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import play, score


@pytest.mark.parametrize(("size", "seed"), [(4, 1), (10, 2), (40, 3)])
def test_pods_that_stay_cold_after_a_scale_up_are_named_and_nothing_is_written(size: int, seed: int) -> None:
    told = score(BY_NAME["long-connections"], size, seed)
    assert (told.in_time, told.forbidden, told.owed) == (True, (), ())


def test_none_of_the_pods_that_carry_the_rest_is_blamed() -> None:
    run = play(BY_NAME["long-connections"].trial(10, 2))
    blamed = [tick.decision.diagnosis for tick in run.ticks if tick.decision.diagnosis.cause is SkewCause.NotReached]
    new = set(blamed[-1].pods)
    assert len(new) == 3
    assert all(set(diagnosis.pods) <= new for diagnosis in blamed)


@pytest.mark.parametrize(("size", "seed"), [(10, 0), (40, 1)])
def test_a_pod_that_drowns_in_its_connections_is_restarted_once_and_then_nobody_drowns(size: int, seed: int) -> None:
    told = score(BY_NAME["drowning-connections"], size, seed)
    assert (told.in_time, told.forbidden, told.owed, told.restarts) == (True, (), (), 1)
