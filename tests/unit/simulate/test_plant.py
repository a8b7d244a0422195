"""The plant must be an honest world: counted requests, real queues, late balancers, and illness only restarts cure."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.model.snapshot import Pod, SignalState
from evenload.simulate.balancer import Balancer
from evenload.simulate.plant import Cluster, Eviction, Plant
from evenload.simulate.scrape import Scraper
from evenload.simulate.servers import NEVER, new_servers, restart_container
from evenload.simulate.traffic import DAY_SECONDS, Traffic
from evenload.simulate.world import change

START = 1_760_000_000.0


def plant(
    count: int = 4,
    *,
    seed: int = 1,
    rate_rps: float = 80.0,
    capacity_rps: float = 40.0,
    cluster: Cluster | None = None,
    missed_ratio: float = 0.0,
    **columns: float,
) -> Plant:
    names = tuple(f"shop-{letter}" for letter in "abcdefgh"[:count])
    servers = new_servers(
        count,
        serial=np.arange(1, count + 1),
        backend=np.arange(count),
        born=START - 9000,
        started=START - 9000,
        capacity=capacity_rps,
        **columns,
    )
    return Plant(
        balancer=Balancer(names, dict.fromkeys(names, 100), gain=np.ones(count)),
        servers=servers,
        traffic=Traffic(rate_rps=rate_rps),
        scraper=Scraper(5.0, missed_ratio),
        cluster=cluster or Cluster(),
        rng=np.random.default_rng(seed),
        now=START,
    )


def to(world: Plant, share: float) -> None:
    """Give the first backend this share by its weight."""
    first, *rest = world.balancer.names
    world.command(
        {first: round(share * 100_000), **dict.fromkeys(rest, round((1 - share) / len(rest) * 100_000))}, "me"
    )


def test_the_same_seed_gives_the_same_world() -> None:
    worlds = [plant(seed=5), plant(seed=5), plant(seed=6)]
    for world in worlds:
        world.advance(START + 60)
    same, again, other = (world.backends(30) for world in worlds)
    assert same == again
    assert same != other


def test_all_requests_are_answered_while_there_is_capacity() -> None:
    world = plant()
    world.advance(START + 300)
    assert world.truth.arrived == pytest.approx(300 * 80, rel=0.05)
    assert world.truth.failed == 0


def test_a_server_given_nearly_all_overflows_and_fails_requests() -> None:
    world = plant()
    to(world, 0.8)
    world.advance(START + 120)
    assert world.truth.failed / world.truth.arrived == pytest.approx(0.8 - 0.5, abs=0.05)  # 64/s at 40/s of 80/s


def test_new_weights_hold_only_after_the_balancers_lag() -> None:
    world = plant()
    world.balancer.lag_seconds = (10.0, 10.0)
    to(world, 0.7)
    world.advance(START + 9)
    assert world.skew() == pytest.approx(1.0)
    world.advance(START + 11)
    assert world.skew() == pytest.approx(2.8, rel=0.01)


def test_weights_do_not_move_sticky_traffic() -> None:
    world = plant()
    world.balancer.stuck_ratio, world.balancer.stuck_shares = 0.5, np.array([1.0, 0, 0, 0])
    to(world, 0.0)
    world.advance(START + 5)
    assert world.chances()[0] == pytest.approx(0.5)


def test_an_overloaded_server_stays_sick_until_it_is_replaced() -> None:
    world = plant(sick_above=40.0)
    to(world, 0.8)
    world.advance(START + 60)
    assert world.servers["sick"].tolist() == [True, False, False, False]
    to(world, 0.25)
    world.advance(START + 300)
    assert world.servers["sick"].sum() == 1
    assert world.evict(world.uid(0)) is Eviction.Accepted
    world.advance(START + 330)
    assert not world.servers["sick"].any()
    assert len(world.servers) == 4


def test_a_backend_without_ready_pods_loses_its_share() -> None:
    world = plant(cluster=Cluster(replacements_get_ready=False))
    world.evict(world.uid(0))
    world.advance(START + 100)
    assert world.chances().sum() == pytest.approx(0.75)
    assert world.truth.failed > 0


def test_an_eviction_needs_the_uid_and_the_budget() -> None:
    world = plant(cluster=Cluster(budget_refuses=True))
    assert world.evict("uid-77") is Eviction.Gone
    assert world.evict("uid-1") is Eviction.Refused
    world.cluster.budget_refuses = False
    assert world.evict("uid-1") is Eviction.Accepted
    assert world.evict("uid-1") is Eviction.Gone
    assert world.truth.evictions == 1


def test_without_pre_stop_requests_are_lost_until_the_balancer_has_heard() -> None:
    lost = []
    for seconds in (None, 5.0):
        world = plant(cluster=Cluster(pre_stop_seconds=seconds))
        world.advance(START + 30)
        world.evict(world.uid(0))
        world.advance(START + 32)  # the backend is empty from then on, with or without
        lost.append(world.truth.failed)
    assert lost[0] > lost[1]


def test_a_leak_ends_in_a_crash_and_counters_that_start_again() -> None:
    world = plant(leak=5e6)
    world.advance(START + 120)
    assert world.truth.crashes == 4
    assert world.servers["requests"].max() < 120 * 80 / 4 * 0.9


def test_a_cold_server_is_slower_than_a_warm_one() -> None:
    world = plant(warm_seconds=60.0)
    world.replace(0)
    world.advance(START + 40)
    seen = [pod.latency for backend in world.backends(15).values() for pod in backend.pods.values()]
    cold, warm = seen[0], seen[1]
    assert cold is not None
    assert warm is not None
    assert cold > 1.3 * warm


def test_prometheus_sees_the_requests_that_were_made() -> None:
    world = plant()
    world.advance(START + 120)
    seen = [pod.requests for backend in world.backends(30).values() for pod in backend.pods.values()]
    assert sum(count or 0 for count in seen) == pytest.approx(25 * 80, rel=0.15)  # 30 s hold samples of 25
    assert {signal.state for signal in world.signals(world.backends(30)).values()} == {SignalState.Fresh}


def test_what_is_not_scraped_is_absent_then_stale() -> None:
    world = plant()
    world.advance(START + 60)
    world.scraper.down = True
    world.advance(START + 100)
    assert world.backends(30)["shop-a"].pods["shop-a-0001"].requests is None
    assert world.signals(world.backends(30))["requests"].state is SignalState.Missing
    world.advance(START + 130)
    signal = world.signals(world.backends(30))["requests"]
    assert signal.state is SignalState.Stale
    assert signal.age == pytest.approx(72, abs=5)


def test_a_pod_that_prometheus_cannot_reach_makes_signals_partial() -> None:
    world = plant()
    world.scraper.deaf.add(1)
    world.advance(START + 60)
    assert world.signals(world.backends(30))["requests"].state is SignalState.Partial


def test_a_counter_that_starts_again_never_gives_a_negative_increase() -> None:
    world = plant()
    world.advance(START + 60)
    restart_container(world.servers, np.array([True, False, False, False]), world.now, 2.0)
    for second in range(61, 100):
        world.advance(START + second)
        seen = world.backends(30)["shop-a"].pods["shop-a-0001"].requests
        assert seen is None or 0 <= seen < 30 * 80 / 4 * 1.5
        cpu = world.backends(30)["shop-a"].pods["shop-a-0001"].cpu
        assert cpu is None or 0 <= cpu <= 1


def seen(world: Plant) -> list[Pod]:
    return [pod for backend in world.backends(30).values() for pod in backend.pods.values()]


def test_a_pod_whose_series_lost_their_label_is_not_seen_any_more() -> None:
    world = plant()
    world.advance(START + 60)
    world.unnamed.add(1)
    lost, *others = seen(world)
    assert (lost.requests, lost.cpu, lost.memory) == (None, None, None)
    assert all(pod.requests is not None for pod in others)


def test_series_that_are_there_twice_count_twice() -> None:
    world = plant()
    world.advance(START + 60)
    once = [pod.requests or 0.0 for pod in seen(world)]
    world.counted_times = 2.0
    assert [pod.requests for pod in seen(world)] == [2 * count for count in once]


def test_ages_are_by_the_operators_clock_and_unknown_where_it_says_not_yet() -> None:
    world = plant()
    world.replace(0)
    world.advance(START + 60)
    *old, new = (pod.age for pod in sorted(seen(world), key=lambda pod: -(pod.age or 0)))
    world.clock_error_seconds = -300.0
    assert min(age for age in (pod.age for pod in seen(world)) if age is not None) == pytest.approx(8760.0)
    assert len(old) == 3
    assert new is not None
    assert [pod.age for pod in seen(world)].count(None) == 1


def test_a_zone_stays_with_the_place_of_a_pod() -> None:
    world = plant()
    assert {pod.zone for pod in seen(world)} == {None}
    world.servers["zone"] = [0, 1, 0, 1]
    world.replace(1)
    world.advance(START + 60)
    assert [pod.zone for pod in seen(world)] == ["zone-0", "zone-1", "zone-0", "zone-1"]


def test_a_balancer_that_misreads_weights_does_as_it_understood_them() -> None:
    world = plant()
    world.balancer.misread = lambda asked, manager: asked[::-1] if manager == "me" else asked
    to(world, 0.7)
    world.advance(START + 5)
    assert world.chances()[-1] == pytest.approx(0.7)
    assert world.balancer.weights["shop-a"] > world.balancer.weights["shop-d"]


def test_requests_beyond_what_a_server_can_do_are_counted() -> None:
    calm, hot = plant(), plant()
    to(hot, 0.8)
    for world in (calm, hot):
        world.advance(START + 120)
    assert calm.truth.over_capacity == 0
    assert hot.truth.over_capacity / hot.truth.arrived == pytest.approx(0.8 - 0.5, abs=0.05)  # 64/s at 40/s of 80/s


@pytest.mark.parametrize(
    ("times", "values", "window", "expected"),
    [
        ([10, 20, 30], [100, 110, 120], 30, 30.0),  # to both edges
        ([10, 20, 30], [0, 10, 20], 30, 20.0),  # never below nought at the start
        ([22, 30], [100, 108], 30, 8 * (8 + 4) / 8),  # far from the start: half an interval only
        ([10, 20, 30], [90, 100, 7], 30, 17 * 30 / 20),  # a reset
    ],
)
def test_increase_is_extrapolated_as_prometheus_does(
    times: list[float], values: list[float], window: float, expected: float
) -> None:
    scraper = Scraper(10.0, 0.0)
    rng = np.random.default_rng(0)
    scraper.add(1, -1e9, rng)
    servers = new_servers(1)
    for time, value in zip(times, values, strict=True):
        servers["requests"] = value
        scraper._take(np.array([0]), servers, np.zeros(1), time)
    assert scraper.increases(30.0, window)["requests"][0] == pytest.approx(expected)


def test_traffic_has_its_wave_and_its_bursts() -> None:
    rng = np.random.default_rng(3)
    wave = Traffic(rate_rps=100, daily_ratio=5.0)
    rates = [wave.rate_at(DAY_SECONDS * part / 96) for part in range(96)]
    assert max(rates) / min(rates) == pytest.approx(5.0)
    calm, wild = Traffic(rate_rps=100), Traffic(rate_rps=100, burstiness=0.4)
    calm_counts, wild_counts = ([t.arrivals(s, 1.0, rng) for s in range(3000)] for t in (calm, wild))
    assert np.mean(wild_counts) == pytest.approx(100, rel=0.15)
    assert np.std(calm_counts) == pytest.approx(10, rel=0.1)
    assert np.std(wild_counts) > 25


def test_a_pod_that_ends_takes_its_object_with_it() -> None:
    world = plant()
    world.evict(world.uid(1))
    assert world.servers["dying_at"][1] < NEVER
    world.advance(START + 60)
    assert "shop-b-0002" not in world.backends(30)["shop-b"].pods
    assert world.ready().sum() == 4


def test_a_fault_stays_with_its_pod_and_is_not_inherited() -> None:
    world = plant()
    change("error_ratio", [0, 2], 0.3)(world)
    assert world.servers["error_ratio"].tolist() == [0.3, 0.0, 0.3, 0.0]
    world.replace(0)
    world.advance(START + 60)
    change("error_ratio", [0, 2], 0.5)(world)
    assert dict(zip(world.servers["serial"].tolist(), world.servers["error_ratio"].tolist(), strict=True)) == {
        2: 0.0,
        3: 0.5,
        4: 0.0,
        5: 0.0,
    }
