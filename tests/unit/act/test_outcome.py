"""Seconds and requests of an incident, as far as they were seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.act.outcome import Tick, counted_on, culprit, onset_of, outcome_of
from evenload.api.v1alpha1 import Outcome, Remediation, StepRecord
from evenload.api.values import moment
from evenload.clock import rfc3339
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.episode import Episode, Phase, StepState
from evenload.model.snapshot import RouteWrite

EPISODE = Episode(name="shop-1", opened_at=110.0, label=Label.LoadBalancerSkew, phase=Phase.Succeeded)


def ticks(*rows: tuple[float, float | None, float | None]) -> list[Tick]:
    return [Tick(time=time, error_ratio=errors, requests_per_second=rps) for time, errors, rps in rows]


POSTMORTEM = ticks(
    (90, 0.0, 100), (100, 0.0, 100), (110, 0.4, 100), (120, 0.4, 100), (130, 0.004, 100), (140, 0.0, 100), (150, 0, 100)
)


def outcome(seen: list[Tick], *steps: StepRecord, onset: float = 100.0) -> Outcome:
    return msgspec.structs.replace(outcome_of(EPISODE, steps, onset, seen, closed_at=150.0), until=None)


def opening(cause: SkewCause | None, since: float | None = 105.0) -> Decision:
    return Decision(time=110.0, diagnosis=Diagnosis(label=Label.LoadBalancerSkew, cause=cause, since=since))


@pytest.mark.parametrize(
    ("cause", "write", "blamed"),
    [
        (SkewCause.WeightsWrong, RouteWrite(manager="helm", time=101.0), True),
        (SkewCause.WeightsWrong, RouteWrite(manager="evenload", time=101.0), False),
        (SkewCause.WeightsWrong, RouteWrite(manager="helm", time=111.0), False),
        (SkewCause.WeightsWrong, None, False),
        (SkewCause.WeightsIgnored, RouteWrite(manager="helm", time=101.0), False),
        (None, RouteWrite(manager="helm", time=101.0), False),
    ],
)
def test_a_foreign_write_is_to_blame_if_the_weights_are_what_is_wrong(
    cause: SkewCause | None, write: RouteWrite | None, blamed: bool
) -> None:
    assert culprit(opening(cause), write) == (write if blamed else None)


def recorded(**diagnosis: Any) -> Remediation:
    return msgspec.convert(
        {
            "metadata": {"name": "shop-1", "creationTimestamp": rfc3339(109.0)},
            "spec": {"balancerRef": {"name": "shop"}, "diagnosis": {"label": "LoadBalancerSkew", **diagnosis}},
            "status": {"openedAt": rfc3339(110.0)},
        },
        Remediation,
    )


@pytest.mark.parametrize(
    ("diagnosis", "onset"),
    [
        ({"routeChange": {"manager": "helm", "time": rfc3339(101.0)}, "since": rfc3339(105.0)}, 101.0),
        ({"since": rfc3339(105.0)}, 105.0),
        ({}, 110.0),
    ],
)
def test_the_record_tells_when_the_fault_began(diagnosis: dict[str, Any], onset: float) -> None:
    assert onset_of(recorded(**diagnosis)) == onset


@pytest.mark.parametrize("taken_over", range(3, 7))
def test_whoever_takes_over_counts_on_from_the_record(taken_over: int) -> None:
    before, after = POSTMORTEM[:taken_over], POSTMORTEM[taken_over:]
    known = outcome_of(EPISODE, (), 100.0, before)
    assert known.time_to_resolve_seconds is None
    whole = outcome_of(EPISODE, (), 100.0, POSTMORTEM, closed_at=150.0)
    assert outcome_of(EPISODE, (), 100.0, after, known=known, closed_at=150.0) == whole


@pytest.mark.parametrize("phase", [Phase.Denied, Phase.Expired])
def test_what_nobody_mended_is_neither_mitigated_nor_resolved(phase: Phase) -> None:
    episode = msgspec.structs.replace(EPISODE, phase=phase)
    found = outcome_of(episode, (), 100.0, POSTMORTEM, closed_at=150.0)
    assert (found.time_to_mitigate_seconds, found.time_to_resolve_seconds) == (None, None)
    assert (found.time_to_detect_seconds, found.requests_failed) == (10, 804)


@pytest.mark.parametrize("phase", [Phase.Failed, Phase.RolledBack])
def test_what_was_not_mended_in_the_end_is_not_resolved(phase: Phase) -> None:
    episode = msgspec.structs.replace(EPISODE, phase=phase)
    assert outcome_of(episode, (), 100.0, POSTMORTEM, closed_at=150.0).time_to_resolve_seconds is None


@pytest.mark.parametrize(
    ("rows", "written"),
    [
        ([], False),  # the same tick again
        ([(120, 0.4, 100)], False),
        ([(120, 0.0, 100)], True),  # the errors are gone
        ([(120, 0.4, 100), (130, 0.4, 100), (140, 0.4, 100)], True),  # half a minute later
    ],
)
def test_what_it_has_come_to_is_written_when_it_turns_and_else_twice_a_minute(
    rows: list[tuple[float, float, float]], written: bool
) -> None:
    first = ticks((100, 0.4, 100), (110, 0.4, 100))
    one = recorded()
    opened = counted_on(one, msgspec.structs.replace(one.status, phase=Phase.Executing), first)
    assert opened.outcome is not None
    known = msgspec.structs.replace(one, status=opened)
    assert (counted_on(known, opened, [*first, *ticks(*rows)]) != opened) is written


def test_the_postmortem_in_figures() -> None:
    assert outcome(POSTMORTEM) == Outcome(
        time_to_detect_seconds=10,
        time_to_mitigate_seconds=30,
        time_to_resolve_seconds=50,
        requests=5000,
        requests_per_second="100",
        requests_failed=804,  # 200 + 400 + 202 + 2: trapezoids of 0, 40, 40, 0.4 and 0 failures a second
        restarts=0,
        weight_writes=0,
        error_percent_before="40",
        error_percent_after="0",
    )


def test_steps_that_were_never_made_are_not_counted() -> None:
    def step(name: str, action: Any, state: StepState) -> StepRecord:
        return StepRecord(name=name, action=action, state=state, planned_at=moment(1.0))

    found = outcome(
        POSTMORTEM,
        step("1-restore", "SetWeights", StepState.Verified),
        step("2-drain", "Drain", StepState.Applied),
        step("3-restart", "RestartPod", StepState.Verified),
        step("4-restart", "RestartPod", StepState.Abandoned),
        step("5-ramp", "SetWeights", StepState.Planned),
    )
    assert (found.restarts, found.weight_writes) == (1, 2)


def test_what_was_not_seen_from_the_beginning_is_not_guessed() -> None:
    found = outcome(POSTMORTEM[3:])
    assert (found.requests, found.requests_failed, found.time_to_mitigate_seconds) == (None, None, None)
    assert (found.time_to_resolve_seconds, found.error_percent_after) == (50, "0")


def test_errors_to_the_very_end_were_never_mitigated() -> None:
    assert outcome(ticks((100, 0.0, 9), (110, 0.4, 9), (150, 0.4, 9))).time_to_mitigate_seconds is None


def test_mitigation_is_for_good_not_the_first_good_tick() -> None:
    rows = ticks((100, 0.0, 9), (110, 0.4, 9), (120, 0.0, 9), (130, 0.3, 9), (140, 0.0, 9))
    assert outcome(rows).time_to_mitigate_seconds == 40


def test_an_incident_without_errors_was_mitigated_at_once() -> None:
    assert outcome(ticks((100, 0.0, 9), (110, 0.0, 9))).time_to_mitigate_seconds == 0


def test_ticks_that_could_not_tell_are_bridged_but_not_a_long_silence() -> None:
    assert outcome(ticks((100, 0.0, 10), (110, None, None), (120, 0.0, 10))).requests == 200
    late = outcome_of(EPISODE, (), 100.0, ticks((100, 0.0, 10), (110, 0.0, 10), (800, 0.0, 10)), closed_at=900.0)
    assert late.requests == 700


def test_nothing_seen_gives_no_numbers() -> None:
    found = outcome([])
    assert (found.requests, found.error_percent_before, found.error_percent_after) == (None, None, None)
    assert outcome(ticks((100, None, None), (150, None, None))).time_to_mitigate_seconds is None
