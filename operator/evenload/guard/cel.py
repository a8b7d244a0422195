"""The guard in CEL: `model.guard` and `verdict` once more, for the API server, from the same facts of the drivers.

Read it beside them. Every field that may be absent is asked for first, so that no Balancer and no object makes an
expression fail; where one fails all the same, the policy lets the update pass (failurePolicy Ignore).
`[x].map(y, ...)[0]` is how CEL of Kubernetes 1.30 gives a value a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from evenload.api.v1alpha1 import GUARD_OVERRIDE_ANNOTATION
from evenload.drivers.base import CLUSTER_DOMAIN, Driver, Split
from evenload.drivers.metadata import CONTROLLERS, DELIVERY_OWNERS, ROLLOUT_LABEL
from evenload.guard.verdict import WAYS_OUT
from evenload.model.guard import Mistake
from evenload.model.spec import DEFAULT_KIND, GuardMode

Expressions = dict[str, str]


def condition(driver: Driver, split: Split, mode: GuardMode) -> str:
    """When a policy of that mode looks at an update at all, for one Balancer. One expression, the cheapest first: of
    several conditions the API server evaluates all."""
    canary = " ||\n".join(_delivered(each, split) for each in ("object", "oldObject"))
    return (
        f'params.spec.?guard.?mode.orValue("{GuardMode.Warn}") == "{mode}" &&\n'
        "params.spec.targetRef.name == object.metadata.name &&\n"
        f'params.spec.targetRef.?kind.orValue("{DEFAULT_KIND}") == "{driver.kind}" &&\n'
        "params.spec.targetRef.?namespace.orValue(request.namespace) == request.namespace &&\n"
        "!has(params.metadata.deletionTimestamp) && object.?spec != oldObject.?spec &&\n"
        f"!({canary})"
    )


def _delivered(manifest: str, split: Split) -> str:
    metadata = f"{manifest}.metadata"
    return (
        f"has({metadata}.ownerReferences) &&\n"
        f"  {metadata}.ownerReferences.exists(o, o.kind in {_strings(DELIVERY_OWNERS)}) ||\n"
        f'{metadata}.?labels["{ROLLOUT_LABEL}"].orValue("") == "in-progress" ||\n'
        f"has({metadata}.managedFields) && {metadata}.managedFields.exists(m, has(m.manager) && m.manager in\n"
        f"  {_strings(CONTROLLERS)} &&\n"
        f'  m.?fieldsV1[?"f:spec"][?"f:{split.field}"].hasValue() && m.?subresource.orValue("") == "")'
    )


def _strings(texts: Iterable[str]) -> str:
    return json.dumps(list(texts))


def variables(split: Split) -> Expressions:
    """In order: later ones use earlier ones."""
    return {
        "ruleName": 'params.spec.targetRef.?ruleName.orValue("")',
        "allBefore": _all(split, "oldObject"),
        "allAfter": _all(split, "object"),
        "before": _looked_after("variables.allBefore"),
        "after": _looked_after("variables.allAfter"),
        # Only weights change, mostly: then nothing can be dropped or named twice, which costs most to find out.
        "sameBackends": f"{_names('variables.after')} ==\n{_names('variables.before')}",
        "shares": (
            'params.spec.?desired.?type.orValue("") == "Explicit" ? params.spec.desired.?shares.orValue([]) : []'
        ),
        "sharesTotal": "variables.shares.map(s, s.weight).sum()",
        "sharesCover": (
            "variables.sharesTotal > 0 &&\n"
            "variables.after.all(r, size(r) == size(variables.shares) &&\n"
            "  r.all(b, variables.shares.exists(s, s.backend == b.backend)))"
        ),
        "targets": "params.?status.?targetShares.orValue({})",
        "targetsTotal": "variables.targets.map(name, int(variables.targets[name])).sum()",
        "targetsCover": (
            "variables.targetsTotal > 0 &&\n"
            "variables.after.all(r, size(r) == size(variables.targets) &&\n"
            "  r.all(b, b.backend in variables.targets))"
        ),
        "maxSharePercent": "params.spec.?guard.?maxSharePercent.orValue(0)",
        _variable(Mistake.TooMuch): _too_much(),
        _variable(Mistake.AllZero): _all_zero(),
        _variable(Mistake.Repeated): _repeated(),
        _variable(Mistake.Dropped): _dropped(),
        "mistakes": " +\n".join(f"({_first(_variable(mistake))})" for mistake in Mistake),
        "reason": _reason("object"),
        "reasonBefore": _reason("oldObject"),
    }


def _reason(manifest: str) -> str:
    return f'{manifest}.metadata.?annotations["{GUARD_OVERRIDE_ANNOTATION}"].orValue("").trim()'


def _all(split: Split, manifest: str) -> str:
    """A list for each rule, of its Services; maps of dyn, since CEL has no records and wants maps of one type."""
    rules, references = _rules(split, manifest)
    read = _DESTINATIONS if split.mesh else _SERVICES
    weight = f"has(b.weight) ? b.weight : {0 if split.mesh else 1}"
    if split.alone:
        return f"{rules}.map(r, {references}\n{read % weight})"
    return f"{rules}.map(r, [{references}].map(refs, refs\n{read % f'size(refs) == 1 ? 1 : ({weight})'})[0])"


def _rules(split: Split, manifest: str) -> tuple[str, str]:
    """The list of rules, and that of a rule r's references."""
    if not split.rules:
        rules = f'(variables.ruleName == "" ? [{_optional(manifest, split.references)}.orValue([])] : [])\n'
        return rules, "r"
    references = f"{_optional('r', split.references)}.orValue([])"
    if not split.named:
        return f'(variables.ruleName == "" ? {_optional(manifest, split.rules)}.orValue([]) : [])\n', references
    rules = (
        f"{_optional(manifest, split.rules)}.orValue([])\n"
        '.filter(r, variables.ruleName == "" || r.?name.orValue("") == variables.ruleName)\n'
    )
    return rules, references


_SERVICES = (
    '  .map(b, (!has(b.kind) || b.kind == "Service") && (!has(b.group) || b.group == ""),\n'
    '    {"backend": dyn(has(b.namespace) && !(b.namespace in ["", request.namespace]) ?\n'
    '    b.namespace + "/" + b.name : b.name), "weight": dyn(%s)})'
)
"""Of a list of references b: as `verdict._services`. %s: the weight."""
_HOST = f'b.?destination.?host.orValue("").replace("." + request.namespace + ".{CLUSTER_DOMAIN}", "")'
_SUBSET = 'b.?destination.?subset.orValue("")'
_DESTINATIONS = (
    f'  .map(b, !{_HOST}.contains("."),\n'
    f'    {{"backend": dyn({_HOST} + ({_SUBSET} == "" ? "" : "/" + {_SUBSET})),\n'
    '    "weight": dyn(%s)})'
)
"""Of those of a mesh: as `verdict._destinations`."""


def _optional(manifest: str, path: tuple[str, ...]) -> str:
    return manifest + "".join(f".?{field}" for field in path)


def _looked_after(rules: str) -> str:
    return (
        f'variables.ruleName == "" && {rules}.exists(r, size(r) > 1) ?\n'
        f"{rules}.filter(r, size(r) > 1) : {rules}.filter(r, size(r) > 0)"
    )


def _too_much() -> str:
    """The text of each rule that does it. Most backends are ruled out by the first comparison."""
    over = (
        f"    {_over(_OWN)} &&\n"
        f"    (!variables.targetsCover || {_over(_TARGET)}) &&\n"
        "    !variables.before.exists(o, o.exists(old, old.backend == b.backend && old.weight > 0 &&\n"
        f"      old.weight * total >= b.weight * {_total('o')}))"
    )
    limit = f"[{_limit(_OWN)}, variables.targetsCover ? {_limit(_TARGET)} : 0].max()"
    text = (
        f'    "Service " + b.backend + " " + {_tenths("((b.weight * 1000 + total - 1) / total)")} +\n'
        f'    " (at most " + {_tenths(limit)} + ")"'
    )
    return (
        f"variables.after.map(r, [{_total('r')}].map(total, r.map(b,\n{over},\n{text}))[0])\n"
        '.map(found, size(found) > 0, "gives " + found.join(", ") + " of the traffic")'
    )


class _Fraction(NamedTuple):
    """The share that reference b in rule r should have, as two expressions of whole numbers."""

    part: str
    whole: str


_OWN = _Fraction(
    "(variables.sharesCover ? variables.shares.filter(s, s.backend == b.backend)[0].weight : 1)",
    "(variables.sharesCover ? variables.sharesTotal : size(r))",
)
_TARGET = _Fraction("int(variables.targets[b.backend])", "variables.targetsTotal")


def _over(fraction: _Fraction) -> str:
    part, whole = fraction
    return (
        "(variables.maxSharePercent > 0 ?\n"
        f"      b.weight * 100 > variables.maxSharePercent * total && b.weight * {whole} > {part} * total :\n"
        f"      b.weight * ({whole} + {part}) > 2 * {part} * total)"
    )


def _limit(fraction: _Fraction) -> str:
    """In thousandths, rounded down."""
    part, whole = fraction
    return (
        "(variables.maxSharePercent > 0 ?\n"
        f"      [variables.maxSharePercent * 10, 1000 * {part} / {whole}].max() :\n"
        f"      2000 * {part} / ({whole} + {part}))"
    )


def _names(rules: str) -> str:
    return f"{rules}.map(r, r.map(b, b.backend))"


def _total(rule: str) -> str:
    return f"{rule}.map(each, int(each.weight)).sum()"


def _tenths(number: str) -> str:
    return f'[{number}].map(n, string(n / 10) + "." + string(n % 10) + "%")[0]'


def _all_zero() -> str:
    zero = "exists(r, r.all(b, b.weight == 0))"
    return (
        f"variables.after.{zero} && !variables.before.{zero} ?\n"
        '["gives every Service of a rule weight 0, so that each of its requests would fail"] : []'
    )


def _repeated() -> str:
    twice = "!{rule}.exists_one(b, b.backend == {name})"
    return (
        "variables.sameBackends ? [] :\n"
        f"variables.after.map(r, r.filter(t, {twice.format(rule='r', name='t.backend')} &&\n"
        "  !variables.before.exists(o, o.exists(b, b.backend == t.backend) &&\n"
        f"    {twice.format(rule='o', name='t.backend')})))\n"
        '.map(found, size(found) > 0, "names Service " + found[0].backend + " twice in one rule")'
    )


def _dropped() -> str:
    return (
        "variables.sameBackends ? [] :\n"
        "variables.before.map(o, o.map(old, old.weight > 0 &&\n"
        "  !variables.after.exists(r, r.exists(b, b.backend == old.backend)),\n"
        '  "Service " + old.backend))\n'
        '.map(found, size(found) > 0, "drops " + found.join(", ") + ", which had a share of the traffic")'
    )


def _variable(mistake: Mistake) -> str:
    return mistake.value[0].lower() + mistake.value[1:]


def _first(variable: str) -> str:
    return f"size(variables.{variable}) > 0 ? [variables.{variable}[0]] : []"


OVERRIDDEN = 'variables.reason != "" && variables.reason != variables.reasonBefore'


PASSES = f"{OVERRIDDEN} || size(variables.mistakes) == 0"

MESSAGE = (
    '"the guard of Balancer " + params.metadata.name + ": this update " + variables.mistakes.join("; ") +\n'
    f'". {WAYS_OUT}"'
)
"""As `verdict.sentence`."""

RECORD = (
    f"{OVERRIDDEN} && size(variables.mistakes) > 0 ?\n"
    '"Balancer " + params.metadata.name + ": this update " + variables.mistakes.join("; ") +\n'
    '"; the reason given: " + variables.reason : ""'
)
"""What the audit log keeps of an update that passed by its reason: nothing where it had nothing to say."""
