"""Units resolved, modes compared, signals that are no truth values."""

from __future__ import annotations

import pytest

from evenload.errors import InputError
from evenload.model.policy import Policy, seconds, strictest
from evenload.model.snapshot import SignalState
from evenload.model.spec import Actions, Guardrails, Mode
from tests.unit.engine.plant import spec


@pytest.mark.parametrize(("text", "value"), [("30s", 30.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5m", 90.0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "5d", "5m!"])
def test_a_duration_that_is_none_names_the_field_and_the_fix(text: str) -> None:
    with pytest.raises(InputError, match=r"spec\.restart\.drainTimeout.*write it like"):
        seconds(text, "spec.restart.drainTimeout")


def test_the_strictest_mode_wins() -> None:
    assert strictest(Mode.Auto, None, Mode.Approve) is Mode.Approve
    assert strictest(None) is Mode.Auto


def test_the_policy_has_plain_numbers() -> None:
    policy = Policy.of(
        spec(mode=Mode.Auto, actions=Actions(restart=Mode.Approve), guardrails=Guardrails(pod_cooldown="20m"))
    )
    assert (policy.reweight_mode, policy.restart_mode) == (Mode.Auto, Mode.Approve)
    assert policy.pod_cooldown_seconds == 1200
    assert policy.tolerance_ratio == pytest.approx(1.3)


def test_a_spec_of_defaults_is_a_policy_in_seconds_and_ratios() -> None:
    policy = Policy.of(spec())
    assert (policy.max_utilization, policy.min_ready_ratio, policy.restarts_per_hour) == (0.85, 0.51, 3)
    assert (policy.max_age_seconds, policy.min_requests_per_pod) == (60.0, 20.0)
    assert (policy.pod_cooldown_seconds, policy.workload_cooldown_seconds) == (600.0, 300.0)
    assert (policy.drain_timeout_seconds, policy.eviction_deadline_seconds) == (60.0, 300.0)
    assert policy.actuator_lag_seconds == 2.5


def test_a_signals_state_is_not_a_truth_value() -> None:
    with pytest.raises(TypeError, match="compare it"):
        bool(SignalState.Missing)
