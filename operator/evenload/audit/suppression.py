"""What an object says about itself: which findings are meant, and why.

    metadata:
      annotations:
        evenload.dev/audit-ignore: "route-session-persistence: carts live in the pod; route-match-past-split: testers"

A suppression without a reason, or of a rule that does not exist, suppresses nothing and is a finding itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import GROUPS, Object, World

ANNOTATION: Final = "evenload.dev/audit-ignore"


class Suppression(NamedTuple):
    rule: str
    reason: str


def suppressions(object_: Object) -> list[Suppression]:
    """As they are written, without judgement."""
    found: list[Suppression] = []
    text = object_.annotations[ANNOTATION].text
    for part in text.split(";") if text else ():
        rule, _, reason = part.partition(":")
        if part.strip():
            found.append(Suppression(rule.strip(), reason.strip()))
    return found


def reasons(object_: Object) -> dict[str, str]:
    """Rule -> reason, of those that have one."""
    return {each.rule: each.reason for each in suppressions(object_) if each.reason}


def _without_reason(object_: Object, world: World) -> Iterator[Hit]:
    for each in suppressions(object_):
        if not each.reason:
            yield Hit(object_.annotations[ANNOTATION], f'"{each.rule}" has no reason, and is not suppressed')


def _unknown(object_: Object, world: World) -> Iterator[Hit]:
    from evenload.audit.rules import RULES

    for each in suppressions(object_):
        if each.rule not in RULES:
            yield Hit(object_.annotations[ANNOTATION], f'"{each.rule}" is no rule')


RULES = (
    Rule(
        "suppression-without-reason",
        Severity.warning,
        tuple(GROUPS),
        f"The annotation {ANNOTATION} names a rule without a reason: it suppresses nothing.",
        'Write "rule: reason", several with ";" between them.',
        _without_reason,
    ),
    Rule(
        "suppression-of-unknown-rule",
        Severity.warning,
        tuple(GROUPS),
        f"The annotation {ANNOTATION} names a rule that does not exist.",
        "Correct the name; the rules are in docs/reference/audit.md.",
        _unknown,
    ),
)
