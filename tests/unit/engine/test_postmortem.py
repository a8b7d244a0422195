"""The postmortem, closed loop: a bad update, one server drowns and stays sick, and all ends well."""

from __future__ import annotations

import pytest

from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Phase
from tests.unit.engine.plant import healthy_shop, run

BAD = {"shop-a": 970, "shop-b": 10, "shop-c": 10, "shop-d": 10}
GOOD = dict.fromkeys(BAD, 100)


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_update_is_found_mended_and_the_sick_server_restarted_once(seed: int) -> None:
    cluster, engine = healthy_shop(seed=seed)
    onset = cluster.time
    cluster.write_weights(BAD, "kubectl-patch")
    decisions = run(cluster, engine, 180)

    found = next(d for d in decisions if d.diagnosis.label is Label.LoadBalancerSkew)
    assert found.time - onset <= 20
    assert found.diagnosis.cause is SkewCause.WeightsWrong
    assert found.diagnosis.manager == "kubectl-patch"
    assert "putting back 100/100/100/100" in found.sentence
    late = [failed for time, failed in cluster.failed.items() if time > onset + 45]
    assert sum(late) < 0.01 * cluster.rps * len(late)
    assert [uid for _, uid in cluster.evictions] == ["uid-shop-a-0"]
    assert cluster.weights == GOOD
    (episode, closing) = cluster.closed[0]
    assert (episode.phase, len(cluster.closed)) == (Phase.Succeeded, 1)
    assert closing.time - onset <= 150


def test_a_healthy_shop_is_never_written_to() -> None:
    cluster, engine = healthy_shop()
    run(cluster, engine, 900)
    assert (cluster.writes, cluster.closed, cluster.episode) == ([], [], None)


def test_an_overloaded_server_that_recovers_by_itself_is_not_restarted() -> None:
    cluster, engine = healthy_shop()
    for server in cluster.servers:
        server.immune = True
    cluster.write_weights(BAD, "kubectl-patch")
    run(cluster, engine, 180)
    assert cluster.evictions == []
    assert cluster.weights == GOOD
    assert [episode.phase for episode, _ in cluster.closed] == [Phase.Succeeded]
