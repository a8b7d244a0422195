"""What the steps of an episode say is under way."""

from __future__ import annotations

from evenload.episode.under_way import Work, is_ours, told_change, under_way
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.plan import Purpose, lowered
from evenload.model.snapshot import Backend, RouteWrite, Snapshot

BASE = {"a": 100, "b": 100}
DOWN = {"a": 0, "b": 100}


def weights(purpose: Purpose, after: dict[str, int], before: dict[str, int] = BASE, **changes: object) -> Step:
    fields: dict[str, object] = {
        "name": f"{purpose}-{sum(after.values())}",
        "action": "SetWeights",
        "state": StepState.Applied,
        "planned_at": 10.0,
        "applied_at": 11.0,
        "purpose": purpose,
        "before": before,
        "after": after,
        **changes,
    }
    return Step(**fields)  # type: ignore[arg-type]


def drain(**changes: object) -> Step:
    return weights(Purpose.Drain, DOWN, BASE, action="Drain", backend="a", pod="a-0", uid="u", **changes)


def eviction(**changes: object) -> Step:
    fields: dict[str, object] = {
        "name": "evict",
        "action": "RestartPod",
        "state": StepState.Applied,
        "planned_at": 20.0,
        "backend": "a",
        "pod": "a-0",
        "uid": "u",
        **changes,
    }
    return Step(**fields)  # type: ignore[arg-type]


def fold(*steps: Step) -> Work:
    return under_way(Episode(name="r", opened_at=0.0, label=Label.Failing, phase=Phase.Executing, steps=steps))


def test_without_an_episode_nothing_is() -> None:
    assert under_way(None).idle


def test_a_drain_holds_its_backend_back_for_a_restart() -> None:
    work = fold(drain())
    assert (work.base, work.held_back, work.idle) == (BASE, ("a",), False)
    assert work.restart is not None
    assert work.restart.eviction is None


def test_a_backend_is_held_back_since_the_write_landed_or_was_planned() -> None:
    assert fold(drain()).held_since == 11.0
    assert fold(drain(applied_at=None)).held_since == 10.0


def test_a_planned_drain_does_not_yet() -> None:
    assert fold(drain(state=StepState.Planned)).idle


def test_an_eviction_goes_on_with_its_drain() -> None:
    work = fold(drain(), eviction())
    assert work.restart is not None
    assert work.restart.drain is not None
    assert work.restart.eviction is not None


def test_an_eviction_of_another_pod_knows_no_drain() -> None:
    work = fold(drain(), eviction(uid="other"))
    assert work.restart is not None
    assert work.restart.drain is None


def test_an_eviction_that_ended_or_names_nobody_is_over() -> None:
    assert fold(eviction(state=StepState.Verified)).restart is None
    assert fold(eviction(uid=None)).restart is None


def test_ramps_count_until_the_base_is_back() -> None:
    partly = weights(Purpose.Ramp, {"a": 10, "b": 100}, DOWN)
    work = fold(drain(), eviction(), partly)
    assert (len(work.ramps), work.held_back) == (1, ("a",))
    work = fold(drain(), eviction(), partly, weights(Purpose.Ramp, BASE, {"a": 10, "b": 100}))
    assert (work.held_back, work.base) == ((), None)
    assert work.restart is not None


def test_a_rival_who_overwrites_a_ramp_ends_what_it_held_back_but_not_the_eviction() -> None:
    rival = weights(Purpose.Ramp, {"a": 10, "b": 100}, DOWN, state=StepState.Overwritten)
    work = fold(drain(), eviction(), rival)
    assert work.held_back == ()
    assert work.restart is not None


def test_a_restore_ends_a_drain_that_came_before() -> None:
    work = fold(drain(), weights(Purpose.Restore, BASE, DOWN))
    assert work.idle


def test_a_rebalance_leans() -> None:
    assert fold(weights(Purpose.Rebalance, {"a": 50, "b": 100})).compensating


def test_two_ejections_keep_the_first_base() -> None:
    work = fold(
        weights(Purpose.Eject, {"a": 5, "b": 100}), weights(Purpose.Eject, {"a": 5, "b": 5}, {"a": 5, "b": 100})
    )
    assert work.base == BASE
    assert work.held_back == ("a", "b")


def test_scaling_all_alike_lowers_nobody() -> None:
    even = {"a": 100, "b": 100}
    assert lowered(even, {"a": 1000, "b": 1000}) == ()
    assert lowered(even, {"a": 50, "b": 1000}) == ("a",)


def test_a_cut_of_a_tenth_is_not_yet_held_back() -> None:
    even = {"a": 100, "b": 900}
    assert lowered(even, {"a": 90, "b": 910}) == ()
    assert lowered(even, {"a": 89, "b": 911}) == ("a",)
    assert lowered(even, {"b": 900}) == ("a",)


def test_a_drain_whose_backend_has_traffic_again_is_a_restart_that_is_off() -> None:
    given_back = weights(Purpose.Eject, {"a": 10, "b": 200}, DOWN)
    off = fold(drain(), given_back)
    assert fold(drain()).restart is not None
    assert (off.restart, off.held_back, off.base) == (None, ("a",), BASE)


def seen(written: RouteWrite | None, **weight: int) -> Snapshot:
    backends = {name: Backend(weight=each) for name, each in weight.items()}
    return Snapshot(time=60.0, window=15.0, backends=backends, last_write=written)


def test_weights_are_ours_while_they_are_as_our_last_step_left_them() -> None:
    work = fold(weights(Purpose.Restore, BASE, DOWN))
    assert is_ours(seen(RouteWrite(manager="helm", time=50.0), a=100, b=100), work)
    assert not is_ours(seen(None, a=99, b=100), work)


def test_without_a_step_they_are_ours_if_we_wrote_last() -> None:
    assert is_ours(seen(RouteWrite(manager="evenload", time=50.0), a=1), Work())
    assert not is_ours(seen(RouteWrite(manager="helm", time=50.0), a=1), Work())
    assert not is_ours(seen(None, a=1), Work())


def test_the_last_change_is_the_latest_one_told_that_is_not_in_the_future() -> None:
    work = fold(weights(Purpose.Restore, BASE, DOWN))
    assert told_change(seen(None), Work()) is None
    assert told_change(seen(None), work) == 11.0
    assert told_change(seen(RouteWrite(manager="helm", time=50.0)), work) == 50.0
    assert told_change(seen(RouteWrite(manager="helm", time=60.0)), work) == 60.0
    assert told_change(seen(RouteWrite(manager="helm", time=61.0)), work) == 11.0
