"""The ValidatingAdmissionPolicies and their bindings: two of each kind of balancer, one that warns and one that denies.

What happens is a binding's to say, not an expression's, hence two policies of the same expressions; which of them looks
at an update is the Balancer's `spec.guard.mode`. The Balancers of the object's namespace are their parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evenload.api.v1alpha1 import API_VERSION, Balancer
from evenload.drivers import name_of
from evenload.drivers.base import Driver, Split
from evenload.guard import cel
from evenload.model.spec import GuardMode

AUDIT_KEY = "guard-override"
API = "admissionregistration.k8s.io/v1"
ACTIONS = {GuardMode.Warn: ("Warn", "Audit"), GuardMode.Deny: ("Deny", "Audit")}


def policies(driver: Driver, prefix: str) -> Iterator[dict[str, Any]]:
    """All of one driver, under names that begin with `prefix`; none where it has no weights."""
    if driver.split is not None:
        for mode, actions in ACTIONS.items():
            name = f"{prefix}-{name_of(driver)}-{mode.lower()}"
            yield _policy(driver, driver.split, mode, name)
            yield _binding(name, actions)


def _policy(driver: Driver, split: Split, mode: GuardMode, name: str) -> dict[str, Any]:
    resource = driver.resource
    rule = {
        "apiGroups": [resource.group],
        "apiVersions": [resource.version],
        "operations": ["UPDATE"],
        "resources": [resource.plural],
    }
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Ignore",
            "paramKind": {"apiVersion": API_VERSION, "kind": Balancer.__name__},
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [{"name": "of-such-a-balancer", "expression": cel.condition(driver, split, mode)}],
            "variables": _named(cel.variables(split)),
            "validations": [
                {
                    "expression": cel.PASSES,
                    "messageExpression": cel.MESSAGE,
                    "message": "the guard of a Balancer takes this update for a mistake: see spec.guard there",
                    "reason": "Forbidden",
                }
            ],
            "auditAnnotations": [{"key": AUDIT_KEY, "valueExpression": cel.RECORD}],
        },
    }


def _named(expressions: cel.Expressions) -> list[dict[str, str]]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]


def _binding(name: str, actions: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": list(actions),
            "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"},
        },
    }
