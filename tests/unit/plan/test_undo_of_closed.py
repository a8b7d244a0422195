"""A person wants a closed Remediation taken back: one write, if all is as it left it, and what traffic makes of it."""

from __future__ import annotations

import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove, HeldReason
from evenload.model.episode import ApprovalDecision, Disruption, Episode, Phase, StepState, Undoing
from evenload.model.plan import Purpose, SetWeights
from evenload.model.snapshot import Hold, Snapshot
from evenload.model.spec import Mode
from tests.unit.engine.build import NOW, snapshot, steps, write_of
from tests.unit.engine.plant import spec
from tests.unit.plan.scenes import EVEN, done, episode

FOUND = {**EVEN, "a": 50}
WISH = Undoing(of="shop-1st", left=EVEN, found=FOUND)


def wished(*known: object, wish: Undoing = WISH, ago: float = 5.0) -> Episode:
    return episode(
        *known,  # type: ignore[arg-type]
        undoes=wish,
        opened_at=NOW - ago,
        approval=ApprovalDecision.Approved,
    )


def undone(state: StepState = StepState.Applied, ago: float = 5.0, **changes: object) -> object:
    return done("1-revert", Purpose.Revert, EVEN, FOUND, ago=ago, state=state, **changes)


def decided(sight: Snapshot, mode: Mode = Mode.Auto) -> Decision:
    return Engine(spec(mode=mode)).step(sight)


@pytest.mark.parametrize("mode", [Mode.Auto, Mode.Approve])
def test_the_weights_it_found_come_back_in_one_step(mode: Mode) -> None:
    write = write_of(decided(snapshot(episode=wished()), mode))
    assert isinstance(write, SetWeights)
    assert (write.before, write.after, write.purpose) == (EVEN, FOUND, Purpose.Revert)
    assert "a person asked for shop-1st to be undone" in write.because


def test_no_budget_stands_in_the_way() -> None:
    ledger = tuple(Disruption(time=NOW - 5, kind=kind) for kind in ("Revert", "Restart", "Denied"))
    assert write_of(decided(snapshot(episode=wished(), ledger=ledger))) is not None


def test_a_pause_and_the_mode_of_the_installation_do() -> None:
    paused = decided(snapshot(episode=wished(), holds=(Hold(reason="Paused"),)))
    assert [held.reason for held in paused.held] == [HeldReason.Paused]
    observing = decided(snapshot(episode=wished(), max_mode=Mode.Observe))
    assert [held.reason for held in observing.held] == [HeldReason.ObserveMode]
    assert (paused.episode, observing.episode) == (EpisodeMove.Stay, EpisodeMove.Stay)


@pytest.mark.parametrize(
    ("weights", "wish", "because"),
    [
        ({"a": 300}, WISH, "it left the weights 100/100/100/100, and they are 300/100/100/100 now"),
        ({"a": 50}, WISH, "the weights it found stand already"),
        ({}, Undoing(of="shop-1st", refusal="no weight change of it stands"), "no weight change of it stands"),
    ],
)
def test_where_things_are_no_longer_as_it_left_them_nothing_is_written_and_it_says_so(
    weights: dict[str, int], wish: Undoing, because: str
) -> None:
    decision = decided(snapshot(weights=weights, episode=wished(wish=wish)))
    assert write_of(decision) is None
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Expired)
    assert decision.sentence.startswith(f"shop-1st is not undone: {because}")


def test_a_wish_that_could_not_be_met_in_time_expires() -> None:
    decision = decided(snapshot(episode=wished(ago=700), holds=(Hold(reason="Paused"),)))
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Expired)


def test_a_write_that_did_not_land_is_made_again_as_the_same_step() -> None:
    planned = undone(StepState.Planned, applied_at=None)
    write = write_of(decided(snapshot(episode=wished(planned))))
    assert isinstance(write, SetWeights)
    assert (write.step, write.after) == ("1-revert", FOUND)


def test_an_eviction_or_anything_else_is_not_begun_while_it_is_judged() -> None:
    failing = {"b-0": {"errors": 200.0}}
    sight = snapshot(failing, weights={"a": 50}, episode=wished(undone()))
    decision = steps(Engine(spec()), sight, 4)
    assert write_of(decision) is None
    assert decision.held == ()
    assert "waiting for traffic to follow" in decision.sentence


def test_it_ends_well_when_traffic_followed() -> None:
    shifted = {"a-0": {"requests": 137.0}, **{f"{name}-0": {"requests": 274.0} for name in "bcd"}}
    sight = snapshot(shifted, weights={"a": 50}, episode=wished(undone(ago=60.0)))
    decision = steps(Engine(spec()), sight, 4)
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Succeeded)
    assert [verdict.state for verdict in decision.verdicts] == [StepState.Verified]


def test_it_ends_well_although_it_made_things_worse() -> None:
    """The person knew what it was like before."""
    worse = {"a-0": {"requests": 137.0, "errors": 90.0}, **{f"{name}-0": {"requests": 274.0} for name in "bcd"}}
    step = undone(ago=60.0, error_ratio=0.0, requests_per_second=64.0)
    decision = steps(Engine(spec()), snapshot(worse, weights={"a": 50}, episode=wished(step)), 4)
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Succeeded)


def test_it_ends_after_a_while_where_traffic_cannot_tell() -> None:
    silent = {f"{name}-0": {"requests": None, "errors": None} for name in "abcd"}
    decision = decided(snapshot(silent, weights={"a": 50}, episode=wished(undone(ago=400.0))))
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Succeeded)
    assert decision.verdicts == ()


def test_another_writer_in_between_ends_it_as_failed() -> None:
    decision = decided(snapshot(weights={"a": 7}, episode=wished(undone())))
    assert [verdict.state for verdict in decision.verdicts] == [StepState.Overwritten]
    assert (decision.episode, decision.phase) == (EpisodeMove.Close, Phase.Failed)
