"""What is reported of findings: the rules' own words and the names of fields, never what stands in the object."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from evenload.audit.rules import RULES
from evenload.audit.run import audit
from evenload.audit.world import World, objects_of
from evenload.record.audited import LONGEST_PATH, MOST_RULES, Audited
from tests.unit.audit.cases import CASES, route, to


def audited(*manifests: Any) -> Audited:
    return Audited(findings=tuple(audit(World(objects_of(manifests)))))


def test_without_findings_it_passes() -> None:
    assert audited(route(to(a=1, b=1))).verdict == (True, "Passed", "the audit finds no error and no warning")


def test_what_is_only_worth_knowing_is_counted_and_passes() -> None:
    owner = {"manager": "flagger", "time": "2026-11-28T10:00:00Z", "fieldsV1": {"f:spec": {"f:rules": {}}}}
    found = audited(route(to(a=1, b=1), metadata={"managedFields": [owner]}))
    assert found.verdict == (True, "Passed", "the audit finds no error and no warning; 1 info")
    assert not found.broken


def test_errors_come_before_warnings_with_their_place_and_the_rule_s_own_sentence() -> None:
    found = audited(route({**to(a=0, b=0), "sessionPersistence": {}}, to(a=0)))
    passed, reason, message = found.verdict
    assert (passed, reason) == (False, "Errors")
    assert message.startswith(
        "2 errors, 2 warnings: route-no-weight at spec.rules[0].backendRefs and 1 more: "
        f"{RULES['route-no-weight'].meaning}; route-"
    )
    assert found.broken == {"route-no-weight": 2, "route-session-persistence": 1, "route-rule-unreachable": 1}


def test_warnings_alone_have_a_reason_of_their_own() -> None:
    assert audited(route({**to(a=1, b=1), "sessionPersistence": {}})).verdict[1] == "Warnings"


def test_values_of_the_object_are_not_reported() -> None:
    for case in CASES.values():
        message = audited(*case.bad).verdict[2]
        for finding in audited(*case.bad).findings:
            assert finding.what not in message


def test_many_rules_are_cut_to_the_worst() -> None:
    found = audited(*(each for case in CASES.values() for each in case.bad))
    message = found.verdict[2]
    assert len(message) < 4096
    assert message.endswith(f"; and {len(found.broken) - MOST_RULES} more rules")


def test_a_long_path_is_cut_and_commands_no_terminal() -> None:
    [finding] = audited(route(to(a=0))).findings
    message = Audited(findings=(replace(finding, path="x\n" * 5000),)).verdict[2]
    assert ("x\\n" * LONGEST_PATH)[:LONGEST_PATH] + ": " in message
    assert len(message) < 1000
