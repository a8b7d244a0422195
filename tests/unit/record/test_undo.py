"""The command that puts back what an update changed: it works, and shows nothing that may be secret."""

from __future__ import annotations

import copy
import json
import shlex
from typing import Any

import pytest

from evenload.api.v1alpha1 import LONGEST_UNDO
from evenload.kube.resources import HTTPROUTES, SERVICES
from evenload.record.undo import command

ROUTE: dict[str, Any] = {
    "metadata": {"name": "shop", "namespace": "web"},
    "spec": {
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/it's"}}],
                "timeouts": {"request": "10s"},
                "filters": [{"requestHeaderModifier": {"set": [{"name": "authorization", "value": "Bearer s3cret"}]}}],
                "backendRefs": [{"name": "shop-a", "port": 80}],
            }
        ]
    },
}


def changed(**rule: Any) -> dict[str, Any]:
    """The route with these parts of its rule as they are now; None: without it."""
    now = copy.deepcopy(ROUTE)
    known = now["spec"]["rules"][0]
    for part, value in rule.items():
        known.pop(part, None)
        if value is not None:
            known[part] = value
    return now


def patch_of(text: str) -> list[dict[str, Any]]:
    """What kubectl gets of it."""
    parts = shlex.split(text)
    assert parts[:6] == ["kubectl", "patch", "httproutes.gateway.networking.k8s.io", "shop", "-n", "web"]
    assert parts[6:8] == ["--type=json", "-p"]
    found: list[dict[str, Any]] = json.loads(parts[8])
    return found


def test_a_value_that_was_changed_comes_back() -> None:
    place = "/spec/rules/0/timeouts/request"
    text = command(HTTPROUTES, ROUTE, changed(timeouts={"request": "1s"}), [place])
    assert patch_of(text) == [{"op": "replace", "path": place, "value": "10s"}]


def test_what_was_added_is_removed_and_what_was_removed_is_added() -> None:
    places = ["/spec/rules/0/name", "/spec/rules/0/timeouts"]
    text = command(HTTPROUTES, ROUTE, changed(name="all", timeouts=None), places)
    assert patch_of(text) == [
        {"op": "remove", "path": "/spec/rules/0/name"},
        {"op": "add", "path": "/spec/rules/0/timeouts", "value": {"request": "10s"}},
    ]


def test_a_quote_in_a_value_ends_no_word_of_the_shell() -> None:
    place = "/spec/rules/0/matches/0/path/value"
    text = command(HTTPROUTES, ROUTE, changed(matches=[{"path": {"type": "PathPrefix", "value": "/"}}]), [place])
    assert patch_of(text) == [{"op": "replace", "path": place, "value": "/it's"}]


@pytest.mark.parametrize(
    ("place", "now"),
    [
        ("/spec/rules/0/filters", changed(filters=None)),
        ("/spec/rules/0/filters/0/requestHeaderModifier/set/0/value", changed(filters=[])),
        ("/spec/rules", {**ROUTE, "spec": {"rules": []}}),  # the secret is inside what was removed
    ],
)
def test_a_value_that_may_be_secret_is_never_shown(place: str, now: dict[str, Any]) -> None:
    assert command(HTTPROUTES, ROUTE, now, [place]) == ""


def test_a_control_character_stays_escaped() -> None:
    before = changed(name="a\x1b[31m")
    text = command(HTTPROUTES, before, ROUTE, ["/spec/rules/0/name"])
    assert text.isprintable()


def test_what_is_too_long_for_a_status_is_left_out() -> None:
    before = changed(matches=[{"path": {"type": "PathPrefix", "value": "/" + "x" * LONGEST_UNDO}}])
    assert command(HTTPROUTES, before, ROUTE, ["/spec/rules/0/matches"]) == ""


def test_where_nothing_else_changed_there_is_no_command() -> None:
    assert command(HTTPROUTES, ROUTE, ROUTE, []) == ""


def test_a_kind_of_the_core_group_is_named_as_kubectl_does() -> None:
    now = {**ROUTE, "spec": {"sessionAffinity": "ClientIP"}}
    before = {**ROUTE, "spec": {"sessionAffinity": "None"}}
    assert command(SERVICES, before, now, ["/spec/sessionAffinity"]).startswith("kubectl patch services shop -n web ")
