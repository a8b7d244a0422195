"""A plane whose weights are whole per cent: every story ends as elsewhere, and what is written comes to 100."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from evenload.engine import Engine
from evenload.model.episode import Phase
from evenload.model.plan import SetWeights, WeightAction
from tests.unit.engine.plant import Cluster, run, spec

FOUR = {"shop-a": 97, "shop-b": 1, "shop-c": 1, "shop-d": 1}


def watched(good: dict[str, int], **changes: object) -> tuple[Cluster, Engine]:
    """A shop of such a plane that has been well for a while."""
    cluster = Cluster(backends=tuple(good), weights=dict(good), weights_total=100, **changes)  # type: ignore[arg-type]
    engine = Engine(spec())
    run(cluster, engine, 120)
    return cluster, engine


def assert_whole(cluster: Cluster, *besides: dict[str, int]) -> None:
    """Every write comes to 100, apart from those that put back `besides`."""
    written = [write.after for _, write in cluster.writes if isinstance(write, WeightAction)]
    assert written
    assert all(sum(after.values()) == 100 or after in besides for after in written)


def test_a_bad_update_is_mended_and_the_sick_server_restarted_once() -> None:
    good = dict.fromkeys(FOUR, 25)
    cluster, engine = watched(good)
    cluster.write_weights(FOUR, "kubectl-patch")
    run(cluster, engine, 180)
    assert_whole(cluster)
    assert cluster.weights == good
    assert [uid for _, uid in cluster.evictions] == ["uid-shop-a-0"]
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]


def test_weights_that_come_to_something_else_are_put_back_to_the_digit() -> None:
    good, bad = dict.fromkeys(FOUR, 1), {**FOUR, "shop-a": 970}
    cluster, engine = watched(good)
    cluster.write_weights(bad, "kubectl-patch")
    run(cluster, engine, 180)
    assert_whole(cluster, good)
    assert cluster.weights == good


@pytest.mark.parametrize("count", [3, 20])
def test_a_failing_backend_is_held_back_and_comes_back_however_small_its_share(count: int) -> None:
    names = [f"shop-{at:02}" for at in range(count)]
    good = {name: 100 // count + (at < 100 % count) for at, name in enumerate(names)}
    cluster, engine = watched(good, rps=16.0 * count)
    sick = cluster.servers[0]
    sick.faulty = 0.6
    run(cluster, engine, 60)
    assert cluster.weights["shop-00"] <= 1 + (count == 20)
    sick.faulty = 0.0
    run(cluster, engine, 600)
    assert_whole(cluster)
    assert cluster.weights == good
    assert cluster.episode is None


def test_an_undo_puts_back_the_very_weights_from_before() -> None:
    cluster, engine = watched(dict.fromkeys(FOUR, 25))
    cluster.write_weights({**FOUR, "shop-a": 970}, "kubectl-patch")
    for _ in range(24):
        run(cluster, engine, cluster.tick)
        if any(isinstance(write, SetWeights) for _, write in cluster.writes):
            break
    assert cluster.episode is not None
    cluster.episode = replace(cluster.episode, undo_requested=True)
    run(cluster, engine, 60)
    assert cluster.weights == {**FOUR, "shop-a": 970}


def test_a_healthy_shop_is_never_written_to() -> None:
    cluster, engine = watched({"shop-a": 34, "shop-b": 33, "shop-c": 33})
    run(cluster, engine, 600)
    assert cluster.writes == []


def test_a_balancer_that_bends_the_weights_is_leaned_against_in_whole_per_cent() -> None:
    good = dict.fromkeys([f"shop-{at}" for at in range(10)], 10)
    cluster, engine = watched(good, rps=160.0)
    cluster.gains = {"shop-0": 2.5}
    run(cluster, engine, 400)
    assert_whole(cluster)
    assert cluster.weights["shop-0"] < 10
    after = len(cluster.writes)
    run(cluster, engine, 300)
    assert len(cluster.writes) - after <= 3
