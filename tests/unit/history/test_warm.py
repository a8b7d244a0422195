"""A warm-started engine decides on its first tick what one that has been running decides; otherwise it starts cold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

from evenload.drivers.base import BalancerView, Place
from evenload.engine import Engine
from evenload.history import warm
from evenload.history.warm import Newcomer, Warmed, warm_engines
from evenload.model.decision import EpisodeMove
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase, Step, StepState
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Mode, Query, Signals, TargetRef
from evenload.observe.cluster import Fleet
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, SignalReader
from evenload.observe.queries import Source, source_of
from tests.support.fakeprometheus import FakePrometheus
from tests.support.fakeprometheus import Mode as Answers
from tests.support.wait import PATIENCE_SECONDS
from tests.unit.observe.fleets import member

NOW = 1_760_089_500.0
TICK = 10.0
PODS = tuple(f"shop-{backend}-6b9f7c5d8-x2x9q" for backend in "abcd")
SPEC = BalancerSpec(target_ref=TargetRef(name="shop"), mode=Mode.Auto)
SKEWED_SINCE = NOW - 40


def numbers(time: float) -> dict[tuple[str, str], Mapping[str, float]]:
    """Four servers; from SKEWED_SINCE on the first gets nearly everything, whatever the weights say."""
    skewed = time >= SKEWED_SINCE
    pods: dict[tuple[str, str], Mapping[str, float]] = {}
    for place, pod in enumerate(PODS):
        requests = (1500.0 if place == 0 else 60.0) if skewed else 400.0 + (time / TICK * 7 + place * 13) % 11
        pods["shop", pod] = {
            "requests": requests,
            "errors": 300.0 if skewed and place == 0 else 0.0,
            "latency": 0.02 + 1e-9 * (time % 1000),  # live traffic never is quite the same
            "cpu": requests / 4000,
            "memory": 8e7,
            "inFlight": 2.0,
        }
    return pods


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus(window_seconds=15.0, scrape_seconds=5.0) as prometheus:
        prometheus.history, prometheus.frozen = numbers, True  # what it tells depends on the time alone
        yield prometheus


def fleet(*pods: str) -> Fleet:
    return Fleet(backends={pod[:6]: {pod: member(pod, workload=f"Deployment/{pod[:6]}")} for pod in pods or PODS})


def newcomer(prometheus: FakePrometheus, *queries: Query, **known: Any) -> Newcomer:
    who = fleet()
    view = BalancerView(
        kind="HTTPRoute",
        namespace="shop",
        name="shop",
        uid="u",
        resource_version="1",
        generation=1,
        weights=dict.fromkeys(who.backends, 250),
        services={backend: Place(namespace="shop", name=backend) for backend in who.backends},
        rules=(),
    )
    basis = Newcomer(
        spec=SPEC,
        source=source_of(Signals(preset="app", queries=queries), default_url=prometheus.url, scrape_seconds=5.0),
        view=view,
        fleet=who,
        last_write=None,
        known_good=None,
        episode=None,
        ledger=(),
    )
    return basis._replace(**known)


async def warmed(newcomers: Mapping[str, Newcomer], **more: Any) -> Warmed[str]:
    """In a thread, as the operator does: the stand-in lives in this loop."""
    options = {"now": NOW, "tick_seconds": TICK, "deadline_seconds": PATIENCE_SECONDS} | more
    return await asyncio.to_thread(lambda: warm_engines(newcomers, **options))


async def seen_live(prometheus: FakePrometheus, source: Source, time: float) -> Snapshot:
    """The Snapshot of the live path at that moment."""
    prometheus.pods = numbers(time)
    reader = SignalReader(deadline_seconds=PATIENCE_SECONDS)
    samples = await reader.read({"shop": Interest(source=source, namespaces=frozenset({"shop"}))})
    reader.close()
    who = fleet()
    return snapshot_of(
        time=time,
        weights=dict.fromkeys(who.backends, 250),
        fleet=who,
        samples=samples["shop"],
        max_age_seconds=60.0,
    )


async def test_a_warm_started_engine_decides_as_one_that_has_been_running(prometheus: FakePrometheus) -> None:
    one = newcomer(prometheus)
    running = Engine(SPEC)
    for tick in range(90, 0, -1):
        running.step(await seen_live(prometheus, one.source, NOW - TICK * tick))
    engine = (await warmed({"shop": one})).engines["shop"]
    first = await seen_live(prometheus, one.source, NOW)
    decision = engine.step(first)
    assert decision == running.step(first)
    assert decision.diagnosis.label is Label.LoadBalancerSkew
    assert decision.episode is EpisodeMove.Open
    assert decision != Engine(SPEC).step(first)


async def test_the_past_ends_a_tick_before_now(prometheus: FakePrometheus) -> None:
    await warmed({"shop": newcomer(prometheus)})
    assert prometheus.ranges == [(NOW - 900, NOW - TICK, TICK)]


async def test_balancers_share_the_queries(prometheus: FakePrometheus) -> None:
    one = newcomer(prometheus)
    found = await warmed({f"shop-{number}": one for number in range(5)})
    assert len(found.engines) == 5
    assert prometheus.asked["requests"] == 1


async def test_nothing_is_shown_from_before_the_weights_were_written(prometheus: FakePrometheus) -> None:
    write = RouteWrite(manager="pipeline", time=NOW - 100)
    engine = (await warmed({"shop": newcomer(prometheus, last_write=write)})).engines["shop"]
    fresh = newcomer(prometheus, last_write=write)
    expected = Engine(SPEC)
    for tick in range(8, 0, -1):  # 100 s ago, and a window of 15 s later
        snapshot = await seen_live(prometheus, fresh.source, NOW - TICK * tick)
        expected.step(msgspec.structs.replace(snapshot, last_write=write))
    first = msgspec.structs.replace(await seen_live(prometheus, fresh.source, NOW), last_write=write)
    assert engine.step(first) == expected.step(first)


async def test_weights_written_just_now_mean_a_cold_start_without_a_query(prometheus: FakePrometheus) -> None:
    write = RouteWrite(manager="pipeline", time=NOW - 5)
    assert await warmed({"shop": newcomer(prometheus, last_write=write)}) == Warmed({}, ())
    assert not prometheus.ranges


def test_a_step_of_an_open_remediation_is_a_change_too() -> None:
    step = Step(name="1-restore", action="SetWeights", state=StepState.Applied, planned_at=10.0, applied_at=12.0)
    episode = Episode(name="r", opened_at=8.0, label=Label.LoadBalancerSkew, phase=Phase.Verifying, steps=(step,))
    bare = Newcomer.__new__(Newcomer, SPEC, None, None, None, RouteWrite(manager="m", time=3.0), None, episode, ())  # type: ignore[arg-type]
    assert bare.unchanged_since == 12.0


@pytest.mark.parametrize("mode", [Answers.Http500, Answers.Html, Answers.Garbage, Answers.Cut])
async def test_where_prometheus_cannot_answer_the_start_is_cold_and_says_why(
    prometheus: FakePrometheus, mode: Answers
) -> None:
    prometheus.mode = mode
    found = await warmed({"shop": newcomer(prometheus)})
    assert found.engines == {}
    assert prometheus.url in found.problems[0]


async def test_a_prometheus_without_a_past_means_a_cold_start(prometheus: FakePrometheus) -> None:
    prometheus.mode = Answers.Empty
    assert await warmed({"shop": newcomer(prometheus)}) == Warmed({}, ())


async def test_a_slow_prometheus_costs_one_deadline(prometheus: FakePrometheus) -> None:
    prometheus.mode = Answers.Slow
    found = await warmed({"shop": newcomer(prometheus)}, deadline_seconds=0.3)
    assert found.engines == {}
    assert "took too long" in found.problems[0]


async def test_when_time_runs_out_the_start_is_cold_rather_than_half_warm(prometheus: FakePrometheus) -> None:
    seconds = iter([0.0, *[1.0] * 3, *[warm.BUDGET_SECONDS + 1] * 100])
    found = await warmed({str(number): newcomer(prometheus) for number in range(10)}, clock=lambda: next(seconds))
    assert found.engines == {}
    assert "could not be read in" in found.problems[0]


async def test_a_large_fleet_is_shown_fewer_moments(
    prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "MOST_POD_MOMENTS", 4 * 12)
    assert (await warmed({"shop": newcomer(prometheus)})).engines
    assert prometheus.ranges == [(NOW - 120, NOW - TICK, TICK)]


async def test_a_query_about_a_balancers_own_pods_is_not_asked_about_the_past(prometheus: FakePrometheus) -> None:
    own = Query(signal="latency", query='my_latency{pod=~"$(pods)"}')
    assert await warmed({"shop": newcomer(prometheus, own)}) == Warmed({}, ())
