"""What a diagnosis says it ruled out, and when it keeps silent."""

from __future__ import annotations

import pytest

from evenload.diagnose.memory import Memory
from evenload.diagnose.refuted import refuted
from evenload.model.diagnosis import Label
from tests.unit.diagnose.measured import facts, usual
from tests.unit.engine.build import snapshot


def said(pods: dict[str, dict[str, object]], label: Label, about: Label, memory: Memory | None = None) -> str | None:
    known = facts(snapshot(pods), memory)
    return next((each.because for each in refuted(known, label) if each.label is about), None)


HOT: dict[str, object] = {"requests": 900.0}


def test_errors_of_a_pod_that_gets_too_much_are_laid_to_its_overload() -> None:
    told = said({"a-0": {**HOT, "errors": 300.0}}, Label.LoadBalancerSkew, Label.Failing)
    assert told == "the errors of a-0 are explained by its overload: it gets 56%"


def test_no_errors_and_errors_of_others_are_not() -> None:
    assert said({"a-0": HOT}, Label.LoadBalancerSkew, Label.Failing) is None
    assert said({"a-0": HOT, "b-0": {"errors": 120.0}}, Label.LoadBalancerSkew, Label.Failing) is None


@pytest.mark.parametrize(("failing", "ruled"), [("ab", True), ("abc", False), ("abcd", False)])
def test_three_fifths_failing_together_rule_out_no_common_cause(failing: str, ruled: bool) -> None:
    told = said({f"{n}-0": {"errors": 60.0} for n in failing}, Label.Failing, Label.Dependency)
    assert told == ("50% of the pods are over 5% errors; their peers are fine" if ruled else None)


@pytest.mark.parametrize(
    ("rps", "told"),
    [
        (60.0, "the total is 1.07 of the usual 60 requests/s: nobody floods us"),
        (45.0, "the total is 1.42 of the usual 45 requests/s, below 1.5"),
        (40.0, None),
        (None, None),
    ],
)
def test_a_surge_is_ruled_out_by_how_much_more_than_usual_arrives(rps: float | None, told: str | None) -> None:
    memory = usual(rps) if rps is not None else Memory()
    assert said({}, Label.Failing, Label.Surge, memory) == told


@pytest.mark.parametrize("silent", ["b", "bcd", "abcd"])
@pytest.mark.parametrize(
    ("label", "about"), [(Label.Surge, Label.Failing), (Label.Surge, Label.Dependency), (Label.Slow, Label.Dependency)]
)
def test_nothing_is_said_of_errors_that_nobody_knows(silent: str, label: Label, about: Label) -> None:
    assert said({}, label, about) is not None
    assert said({f"{n}-0": {"errors": None} for n in silent}, label, about) is None


def test_a_pod_without_requests_has_no_errors_to_tell() -> None:
    assert said({"a-0": {"requests": 0.0, "errors": None}}, Label.Surge, Label.Failing) is not None
