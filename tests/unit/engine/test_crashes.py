"""The operator may die anywhere: whoever comes next finishes the same story, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evenload.engine import Engine
from evenload.model.episode import Phase
from evenload.model.plan import Purpose, SetWeights
from tests.unit.engine.plant import Cluster, healthy_shop, spec
from tests.unit.engine.test_postmortem import BAD, GOOD

POINTS = [(point, number) for number in range(1, 8) for point in ("planned", "written", "applied")]


class Killed(Exception):
    """SIGKILL, here."""


def killing_at(point: str, number: int) -> Callable[[str], None]:
    """Dies once, the `number`th time it comes to `point`."""
    left = [number]

    def crash(here: str) -> None:
        if here == point:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    return crash


def run_killed(cluster: Cluster, seconds: float, *, down: float = 0.0) -> int:
    """As `run`, but whenever the operator is killed the next one starts with an empty memory. Returns the kills."""
    engine, kills, end = Engine(spec()), 0, cluster.time + seconds
    while cluster.time < end:
        cluster.pass_time(cluster.tick)
        try:
            cluster.act(engine.step(cluster.snapshot()))
        except Killed:
            engine, kills = Engine(spec()), kills + 1
            cluster.pass_time(down)
    return kills


def assert_mended_once(cluster: Cluster) -> None:
    assert len(cluster.evictions) == 1
    assert cluster.evictions[0][1] == "uid-shop-a-0"
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]
    restores = [
        write for _, write in cluster.writes if isinstance(write, SetWeights) and write.purpose is Purpose.Restore
    ]
    assert len(restores) == 1


def broken_shop() -> Cluster:
    cluster, _ = healthy_shop()
    cluster.write_weights(BAD, "kubectl-patch")
    return cluster


@pytest.mark.parametrize(("point", "number"), POINTS)
def test_killed_around_any_write_the_next_operator_finishes_it_once(point: str, number: int) -> None:
    cluster = broken_shop()
    cluster.crash = killing_at(point, number)
    assert run_killed(cluster, 260) == 1
    assert_mended_once(cluster)


def test_killed_right_after_the_episode_was_opened_no_second_one_is() -> None:
    cluster = broken_shop()
    cluster.crash = killing_at("opened", 1)
    assert run_killed(cluster, 260) == 1
    assert_mended_once(cluster)


@pytest.mark.parametrize("tick", range(1, 32, 2))
def test_a_new_engine_at_any_tick_tells_the_same_story(tick: int) -> None:
    cluster = broken_shop()
    engine = Engine(spec())
    for number in range(60):
        cluster.pass_time(cluster.tick)
        if number == tick:
            engine = Engine(spec())
        cluster.act(engine.step(cluster.snapshot()))
    assert_mended_once(cluster)


def test_a_new_engine_at_every_tick_still_mends_the_weights_and_never_restarts_twice() -> None:
    cluster = broken_shop()
    for _ in range(80):
        cluster.pass_time(cluster.tick)
        cluster.act(Engine(spec()).step(cluster.snapshot()))
    assert len(cluster.evictions) <= 1


@pytest.mark.parametrize("number", range(1, 8, 2))
def test_an_operator_that_is_away_for_minutes_picks_up_where_it_stood(number: int) -> None:
    cluster = broken_shop()
    cluster.crash = killing_at("planned", number)
    assert run_killed(cluster, 700, down=180) == 1
    assert len(cluster.evictions) == 1
    assert cluster.weights == GOOD
    assert all(episode.phase is Phase.Succeeded for episode, _ in cluster.closed)
