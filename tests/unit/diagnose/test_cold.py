"""Who is ready and gets next to nothing is named, and nobody else is blamed or touched for it."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.cold import COLD_RATIO, COLD_TICKS, cold
from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.fleet import Bools, Floats
from evenload.model.plan import Advise
from evenload.model.snapshot import Backend, Pod, Snapshot
from evenload.model.spec import Desired, DesiredType, Share
from tests.unit.engine.build import later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec


def named(requests: Floats, targets: Floats | None = None) -> Bools:
    return cold(requests, np.ones(requests.size) if targets is None else targets, np.zeros(requests.size, dtype=bool))


@pytest.mark.parametrize("seed", range(5))
def test_healthy_fleets_have_nobody_cold_however_thin_their_traffic_is(seed: int) -> None:
    """400 windows of 3 to 200 pods, 0.5 to 300 requests each, a benign spread of 10%."""
    dice, alarms = np.random.default_rng(seed), 0
    for _ in range(400):
        size, usual = int(dice.integers(3, 201)), float(np.exp(dice.uniform(np.log(0.5), np.log(300))))
        rates = usual * np.exp(dice.normal(0, 0.1, size))
        alarms += bool(named(dice.poisson(rates).astype(float)).any())
    assert alarms <= 2  # a thousandth of the windows, and six in a row are needed


@pytest.mark.parametrize("seed", range(5))
def test_who_gets_nothing_is_named_alone_wherever_enough_would_have_come(seed: int) -> None:
    dice = np.random.default_rng(seed)
    for _ in range(100):
        size = int(dice.integers(3, 201))
        requests = dice.poisson(40.0, size).astype(float)
        victim = int(dice.integers(size))
        requests[victim] = 0.0
        assert np.flatnonzero(named(requests)).tolist() == [victim]


@pytest.mark.parametrize(("pods", "hot"), [(3, 1), (4, 1), (4, 2), (10, 1), (10, 3), (40, 5)])
def test_hot_pods_make_nobody_cold(pods: int, hot: int) -> None:
    requests = np.full(pods, 0.2 * 300 * pods / (pods - hot))
    requests[:hot] = 0.8 * 300 * pods / hot
    assert not named(requests).any()


def test_an_explicit_small_share_is_its_due() -> None:
    targets = np.array([1.0, 1.0, 1.0, 0.05])
    assert not named(np.array([300.0, 310.0, 295.0, 14.0]), targets).any()
    assert named(np.array([300.0, 310.0, 295.0, 0.0]), targets).tolist() == [False, False, False, True]


def test_too_few_to_tell_is_not_told_and_half_of_all_pods_are_not_cold() -> None:
    assert not named(np.array([8.0, 8.0, 8.0, 0.0])).any()  # eight expected: that happens
    assert not named(np.array([300.0, 300.0, 0.0, 0.0])).any()
    limit = COLD_RATIO * 300
    assert named(np.array([300.0, 300.0, 300.0, limit - 1])).tolist() == [False, False, False, True]
    assert not named(np.array([300.0, 300.0, 300.0, limit])).any()


def shop(tick: int, dice: np.random.Generator, pods: int, *, ejected: bool, age: float = 86400.0) -> Snapshot:
    """Two Services of `pods` each; the proxy has ejected the last one of `a`."""

    def of(service: str) -> dict[str, Pod]:
        serving = pods - (ejected and service == "a")
        rates = [150.0 * pods / serving] * serving + [0.0] * (pods - serving)
        known = {f"{service}-{number}": rate for number, rate in enumerate(rates)}
        return {
            name: pod(name, requests=float(dice.poisson(rate)), age=age if not rate else 86400.0)
            for name, rate in known.items()
        }

    return later(
        Snapshot(time=1.76e9, window=20.0, backends={name: Backend(weight=100, pods=of(name)) for name in "ab"}),
        10.0 * tick,
    )


def run(pods: int, seed: int, *, age: float = 86400.0, ticks: int = 40) -> list[Decision]:
    dice, engine = np.random.default_rng(seed), Engine(spec())
    return [engine.step(shop(tick, dice, pods, ejected=tick >= 10, age=age)) for tick in range(ticks)]


@pytest.mark.parametrize("pods", [2, 3, 4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_a_pod_that_the_proxy_ejected_is_named_and_nothing_is_done_for_it(pods: int, seed: int) -> None:
    decisions = run(pods, seed)
    assert all(write_of(decision) is None for decision in decisions)
    assert all(set(decision.diagnosis.pods) <= {f"a-{pods - 1}"} for decision in decisions)
    told = [decision.diagnosis for decision in decisions[10 + COLD_TICKS + 2 :]]
    assert {(diagnosis.label, diagnosis.cause) for diagnosis in told} == {
        (Label.LoadBalancerSkew, SkewCause.NotReached)
    }
    assert told[-1].sentence.startswith(f"a-{pods - 1} is ready and gets 0% of the requests (fair: ")
    assert [a.topic for a in decisions[-1].actions if isinstance(a, Advise)] == ["TooLittleTraffic"]


def test_a_pod_younger_than_three_minutes_may_still_be_found_by_its_callers() -> None:
    labels = [decision.diagnosis.label for decision in run(3, 1, age=150.0)]
    assert set(labels) == {Label.NoData, Label.Healthy}


def test_a_whole_backend_that_is_not_reached_is_named_and_no_weight_moves() -> None:
    decision = steps(
        Engine(spec()), snapshot({"d-0": {"requests": 0.0}, **{f"{n}-0": {"requests": 320.0} for n in "abc"}}), 12
    )
    assert decision.diagnosis.cause is SkewCause.NotReached
    assert (decision.diagnosis.pods, decision.diagnosis.backends) == (("d-0",), ("d",))
    assert write_of(decision) is None
    assert decision.balanced is False


def test_a_canary_with_its_share_is_well() -> None:
    shares = tuple(Share(backend=name, weight=2 if name == "d" else 100) for name in "abcd")
    balancer = spec(desired=Desired(type=DesiredType.Explicit, shares=shares))
    sight = snapshot({"d-0": {"requests": 5.0}}, weights={"d": 2})
    assert steps(Engine(balancer), sight, 12).diagnosis.label is Label.Healthy
