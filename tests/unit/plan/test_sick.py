"""Pods that fail, are slow or leak: who is helped, how, and when a restart will not help."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import Diagnosis, Evidence, Label
from evenload.model.episode import Disruption
from evenload.model.forecast import Forecast
from evenload.model.plan import Advise, Drain, PodAction, Purpose, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Snapshot
from evenload.model.spec import Restart, RestartWhen
from evenload.plan.balance import give_back
from evenload.plan.moves import Plan
from evenload.plan.sick import mend_failing, relieve_leak, spare_slow
from tests.unit.engine.build import NOW, pod, snapshot
from tests.unit.engine.plant import spec
from tests.unit.plan.scenes import EJECTED, EVEN, episode, scene, step

NO_RESTARTS = Policy.of(spec(restart=Restart(when=RestartWhen.Never)))


def failing(*pods: str, since: float | None = 60.0) -> Diagnosis:
    named = pods or ("a-0",)
    began = None if since is None else NOW - since
    return Diagnosis(label=Label.Failing, pods=named, backends=("a",), since=began, sentence=f"{named[0]} fails")


def mended(sight: Snapshot, diagnosis: Diagnosis | None = None, /, **changes: object) -> Plan:
    plan = mend_failing(scene(sight, diagnosis or failing(), **changes))
    assert plan is not None
    return plan


def kinds(plan: Plan) -> list[str]:
    return [write.purpose if not isinstance(write, PodAction) else "RestartPod" for write in plan.writes]


def topics(plan: Plan) -> list[str]:
    return [each.topic for each in plan.tell if isinstance(each, Advise)]


def test_what_does_not_fail_is_not_mended() -> None:
    assert mend_failing(scene(snapshot(), Label.Slow)) is None
    assert mend_failing(scene(snapshot(), failing("gone-0"))) is None


@pytest.mark.parametrize(("since", "restarts"), [(30.0, True), (29.9, False), (None, False)])
def test_a_pod_is_restarted_after_six_ticks_of_failing_and_else_only_ejected(
    since: float | None, restarts: bool
) -> None:
    plan = mended(snapshot(), failing(since=since))
    assert kinds(plan) == ([Purpose.Drain] if restarts else []) + [Purpose.Eject]
    assert topics(plan) == []


def test_what_a_skew_overloaded_is_restarted_at_once_if_it_is_that_very_pod() -> None:
    assert kinds(mended(snapshot(), failing(since=5.0), overloaded={"a-0": "uid-a-0"}))[0] == Purpose.Drain
    assert kinds(mended(snapshot(), failing(since=5.0), overloaded={"a-0": "uid-old"})) == [Purpose.Eject]
    never = mended(snapshot(), failing(since=5.0), overloaded={"a-0": "uid-a-0"}, policy=NO_RESTARTS)
    assert kinds(never) == [Purpose.Eject]


@pytest.mark.parametrize(
    ("entry", "repeated"),
    [
        ({"time": NOW - 1800}, True),
        ({"time": NOW - 1801}, False),
        ({"kind": "Revert"}, False),
        ({"workload": "Deployment/other"}, False),
    ],
)
def test_a_second_restart_within_half_an_hour_will_not_help_and_a_person_is_told(
    entry: dict[str, object], repeated: bool
) -> None:
    fields: dict[str, object] = {"time": NOW - 60, "kind": "Restart", "workload": "Deployment/a", **entry}
    plan = mended(snapshot(ledger=(Disruption(**fields),)))  # type: ignore[arg-type]
    assert (Purpose.Drain in kinds(plan)) is not repeated
    assert topics(plan) == (["RestartDidNotHelp"] if repeated else [])


def test_of_several_the_one_with_the_most_errors_is_mended_but_first_what_a_skew_broke() -> None:
    sight = snapshot({"a-0": {"errors": 50.0}, "b-0": {"errors": 90.0}})
    both = failing("a-0", "b-0")
    (drain, *_) = mended(sight, both).writes
    assert isinstance(drain, Drain)
    assert drain.pod == "b-0"
    (drain, *_) = mended(sight, both, overloaded={"a-0": "uid-a-0"}).writes
    assert isinstance(drain, Drain)
    assert drain.pod == "a-0"


def large(*sizes: int) -> Snapshot:
    backends = {
        name: Backend(weight=100, pods={f"{name}-{i}": pod(f"{name}-{i}") for i in range(size)})
        for name, size in zip("abcdefghijklmnopqrst", sizes, strict=False)
    }
    return Snapshot(time=NOW, window=15.0, backends=backends)


@pytest.mark.parametrize(("count", "kind"), [(1, "RestartPod"), (2, Purpose.Drain)])
def test_a_pod_is_drained_first_only_where_another_backend_can_take_over(count: int, kind: str) -> None:
    assert kinds(mended(large(*[1] * count)))[0] == kind


@pytest.mark.parametrize(("bad", "ejects"), [(2, False), (3, True)])
def test_a_backend_is_ejected_when_more_than_half_of_its_pods_fail(bad: int, ejects: bool) -> None:
    plan = mended(large(4, 4), failing(*[f"a-{i}" for i in range(bad)]), policy=NO_RESTARTS)
    assert kinds(plan) == ([Purpose.Eject] if ejects else [])


def test_an_ejected_backend_keeps_a_twentieth_to_be_seen_recovering() -> None:
    (write,) = mended(snapshot(), policy=NO_RESTARTS).writes
    assert isinstance(write, SetWeights)
    assert write.after == {"a": 10, "b": 200, "c": 200, "d": 200}
    assert write.because == "a-0 fails; leaving a 5% of its share"


@pytest.mark.parametrize(("count", "ejects"), [(10, False), (20, True)])
def test_no_more_than_a_tenth_of_the_pods_is_held_back_or_one(count: int, ejects: bool) -> None:
    names = "abcdefghijklmnopqrst"[:count]
    even = dict.fromkeys(names, 100)
    held = step(Purpose.Eject, even, {**even, "b": 5})
    sight = snapshot(backends=names, weights={"b": 5}, episode=episode(held))
    assert kinds(mended(sight, policy=NO_RESTARTS)) == ([Purpose.Eject] if ejects else [])


def slow(*pods: str, since: float | None = 60.0, place: bool = False) -> Diagnosis:
    evidence = (Evidence(metric="latency", observed=0.1), *([Evidence(metric="slow_place", observed=1.0)] * place))
    began = None if since is None else NOW - since
    return Diagnosis(label=Label.Slow, pods=pods, since=began, evidence=evidence, sentence="slow")


@pytest.mark.parametrize(("place", "topic"), [(True, "SuspectNode"), (False, "SlowPods")])
def test_slow_pods_that_share_a_place_make_that_place_suspect(place: bool, topic: str) -> None:
    plan = spare_slow(scene(snapshot(), slow("a-0", "b-0", place=place)))
    assert (topics(plan), plan.writes) == ([topic], ())


@pytest.mark.parametrize(
    ("pods", "since", "restarts"),
    [(("c-0",), 300.0, True), (("c-0",), 299.0, False), (("c-0", "d-0"), 900.0, False), (("c-0",), None, False)],
)
def test_one_pod_that_stays_slow_for_five_minutes_is_restarted(
    pods: tuple[str, ...], since: float | None, restarts: bool
) -> None:
    plan = spare_slow(scene(snapshot(), slow(*pods, since=since)))
    assert [write.pod for write in plan.writes if isinstance(write, Drain)] == (["c-0"] if restarts else [])
    assert not any(isinstance(w, Drain) for w in spare_slow(scene(snapshot(), slow(*pods), policy=NO_RESTARTS)).writes)


def test_only_an_episode_of_slow_pods_gives_their_share_back() -> None:
    assert give_back(scene(snapshot())) is None
    assert give_back(scene(snapshot(episode=episode()))) is None
    plan = give_back(scene(snapshot(weights=EJECTED, known_good=EVEN, episode=episode(label=Label.Slow))))
    assert plan is not None
    (write,) = plan.writes
    assert isinstance(write, SetWeights)
    assert (write.after, write.purpose) == (EVEN, Purpose.Restore)


def leak(seconds: float = 1800.0, memory: float = 1.25e8, soonest: float | None = None, **changes: object) -> Plan:
    full = Forecast(subject="a-0", seconds=seconds, soonest=soonest or seconds, latest=2 * seconds)
    leaking = Diagnosis(label=Label.MemoryLeak, pods=("a-0",), sentence="a-0 leaks")
    return relieve_leak(scene(snapshot({"a-0": {"memory": memory}}), leaking, out_of_memory=full, **changes))


def test_a_leak_whose_end_nobody_knows_is_only_told() -> None:
    plan = relieve_leak(scene(snapshot(), Label.MemoryLeak))
    assert (topics(plan), plan.writes) == (["MemoryLeak"], ())


def test_where_nobody_could_see_whether_it_helped_a_leaking_pod_is_not_restarted() -> None:
    plan = leak(blind=frozenset("a"))
    assert (topics(plan), plan.writes) == (["MemoryLeak", "PodNotKnown"], ())


@pytest.mark.parametrize(
    ("seconds", "memory", "restarts"), [(1800.0, 1.25e8, True), (1801.0, 2e8, False), (1800.0, 1.24e8, False)]
)
def test_half_an_hour_before_the_end_and_half_full_it_is_restarted(
    seconds: float, memory: float, restarts: bool
) -> None:
    plan = leak(seconds, memory)
    assert kinds(plan) == ([Purpose.Drain] if restarts else [])
    assert topics(plan) == ["MemoryLeak"]
    assert leak(seconds, memory, policy=NO_RESTARTS).writes == ()


def test_a_quieter_time_before_the_end_is_waited_for_and_told() -> None:
    """NOW is 08:53:20; from 09:30 on a tenth of the traffic is usual."""
    quiet_from = NOW - NOW % 900 + 3 * 900

    def usual(time: float) -> float:
        return 10.0 if time >= quiet_from else 100.0

    waiting = leak(7200.0, usual=usual)
    assert waiting.writes == ()
    (tell,) = waiting.tell
    assert isinstance(tell, Advise)
    assert tell.because == "a-0 leaks; the restart is planned for about 09:30 UTC, the quietest time before it is full"
    (tell,) = leak(7200.0, usual=usual, policy=NO_RESTARTS).tell
    assert isinstance(tell, Advise)
    assert "restart it at about 09:30 UTC" in tell.because
    assert kinds(leak(7200.0, usual=lambda time: 100.0)) == [Purpose.Drain]  # no time is quieter than now
