"""All rules over all objects, or over one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from evenload.audit.finding import ORDER, Finding, Hit, Rule
from evenload.audit.rules import RULES
from evenload.audit.suppression import reasons
from evenload.audit.world import Object, World


def audit(world: World, rules: Mapping[str, Rule] = RULES) -> list[Finding]:
    """The findings, suppressed ones among them: by object, the worst first."""
    by_kind: dict[str, list[Rule]] = {}
    for rule in rules.values():
        for kind in rule.kinds:
            by_kind.setdefault(kind, []).append(rule)
    found = [finding for object_ in world for finding in _of(object_, world, by_kind.get(object_.kind, []))]
    return sorted(found, key=lambda each: (each.namespace, each.kind, each.name, ORDER[each.severity], each.rule))


def audit_object(
    object_: Object, world: World, rules: Mapping[str, Rule], failed: Callable[[str, Exception], None]
) -> list[Finding]:
    """The findings of that one, suppressed ones among them, the worst first.

    A rule that raises, which none should, is left out: `failed` is given its id, and why.
    """
    found: list[Finding] = []
    for rule in rules.values():
        if object_.kind in rule.kinds:
            try:
                found += _of(object_, world, [rule])
            except Exception as error:
                failed(rule.id, error)
    return sorted(found, key=lambda each: (ORDER[each.severity], each.rule))


def _of(object_: Object, world: World, rules: list[Rule]) -> Iterator[Finding]:
    meant = reasons(object_)
    for rule in rules:
        for hit in rule.check(object_, world):
            yield _finding(object_, rule, hit, meant.get(rule.id))


def _finding(object_: Object, rule: Rule, hit: Hit, suppressed: str | None) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        kind=object_.kind,
        namespace=object_.namespace,
        name=object_.name,
        path=hit.field.path,
        keys=hit.field.keys,
        place=object_.place,
        what=hit.what,
        fix=rule.fix,
        suppressed=suppressed,
    )
