"""No oscillation: once it is even, no weight moves further than the dead band without a cause."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.engine import Engine
from evenload.model.diagnosis import Label
from evenload.model.plan import SetWeights
from tests.unit.engine.plant import Cluster, run, spec

NAMES = tuple(f"shop-{number}" for number in range(6))


@settings(max_examples=12, deadline=None)
@given(
    gain=st.sampled_from([0.4, 1.0, 1.8, 3.0, 12.0, 36.0]),
    share=st.sampled_from([100, 400, 2000]),
    seed=st.integers(0, 1000),
)
def test_after_settling_no_weight_moves_whatever_was_bent_or_wrong(gain: float, share: int, seed: int) -> None:
    """One backend is given `gain` times its due by the balancer, and `share` for 100 by an update, both or neither."""
    cluster, engine = Cluster(backends=NAMES, rps=96, seed=seed), Engine(spec())
    for server in cluster.servers:
        server.capacity_rps, server.immune = 90.0, True
    run(cluster, engine, 60)
    cluster.gains = {NAMES[2]: gain}
    cluster.write_weights({**cluster.weights, NAMES[2]: share}, "helm")
    run(cluster, engine, 300)
    before, written = dict(cluster.weights), len(cluster.writes)
    decisions = run(cluster, engine, 600)
    late = [write for _, write in cluster.writes[written:] if isinstance(write, SetWeights)]
    quiet = {decision.diagnosis.label for decision in decisions} <= {Label.Healthy, Label.LoadBalancerSkew}
    assert quiet
    total, now = sum(before.values()), sum(cluster.weights.values())
    for name in NAMES:
        assert abs(cluster.weights[name] / now - before[name] / total) <= 0.1 * before[name] / total, (
            late,
            gain,
            share,
        )
    assert len(late) <= 1
    assert cluster.evictions == []
