"""What a changed balancer would do: shares, use and errors reckoned from the numbers of now."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from evenload.audit.finding import Finding, Severity
from evenload.foresight import (
    Row,
    Sighting,
    Standing,
    foresee,
    new_findings,
    overloads,
    unready,
)
from evenload.model.policy import Policy
from evenload.model.snapshot import Backend, Pod, RouteWrite, Signal, SignalState, Snapshot
from evenload.model.spec import BalancerSpec, Desired, DesiredType, Share, TargetRef

POLICY = Policy.of(BalancerSpec(target_ref=TargetRef(name="shop")))
FRESH = {name: Signal() for name in ("requests", "errors", "cpu")}
WINDOW = 30.0


def pod(use: float | None = 0.5, rps: float | None = 50.0, failing: float = 0.0, *, ready: bool = True) -> Pod:
    requests = None if rps is None else WINDOW * rps
    errors = None if requests is None else failing * requests
    return Pod(ready=ready, requests=requests, errors=errors, cpu=use, cpu_limit=1.0)


def seen(pods: Mapping[str, list[Pod]], after: Mapping[str, list[Pod]] | None = None) -> Sighting:
    """Now; and the pods behind the balancer as it would be, the same by default."""
    return Sighting(policy=POLICY, before=_snapshot(pods), after=_snapshot(pods if after is None else after))


def _snapshot(pods: Mapping[str, list[Pod]]) -> Snapshot:
    backends = {
        name: Backend(weight=1, pods={f"{name}-{at}": each for at, each in enumerate(found)})
        for name, found in pods.items()
    }
    return Snapshot(time=0.0, window=WINDOW, backends=backends, signals=FRESH)


def of(outlook_rows: tuple[Row, ...], name: str) -> Row:
    return next(row for row in outlook_rows if row.backend == name)


PAIR = {"a": [pod()], "b": [pod()]}


@pytest.mark.parametrize("seed", range(50))
def test_shares_before_and_after_sum_to_one_wherever_there_is_weight(seed: int) -> None:
    chance = random.Random(seed)
    before, after = (
        {name: chance.choice([0, 1, 3, 250, 1_000_000]) for name in chance.sample("abcdef", chance.randint(1, 6))}
        for _ in range(2)
    )
    pods = {name: [pod(use=chance.random(), rps=chance.uniform(0, 99))] for name in {*before, *after}}
    outlook = foresee(before, after, {}, seen({name: pods[name] for name in before}, {n: pods[n] for n in after}))
    for weights, shares in (
        (before, [row.share_before for row in outlook.rows]),
        (after, [row.share_after for row in outlook.rows]),
    ):
        assert sum(share or 0.0 for share in shares) == pytest.approx(1.0 if any(weights.values()) else 0.0)
        assert sum(share is not None for share in shares) == len(weights)
    assert outlook.failing_after is None or 0.0 <= outlook.failing_after <= 1.0 + 1e-9
    assert all(row.use_after is None or row.use_after >= 0 for row in outlook.rows)


@pytest.mark.parametrize("seed", range(20))
def test_weights_that_stay_predict_what_is_there_where_traffic_follows_them(seed: int) -> None:
    chance = random.Random(seed)
    weights = {name: chance.randint(1, 100) for name in "abcd"}
    pods = {name: [pod(use=0.01 * weight, rps=float(weight), failing=0.1)] for name, weight in weights.items()}
    outlook = foresee(weights, weights, {}, seen(pods))
    assert not outlook.moves
    for row in outlook.rows:
        assert row.use_after == pytest.approx(row.use)
        assert not row.guessed
    assert outlook.failing == pytest.approx(0.1)
    assert outlook.failing_after == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(20))
def test_weights_that_stay_predict_what_is_there_also_where_traffic_does_not_follow_them(seed: int) -> None:
    chance = random.Random(seed)
    weights = {name: chance.randint(1, 100) for name in "abcd"}
    pods = {n: [pod(chance.uniform(0, 1.5), chance.uniform(1, 99), chance.random())] for n in weights}
    outlook = foresee(weights, weights, {}, seen(pods))
    for row in outlook.rows:
        assert row.use_after == pytest.approx(row.use)
    assert outlook.failing_after == pytest.approx(outlook.failing)
    assert list(overloads(outlook, POLICY)) == []


def test_a_backend_that_gets_more_than_its_share_goes_on_to() -> None:
    pods = {"a": [pod(0.3, rps=75.0)], "b": [pod(0.1, rps=25.0)]}
    outlook = foresee({"a": 1, "b": 1}, {"a": 3, "b": 1}, {}, seen(pods))
    assert of(outlook.rows, "a").use_after == pytest.approx(0.3 * 0.9 / 0.75)
    assert of(outlook.rows, "b").use_after == pytest.approx(0.1 * 0.1 / 0.25)


def test_just_after_a_change_traffic_is_taken_to_follow_the_weights_to_the_letter() -> None:
    sighting = seen(PAIR)
    assert sighting.before is not None
    for seconds, expected in ((1.0, 0.5), (60.0, 0.9)):
        write = RouteWrite(manager="ci", time=-seconds)
        just = replace(sighting, before=replace(sighting.before, last_write=write))
        outlook = foresee({"a": 1, "b": 9}, {"a": 1, "b": 1}, {}, just)
        assert of(outlook.rows, "a").use_after == pytest.approx(expected)


def test_use_grows_with_the_traffic_and_what_is_beyond_all_of_the_cpu_fails() -> None:
    outlook = foresee({"a": 1, "b": 1}, {"a": 0, "b": 1}, {}, seen({"a": [pod()], "b": [pod(use=0.8)]}))
    assert of(outlook.rows, "a").use_after == 0.0
    assert of(outlook.rows, "b").use_after == pytest.approx(1.6)
    assert outlook.failing_after == pytest.approx(1 - 1 / 1.6)


def test_the_busiest_pod_of_a_backend_counts() -> None:
    outlook = foresee({"a": 1, "b": 1}, {"a": 1, "b": 3}, {}, seen({"a": [pod()], "b": [pod(0.2), pod(0.6)]}))
    assert of(outlook.rows, "b").use == pytest.approx(0.6)


def test_errors_of_now_go_with_the_traffic() -> None:
    outlook = foresee({"a": 1, "b": 1}, {"a": 9, "b": 1}, {}, seen({"a": [pod(0.1, failing=0.5)], "b": [pod()]}))
    assert outlook.failing == pytest.approx(0.25)
    assert outlook.failing_after == pytest.approx(0.45)


def test_what_goes_to_a_backend_without_a_ready_pod_fails() -> None:
    after = {**PAIR, "c": [pod(None, None, ready=False)]}
    outlook = foresee({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 2}, {}, seen(PAIR, after))
    assert outlook.failing_after == pytest.approx(0.5)


def test_all_weights_at_zero_fail_every_request() -> None:
    outlook = foresee({"a": 1, "b": 1}, {"a": 0, "b": 0}, {}, seen(PAIR))
    assert outlook.failing_after == 1.0


def test_a_backend_without_traffic_is_reckoned_from_what_a_request_costs_the_others() -> None:
    after = {**PAIR, "c": [pod(0.0, 0.0)]}
    outlook = foresee({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 8}, {}, seen(PAIR, after))
    row = of(outlook.rows, "c")
    assert row.guessed
    assert row.use_after == pytest.approx(0.8)
    assert not of(outlook.rows, "a").guessed


def test_traffic_of_a_dropped_backend_goes_to_the_others() -> None:
    outlook = foresee({"a": 1, "b": 1}, {"a": 1}, {}, seen(PAIR, {"a": PAIR["a"]}))
    assert of(outlook.rows, "a").use_after == pytest.approx(1.0)
    gone = of(outlook.rows, "b")
    assert (gone.weight_after, gone.share_after, gone.use_after) == (None, None, None)


def test_what_should_be_is_by_ready_pods_or_as_the_operator_learnt() -> None:
    pods = {"a": [pod(), pod(), pod()], "b": [pod()]}
    even = foresee({"a": 1, "b": 1}, {"a": 1, "b": 2}, {}, seen(pods))
    assert [row.due for row in even.rows] == [0.75, 0.25]
    learnt = replace(seen(pods), targets={"a": 600, "b": 400})
    assert [row.due for row in foresee({}, {"a": 1, "b": 2}, {}, learnt).rows] == [0.6, 0.4]
    other = replace(seen(pods), targets={"a": 600, "x": 400})
    assert [row.due for row in foresee({}, {"a": 1, "b": 2}, {}, other).rows] == [0.75, 0.25]


def test_explicit_shares_of_other_backends_say_nothing_of_what_should_be() -> None:
    spec = BalancerSpec(
        target_ref=TargetRef(name="shop"),
        desired=Desired(type=DesiredType.Explicit, shares=(Share(backend="a", weight=1),)),
    )
    outlook = foresee({}, {"a": 1, "b": 1}, {}, replace(seen(PAIR), policy=Policy.of(spec)))
    assert [row.due for row in outlook.rows] == [None, None]


@pytest.mark.parametrize("lacking", ["requests", "errors", "cpu"])
def test_a_signal_that_lacks_is_named_and_nothing_is_made_up(lacking: str) -> None:
    sighting = seen(PAIR)
    assert sighting.before is not None
    signals = {**FRESH, lacking: Signal(state=SignalState.Missing, detail="no series")}
    blind = {"requests": pod(rps=None), "errors": pod(), "cpu": pod(use=None)}[lacking]
    before = replace(_snapshot({"a": [blind], "b": [blind]}), signals=signals)
    outlook = foresee({"a": 1, "b": 1}, {"a": 1, "b": 2}, {}, replace(sighting, before=before))
    assert outlook.missing == (f"{lacking}: Missing: no series",)
    assert outlook.predicted is (lacking == "errors")
    assert (outlook.failing_after is None) is (lacking in ("requests", "errors"))


def test_without_signals_what_should_be_is_known_all_the_same() -> None:
    sighting = replace(seen(PAIR), before=None, missing=("no Prometheus",))
    outlook = foresee({"a": 1, "b": 1}, {"a": 1, "b": 2}, {}, sighting)
    assert [row.due for row in outlook.rows] == [0.5, 0.5]
    assert (outlook.predicted, outlook.missing) == (False, ("no Prometheus",))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row(backend="a", use=0.5, use_after=0.86), Severity.error),
        (Row(backend="a", use=0.5, use_after=0.85), None),
        (Row(backend="a", use=0.95, use_after=0.95), None),
        (Row(backend="a", use=0.9, use_after=0.95), Severity.error),
        (Row(backend="a", use_after=0.9, guessed=True), Severity.warning),
        (Row(backend="a", use_after=1.1, guessed=True), Severity.error),
        (Row(backend="a"), None),
    ],
)
def test_an_overload_is_what_the_change_brings_over_the_limit(row: Row, expected: Severity | None) -> None:
    moved = replace(row, share_before=0.1, share_after=0.9)
    found = list(overloads(replace(foresee({}, {}, {}), rows=(moved,)), POLICY))
    assert [severity for severity, _ in found] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("standing", "before", "after", "says"),
    [
        (Standing(exists=True, ready=0), 1, 3, "has no ready endpoint, and gets 75% of the traffic"),
        (Standing(exists=False, ready=0), 1, 3, "does not exist, and gets 75% of the traffic"),
        (Standing(exists=True, ready=0), 3, 1, ""),
        (Standing(exists=True, ready=0), 3, 0, ""),
        (Standing(exists=True, ready=1), 1, 3, ""),
        (Standing(), 1, 3, ""),
    ],
)
def test_a_backend_that_nobody_answers_for_is_wrong_where_it_gets_more(
    standing: Standing, before: int, after: int, says: str
) -> None:
    outlook = foresee({"a": before, "b": 1}, {"a": after, "b": 1}, {"a": standing})
    found = [what for _, what, _ in unready(outlook)]
    assert bool(found) is bool(says)
    assert all(says in what for what in found)


def finding(what: str, *, suppressed: str | None = None, name: str = "shop") -> Finding:
    return Finding(
        rule="r", severity=Severity.error, kind="HTTPRoute", namespace="shop", name=name, path="spec.rules[0]",
        keys=(), place=0, what=what, fix="", suppressed=suppressed,
    )  # fmt: skip


def test_findings_are_new_that_no_finding_said_before() -> None:
    before = [finding("x"), finding("y", suppressed="meant")]
    after = [replace(finding("x"), path="spec.rules[1]"), finding("y"), finding("z", suppressed="meant"),
             finding("x", name="other")]  # fmt: skip
    assert [(each.what, each.name) for each in new_findings(before, after)] == [("y", "shop"), ("x", "other")]
