"""ByCapacity where nobody declares a capacity: use teaches it, the weights follow once, and then all is still."""

from __future__ import annotations

import msgspec

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.plan import Purpose, SetWeights
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.spec import BalancerSpec, Desired, DesiredType
from tests.unit.engine.build import later, snapshot, write_of
from tests.unit.engine.plant import spec


def by_capacity() -> BalancerSpec:
    return spec(desired=Desired(type=DesiredType.ByCapacity))


def unequal(**changes: object) -> Snapshot:
    """Requests of the first cost twice the CPU of the others'."""
    return snapshot({"a-0": {"cpu": 0.12, **changes}, **{f"{n}-0": {"cpu": 0.06} for n in "bcd"}})


def watch(engine: Engine, sight: Snapshot, seconds: int) -> list[Decision]:
    return [engine.step(later(sight, time)) for time in range(0, seconds, 5)]


def test_a_backend_that_bears_half_is_to_get_half_and_the_weights_are_called_wrong() -> None:
    decisions = watch(Engine(by_capacity()), unequal(), 300)
    first = next(d for d in decisions if d.diagnosis.label not in (Label.Healthy, Label.NoData))
    assert first.diagnosis.cause is SkewCause.WeightsWrong
    write = write_of(first)
    assert isinstance(write, SetWeights)
    assert write.purpose is Purpose.Restore
    assert 0.45 < write.after["a"] / write.after["b"] < 0.6


def test_even_is_even_whatever_use_shows() -> None:
    assert all(write_of(decision) is None for decision in watch(Engine(spec()), unequal(), 600))


def test_a_declared_capacity_is_not_second_guessed() -> None:
    declared = snapshot({f"{n}-0": {"cpu": 0.12 if n == "a" else 0.06, "capacity": 10.0} for n in "abcd"})
    assert all(write_of(decision) is None for decision in watch(Engine(by_capacity()), declared, 600))


def test_nothing_is_learnt_of_a_pod_that_fails() -> None:
    engine = Engine(by_capacity())
    sick = unequal(errors=120.0)
    decisions = watch(engine, sick, 300)
    assert {decision.diagnosis.label for decision in decisions[2:]} == {Label.Failing}
    assert decisions[-1].targets == dict.fromkeys("abcd", 0.25)


def test_the_next_operator_leaves_the_weights_that_were_learnt_where_they_are() -> None:
    weights = {"a": 571, "b": 1143, "c": 1143, "d": 1143}
    pods = {f"{n}-0": {"requests": 960 * weights[n] / 4000, "cpu": 0.07} for n in "abcd"}
    ours = RouteWrite(manager="evenload", time=snapshot().time - 900)
    sight = snapshot(pods, weights=weights, known_good=weights, last_write=ours)
    assert all(write_of(decision) is None for decision in watch(Engine(by_capacity()), sight, 600))
    foreign = msgspec.structs.replace(sight, last_write=msgspec.structs.replace(ours, manager="kubectl-edit"))
    assert Engine(by_capacity()).step(foreign).targets["a"] == 0.25
