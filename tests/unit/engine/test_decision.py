"""What a Decision says beside its actions: numbers, states, and one sentence."""

from __future__ import annotations

import math

import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase
from evenload.model.plan import SetWeights
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Mode
from tests.unit.engine.build import NOW, snapshot, steps, write_of
from tests.unit.engine.plant import spec

BLIND = snapshot({f"{n}-0": {"requests": None} for n in "abcd"})
SKEWED = snapshot(
    {"a-0": {"requests": 930.0, "cpu": 0.1}, **{f"{n}-0": {"requests": 10.0, "cpu": 0.01} for n in "bcd"}},
    weights={"a": 9000},
)


def last(sight: Snapshot, count: int = 3, mode: Mode = Mode.Auto) -> Decision:
    return steps(Engine(spec(mode=mode)), sight, count)


def test_a_healthy_tick_tells_its_numbers_and_what_each_backend_gets() -> None:
    decision = last(snapshot({"a-0": {"requests": 300.0, "errors": 10.0}}))
    assert (decision.diagnosis.label, decision.balanced) == (Label.Healthy, True)
    assert decision.requests_per_second == 68.0
    assert decision.error_ratio == pytest.approx(10 / 1020)
    assert decision.worst_ratio == pytest.approx(4 * 300 / 1020)
    assert decision.shares["a"] == pytest.approx(300 / 1020)
    assert decision.targets == dict.fromkeys("abcd", 0.25)
    assert decision.sentence == decision.diagnosis.sentence


def test_what_cannot_be_told_is_not_told_as_a_number() -> None:
    decision = last(BLIND)
    assert (decision.balanced, decision.settled) == (None, False)
    assert (decision.error_ratio, decision.requests_per_second, decision.worst_ratio) == (None, None, None)
    assert decision.shares == {}
    assert decision.targets == dict.fromkeys("abcd", 0.25)


@pytest.mark.parametrize(("ticks", "settled"), [(2, False), (3, True)])
def test_weights_are_worth_remembering_after_three_calm_ticks(ticks: int, settled: bool) -> None:
    assert last(snapshot(), ticks).settled is settled


def test_not_while_a_backend_is_empty() -> None:
    assert not last(snapshot({"a-0": {"ready": False, "requests": 0.0}}, weights={"a": 0}), 5).settled


def test_a_fault_that_is_mended_opens_an_episode_and_says_what_is_done() -> None:
    decision = last(SKEWED)
    write = write_of(decision)
    assert isinstance(write, SetWeights)
    assert (decision.episode, decision.phase, decision.balanced) == (EpisodeMove.Open, Phase.Executing, False)
    assert decision.sentence == write.because


def test_what_is_held_back_is_said_with_its_reason() -> None:
    decision = last(SKEWED, mode=Mode.Observe)
    assert write_of(decision) is None
    assert (decision.episode, decision.phase) == (EpisodeMove.Open, Phase.Observed)
    held = decision.held[0]
    assert decision.sentence == f"{held.action.because}: held back (ObserveMode), the mode is Observe"


def test_without_an_episode_there_is_no_phase_and_nobody_is_marked() -> None:
    decision = last(snapshot())
    assert (decision.episode, decision.phase, decision.overloaded_pods) == (EpisodeMove.Stay, None, {})


def test_an_episode_that_ended_in_calm_closes_after_three_ticks() -> None:
    episode = Episode(name="r", opened_at=NOW - 60, label=Label.Failing, phase=Phase.Verifying)
    sight = snapshot(episode=episode)
    assert last(sight, 2).episode is EpisodeMove.Stay
    closing = last(sight, 3)
    assert (closing.episode, closing.phase) == (EpisodeMove.Close, Phase.Expired)  # nothing was ever written


def test_a_share_that_is_unknown_is_left_out() -> None:
    silent = last(snapshot({f"{n}-0": {"requests": 0.0} for n in "abcd"}))
    assert silent.shares == {}
    assert not any(math.isnan(value) for value in silent.targets.values())
