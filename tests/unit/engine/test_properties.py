"""What must hold for every Snapshot there can be, not only for those we thought of."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.engine import Engine
from evenload.model.diagnosis import Label
from evenload.model.episode import ApprovalDecision, Episode, Phase, Step, StepState, Undoing
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Backend, Hold, Pod, RouteWrite, Signal, SignalState, Snapshot
from tests.unit.engine.build import HALF_WINDOW, NOW, later, pod, snapshot, write_of
from tests.unit.engine.plant import spec

WILD = st.one_of(
    st.none(),
    st.floats(min_value=0, max_value=1e5),
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300, 5e-324]),
)
NAMES = ("a", "b", "c")
SETTINGS = settings(max_examples=60, deadline=None)


@st.composite
def wild_pods(draw: st.DrawFn, name: str) -> Pod:
    return Pod(
        ready=draw(st.booleans()),
        terminating=draw(st.booleans()),
        age=draw(WILD),
        uid=draw(st.sampled_from(["", f"uid-{name}", "uid-old"])),
        node=draw(st.sampled_from([None, "n1", "n2"])),
        workload=draw(st.sampled_from([None, "Deployment/a"])),
        protected=draw(st.booleans()),
        requests=draw(WILD),
        errors=draw(WILD),
        latency=draw(WILD),
        cpu=draw(WILD),
        cpu_limit=draw(WILD),
        memory=draw(WILD),
        memory_limit=draw(WILD),
        in_flight=draw(WILD),
        capacity=draw(WILD),
    )


WEIGHTS = st.fixed_dictionaries({name: st.integers(0, 1_000_000) for name in NAMES})


@st.composite
def wild_steps(draw: st.DrawFn) -> Step:
    return Step(
        name=f"{draw(st.integers(1, 99))}-step",
        action=draw(st.sampled_from(["SetWeights", "Drain", "RestartPod"])),
        state=draw(st.sampled_from(list(StepState))),
        planned_at=NOW - draw(st.floats(0, 900)),
        applied_at=draw(st.sampled_from([None, NOW - 100, NOW - 3, NOW + 50])),
        purpose=draw(st.sampled_from([None, *Purpose])),
        before=draw(st.one_of(st.none(), WEIGHTS)),
        after=draw(st.one_of(st.none(), WEIGHTS)),
        backend=draw(st.sampled_from([None, "a", "gone"])),
        pod=draw(st.sampled_from([None, "a-0"])),
        uid=draw(st.sampled_from([None, "uid-a-0", "uid-old"])),
        error_ratio=draw(st.sampled_from([None, 0.0, 0.2])),
        requests_per_second=draw(st.sampled_from([None, 0.0, 48.0])),
        refused_since=draw(st.sampled_from([None, NOW - 1000])),
        manager=draw(st.sampled_from([None, "helm", "evenload"])),
    )


@st.composite
def wild_episodes(draw: st.DrawFn) -> Episode:
    unique = {step.name: step for step in draw(st.lists(wild_steps(), max_size=5))}
    return Episode(
        name="rem",
        opened_at=NOW - 300,
        label=draw(st.sampled_from(list(Label))),
        phase=draw(st.sampled_from(list(Phase))),
        steps=tuple(unique.values()),
        approval=draw(st.sampled_from([None, *ApprovalDecision])),
        undo_requested=draw(st.booleans()),
        undoes=draw(st.one_of(st.none(), st.builds(Undoing, of=st.just("rem"), left=WEIGHTS, found=WEIGHTS))),
        overloaded_pods=draw(st.sampled_from([{}, {"a-0": "uid-a-0"}])),
    )


@st.composite
def wild_snapshots(draw: st.DrawFn) -> Snapshot:
    backends = {
        name: Backend(
            weight=draw(st.integers(0, 1_000_000)),
            pods={f"{name}-{i}": draw(wild_pods(f"{name}-{i}")) for i in range(draw(st.integers(0, 2)))},
        )
        for name in NAMES[: draw(st.integers(0, 3))]
    }
    return Snapshot(
        time=draw(st.one_of(st.floats(NOW, NOW + 1000), st.sampled_from([0.0, -5.0, math.nan, 1e300]))),
        window=draw(st.sampled_from([15.0, 30.0, 0.0, -1.0, math.nan])),
        backends=backends,
        signals={"requests": Signal(state=draw(st.sampled_from(list(SignalState))), age=draw(WILD))},
        last_write=draw(
            st.sampled_from(
                [None, RouteWrite(manager="helm", time=NOW - 5), RouteWrite(manager="evenload", time=1e300)]
            )
        ),
        known_good=draw(st.one_of(st.none(), WEIGHTS)),
        episode=draw(st.one_of(st.none(), wild_episodes())),
        holds=draw(st.sampled_from([(), (Hold(reason="Rollout"),), (Hold(reason="Paused"),)])),
    )


@SETTINGS
@given(sights=st.lists(wild_snapshots(), min_size=1, max_size=4))
def test_nothing_that_can_be_seen_crashes_it_and_every_weight_it_writes_is_valid(sights: list[Snapshot]) -> None:
    engine = Engine(spec())
    for number, sight in enumerate(sights):
        decision = engine.step(msgspec.structs.replace(sight, time=sight.time + 5 * number))
        writes = [action for action in decision.actions if isinstance(action, SetWeights | Drain | RestartPod)]
        assert len(writes) <= 1
        assert not (writes and decision.diagnosis.label in (Label.NoData, Label.TrafficStopped))
        for write in writes:
            assert_valid(sight, write)


def assert_valid(sight: Snapshot, write: SetWeights | Drain | RestartPod) -> None:
    if isinstance(write, RestartPod):
        assert write.workload
        return
    assert set(write.after) == set(sight.backends)
    assert all(0 <= weight <= 1_000_000 for weight in write.after.values())
    assert sum(write.after.values()) > 0
    for name, backend in sight.backends.items():
        ready = any(pod.ready and not pod.terminating for pod in backend.pods.values())
        assert ready or write.after[name] == 0


@SETTINGS
@given(
    order=st.permutations("abcdef"),
    requests=st.lists(st.integers(0, 900), min_size=6, max_size=6),
    errors=st.lists(st.integers(0, 300), min_size=6, max_size=6),
)
def test_the_order_in_which_pods_are_listed_changes_nothing(
    order: list[str], requests: list[int], errors: list[int]
) -> None:
    changed = {
        f"{name}-0": {"requests": float(count), "errors": float(min(count, wrong))}
        for name, count, wrong in zip("abcdef", requests, errors, strict=True)
    }
    sight = snapshot(changed, backends="abcdef", weights={"a": 500})
    shuffled = msgspec.structs.replace(sight, backends={name: sight.backends[name] for name in order})
    one, other = Engine(spec()), Engine(spec())
    for tick in range(4):
        assert one.step(later(sight, 5 * tick)) == other.step(later(shuffled, 5 * tick))


@SETTINGS
@given(factor=st.floats(0.05, 200), seed=st.integers(0, 1000))
def test_scaling_all_counts_never_turns_healthy_into_a_restart(factor: float, seed: int) -> None:
    dice = np.random.default_rng(seed)
    plain, scaled = Engine(spec()), Engine(spec())
    for tick in range(12):
        counts = {f"{name}-0": float(dice.poisson(240)) for name in "abcdef"}
        errors = {name: float(dice.binomial(int(count), 0.002)) for name, count in counts.items()}
        sights = [
            later(
                snapshot({n: {"requests": counts[n] * k, "errors": errors[n] * k} for n in counts}, backends="abcdef"),
                5 * tick,
            )
            for k in (1.0, factor)
        ]
        diagnosis = plain.step(sights[0]).diagnosis
        assert diagnosis.label is Label.Healthy or diagnosis.early
        assert not isinstance(write_of(scaled.step(sights[1])), RestartPod | Drain)


@SETTINGS
@given(extra=st.integers(1, 30), seed=st.integers(0, 1000))
def test_adding_noise_free_healthy_pods_creates_no_fault(extra: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    engine = Engine(spec())
    for tick in range(8):
        noisy = {f"p{i}": pod(f"p{i}", requests=float(dice.poisson(240))) for i in range(5)}
        quiet = {f"q{i}": pod(f"q{i}") for i in range(extra)}
        sight = msgspec.structs.replace(snapshot(), backends={"a": Backend(weight=1, pods={**noisy, **quiet})})
        diagnosis = engine.step(later(sight, HALF_WINDOW * tick)).diagnosis
        assert diagnosis.label is Label.Healthy or (diagnosis.early and tick < 2)


@pytest.mark.parametrize("state", [SignalState.Missing, SignalState.Stale, SignalState.NaN])
@SETTINGS
@given(share=st.integers(1, 900))
def test_a_broken_request_signal_never_leads_to_a_write(state: SignalState, share: int) -> None:
    engine = Engine(spec())
    sight = snapshot(
        {"a-0": {"requests": 1000.0 + share}}, weights={"a": 9000}, signals={"requests": Signal(state=state)}
    )
    for tick in range(5):
        decision = engine.step(later(sight, 5 * tick))
        assert decision.diagnosis.label is Label.NoData
        assert write_of(decision) is None


@SETTINGS
@given(jump=st.sampled_from([-1e6, -60.0, -1.0, 0.0, 181.0, 1e6]))
def test_a_clock_that_jumps_costs_a_tick_and_no_write(jump: float) -> None:
    engine = Engine(spec())
    skewed = snapshot({"a-0": {"requests": 3000.0}}, weights={"a": 9000})
    engine.step(skewed)
    decision = engine.step(later(skewed, jump))
    assert decision.diagnosis.label is Label.NoData
    assert write_of(decision) is None
    assert write_of(engine.step(later(skewed, jump + 5))) is None
    assert write_of(engine.step(later(skewed, jump + 10))) is not None


@SETTINGS
@given(
    order=st.permutations("abcdef"),
    hot=st.sampled_from([1.0, 1.7, 8.0]),
    wrong=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_exchanging_the_pods_exchanges_the_answer(order: list[str], hot: float, wrong: float, seed: int) -> None:
    """The first pod's trouble told of another pod is the same trouble of that one; weights to the last unit."""
    dice = np.random.default_rng(seed)
    renamed = dict(zip("abcdef", order, strict=True))
    one, other = Engine(spec()), Engine(spec())
    for tick in range(6):
        counts = {n: float(dice.poisson(240 * (hot if n == "a" else 1.0))) for n in "abcdef"}
        errors = {n: float(dice.binomial(int(counts[n]), wrong if n == "b" else 0.0)) for n in counts}
        plain = {f"{n}-0": {"requests": counts[n], "errors": errors[n]} for n in counts}
        moved = {f"{renamed[n[0]]}-0": values for n, values in plain.items()}
        first = one.step(later(snapshot(plain, backends="abcdef", weights={"a": 500}), 5 * tick))
        second = other.step(later(snapshot(moved, backends="abcdef", weights={renamed["a"]: 500}), 5 * tick))
        assert first.diagnosis.label is second.diagnosis.label
        assert {renamed[name[0]] for name in first.diagnosis.pods} == {name[0] for name in second.diagnosis.pods}
        written, again = write_of(first), write_of(second)
        assert type(written) is type(again)
        if isinstance(written, SetWeights) and isinstance(again, SetWeights):
            assert {renamed[n]: weight for n, weight in written.after.items()} == pytest.approx(again.after, abs=1)


@SETTINGS
@given(
    silent=st.sets(st.sampled_from("abcdef"), min_size=1, max_size=6),
    absent=st.sampled_from([None, math.nan, -1.0, math.inf]),
    share=st.integers(100, 9000),
)
def test_pods_without_a_count_never_lead_to_a_write(silent: set[str], absent: float | None, share: int) -> None:
    """Whatever the others show: the missing one may be the hot one, and a burst of silence is no news of it."""
    engine = Engine(spec())
    for tick in range(3):
        engine.step(later(snapshot(backends="abcdef"), 5 * tick))
    sight = snapshot(
        {"a-0": {"requests": 240.0 + share}, **{f"{name}-0": {"requests": absent} for name in silent}},
        backends="abcdef",
        weights={"a": 100 + share},
    )
    for tick in range(3, 10):
        decision = engine.step(later(sight, 5 * tick))
        assert decision.diagnosis.label is Label.NoData
        assert write_of(decision) is None
