"""A plain Service, or a route with one: a single backend of several pods. Weights change nothing there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.engine import Engine
from evenload.model.decision import Decision, EpisodeMove, HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Backend, Snapshot
from tests.unit.engine.build import HALF_WINDOW, NOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec

TICKS = 14


def service(
    pods: Mapping[str, Mapping[str, object]] | None = None, *, count: int = 4, weight: int = 1, **changes: Any
) -> Snapshot:
    """`count` pods of one Deployment behind one Service; `pods` changes some by name."""
    names = [f"web-{number}" for number in range(count)]
    found = {name: pod(name, **{"workload": "Deployment/web", **(pods or {}).get(name, {})}) for name in names}
    return msgspec.structs.replace(snapshot(**changes), backends={"web": Backend(weight=weight, pods=found)})


def decide(sight: Snapshot, ticks: int = TICKS) -> Decision:
    return steps(Engine(spec()), sight, ticks)


def test_a_pod_that_keeps_failing_is_restarted() -> None:
    write = write_of(decide(service({"web-1": {"errors": 120.0}})))
    assert isinstance(write, RestartPod)
    assert (write.backend, write.pod, write.workload) == ("web", "web-1", "Deployment/web")


def test_two_pods_of_which_both_fail_are_left_to_their_dependency() -> None:
    decision = decide(service({"web-0": {"errors": 120.0}, "web-1": {"errors": 120.0}}, count=2))
    assert decision.diagnosis.label is Label.Dependency
    assert write_of(decision) is None


def test_the_last_ready_pod_is_never_restarted() -> None:
    starting = {f"web-{number}": {"ready": False, "requests": None, "errors": None} for number in (0, 2, 3)}
    sight = service({"web-1": {"errors": 200.0}, **starting})
    engine = Engine(spec())
    decisions = [engine.step(later(sight, HALF_WINDOW * tick)) for tick in range(TICKS)]
    assert [write_of(decision) for decision in decisions] == [None] * TICKS


def test_without_headroom_a_failing_pod_is_kept() -> None:
    busy = {f"web-{number}": {"cpu": 0.2} for number in range(4)}
    decision = decide(service({**busy, "web-1": {"cpu": 0.2, "errors": 120.0}}))
    assert [held.reason for held in decision.held] == [HeldReason.Headroom]


def test_an_undo_of_weights_that_nobody_can_set_any_more_ends() -> None:
    step = Step(
        name="1-setweights",
        action="SetWeights",
        state=StepState.Applied,
        planned_at=NOW - 60,
        applied_at=NOW - 59,
        before={"web": 1, "other": 1},
        after={"web": 1},
    )
    episode = Episode(name="rem", opened_at=NOW - 70, label=Label.Slow, phase=Phase.Executing, undo_requested=True)
    decision = decide(service(episode=msgspec.structs.replace(episode, steps=(step,))))
    assert (decision.phase, decision.episode) == (Phase.Expired, EpisodeMove.Close)


counts = st.sampled_from([0.0, 12.0, 240.0, 240.0, 240.0, 2400.0])
faults = st.fixed_dictionaries(
    {"requests": counts},
    optional={
        "errors": st.sampled_from([0.0, 12.0, 200.0]),
        "latency": st.sampled_from([0.02, 0.2, 2.0]),
        "cpu": st.sampled_from([0.01, 0.1, 0.25]),
        "ready": st.booleans(),
        "age": st.sampled_from([20.0, 3600.0]),
    },
)
weights = st.fixed_dictionaries({"web": st.integers(0, 1), "other": st.integers(0, 9)})


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    """Of a time when the route had another backend, too."""
    step = Step(
        name="1-setweights",
        action="SetWeights",
        state=draw(st.sampled_from(list(StepState))),
        planned_at=NOW - 60,
        applied_at=NOW - 59,
        purpose=draw(st.sampled_from(list(Purpose))),
        before=draw(weights),
        after=draw(st.just({"web": 1}) | weights),
    )
    return Episode(
        name="rem",
        opened_at=NOW - 70,
        label=Label.LoadBalancerSkew,
        phase=Phase.Executing,
        steps=(step,),
        undo_requested=draw(st.booleans()),
    )


@st.composite
def services(draw: st.DrawFn) -> Snapshot:
    count = draw(st.integers(1, 5))
    return service(
        {f"web-{number}": draw(faults) for number in range(count)},
        count=count,
        weight=draw(st.sampled_from([1, 1, 1, 0])),
        known_good=draw(st.none() | st.just({"web": 1}) | weights),
        episode=draw(st.none() | episodes()),
    )


@settings(max_examples=80, deadline=None)
@given(sight=services())
def test_no_weight_is_ever_planned(sight: Snapshot) -> None:
    engine = Engine(spec())
    for tick in range(TICKS):
        decision = engine.step(later(sight, HALF_WINDOW * tick))
        wanted = (*decision.actions, *(held.action for held in decision.held))
        assert not any(isinstance(action, SetWeights | Drain) for action in wanted)
