"""What the diagnosis remembers from tick to tick, and when it forgets."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.memory import Memory
from evenload.model.diagnosis import Label
from evenload.model.fleet import Fleet
from tests.unit.engine.build import NOW, snapshot


def watched(*ticks: tuple[float, Fleet]) -> Memory:
    memory = Memory()
    for seconds, fleet in ticks:
        memory.watch(NOW + seconds, fleet)
    return memory


EVEN = Fleet(snapshot())
LEANING = Fleet(snapshot(weights={"a": 970}))


def test_the_first_tick_is_as_good_as_any() -> None:
    assert Memory().refuses(NOW) is None


@pytest.mark.parametrize(
    ("seconds", "because"),
    [
        (5.0, None),
        (180.0, None),
        (181.0, "nothing was seen for 181 s"),
        (0.0, "the clock went back by 0 s"),
        (-60.0, "the clock went back by 60 s"),
    ],
)
def test_a_gap_of_more_than_three_minutes_or_a_clock_that_stands_is_refused(
    seconds: float, because: str | None
) -> None:
    assert watched((0.0, EVEN)).refuses(NOW + seconds) == because


def test_what_is_refused_is_forgotten_but_for_what_is_usual_at_a_time_of_day() -> None:
    memory = watched((0.0, EVEN), (5.0, LEANING))
    memory.spread, day = 0.1, memory.outlook.day
    memory.refuses(NOW + 500.0)
    assert memory.spread is None
    assert memory.weights_changed_at(None) == -np.inf
    assert memory.outlook.day is day
    assert memory.refuses(NOW + 505.0) is None


def test_a_tick_is_as_long_as_the_last_one_and_no_longer_than_the_window() -> None:
    assert Memory().tick_seconds(15.0) == 5.0
    assert watched((0.0, EVEN)).tick_seconds(15.0) == 5.0
    assert watched((0.0, EVEN), (10.0, EVEN)).tick_seconds(15.0) == 10.0
    assert watched((0.0, EVEN), (40.0, EVEN)).tick_seconds(15.0) == 15.0


def test_weights_that_never_changed_are_as_old_as_they_are_said_to_be() -> None:
    memory = watched((0.0, EVEN), (5.0, EVEN))
    assert memory.weights_changed_at(None) == -np.inf
    assert memory.weights_changed_at(NOW - 500) == NOW - 500
    assert memory.weights_changed_at(NOW) == NOW
    assert memory.weights_changed_at(NOW + 3) == -np.inf  # it left the weights as they were


@pytest.mark.parametrize(("told", "changed"), [(None, 10), (7, 7), (10, 10), (4, 4), (3.9, 10), (11, 10)])
def test_a_change_that_was_seen_happened_since_the_tick_before(told: float | None, changed: float) -> None:
    """Whole seconds: what is told may be one second early."""
    memory = watched((0.0, EVEN), (5.0, EVEN), (10.0, LEANING), (15.0, LEANING))
    assert memory.weights_changed_at(None if told is None else NOW + told) == NOW + changed


def test_another_set_of_backends_is_a_change_of_weights() -> None:
    assert watched((0.0, EVEN), (5.0, Fleet(snapshot(backends="abc")))).weights_changed_at(None) == NOW + 5


def test_ready_pods_that_come_or_go_move_their_backend_alone() -> None:
    fewer = Fleet(snapshot({"b-0": {"ready": False}}))
    memory = watched((0.0, EVEN), (5.0, fewer), (10.0, fewer))
    assert memory.ready_moved_at.tolist() == [-np.inf, NOW + 5, -np.inf, -np.inf]
    memory.watch(NOW + 15, Fleet(snapshot(backends="abc")))
    assert memory.ready_moved_at.tolist() == [-np.inf] * 3


def raised(*ticks: dict[str, int], explained: bool = False, memory: Memory | None = None) -> list[bool]:
    """On ticks of a second, each a look of its own."""
    known = memory or Memory()
    return [
        known.skew_raised(hot, explained=explained, time=NOW + second, apart=1.0) for second, hot in enumerate(ticks)
    ]


DROWNING, FAR, MILD, NONE = {"a-0": 1}, {"a-0": 2}, {"a-0": 3}, dict[str, int]()


def test_far_beyond_the_limit_two_ticks_of_three_raise_skew() -> None:
    assert raised(FAR, FAR) == [False, True]
    assert raised(FAR, NONE, FAR) == [False, False, True]
    assert raised(FAR, NONE, NONE, FAR) == [False] * 4


def test_mildly_beyond_it_three_ticks_of_four_do() -> None:
    assert raised(MILD, MILD, MILD) == [False, False, True]
    assert raised(MILD, NONE, MILD, MILD) == [False, False, False, True]
    assert raised(MILD, NONE, NONE, MILD, MILD) == [False] * 5


def test_who_drowns_besides_raises_it_at_once() -> None:
    assert raised(DROWNING, NONE) == [True, False]


def test_it_has_to_be_the_same_pod() -> None:
    assert raised(FAR, {"b-0": 2}) == [False, False]


def test_where_wrong_weights_explain_it_they_count_as_a_tick_and_do_not_raise_alone() -> None:
    assert raised(FAR, explained=True) == [False]
    assert raised(NONE, FAR, explained=True) == [False, True]
    assert raised(NONE, NONE, explained=True) == [False, False]
    memory = Memory()
    assert raised(NONE, NONE, memory=memory) == [False, False]
    assert raised(MILD, explained=True, memory=memory) == [False]
    assert raised({"b-0": 3}, explained=True, memory=memory) == [True]


def test_ticks_on_the_same_samples_are_one_look_at_a_hot_pod() -> None:
    """Of three ticks within one look only the last counts."""
    memory = Memory()
    seen = [memory.skew_raised(FAR, explained=False, time=NOW + 10 * number, apart=25.0) for number in range(4)]
    assert seen == [False, False, False, True]


def test_a_streak_lasts_until_a_tick_breaks_it() -> None:
    memory = Memory()
    for number in range(3):
        streak = memory.streak(Label.Slow, "a-0", NOW + number, seen=True)
        assert streak is not None
        assert (streak.since, streak.looks) == (NOW, number + 1)
    assert memory.streak(Label.Slow, "a-0", NOW + 3, seen=False) is None
    again = memory.streak(Label.Slow, "a-0", NOW + 4, seen=True)
    assert again is not None
    assert (again.since, again.looks) == (NOW + 4, 1)


def test_ticks_on_the_same_samples_are_one_look_of_a_streak() -> None:
    memory = Memory()
    streaks = [memory.streak(Label.Slow, "a-0", NOW + 10 * number, seen=True, apart=25.0) for number in range(5)]
    assert streaks[-1] is not None
    assert (streaks[-1].since, streaks[-1].looks) == (NOW, 2)


def test_streaks_of_other_pods_are_forgotten_and_those_of_other_labels_are_not() -> None:
    memory = Memory()
    for label, pod in ((Label.Slow, "a-0"), (Label.Slow, "b-0"), (Label.Failing, "b-0")):
        memory.streak(label, pod, NOW, seen=True)
    memory.keep_only(Label.Slow, {"a-0"})
    assert set(memory.streaks) == {(Label.Slow, "a-0"), (Label.Failing, "b-0")}


def test_a_label_holds_since_it_came_and_calm_ticks_count_while_they_last() -> None:
    memory = Memory()
    assert memory.labelled(Label.Healthy, NOW, calm=True) == NOW
    assert memory.labelled(Label.Healthy, NOW + 5, calm=True) == NOW
    assert memory.calm_ticks == 2
    assert memory.labelled(Label.Slow, NOW + 10) == NOW + 10
    assert memory.calm_ticks == 0
