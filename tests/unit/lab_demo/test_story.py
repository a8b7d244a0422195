"""From two looks at the cluster to what happened in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evenload.api.v1alpha1 import StepRecord
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Purpose
from lab.demo.incident import BAD_WEIGHTS, GOOD_WEIGHTS
from lab.demo.story import Look, doing, news, step_text, weights_text
from lab.demo.view import Kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALM = Look(weights=GOOD_WEIGHTS, diagnosis="Healthy", pods={"shop-a-1": "ready"})


def step(state: StepState, **fields: Any) -> StepRecord:
    given = {"name": "1", "action": "SetWeights", "purpose": Purpose.Restore, "after": GOOD_WEIGHTS, **fields}
    return StepRecord(state=state, planned_at=NOW, **given)


def told(before: Look, after: Look) -> list[str]:
    return [happening.text for happening in news(before, after, 1.0)]


def test_nothing_new_is_no_news() -> None:
    assert told(CALM, CALM) == []


def test_the_bad_release_is_told_as_the_cause() -> None:
    (happening,) = news(CALM, replace(CALM, weights=BAD_WEIGHTS), 0.2)
    assert happening.text == "shop-release sets the weights to shop-a 970, all others 10"
    assert happening.kind is Kind.Cause
    assert happening.seconds == 0.2


def test_what_no_object_shows_is_told_once_as_a_cause() -> None:
    begun = replace(CALM, cause="the job begins")
    (happening,) = news(CALM, begun, 1.0)
    assert (happening.text, happening.kind) == ("the job begins", Kind.Cause)
    assert told(begun, begun) == []


def test_weights_that_evenload_writes_are_told_as_its_steps_only() -> None:
    assert told(replace(CALM, weights=BAD_WEIGHTS), CALM) == []


def test_a_diagnosis_is_told_when_it_changes_and_good_ones_as_good() -> None:
    ill = replace(CALM, diagnosis="LoadBalancerSkew")
    assert [each.kind for each in news(CALM, ill, 1.0)] == [Kind.Detection]
    assert [each.kind for each in news(ill, CALM, 1.0)] == [Kind.Good]


def test_a_remediation_is_told_when_it_opens_and_when_it_closes() -> None:
    opened = replace(CALM, remediation="shop-1", phase=Phase.Executing)
    assert told(CALM, opened) == ["Remediation shop-1 is opened"]
    assert told(opened, replace(opened, phase=Phase.Succeeded)) == ["Remediation shop-1 is closed: Succeeded"]


def test_a_step_is_told_when_it_is_written_and_when_it_is_judged() -> None:
    planned = replace(CALM, steps=(step(StepState.Planned),))
    applied = replace(CALM, steps=(step(StepState.Applied),))
    verified = replace(CALM, steps=(step(StepState.Verified),))
    assert told(CALM, planned) == []
    assert told(planned, applied) == ["restore weights: all 100"]
    assert told(applied, verified) == ["verified: restore weights: all 100"]


def test_a_step_that_came_to_nothing_says_so() -> None:
    lost = replace(CALM, steps=(step(StepState.Overwritten, message="by shop-release"),))
    (happening,) = news(CALM, lost, 1.0)
    assert happening.text == "Overwritten: restore weights: all 100 by shop-release"
    assert happening.kind is Kind.Cause


def test_pods_are_told_as_they_leave_go_and_come() -> None:
    leaving = replace(CALM, pods={"shop-a-1": "leaving", "shop-a-2": "starting"})
    ready = replace(CALM, pods={"shop-a-1": "leaving", "shop-a-2": "ready"})
    gone = replace(CALM, pods={"shop-a-2": "ready"})
    assert told(CALM, leaving) == ["pod shop-a-1 is leaving, after its last requests"]
    assert told(leaving, ready) == ["pod shop-a-2 is ready"]
    assert told(ready, gone) == ["pod shop-a-1 is gone"]


def test_the_first_look_tells_of_no_pods() -> None:
    assert told(Look(), replace(CALM, diagnosis="")) == []


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (CALM, ""),
        (replace(CALM, phase=Phase.Succeeded, steps=(step(StepState.Verified),)), ""),
        (replace(CALM, phase=Phase.Executing, steps=(step(StepState.Planned),)), "restore weights: all 100 …"),
        (
            replace(CALM, phase=Phase.Executing, steps=(step(StepState.Applied),)),
            "restore weights: all 100 – watching what the traffic does",
        ),
        (
            replace(CALM, phase=Phase.Executing, steps=(step(StepState.Applied, action="RestartPod", pod="shop-a-1"),)),
            "restart pod shop-a-1 by eviction – waiting for its replacement",
        ),
        (replace(CALM, phase=Phase.Observed, held="ObserveMode"), "holds back: ObserveMode"),
        (replace(CALM, phase=Phase.Verifying), "phase Verifying"),
    ],
)
def test_what_evenload_does_now_is_one_line(look: Look, expected: str) -> None:
    assert doing(look) == expected


def test_each_kind_of_step_reads_as_something_one_does() -> None:
    planned = StepState.Planned
    restart = step(planned, action="RestartPod", purpose=None, after=None, pod="shop-a-1")
    drain = step(planned, action="Drain", purpose=Purpose.Drain, backend="shop-a")
    ramp = step(planned, purpose=Purpose.Ramp, after={"shop-a": 10, "shop-b": 100, "shop-c": 100})
    assert step_text(restart) == "restart pod shop-a-1 by eviction"
    assert step_text(drain) == "drain shop-a: weight 0, its requests in flight may end"
    assert step_text(ramp) == "ramp up: shop-a 10, all others 100"


@pytest.mark.parametrize("purpose", [None, *(each for each in Purpose)])
def test_every_purpose_has_words(purpose: Purpose | None) -> None:
    assert step_text(step(StepState.Planned, purpose=purpose)).endswith("all 100")


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"a": 1, "b": 1}, "all 1"),
        ({"a": 9, "b": 1, "c": 1}, "a 9, all others 1"),
        ({"a": 9, "b": 1}, "a 9, b 1"),
        ({"a": 9, "b": 9, "c": 1, "d": 1}, "a 9, b 9, c 1, d 1"),
        ({"a": 9}, "a 9"),
        (None, ""),
    ],
)
def test_weights_are_told_in_the_shortest_way_that_is_exact(weights: dict[str, int] | None, expected: str) -> None:
    assert weights_text(weights) == expected
