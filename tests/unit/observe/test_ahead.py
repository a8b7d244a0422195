"""A clock that was set back: what was stamped before still counts, for its own length and no longer."""

from __future__ import annotations

import msgspec
import pytest

from evenload.episode import pauses
from evenload.govern import budget
from evenload.model.diagnosis import Label
from evenload.model.episode import Disruption, Episode, Phase, Step, StepState
from evenload.model.plan import Purpose
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.observe.ahead import LEAP_SECONDS, Ahead
from tests.unit.engine.build import NOW, later, snapshot
from tests.unit.engine.plant import spec
from tests.unit.govern.test_guards import case, drain, drained, restart, weights

JUMP = 30 * 24 * 3600.0  # the clock was a month ahead, and is right again
TICK = 10.0


def restarted(time: float) -> Disruption:
    return Disruption(time=time, kind="Restart", pod="b-0", workload="Deployment/b")


def step(time: float, **changes: object) -> Step:
    known: dict[str, object] = {
        "name": "1-restore",
        "action": "SetWeights",
        "state": StepState.Applied,
        "purpose": Purpose.Restore,
        "planned_at": time,
        "applied_at": time + 0.2,
        "before": {"a": 1},
        "after": {"a": 2},
        **changes,
    }
    return Step(**known)  # type: ignore[arg-type]


def episode(*steps: Step, opened_at: float = NOW) -> Episode:
    return Episode(name="r", opened_at=opened_at, label=Label.Failing, phase=Phase.Executing, steps=steps)


def seen_after(ahead: Ahead, known: Snapshot, seconds: float) -> Snapshot:
    """What it makes of the same sight, looked at every tick for so long."""
    settled = ahead.settled(known)
    for tick in range(1, round(seconds / TICK) + 1):
        settled = ahead.settled(later(known, tick * TICK))
    return settled


def test_what_lies_behind_is_left_as_it_is() -> None:
    known = snapshot(
        last_write=RouteWrite(manager="helm", time=NOW - 5), episode=episode(step(NOW - 60)), ledger=(restarted(NOW),)
    )
    assert Ahead().settled(known) is known


def test_every_time_that_lies_ahead_is_the_time_it_was_first_seen() -> None:
    tomorrow = NOW + 86_400
    known = snapshot(
        last_write=RouteWrite(manager="helm", time=tomorrow),
        episode=episode(step(tomorrow, judged_at=tomorrow, refused_since=tomorrow), opened_at=tomorrow),
        ledger=(restarted(tomorrow), restarted(NOW - 60)),
    )
    settled = seen_after(Ahead(), known, 50)
    assert settled.last_write == RouteWrite(manager="helm", time=NOW)
    assert settled.episode == episode(step(NOW, applied_at=NOW, judged_at=NOW, refused_since=NOW), opened_at=NOW)
    assert settled.ledger == (restarted(NOW), restarted(NOW - 60))


def test_it_stays_that_time_when_the_clock_comes_past_it() -> None:
    known = snapshot(ledger=(restarted(NOW + 95),))
    assert seen_after(Ahead(), known, 200).ledger == (restarted(NOW),)


def test_a_clock_that_is_set_back_twice_begins_anew() -> None:
    ahead = Ahead()
    known = snapshot(ledger=(restarted(NOW + 100),))
    ahead.settled(known)
    assert ahead.settled(later(known, -500)).ledger == (restarted(NOW - 500),)


def test_a_clock_that_is_set_right_again_is_believed() -> None:
    ahead = Ahead()
    known = snapshot(ledger=(restarted(NOW + 300),))
    ahead.settled(known)
    right = later(known, 300 + LEAP_SECONDS)
    assert ahead.settled(right) is right


def test_what_is_no_longer_told_is_forgotten() -> None:
    ahead = Ahead()
    ahead.settled(snapshot(ledger=(restarted(NOW + 20),)))
    ahead.settled(snapshot())
    again = later(snapshot(ledger=(restarted(NOW + 20),)), 30)
    assert ahead.settled(again) is again


# --- what budgets make of it


def test_a_restart_from_before_the_jump_uses_up_its_hour_and_no_more() -> None:
    known = msgspec.structs.replace(drained(), ledger=tuple(restarted(NOW + JUMP + at) for at in range(10)))
    ahead, policy = Ahead(), case(balancer=spec()).policy
    assert policy.restarts_per_hour <= 10
    held = budget.restarts_per_hour(case(ahead.settled(known)), restart("c"))
    assert held is not None
    assert held.until == NOW + budget.HOUR
    assert budget.restarts_per_hour(case(seen_after(ahead, known, budget.HOUR - TICK)), restart("c")) is not None
    free = seen_after(Ahead(), known, budget.HOUR)
    assert budget.restarts_per_hour(case(free), restart("c")) is None


def test_a_cool_down_lasts_its_own_length_from_the_jump() -> None:
    known = snapshot(ledger=(restarted(NOW + JUMP),))
    seconds = case().policy.pod_cooldown_seconds
    held = budget.cool_down(case(Ahead().settled(known)), drain())
    assert held is not None
    assert held.until == NOW + seconds
    assert budget.cool_down(case(seen_after(Ahead(), known, seconds)), drain()) is None


@pytest.mark.parametrize(
    ("kind", "guard", "seconds"),
    [
        ("Revert", budget.frozen_after_revert, pauses.FREEZE_SECONDS),
        ("Denied", budget.denied, pauses.DENIED_SECONDS),
        ("Contested", budget.contested, budget.CONTESTED_SECONDS),
    ],
)
def test_a_freeze_lasts_its_own_length_from_the_jump(kind: str, guard: object, seconds: float) -> None:
    assert callable(guard)
    entry = Disruption(time=NOW + JUMP, kind=kind, label=Label.Failing)  # type: ignore[arg-type]
    known = snapshot(ledger=(entry,))
    assert guard(case(seen_after(Ahead(), known, seconds - TICK)), weights()) is not None
    assert guard(case(seen_after(Ahead(), known, seconds)), weights()) is None


def test_the_next_write_waits_for_the_interval_and_not_for_the_jump() -> None:
    known = snapshot(episode=episode(step(NOW + 3600)))
    seconds = case().policy.min_write_interval_seconds
    held = budget.write_interval(case(Ahead().settled(known)), weights())
    assert held is not None
    assert held.until == NOW + seconds
    assert budget.write_interval(case(seen_after(Ahead(), known, max(seconds, TICK))), weights()) is None
