"""From which ticks the engine learns what CPU costs and what a backend can bear: a bad moment teaches a lie."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evenload.engine import Engine
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, StepState
from evenload.model.fleet import Fleet, Floats
from evenload.model.plan import Purpose
from evenload.model.snapshot import Hold, RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Desired, DesiredType
from evenload.plan.capacity import Capacity
from evenload.plan.gains import Gains
from evenload.plan.headroom import Cost
from tests.unit.engine.build import NOW, later, snapshot
from tests.unit.engine.plant import Cluster, run, spec
from tests.unit.plan.scenes import EJECTED, EVEN, episode, step

CALM = snapshot()
SICK = snapshot({"a-0": {"errors": 100.0}})


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """The requests by backend of every tick from which costs were learnt."""
    seen: list[Floats] = []
    monkeypatch.setattr(Cost, "learn", lambda self, fleet, window: seen.append(fleet.requests_by_backend))
    return seen


@pytest.fixture
def capacities(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since the first tick of each from which capacities were learnt."""
    seen: list[float] = []
    monkeypatch.setattr(Capacity, "learn", lambda self, fleet, time, window, tolerance: seen.append(time - NOW))
    return seen


def lived(sights: Sequence[Snapshot], of: BalancerSpec | None = None) -> list[Label]:
    engine = Engine(of or spec())
    return [engine.step(later(sight, 5.0 * tick)).diagnosis.label for tick, sight in enumerate(sights)]


def times(traffic: float) -> Snapshot:
    return snapshot({f"{n}-0": {"requests": 240.0 * traffic} for n in "abcd"})


def test_costs_are_learnt_from_the_second_calm_tick_on(costs: list[Floats]) -> None:
    lived([CALM] * 5)
    assert len(costs) == 4


def test_no_cost_is_learnt_on_the_tick_on_which_traffic_moves(costs: list[Floats]) -> None:
    lived([CALM] * 4 + [times(1.4)] * 3)
    assert [round(float(requests[0])) for requests in costs] == [240] * 3 + [336] * 2


def test_no_cost_is_learnt_while_anything_is_suspected(costs: list[Floats]) -> None:
    assert set(lived([CALM] * 3 + [SICK] * 6)[5:]) == {Label.Failing}
    assert len(costs) == 2


def test_no_cost_is_learnt_in_an_incident_however_calm_it_looks(costs: list[Floats]) -> None:
    ongoing = snapshot(episode=episode(label=Label.LoadBalancerSkew, phase=Phase.Verifying))
    assert lived([ongoing] * 8)[4:] == [Label.Healthy] * 4
    assert costs == []


def test_no_cost_is_learnt_before_the_window_lies_after_the_last_change_of_weights(costs: list[Floats]) -> None:
    """A window of 15 s and a lag of 2.5 s: the fourth tick after the one that shows the change."""
    changed = snapshot(weights=dict.fromkeys("abcd", 50))
    lived([CALM] * 3 + [changed] * 4)
    assert len(costs) == 2
    lived([CALM] * 3 + [changed] * 5)
    assert len(costs) == 5


BY_CAPACITY = Desired(type=DesiredType.ByCapacity)


def test_capacity_is_learnt_from_the_first_calm_tick_on_where_it_decides(capacities: list[float]) -> None:
    lived([CALM] * 4, spec(desired=BY_CAPACITY))
    assert capacities == [0.0, 5.0, 10.0, 15.0]
    lived([CALM] * 4)
    assert len(capacities) == 4


def test_capacity_is_learnt_in_an_incident_too_once_it_is_calm(capacities: list[float]) -> None:
    ongoing = snapshot(episode=episode(label=Label.LoadBalancerSkew, phase=Phase.Verifying))
    lived([ongoing] * 3, spec(desired=BY_CAPACITY))
    assert capacities == [0.0, 5.0, 10.0]


def held_back(purpose: Purpose) -> Snapshot:
    held = step(purpose, EVEN, EJECTED, 600.0, state=StepState.Verified, backend="a", pod="a-0", uid="uid-a-0")
    pods = {"a-0": {"requests": 16.0, "cpu": 0.02}, **{f"{n}-0": {"requests": 315.0} for n in "bcd"}}
    return snapshot(pods, weights=EJECTED, episode=episode(held, phase=Phase.Verifying))


def test_a_backend_that_is_held_back_shows_what_it_can_bear_but_not_one_that_is_drained(
    capacities: list[float], costs: list[Floats]
) -> None:
    """One that failed because it is weak would fail again at its old share, for ever."""
    lived([held_back(Purpose.Eject)] * 3, spec(desired=BY_CAPACITY))
    assert len(capacities) == 3
    lived([held_back(Purpose.Drain)] * 3, spec(desired=BY_CAPACITY))
    assert len(capacities) == 3
    assert costs == []


def test_a_sick_pod_does_not_teach_its_sickness(capacities: list[float]) -> None:
    lived([CALM] * 2 + [SICK] * 4 + [CALM] * 5, spec(desired=BY_CAPACITY))
    assert capacities == [0.0, 5.0, 30.0, 35.0, 40.0, 45.0, 50.0]


def test_while_an_autoscaler_moves_pods_no_capacity_is_learnt(capacities: list[float]) -> None:
    held = snapshot(holds=(Hold(reason="Autoscaling"),))
    assert lived([held] * 6, spec(desired=BY_CAPACITY))[4:] == [Label.Healthy] * 2
    assert capacities == []


@pytest.mark.parametrize(
    ("manager", "known", "taken"), [("evenload", True, 1), ("kubectl", True, 0), ("evenload", False, 0)]
)
def test_only_weights_that_we_wrote_tell_what_the_last_operator_learnt(
    manager: str, known: bool, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted: list[object] = []
    monkeypatch.setattr(Capacity, "adopt", lambda self, fleet, weights: adopted.append(weights))
    good = dict.fromkeys("abcd", 100) if known else None
    sight = snapshot(known_good=good, last_write=RouteWrite(manager=manager, time=NOW - 900))
    lived([sight], spec(desired=BY_CAPACITY))
    assert len(adopted) == taken


def test_the_law_is_told_who_draws_traffic_only_while_weights_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[frozenset[str]] = []
    observe = Gains.observe

    def noted(self: Gains, fleet: Fleet, time: float, window: float, lag: float, **known: object) -> None:
        told.append(known["drawing"])  # type: ignore[arg-type]
        observe(self, fleet, time, window, lag, **known)  # type: ignore[arg-type]

    monkeypatch.setattr(Gains, "observe", noted)
    ten = tuple(f"shop-{number}" for number in range(10))
    cluster, engine = Cluster(backends=ten, rps=160), Engine(spec())
    for server in cluster.servers:
        server.capacity_rps, server.immune = 60.0, True
    run(cluster, engine, 60)
    assert set(told) == {frozenset()}
    cluster.gains = {"shop-0": 36.0}
    run(cluster, engine, 240)
    assert set(told) == {frozenset(), frozenset({"shop-0"})}
    assert told[-1] == frozenset()  # it leans enough: nothing jumps any more


def test_what_cannot_be_judged_has_no_figures() -> None:
    untold = dict.fromkeys(("requests", "errors", "latency", "cpu"))
    blind = Engine(spec()).step(snapshot({f"{n}-0": untold for n in "abcd"}))
    assert blind.diagnosis.label is Label.NoData
    assert (blind.error_ratio, blind.requests_per_second, blind.worst_ratio, blind.shares) == (None, None, None, {})
    assert blind.saturation is None
    assert blind.out_of_memory is None
