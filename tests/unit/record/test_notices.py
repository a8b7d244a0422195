"""Events of a status that changes: once for a new set of findings, once for an override."""

from __future__ import annotations

from evenload.api.v1alpha1 import BalancerStatus, Condition, ConditionStatus, RouteChange
from evenload.api.values import moment
from evenload.record.notices import notices

NOW = 1000.0


def status(
    message: str | None = None, *, reason: str = "Errors", passed: bool = False, changes: tuple[RouteChange, ...] = ()
) -> BalancerStatus:
    word = ConditionStatus.TRUE if passed else ConditionStatus.FALSE
    found = Condition(
        type="Audited", status=word, reason=reason, message=message or "", last_transition_time=moment(NOW)
    )
    return BalancerStatus(conditions=(found,) if message is not None else (), changes=changes)


def change(time: float = 900.0, override: str = "") -> RouteChange:
    return RouteChange(manager="helm", time=moment(time), override=override)


def reported(known: BalancerStatus, now: BalancerStatus) -> list[tuple[str, str]]:
    return [(each.reason.value, each.note) for each in notices(known, now, NOW)]


def test_a_new_set_of_findings_is_reported_by_its_worst() -> None:
    assert reported(status(), status("1 error: a")) == [("AuditErrors", "1 error: a")]
    assert reported(status(), status("1 warning: b", reason="Warnings")) == [("AuditWarnings", "1 warning: b")]
    assert reported(status("1 error: a"), status("1 error: b")) == [("AuditErrors", "1 error: b")]


def test_the_same_set_is_not_reported_again() -> None:
    assert reported(status("1 error: a"), status("1 error: a", changes=(change(),))) == []


def test_nothing_found_is_nothing_to_report() -> None:
    assert reported(status("1 error: a"), status("none", passed=True, reason="Passed")) == []
    assert reported(status("1 error: a"), status()) == []


def test_the_same_set_after_another_change_is_another_event() -> None:
    [first] = notices(status(), status("1 error: a", changes=(change(900.0),)), NOW)
    [again] = notices(status("none", passed=True), status("1 error: a", changes=(change(950.0),)), NOW)
    assert first.key != again.key


def test_an_operator_that_could_not_write_the_status_says_it_under_the_same_name() -> None:
    [first] = notices(status(), status("1 error: a", changes=(change(),)), NOW)
    [again] = notices(status(), status("1 error: a", changes=(change(),)), NOW + 10)
    assert first.key == again.key


def test_an_override_is_reported_once_with_who_and_why() -> None:
    new = status(changes=(change(override="ticket 4711"),))
    assert reported(status(), new) == [
        ("GuardOverridden", "helm changed the balancer with a reason to override the guard: ticket 4711")
    ]
    assert reported(new, new) == []
    assert reported(status(), status(changes=(change(),))) == []
