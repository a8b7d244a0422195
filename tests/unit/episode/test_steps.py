"""The record of an incident: whatever is done to it, steps move rightwards only and none is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evenload.episode.disruptions import counted, disruptions
from evenload.episode.steps import MOST_STEPS, again, find, judge, opened, planned, progressed, put
from evenload.episode.transitions import TRANSITIONS, Event, judged, moved
from evenload.model.decision import Decision, Verdict
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import ApprovalDecision, Episode, Phase, Step, StepState
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights, Write

BEFORE, AFTER = {"a": 9, "b": 1}, {"a": 5, "b": 5}
ORDER = list(StepState)
FINAL = {StepState.Reverted, StepState.Overwritten, StepState.Abandoned}

WRITES: tuple[Write, ...] = (
    SetWeights(before=BEFORE, after=AFTER, purpose=Purpose.Restore, because="it is uneven"),
    SetWeights(before=AFTER, after=BEFORE, purpose=Purpose.Revert, because="it did harm", reverts="1-restore"),
    Drain(before=AFTER, after={"a": 5, "b": 0}, backend="b", pod="b-1", uid="u", because="it is sick"),
    RestartPod(backend="b", pod="b-1", uid="u", workload="Deployment/b", because="it stays sick"),
)


def decision(time: float = 100.0, **fields: Any) -> Decision:
    return Decision(time=time, diagnosis=Diagnosis(label=Label.Failing), **fields)


def step(state: StepState = StepState.Planned, write: Write = WRITES[0], **changes: Any) -> Step:
    return replace(planned((), write, decision(), 90.0), state=state, **changes)


def verdict(state: StepState, name: str = "1-restore") -> Verdict:
    return Verdict(step=name, state=state, because="it was seen", manager=None)


# --- the table


def test_the_table_has_every_state_and_only_the_last_three_are_final() -> None:
    assert list(TRANSITIONS) == ORDER
    assert {state for state, moves in TRANSITIONS.items() if not moves} == FINAL


def test_every_event_can_happen_and_every_state_can_be_reached() -> None:
    assert {event for moves in TRANSITIONS.values() for event in moves} == set(Event)
    reached = {StepState.Planned}
    for _ in ORDER:
        reached |= {to for state in reached for to in TRANSITIONS[state].values()}
    assert reached == set(ORDER)


@pytest.mark.parametrize("state", ORDER)
@pytest.mark.parametrize("event", list(Event))
def test_a_step_moves_rightwards_only_and_what_is_not_in_the_table_does_not_happen(
    state: StepState, event: Event
) -> None:
    known = step(state)
    after = moved(known, event, 100.0, "seen")
    assert ORDER.index(after.state) >= ORDER.index(state)
    assert (after is known) == (event not in TRANSITIONS[state])


@pytest.mark.parametrize("said", ORDER)
def test_nothing_but_its_landing_and_its_end_can_follow_on_a_plan(said: StepState) -> None:
    after = judged(step(), verdict(said), 100.0).state
    unwritten = {StepState.Applied, StepState.Overwritten, StepState.Abandoned}
    assert after is (said if said in unwritten else StepState.Planned)


def test_a_verdict_that_comes_late_changes_nothing() -> None:
    verified = step(StepState.Verified, applied_at=91.0, judged_at=95.0)
    assert judged(verified, verdict(StepState.Applied), 100.0) is verified


def test_what_happened_first_keeps_its_time() -> None:
    refused = moved(moved(step(write=WRITES[3]), Event.Refused, 100.0, "no"), Event.Refused, 110.0, "not yet")
    assert (refused.refused_since, refused.message) == (100.0, "not yet")
    assert moved(refused, Event.Landed, 120.0).applied_at == 120.0


def test_weights_that_were_refused_have_no_deadline() -> None:
    assert moved(step(), Event.Refused, 100.0, "no").refused_since is None


# --- the list

WORDS = st.one_of(
    st.sampled_from(WRITES),
    st.tuples(st.integers(0, 12), st.sampled_from(ORDER)),
    st.tuples(st.integers(0, 12), st.sampled_from(list(Event))),
)


@given(st.lists(WORDS, max_size=30))
def test_whatever_is_done_no_step_is_lost_renamed_reordered_or_moved_back(words: list[Any]) -> None:
    episode = opened("shop-1", decision())
    for at, word in enumerate(words):
        known = episode.steps
        episode = _done(episode, word, float(at))
        assert [each.name for each in episode.steps[: len(known)]] == [each.name for each in known]
        for before, after in zip(known, episode.steps, strict=False):
            assert ORDER.index(after.state) >= ORDER.index(before.state)
            assert replace(before, **_ever_new(after)) == after
    assert len({each.name for each in episode.steps}) == len(episode.steps) == sum(_is_write(w) for w in words)
    assert all(each.applied_at is not None for each in episode.steps if each.state is StepState.Verified)


def _done(episode: Episode, word: Any, at: float) -> Episode:
    if _is_write(word):
        return replace(episode, steps=put(episode.steps, planned(episode.steps, word, decision(at), at)))
    where, what = word
    if where >= len(episode.steps):
        return episode
    name = episode.steps[where].name
    if isinstance(what, Event):
        return replace(episode, steps=put(episode.steps, moved(episode.steps[where], what, at)))
    return progressed(episode, decision(at, verdicts=(verdict(what, name),)))


def _is_write(word: Any) -> bool:
    return isinstance(word, Write)


def _ever_new(after: Step) -> dict[str, Any]:
    """What may change of a step once it is stored: never what it writes, nor its inverse."""
    names = ("state", "applied_at", "judged_at", "manager", "refused_since", "message")
    return {name: getattr(after, name) for name in names}


@pytest.mark.parametrize("write", WRITES)
def test_a_stored_step_gives_the_write_that_it_was_planned_for(write: Write) -> None:
    stored = planned((), write, decision(), 90.0)
    assert again(stored) == replace(write, step=stored.name)


def test_a_new_step_begins_planned_and_is_named_after_the_newest_number() -> None:
    known = (step(name="7-ramp"), step(name="3-drain"))
    new = planned(known, WRITES[3], decision(error_ratio=0.2, requests_per_second=9.0), 95.0)
    assert (new.name, new.state, new.planned_at, new.applied_at) == ("8-restart", StepState.Planned, 95.0, None)
    assert (new.error_ratio, new.requests_per_second, new.workload) == (0.2, 9.0, "Deployment/b")


def test_a_full_list_makes_room_with_a_settled_change_and_never_with_the_first_or_one_under_way() -> None:
    full = tuple(step(name=f"{at}-ramp") for at in range(1, MOST_STEPS + 1))
    full = judge(full, [verdict(StepState.Abandoned, "1-ramp"), verdict(StepState.Abandoned, "5-ramp")], 1.0)
    after = put(full, step(name="129-ramp"))
    assert len(after) == MOST_STEPS
    assert find(after, "5-ramp") is None
    assert after[0].name == "1-ramp"


def test_a_verdict_about_no_step_says_nothing() -> None:
    known = (step(),)
    assert judge(known, [verdict(StepState.Applied, "9-ramp")], 1.0) == known


def test_an_episode_goes_on_where_the_decision_says_nothing_of_it() -> None:
    episode = progressed(opened("shop-1", decision()), decision(phase=Phase.Executing, overloaded_pods={"a-1": "u"}))
    later = progressed(episode, decision(200.0))
    assert (later.phase, later.overloaded_pods, later.opened_at) == (Phase.Executing, {"a-1": "u"}, 100.0)


# --- what counts


def episode_of(*steps: Step, **changes: Any) -> Episode:
    return replace(opened("shop-1", decision()), steps=steps, **changes)


@pytest.mark.parametrize("state", ORDER)
def test_a_restart_counts_once_it_may_have_happened_and_no_longer_when_it_was_given_up(state: StepState) -> None:
    entries = list(counted(episode_of(step(state, WRITES[3], applied_at=91.0))))
    assert [each.planned for each in entries] == ([] if state is StepState.Abandoned else [state is StepState.Planned])


@pytest.mark.parametrize(
    ("managers", "contests"),
    [(["helm"], 0), (["helm", "evenload"], 0), (["evenload", "evenload"], 0), (["helm", "argocd"], 1)],
)
def test_only_others_contest(managers: list[str], contests: int) -> None:
    taken = [
        step(StepState.Overwritten, name=f"{at}-x", manager=who, judged_at=100.0 + at)
        for at, who in enumerate(managers)
    ]
    assert [each.time for each in disruptions(episode_of(*taken))] == [101.0] * contests


def test_a_denial_counts_from_the_end_or_the_opening() -> None:
    denied = episode_of(approval=ApprovalDecision.Denied)
    assert [each.time for each in disruptions(denied, 500.0)] == [500.0]
    assert [each.time for each in disruptions(denied)] == [100.0]
