"""Isolated pods that nothing holds are given back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from evenload.episode.disruptions import restarts
from evenload.episode.isolation import returned, taken_back
from evenload.model.episode import Step, StepState

ISOLATED = Step(
    name="1-isolate", action="Isolate", state=StepState.Applied, planned_at=100.0, applied_at=101.0,
    backend="web", pod="web-1", uid="uid-1", workload="Deployment/web", label="app=web",
)  # fmt: skip
EVICTED = replace(ISOLATED, name="2-restart", action="RestartPod")


def why(step: Step = ISOLATED, *evictions: Step, stopped: str = "", now: float = 110.0) -> str:
    return returned(step, (step, *evictions), stopped=stopped, most_seconds=60.0, now=now)


@pytest.mark.parametrize("state", [StepState.Planned, StepState.Applied])
def test_one_that_waits_for_its_eviction_is_held(state: StepState) -> None:
    assert why(replace(ISOLATED, state=state)) == ""


def test_what_stops_its_restart_gives_it_back() -> None:
    assert why(stopped="spec.suspend is true") == "spec.suspend is true"


def test_one_that_waits_too_long_is_given_back() -> None:
    assert why(now=162.0) == "it was not evicted within 60 s"


def test_one_whose_eviction_is_stored_is_waited_for() -> None:
    assert why(ISOLATED, replace(EVICTED, state=StepState.Planned), now=1000.0) == ""


def test_one_whose_eviction_was_given_up_is_given_back() -> None:
    assert why(ISOLATED, replace(EVICTED, state=StepState.Abandoned, message="refused")).endswith("given up: refused")


@pytest.mark.parametrize("stopped", ["", "its Remediation is closed"])
def test_one_that_is_kept_or_ends_stays_as_it_is(stopped: str) -> None:
    assert why(replace(ISOLATED, state=StepState.Verified), stopped=stopped) == ""
    assert why(ISOLATED, EVICTED, stopped=stopped) == ""


@pytest.mark.parametrize("state", [StepState.Planned, StepState.Applied, StepState.Ineffective])
def test_the_step_of_a_pod_that_has_its_label_again_is_reverted(state: StepState) -> None:
    assert taken_back(replace(ISOLATED, state=state), 120.0, "suspended").state is StepState.Reverted


def test_isolated_and_evicted_is_one_restart_and_given_back_is_none() -> None:
    assert restarts((ISOLATED, EVICTED)) == 1
    assert restarts((replace(ISOLATED, state=StepState.Reverted),)) == 0
