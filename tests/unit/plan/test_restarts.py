"""The small questions a restart asks: drained? replaced? given up? what share now?"""

from __future__ import annotations

import msgspec
import pytest

from evenload.episode.under_way import Restart, Work
from evenload.model.episode import Step, StepState
from evenload.model.fleet import Fleet
from evenload.model.plan import Purpose
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Pod, Signal, SignalState, Snapshot
from evenload.plan import restarts
from tests.unit.engine.build import NOW, pod, snapshot
from tests.unit.engine.plant import spec

POLICY = Policy.of(spec())
BASE = dict.fromkeys("abcd", 100)


def drained_at(applied: float | None, **changes: object) -> Restart:
    step = Step(
        name="d", action="Drain", state=StepState.Applied, planned_at=NOW, applied_at=applied, backend="a", before=BASE
    )
    fields: dict[str, object] = {"backend": "a", "pod": "a-0", "uid": "uid-a-0", "drain": step, **changes}
    return Restart(**fields)  # type: ignore[arg-type]


def evicted(state: StepState = StepState.Applied, **changes: object) -> Restart:
    fields: dict[str, object] = {
        "name": "e",
        "action": "RestartPod",
        "state": state,
        "planned_at": NOW - 30,
        "message": "needs 3",
        **changes,
    }
    return Restart(backend="a", pod="a-0", uid="uid-a-0", eviction=Step(**fields))  # type: ignore[arg-type]


def quiet(
    in_flight: float | None, *, age: float | None = 1.0, state: SignalState = SignalState.Fresh, **changes: object
) -> Snapshot:
    return snapshot({"a-0": {"in_flight": in_flight, **changes}}, signals={"inFlight": Signal(age=age, state=state)})


def test_a_pod_without_a_drain_relies_on_its_pre_stop_hook() -> None:
    assert restarts.drained(snapshot(), POLICY, drained_at(None)) is not None
    assert restarts.drained(snapshot(), POLICY, drained_at(NOW, drain=None)) is not None


def test_nothing_in_flight_counts_only_if_it_was_seen_after_the_drain_took_effect() -> None:
    assert restarts.drained(quiet(0.0), POLICY, drained_at(NOW - 5)) == "nothing is in flight"
    assert restarts.drained(quiet(0.0, age=4.0), POLICY, drained_at(NOW - 5)) is None
    assert restarts.drained(quiet(2.0), POLICY, drained_at(NOW - 5)) is None
    assert restarts.drained(quiet(0.0), POLICY, drained_at(NOW - 2)) is None


def test_a_gauge_read_just_as_the_proxy_follows_counts() -> None:
    assert restarts.drained(quiet(0.0, age=0.0), POLICY, drained_at(NOW - 2.5)) == "nothing is in flight"


@pytest.mark.parametrize(("age", "state"), [(None, SignalState.Fresh), (1.0, SignalState.Partial)])
def test_a_gauge_of_unknown_age_is_taken_for_one_scrape_old(age: float | None, state: SignalState) -> None:
    assert restarts.drained(quiet(0.0, age=age, state=state), POLICY, drained_at(NOW - 7)) is None
    assert restarts.drained(quiet(0.0, age=age, state=state), POLICY, drained_at(NOW - 8)) is not None


def test_without_the_gauge_a_whole_window_without_requests_will_do() -> None:
    assert restarts.drained(quiet(None, requests=0.0), POLICY, drained_at(NOW - 16)) == "no request arrives any more"
    assert restarts.drained(quiet(None, requests=0.0), POLICY, drained_at(NOW - 15)) is None
    assert restarts.drained(quiet(None, requests=5.0), POLICY, drained_at(NOW - 16)) is None


def test_after_the_drain_timeout_it_goes_in_any_case() -> None:
    assert restarts.drained(quiet(9.0), POLICY, drained_at(NOW - 60)) == "the drain timeout of 60 s is over"


def test_a_pod_that_vanished_is_not_drained_but_gone() -> None:
    assert restarts.drained(snapshot(), POLICY, drained_at(NOW - 5, uid="gone")) is None
    assert restarts.evict(snapshot(), drained_at(NOW, uid="gone"), "") is None


@pytest.mark.parametrize("change", [{"terminating": True}, {"workload": None}])
def test_a_pod_that_is_leaving_or_has_no_controller_is_not_evicted(change: dict[str, object]) -> None:
    assert restarts.evict(snapshot({"a-0": change}), drained_at(NOW), "") is None


def replacement(**changes: object) -> Snapshot:
    new = pod("a-1", **{"age": 20.0, **changes})
    return Snapshot(time=NOW, window=15.0, backends={"a": Backend(weight=0, pods={"a-1": new})})


def test_a_replacement_is_ready_and_younger_than_the_eviction() -> None:
    assert restarts.replaced(replacement(), evicted())
    assert restarts.replaced(replacement(age=None), evicted())
    assert not restarts.replaced(replacement(age=500.0), evicted())
    assert not restarts.replaced(replacement(ready=False), evicted())
    assert not restarts.replaced(replacement(terminating=True), evicted())
    assert not restarts.replaced(snapshot(), evicted())
    assert not restarts.replaced(replacement(), drained_at(NOW))
    assert not restarts.replaced(Snapshot(time=NOW, window=15.0, backends={}), evicted())


def test_a_replacement_may_be_two_seconds_older_than_the_eviction_for_creation_times_are_whole() -> None:
    assert restarts.replaced(replacement(age=32.0), evicted())
    assert not restarts.replaced(replacement(age=32.5), evicted())


def crew(*, drained: bool = False, refused: bool = False, **ages: float | None) -> frozenset[str]:
    """Who replaces `a-0`, evicted half a minute ago, among pods of these ages; ready unless named `not_...`."""
    pods = {name.removeprefix("not_"): pod(name, age=age, ready="not_" not in name) for name, age in ages.items()}
    sight = Snapshot(time=NOW, window=15.0, backends={"a": Backend(weight=0, pods=pods)})
    asked = NOW - 330 if refused else NOW - 30
    restart = evicted(planned_at=asked, refused_since=asked if refused else None, applied_at=NOW - 30)
    return restarts.replacements(sight, msgspec.structs.replace(restart, drain=DRAINED) if drained else restart)


DRAINED = drained_at(NOW - 60).drain


def test_of_several_pods_made_since_the_first_is_the_replacement_and_the_others_were_scaled_up() -> None:
    assert crew(old=500.0, first=29.0, scaled=12.0) == {"first"}
    assert crew(first=29.0, scaled=29.0) == {"first", "scaled"}  # creation times are whole seconds: nobody can tell
    assert crew(unknown=None, first=29.0, scaled=12.0) == {"unknown", "first"}


def test_a_pod_that_was_scaled_up_does_not_stand_in_for_a_replacement_that_is_not_ready() -> None:
    assert crew(not_first=29.0, scaled=12.0) == frozenset()


def test_a_pod_made_while_the_eviction_was_still_refused_is_no_replacement() -> None:
    assert crew(refused=True, scaled=100.0) == frozenset()
    assert crew(refused=True, scaled=100.0, first=29.0) == {"first"}


def test_a_pod_that_was_there_before_is_no_replacement_though_its_container_started_anew() -> None:
    restarted = pod("a-1", age=20.0, created_at=NOW - 3600)
    new = pod("a-2", age=5.0, created_at=NOW - 29)  # pulled its image for longer than the one scaled up after it
    scaled = pod("a-3", age=10.0, created_at=NOW - 15)

    def found(*pods: Pod) -> frozenset[str]:
        backend = Backend(weight=1, pods={each.uid: each for each in pods})
        return restarts.replacements(Snapshot(time=NOW, window=15.0, backends={"a": backend}), evicted())

    assert found(restarted) == frozenset()
    assert found(restarted, new, scaled) == {"uid-a-2"}


def test_what_replaces_the_only_pod_of_a_backend_is_whoever_is_ready_there_the_first_made_since_before_others() -> None:
    assert crew(drained=True, first=29.0, scaled=12.0) == {"first"}
    assert crew(drained=True, not_first=29.0, older=500.0) == {"older"}
    assert crew(drained=True, clock_runs_behind=95.0) == {"clock_runs_behind"}


@pytest.mark.parametrize(("ready", "alone"), [(0, True), (1, True), (2, False)])
def test_a_backend_is_one_pod_where_no_second_one_is_ready(ready: int, alone: bool) -> None:
    pods = {f"a-{i}": pod(f"a-{i}", ready=i < ready) for i in range(3)}
    fleet = Fleet(Snapshot(time=NOW, window=15.0, backends={"a": Backend(weight=1, pods=pods)}))
    assert restarts.alone(fleet, "a") is alone


def test_an_eviction_is_given_up_only_after_it_was_refused_for_long() -> None:
    def verdict(**changes: object) -> StepState | None:
        given_up = restarts.given_up(snapshot(), POLICY, evicted(StepState.Planned, **changes))
        return given_up.state if given_up is not None else None

    assert verdict() is None
    assert verdict(refused_since=NOW - 299) is None
    assert verdict(refused_since=NOW - 300) is StepState.Abandoned
    assert restarts.given_up(snapshot(), POLICY, drained_at(NOW)) is None


def test_an_eviction_that_is_given_up_says_for_how_long_and_why_it_was_refused() -> None:
    late = restarts.given_up(snapshot(), POLICY, evicted(StepState.Planned, refused_since=NOW - 300))
    assert late is not None
    assert late.because == "the eviction was refused for 5 min: needs 3"


def test_a_replacement_is_waited_for_until_its_timeout() -> None:
    assert restarts.given_up(snapshot(), POLICY, evicted(applied_at=NOW - 299)) is None
    late = restarts.given_up(snapshot(), POLICY, evicted(applied_at=NOW - 300))
    assert late is not None
    assert (late.state, late.because) == (StepState.Ineffective, "no replacement of a-0 was ready within 5 min")
    assert restarts.given_up(replacement(), POLICY, evicted(planned_at=NOW - 400, applied_at=None)) is None


def test_a_drain_that_waits_too_long_for_its_eviction_is_overdue() -> None:
    assert restarts.drain_overdue(snapshot(), POLICY, drained_at(NOW - 361))
    assert not restarts.drain_overdue(snapshot(), POLICY, drained_at(NOW - 360))
    assert not restarts.drain_overdue(snapshot(), POLICY, drained_at(NOW - 361, eviction=evicted().eviction))
    assert not restarts.drain_overdue(snapshot(), POLICY, evicted())


def held(*ramps: Step, since: float = NOW, held_back: tuple[str, ...] = ("a",)) -> Work:
    return Work(base=BASE, held_back=held_back, held_since=since, ramps=ramps)


def ramped(seconds_ago: float) -> Step:
    return Step(
        name="r",
        action="SetWeights",
        state=StepState.Applied,
        planned_at=NOW,
        applied_at=NOW - seconds_ago,
        purpose=Purpose.Ramp,
    )


@pytest.mark.parametrize(
    ("done", "seconds", "fraction"),
    [
        (0, 0, 0.1),
        (1, 9, None),
        (1, 10, 0.3),
        (2, 19, None),
        (2, 20, 0.6),
        (3, 29, None),
        (3, 30, 1.0),
        (1, 500, 0.3),
        (4, 0, 1.0),
    ],
)
def test_the_ramp_takes_its_stages_one_by_one_and_in_time(done: int, seconds: float, fraction: float | None) -> None:
    assert restarts.ramp_fraction(NOW, POLICY, held(*[ramped(seconds)] * done)) == fraction


def test_the_ramp_is_timed_from_its_first_step() -> None:
    assert restarts.ramp_fraction(NOW, POLICY, held(ramped(20), ramped(5))) == 0.6


@pytest.mark.parametrize(("done", "weight", "share"), [(0, 0, "10%"), (3, 60, "all")])
def test_a_ramp_step_says_how_much_it_gives(done: int, weight: int, share: str) -> None:
    sight = snapshot(weights={"a": weight})
    write = restarts.ramp(sight, Fleet(sight), POLICY, held(*[ramped(30)] * done), frozenset({"a"}))
    assert write is not None
    assert write.because == f"a ramps up: {share} of its share"


def test_a_ramp_moves_only_who_may_return() -> None:
    sight = snapshot(weights={"a": 0, "b": 5})
    write = restarts.ramp(sight, Fleet(sight), POLICY, held(held_back=("a", "b")), frozenset({"a"}))
    assert write is not None
    assert write.after == {"a": 20, "b": 20, "c": 200, "d": 200}  # `b` stays at 5 of 205: 9.8% of its share
    assert restarts.ramp(sight, Fleet(sight), POLICY, Work(), frozenset({"a"})) is None
    assert restarts.ramp(sight, Fleet(sight), POLICY, held(), frozenset()) is None


def test_who_gets_ready_later_than_the_others_begins_at_the_beginning_of_the_ramp() -> None:
    sight = snapshot(weights={"a": 100, "b": 0})
    work = held(*[ramped(60)] * 4, held_back=("a", "b"))
    write = restarts.ramp(sight, Fleet(sight), POLICY, work, frozenset({"a", "b"}))
    assert write is not None
    assert write.after == {"a": 100, "b": 10, "c": 100, "d": 100}
    assert write.because == "a, b ramp up: 10% of their share"


def test_a_ramp_step_that_stands_already_is_not_written_again() -> None:
    sight = snapshot(weights={"a": 10})
    assert restarts.ramp(sight, Fleet(sight), POLICY, held(), frozenset({"a"})) is None


def test_in_whole_per_cent_a_ramp_passes_over_stages_that_are_no_step() -> None:
    sight = msgspec.structs.replace(snapshot(weights={"a": 1, "b": 33, "c": 32, "d": 34}), weights_total=100)
    work = Work(base={"a": 3, "b": 32, "c": 32, "d": 33}, held_back=("a",))
    write = restarts.ramp(sight, Fleet(sight), POLICY, work, frozenset({"a"}))
    assert write is not None
    assert write.after == {"a": 2, "b": 32, "c": 32, "d": 34}


def test_in_whole_per_cent_a_drained_backend_leaves_its_share_to_the_others() -> None:
    sight = msgspec.structs.replace(snapshot(weights={"a": 25, "b": 25, "c": 25, "d": 25}), weights_total=100)
    assert restarts.drain(sight, "a", "a-0", "uid-a-0", "").after == {"a": 0, "b": 34, "c": 33, "d": 33}


def test_a_ramp_takes_nothing_from_a_backend_that_has_more_than_its_first_stage() -> None:
    sight = snapshot(weights={"a": 30})
    write = restarts.ramp(sight, Fleet(sight), POLICY, held(), frozenset({"a"}))
    assert write is not None
    assert write.after["a"] >= 30


def test_a_held_backend_without_any_base_stays_at_nothing() -> None:
    sight = snapshot(weights={"a": 0, "b": 0})
    base = {**BASE, "b": 0}
    work = Work(base=base, held_back=("a", "b"))
    write = restarts.ramp(sight, Fleet(sight), POLICY, work, frozenset({"a"}))
    assert write is not None
    assert write.after["b"] == 0
