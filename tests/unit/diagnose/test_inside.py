"""Why a Service spreads unevenly over its pods: named with evidence, or not at all."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from evenload.diagnose.inside import FIXES, aged, between, rank_correlation, why
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import INSIDE, Label, SkewCause
from evenload.model.fleet import Floats
from evenload.model.plan import Advise
from evenload.model.snapshot import Backend, Pod, Snapshot, Steering, Steers
from tests.unit.engine.build import HALF_WINDOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec

CLIENT = Steering(by=Steers.Client, setting="spec.sessionAffinity: ClientIP")
ZONE = Steering(by=Steers.Zone, setting="spec.trafficDistribution: PreferSameZone")
NODE = Steering(by=Steers.Node, setting="spec.internalTrafficPolicy: Local")
HOUR = 3600.0
CALM = 20


def service(counts: list[float], *steering: Steering, **columns: list[Any]) -> Snapshot:
    """A pod a count; `columns`: other fields, by pod."""
    pods = {
        f"web-{at}": pod(
            f"web-{at}", requests=count, workload="Deployment/web", **{name: of[at] for name, of in columns.items()}
        )
        for at, count in enumerate(counts)
    }
    return msgspec.structs.replace(snapshot(), backends={"web": Backend(weight=1, pods=pods, steering=steering)})


def decide(sight: Snapshot) -> Decision:
    """After some minutes in which the same pods were well: what is usual is known."""
    engine = Engine(spec())
    backend = sight.backends["web"]
    calm = {name: msgspec.structs.replace(each, requests=240.0) for name, each in backend.pods.items()}
    steps(engine, msgspec.structs.replace(sight, backends={"web": Backend(weight=1, pods=calm)}), CALM)
    return steps(engine, later(sight, CALM * HALF_WINDOW), 16)


def named(sight: Snapshot) -> SkewCause:
    pods = list(sight.backends["web"].pods.values())
    requests = np.array([each.requests for each in pods], dtype=float)
    return why(pods, requests, np.ones(len(pods), dtype=bool), sight.backends["web"].steering).cause


AFTER_SCALING: dict[str, list[Any]] = {"age": [HOUR] * 4 + [400.0] * 4}


@pytest.mark.parametrize(
    ("sight", "cause", "says"),
    [
        (service([900.0] * 4 + [0.0] * 4, **AFTER_SCALING), SkewCause.LongLivedConnections, "the older a pod"),
        (service([900.0, 100.0, 100.0, 100.0], CLIENT), SkewCause.SessionAffinity, "spec.sessionAffinity: ClientIP"),
        (
            service([900.0, 900.0, 100.0, 110.0], ZONE, zone=["a", "a", "b", "b"]),
            SkewCause.Locality,
            "zone a has 50% of the pods and gets 90% of the requests",
        ),
        (
            service([900.0, 100.0, 100.0, 110.0], NODE, node=["n1", "n2", "n3", "n3"]),
            SkewCause.Locality,
            "node n1 has 25% of the pods and gets 74% of the requests",
        ),
        (service([900.0, 100.0, 100.0, 100.0]), SkewCause.InsideService, "one Service"),
    ],
    ids=["scale-up", "affinity", "zones", "nodes", "nothing known"],
)
def test_the_cause_is_told_with_its_evidence_and_its_fix_and_nothing_is_written(
    sight: Snapshot, cause: SkewCause, says: str
) -> None:
    decision = decide(sight)
    assert (decision.diagnosis.label, decision.diagnosis.cause) == (Label.LoadBalancerSkew, cause)
    assert says in decision.diagnosis.sentence
    assert FIXES[cause] in decision.diagnosis.sentence
    assert [action.topic for action in decision.actions if isinstance(action, Advise)] == ["UnevenService"]
    assert write_of(decision) is None


def test_new_pods_that_long_lived_connections_do_not_reach_are_named_with_why_and_nobody_is_blamed() -> None:
    sight = service([240.0] * 6 + [0.0] * 2, age=[HOUR] * 6 + [400.0] * 2)
    decision = decide(sight)
    assert decision.diagnosis.cause is SkewCause.NotReached
    assert decision.diagnosis.pods == ("web-6", "web-7")
    assert FIXES[SkewCause.LongLivedConnections] in decision.diagnosis.sentence
    assert write_of(decision) is None


def test_a_setting_that_traffic_does_not_show_is_no_cause() -> None:
    assert named(service([900.0, 100.0, 900.0, 110.0], ZONE, zone=["a", "a", "b", "b"])) is SkewCause.InsideService


@pytest.mark.parametrize(
    ("counts", "ages", "cause"),
    [
        ([700.0, 500.0, 40.0, 60.0], [HOUR, HOUR + 60, 300, 310], SkewCause.LongLivedConnections),
        ([1200.0, 300.0, 40.0, 20.0], [HOUR, HOUR, 300, 300], SkewCause.LongLivedConnections),
        ([500.0, 510.0, 490.0, 520.0, 10.0], [HOUR + 3, HOUR + 2, HOUR + 4, HOUR, 300], SkewCause.LongLivedConnections),
        ([500.0, 40.0, 700.0, 60.0], [HOUR, HOUR + 60, 300, 310], SkewCause.InsideService),
        ([900.0, 100.0, 100.0, 100.0], [HOUR, 300, 310, 290], SkewCause.InsideService),
        ([700.0, 150.0, 100.0, 120.0], [HOUR, HOUR, 300, 310], SkewCause.InsideService),
        ([700.0, 500.0, 40.0, 60.0], [120, 130, 80, 85], SkewCause.InsideService),
        ([900.0, 800.0, 10.0], [HOUR, HOUR + 1, 300], SkewCause.InsideService),
    ],
    ids=["2 to 4", "one drowns", "4 to 5", "not by age", "one old pod", "one hot pod", "about as old", "three"],
)
def test_of_few_pods_just_those_added_later_have_to_be_the_ones_that_get_little(
    counts: list[float], ages: list[float], cause: SkewCause
) -> None:
    assert named(service(counts, age=ages)) is cause


def test_what_was_added_later_is_named_with_what_it_gets() -> None:
    sight = service([700.0, 500.0, 40.0, 60.0], age=[HOUR, HOUR + 60, 300, 310])
    diagnosis = decide(sight).diagnosis
    assert (
        "just the 2 youngest of 4 pods get little: long-lived connections stay where they began" in diagnosis.sentence
    )
    assert [each.sentence for each in diagnosis.evidence if each.metric == "young_share"] == [
        "the 2 youngest of 4 pods, up to 5 min old, get 7.7% of the requests (fair: 50%), and the others are 60 min "
        "and older"
    ]


@pytest.mark.parametrize("size", [4, 8, 20])
def test_a_service_that_was_scaled_up_before_anybody_looked_is_uneven_from_the_first_looks_on(size: int) -> None:
    half = size // 2
    sight = service([470.0] * half + [10.0] * half, age=[HOUR] * half + [400.0] * half)
    diagnosis = steps(Engine(spec()), sight, 6).diagnosis
    assert (diagnosis.label, diagnosis.cause) == (Label.LoadBalancerSkew, SkewCause.LongLivedConnections)
    assert write_of(steps(Engine(spec()), sight, 30)) is None


def test_two_groups_that_age_does_not_tell_apart_may_be_as_usual() -> None:
    sight = service([470.0, 10.0] * 4, age=[HOUR] * 4 + [400.0] * 4)
    assert steps(Engine(spec()), sight, 6).diagnosis.label is Label.Healthy


def test_pods_that_began_together_are_not_told_apart_by_age() -> None:
    ages = [HOUR + at for at in range(8)]
    assert named(service([100.0 * (at + 1) for at in range(8)], age=ages)) is SkewCause.InsideService


def test_a_pod_that_is_not_judged_or_of_unknown_age_proves_nothing() -> None:
    assert named(service([900.0] * 4 + [0.0] * 4, age=[None] * 8)) is SkewCause.InsideService


Columns = tuple[list[int], list[float | None], list[str | None]]
FLEETS = st.integers(2, 12).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 2000), min_size=size, max_size=size),
        st.lists(st.none() | st.floats(1, 1e6), min_size=size, max_size=size),
        st.lists(st.sampled_from(["a", "b", "c", None]), min_size=size, max_size=size),
    )
)
SETTINGS = st.lists(st.sampled_from([CLIENT, ZONE, NODE]), max_size=3, unique=True)


@given(FLEETS, SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_the_pods_does_not_change_the_cause(
    fleet: Columns, steering: list[Steering], dice: random.Random
) -> None:
    rows = list(zip(*fleet, strict=True))
    shuffled = dice.sample(rows, len(rows))
    assert _cause(rows, steering) == _cause(shuffled, steering)


@given(FLEETS, SETTINGS)
def test_a_setting_is_named_only_where_it_is_set(fleet: Columns, steering: list[Steering]) -> None:
    cause = _cause(list(zip(*fleet, strict=True)), steering)
    assert cause in INSIDE
    assert CLIENT in steering or cause is not SkewCause.SessionAffinity
    assert {ZONE, NODE} & set(steering) or cause is not SkewCause.Locality


def _cause(rows: list[tuple[int, float | None, str | None]], steering: list[Steering]) -> SkewCause:
    pods = [Pod(ready=True, age=age, zone=place, node=place) for _, age, place in rows]
    counts = np.array([count for count, _, _ in rows], dtype=float)
    return why(pods, counts, np.ones(len(rows), dtype=bool), steering).cause


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30))
def test_the_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    assume(np.ptp(one) > 0 and np.ptp(other) > 0)
    assert rank_correlation(one, other) == pytest.approx(float(spearmanr(one, other).statistic), abs=1e-9)


@given(st.lists(st.integers(1, 500), min_size=2, max_size=12), st.data())
def test_what_lies_between_places_is_a_part_of_all(counts: list[int], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.sampled_from("ab"), min_size=len(counts), max_size=len(counts)))
    assert -1e-9 <= between(places, np.array(counts, dtype=float)) <= 1 + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_chance_seldom_looks_like_age(seed: int) -> None:
    """A hot pod that age has nothing to do with, in 1,000 fleets of 5 to 30 pods of all ages."""
    dice, named_by_chance = np.random.default_rng(seed), 0
    for _ in range(1000):
        size = int(dice.integers(5, 31))
        counts: Floats = dice.poisson(100, size).astype(float)
        counts[dice.integers(size)] *= 5
        pods = [Pod(ready=True, age=float(age)) for age in np.exp(dice.uniform(5, 12, size))]
        named_by_chance += aged(pods, counts) is not None
    assert named_by_chance < 80  # 5% are meant
