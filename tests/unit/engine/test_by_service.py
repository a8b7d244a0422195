"""Where a preset counts by Service: backends are judged as ever, and no pod is picked out of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from msgspec.structs import replace

from evenload.diagnose.quality import Heard, problem, too_few
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label
from evenload.model.fleet import Fleet
from evenload.model.plan import Advise, Drain, PodAction, Purpose, SetWeights
from evenload.model.policy import Policy
from evenload.model.snapshot import SIGNALS, Backend, Pod, Signal, Snapshot
from evenload.model.spec import Desired, DesiredType, Restart, RestartWhen, Share
from tests.unit.engine.build import NOW, WINDOW, pod
from tests.unit.engine.plant import spec

TICK = 7.5
SPEC = spec(restart=Restart(when=RestartWhen.Allowed))


def parts(name: str, count: int, requests: float, *, ready: int | None = None, **numbers: float) -> dict[str, Pod]:
    """Pods of a backend with an equal part of its requests and errors, if ready."""
    serving = count if ready is None else ready
    errors = numbers.pop("errors", 0.0)
    mine = {"requests": requests / serving, "errors": errors / serving, "in_flight": None, **numbers}
    unread = {"ready": False, "requests": None, "errors": None, "latency": None, "in_flight": None}
    return {
        f"{name}-{n}": pod(f"{name}-{n}", workload=f"Deployment/{name}", **(mine if n < serving else unread))
        for n in range(count)
    }


def sight(backends: Mapping[str, dict[str, Pod]], time: float = NOW, **weights: int) -> Snapshot:
    return Snapshot(
        time=time,
        window=WINDOW,
        backends={
            name: Backend(weight=weights.get(name, 100), pods=pods, by_service=True) for name, pods in backends.items()
        },
        signals={name: Signal(age=2.0) for name in SIGNALS if name != "inFlight"},
    )


def watched(engine: Engine, known: Snapshot, ticks: int) -> Iterator[Decision]:
    """What the engine says to the same, tick by tick; counts differ a little, as live traffic does."""
    for tick in range(ticks):
        more = tick % 3
        backends = {
            name: replace(
                each,
                pods={
                    pod: one if one.requests is None else replace(one, requests=one.requests + more)
                    for pod, one in each.pods.items()
                },
            )
            for name, each in known.backends.items()
        }
        yield engine.step(replace(known, time=known.time + TICK * tick, backends=backends))


def writes(decisions: list[Decision]) -> list[object]:
    """What would be written, whether it is held or not."""
    return [
        action
        for decision in decisions
        for action in (*decision.actions, *(held.action for held in decision.held))
        if isinstance(action, SetWeights | Drain | PodAction)
    ]


def topics(decisions: list[Decision]) -> dict[str, str]:
    return {each.topic: each.because for one in decisions for each in one.actions if isinstance(each, Advise)}


def healthy(*names: str, count: int = 3) -> dict[str, dict[str, Pod]]:
    return {name: parts(name, count, 600) for name in names}


def test_a_failing_backend_of_several_pods_is_ejected_and_none_of_its_pods_is_restarted() -> None:
    known = sight({**healthy("b", "c"), "a": parts("a", 3, 600, errors=300)})
    decisions = list(watched(Engine(SPEC), known, 40))
    assert decisions[-1].diagnosis.label is Label.Failing
    assert decisions[-1].diagnosis.backends == ("a",)
    assert decisions[-1].diagnosis.pods == ()
    assert decisions[-1].diagnosis.sentence.startswith("a fails 50% of its requests")
    assert [each.subject for each in decisions[-1].diagnosis.evidence] == ["a"]
    planned = writes(decisions)
    assert planned
    assert all(isinstance(each, SetWeights) and each.purpose is Purpose.Eject for each in planned)
    assert "no pod of a is restarted, as its numbers are counted by Service" in topics(decisions)["PodNotKnown"]


def test_its_evidence_counts_the_requests_of_the_whole_backend() -> None:
    known = sight({**healthy("b", "c"), "a": parts("a", 3, 600, errors=300)})
    *_, last = watched(Engine(SPEC), known, 4)
    assert "of its 600 requests" in last.diagnosis.evidence[0].sentence


def test_the_only_pod_of_a_failing_backend_is_drained_to_be_restarted() -> None:
    known = sight({**healthy("b", "c", count=1), "a": parts("a", 1, 600, errors=300)})
    planned = writes(list(watched(Engine(SPEC), known, 20)))
    assert any(isinstance(each, Drain) and each.pod == "a-0" for each in planned)
    assert not any(isinstance(each, PodAction) for each in planned)  # drained first


def test_a_pod_is_not_blamed_for_the_errors_of_a_sibling_that_just_left() -> None:
    """The sick one fails its readiness probe: the window still holds its errors, and the other one is alone."""
    thirds = Desired(type=DesiredType.Explicit, shares=tuple(Share(backend=name, weight=1) for name in "abc"))
    engine = Engine(replace(SPEC, desired=thirds))  # else it would have too much for one pod, which comes first
    two = sight({**healthy("b", "c", count=2), "a": parts("a", 2, 600, errors=300)})
    before = list(watched(engine, two, 20))
    one = sight({**healthy("b", "c", count=2), "a": parts("a", 2, 600, errors=300, ready=1)}, time=NOW + 20 * TICK)
    within = list(watched(engine, one, 2))
    assert not any(isinstance(each, Drain | PodAction) for each in writes(before + within))
    after = list(watched(engine, replace(one, time=one.time + 2 * TICK), 20))
    assert any(isinstance(each, Drain) and each.pod == "a-0" for each in writes(after))


def test_skew_between_backends_is_found_by_backend() -> None:
    known = sight({"a": parts("a", 3, 1600), "b": parts("b", 3, 100), "c": parts("c", 3, 100)}, a=970, b=15, c=15)
    *_, last = watched(Engine(SPEC), known, 6)
    assert last.diagnosis.label is Label.LoadBalancerSkew
    assert "go to a (fair: 33%)" in last.diagnosis.sentence
    assert last.diagnosis.pods == ()
    shares = [each for each in last.diagnosis.evidence if each.metric == "share"]
    assert [each.subject for each in shares] == ["a"]
    assert shares[0].observed == pytest.approx(0.89, abs=0.01)
    assert any(isinstance(each, SetWeights) and each.purpose is Purpose.Restore for each in writes([last]))


def test_of_two_backends_nobody_says_which_is_the_slow_one() -> None:
    """As many pods as they have: these are not so many witnesses."""
    known = sight({"a": parts("a", 4, 600, latency=0.09), "b": parts("b", 5, 750, latency=0.02)})
    found = {each.diagnosis.label for each in watched(Engine(SPEC), known, 12)}
    assert Label.Slow not in found


def test_of_three_backends_the_slow_one_is_found() -> None:
    known = sight({**healthy("b", "c"), "a": parts("a", 3, 600, latency=0.09)})
    *_, last = watched(Engine(SPEC), known, 12)
    assert last.diagnosis.label is Label.Slow
    assert "a answers in 90 ms, the median backend in 20 ms" in last.diagnosis.sentence


def test_a_single_backend_is_never_blamed_on_a_pod() -> None:
    known = sight({"a": parts("a", 4, 900, errors=200)})
    decisions = list(watched(Engine(SPEC), known, 30))
    assert writes(decisions) == []
    assert not {each.diagnosis.label for each in decisions} & {Label.Failing, Label.LoadBalancerSkew}


def test_many_pods_of_a_service_do_not_make_a_repeated_count_less_likely() -> None:
    """The same count twice is a matter of two numbers, and not of forty."""
    known = sight({name: parts(name, 20, 40) for name in "ab"})
    heard, policy = Heard(), Policy.of(SPEC)
    for tick in range(2):
        later = replace(known, time=NOW + WINDOW * tick)
        assert problem(later, Fleet(later), policy, heard) is None
        heard.listen(later, Fleet(later))
    alone = replace(known, backends={name: replace(each, by_service=False) for name, each in known.backends.items()})
    heard, said = Heard(), None
    for tick in range(2):
        later = replace(alone, time=NOW + WINDOW * tick)
        said = problem(later, Fleet(later), policy, heard)
        heard.listen(later, Fleet(later))
    assert "have been the same on newer and newer samples" in str(said)


def test_requests_are_enough_where_they_tell_the_backends_apart() -> None:
    known = sight({name: parts(name, 20, 40) for name in "ab"})
    assert too_few(known, Fleet(known), Policy.of(SPEC)) is None


def test_each_pod_speaks_for_itself_where_pods_are_counted() -> None:
    known = sight(healthy("a", "b"))
    plain = Fleet(replace(known, backends={n: replace(b, by_service=False) for n, b in known.backends.items()}))
    assert plain.witnesses.sums(plain.requests) is plain.requests
    assert (plain.ready_witnesses, Fleet(known).ready_witnesses) == (6, 2)
    assert np.array_equal(Fleet(known).witnesses.sums(Fleet(known).requests), [600, 600])
