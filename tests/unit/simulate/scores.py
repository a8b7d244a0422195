"""The score of a run in which all went well, for tests to change."""

from __future__ import annotations

from evenload.simulate.score import Score

FOUND = Score(
    scenario="bad-update",
    size=10,
    seed=1000,
    expected="LoadBalancerSkew",
    given="LoadBalancerSkew",
    in_time=True,
    detect_seconds=20.0,
    settle_seconds=30.0,
    wrong_before=0,
    ticks_before=12,
    arrived=1000,
    failed=20,
    failed_alone=300,
    tick_seconds=10.0,
    arrived_early=1000,
    over_early=40.0,
    weight_writes=1,
    restarts=0,
    forbidden=(),
    owed=(),
    crashes=0,
    false_labels=0,
    seconds=480.0,
)
