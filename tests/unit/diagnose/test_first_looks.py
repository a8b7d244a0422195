"""Nothing is called healthy before a fault that was there all along could have been confirmed."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.diagnosis import LOOKS
from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase
from evenload.model.plan import Freeze
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.record.events import Chronicle
from tests.unit.engine.build import NOW, later, snapshot, steps, write_of
from tests.unit.engine.plant import spec

BEFORE = RouteWrite(manager="kubectl-patch", time=NOW - 900)


def outage(seed: int) -> Snapshot:
    """Anything that one window shows and that is no matter of chance: skew, failing or slow pods."""
    dice = np.random.default_rng(seed)
    kind, much = seed % 3, float(dice.uniform(2, 6))
    if kind == 0:
        hot = {"a-0": {"requests": 240.0 * much, "errors": 240.0 * (much - 1)}}
        return snapshot(hot, weights={"a": round(100 * much)}, last_write=BEFORE)
    if kind == 1:
        return snapshot({"a-0": {"errors": float(dice.uniform(40, 240))}})
    return snapshot({"a-0": {"latency": 0.02 * much}})


def ticks(engine: Engine, sight: Snapshot, count: int, seconds: float = 10.0) -> list[Decision]:
    return [engine.step(later(sight, seconds * number)) for number in range(count)]


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("blind_seconds", [None, 60.0, 300.0])
@pytest.mark.parametrize("seconds", [2.5, 5.0, 10.0])
def test_an_outage_is_never_called_healthy_after_a_start_or_a_blind_spell(
    seed: int, blind_seconds: float | None, seconds: float
) -> None:
    engine, start = Engine(spec()), 0.0
    if blind_seconds is not None:
        steps(engine, snapshot(last_write=BEFORE), 10, 10.0)
        start = 90.0 + blind_seconds
    decisions = ticks(engine, later(outage(seed), start), round(40 / seconds) + 1, seconds)
    labels = [decision.diagnosis.label for decision in decisions]
    assert Label.Healthy not in labels
    assert labels[-1] is not Label.NoData
    assert all(decision.balanced is not True for decision in decisions)


def test_what_is_well_is_unknown_until_the_look_that_could_have_confirmed_a_fault() -> None:
    decisions = ticks(Engine(spec()), snapshot(), LOOKS)
    *early, last = decisions
    assert len(early) == 2
    assert [decision.diagnosis.early for decision in early] == [True, True]
    assert all(decision.balanced is None and not decision.settled for decision in early)
    assert early[0].diagnosis.sentence.startswith("too early to tell: only 1 of the 3 looks")
    assert (last.diagnosis.label, last.balanced) == (Label.Healthy, True)


def test_a_missed_tick_or_two_is_no_blind_spell() -> None:
    engine = Engine(spec())
    steps(engine, snapshot(), 5, 10.0)
    assert engine.step(later(snapshot(), 70.0)).diagnosis.label is Label.Healthy


def test_the_past_that_a_warm_start_shows_counts() -> None:
    engine = Engine(spec())
    steps(engine, later(snapshot(), -100.0), 10, 10.0)
    assert engine.step(snapshot()).diagnosis.label is Label.Healthy


def test_nothing_is_written_closed_or_told_while_it_is_too_early() -> None:
    rem = Episode(name="rem", opened_at=NOW - 60, label=Label.Failing, phase=Phase.Verifying)
    engine, chronicle = Engine(spec()), Chronicle()
    for decision in ticks(engine, snapshot(episode=rem), LOOKS - 1):
        assert write_of(decision) is None
        assert decision.episode is EpisodeMove.Stay
        assert all(isinstance(action, Freeze) for action in decision.actions)
        assert chronicle.happenings(snapshot(episode=rem), decision) == ()


def test_an_engine_of_a_changed_spec_does_not_report_signals_as_lost() -> None:
    chronicle = Chronicle()
    chronicle.happenings(snapshot(), steps(Engine(spec()), snapshot(), LOOKS))
    assert chronicle.happenings(snapshot(), Engine(spec()).step(snapshot())) == ()
