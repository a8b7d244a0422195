"""A leak's restart waits for the quietest time that is left; where nobody knows it, for the last half hour."""

from __future__ import annotations

import functools

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.plan import Advise, Drain
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Restart, RestartWhen
from tests.unit.engine.build import NOW, later, snapshot, write_of
from tests.unit.engine.plant import spec

LIMIT = 250e6
MINUTE = 60.0
DAY = 86_400.0
PART = 900.0
LEAK_A_MINUTE = 0.006  # of the limit: from 30% it is full after 116 minutes
BEGIN = (NOW // PART + 1) * PART  # of the leak
QUIET = BEGIN + 5 * PART  # half the traffic, for a quarter of an hour


def sight(time: float) -> Snapshot:
    quiet = 0 <= (time - QUIET) % DAY < PART
    leaked = LEAK_A_MINUTE * max(0.0, time - BEGIN) / MINUTE
    change: dict[str, dict[str, object]] = {f"{name}-0": {"requests": 120.0 if quiet else 240.0} for name in "abcd"}
    change["b-0"]["memory"] = LIMIT * (0.3 + leaked)
    return later(snapshot(change), time - NOW)


def lived(engine: Engine, begin: float, end: float, tick: float) -> list[Decision]:
    return [engine.step(sight(begin + tick * number)) for number in range(int((end - begin) / tick))]


@functools.cache
def leaking(*, yesterday: bool, restart: RestartWhen = RestartWhen.Allowed) -> list[Decision]:
    """The two hours until it is full, and maybe the day before."""
    engine = Engine(spec(restart=Restart(when=restart)))
    if yesterday:
        lived(engine, BEGIN - DAY, BEGIN, 120.0)
    return lived(engine, BEGIN, BEGIN + 115 * MINUTE, 30.0)


def drained_at(decisions: list[Decision]) -> float:
    return next(decision.time for decision in decisions if isinstance(write_of(decision), Drain))


def told(decisions: list[Decision]) -> set[str]:
    return {
        action.because.rpartition("; ")[2]
        for decision in decisions
        for action in decision.actions
        if isinstance(action, Advise) and action.topic == "MemoryLeak"
    }


def test_it_waits_for_the_quiet_quarter_of_an_hour_that_yesterday_showed() -> None:
    at = drained_at(leaking(yesterday=True))
    assert QUIET <= at < QUIET + PART
    (planned,) = {line for line in told(leaking(yesterday=True)) if "planned" in line}
    assert planned == "the restart is planned for about 10:15 UTC, the quietest time before it is full"


def test_without_a_yesterday_it_waits_for_the_last_half_hour() -> None:
    minutes = (drained_at(leaking(yesterday=False)) - BEGIN) / MINUTE
    assert 80 < minutes < 95
    assert not any("quietest" in line for line in told(leaking(yesterday=False)))


def test_without_leave_to_restart_people_are_told_when_to() -> None:
    decisions = leaking(yesterday=True, restart=RestartWhen.OnlyAfterOverload)
    assert not any(isinstance(write_of(decision), Drain) for decision in decisions)
    assert "restart it for about" not in str(told(decisions))
    assert any(line.startswith("restart it at about") for line in told(decisions))


def test_the_forecast_names_the_quietest_time_until_it_has_come() -> None:
    known = [(one.time, one.out_of_memory) for one in leaking(yesterday=True) if one.out_of_memory is not None]
    assert {forecast.quietest_at for time, forecast in known if time < QUIET} == {QUIET}
    assert all(forecast.quietest_at is None for time, forecast in known if QUIET <= time < QUIET + PART)


def test_the_forecast_is_told_with_its_pod() -> None:
    known = [decision.out_of_memory for decision in leaking(yesterday=False)]
    forecast = next(one for one in known if one is not None)
    assert forecast.subject == "b-0"
    assert forecast.soonest <= forecast.seconds
    assert forecast.latest is None or forecast.latest >= forecast.seconds
