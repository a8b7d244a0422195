"""What all objects with several rules share: which of their rules one set of weights stands in.

The one `targetRef.ruleName` names, else every rule that splits traffic over two backends or more; those must then split
it alike, because a Balancer has one set of weights. Rules with a single backend are left alone beside such. Where there
are none but those, they must all lead to the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from evenload.drivers.base import Problem, RouteProblem
from evenload.model.spec import TargetRef


class Rule(Protocol):
    """As much of a rule as is asked for here."""

    @property
    def name(self) -> str | None: ...

    @property
    def services(self) -> Sequence[object]:
        """The references in it that can be backends."""


R = TypeVar("R", bound=Rule)


class Rules(NamedTuple, Generic[R]):
    """The rules of one object, and how its messages speak of them."""

    of: str  # "HTTPRoute shop/web"
    field: str  # "spec.rules"
    need: str  # what each of them needs to be a split: "leads to a Service; ..."
    all: Sequence[R]
    named: bool = True  # whether a rule of that kind can have a name

    def chosen(self, target: TargetRef) -> list[tuple[int, R]]:
        """The rules that one set of weights stands in, with their indexes. Raises RouteProblem."""
        if target.rule_name is not None:
            return [self._named(target.rule_name)]
        rules = [(index, rule) for index, rule in enumerate(self.all) if rule.services]
        if not rules:
            raise RouteProblem(Problem.NothingToBalance, f"no rule of {self.of} {self.need}")
        return [(index, rule) for index, rule in rules if len(rule.services) > 1] or rules

    def _named(self, name: str) -> tuple[int, R]:
        where = "spec.targetRef.ruleName"
        if not self.named:
            raise RouteProblem(Problem.RuleNotFound, f"{where}: the rules of {self.of} have no names; leave it out")
        found = next(((index, rule) for index, rule in enumerate(self.all) if rule.name == name), None)
        if found is None:
            names = ", ".join(f'"{rule.name}"' for rule in self.all if rule.name)
            unnamed = f"its rules have no names: set {self.field}[].name there"
            fix = f"its named rules are {names}" if names else unnamed
            raise RouteProblem(Problem.RuleNotFound, f'{where}: {self.of} has no rule "{name}"; {fix}')
        if not found[1].services:
            raise RouteProblem(Problem.NothingToBalance, f'{where}: no rule "{name}" of {self.of} {self.need}')
        return found

    def common(self, rules: Sequence[tuple[int, R]], weights_of: Callable[[int, R], dict[str, int]]) -> dict[str, int]:
        """The one set of weights that all of `rules` have. Raises RouteProblem where there is none."""
        by_rule = [weights_of(index, rule) for index, rule in rules]
        first = by_rule[0]
        for (index, _), weights in zip(rules[1:], by_rule[1:], strict=True):
            if weights != first:
                same = weights.keys() == first.keys()
                how = "the same Services with different weights" if same else "different Services"
                apart = (
                    "name the rule in spec.targetRef.ruleName (one Balancer each), or make them alike"
                    if self.named
                    else "make them alike, or give each an object and a Balancer of its own"
                )
                raise RouteProblem(
                    Problem.RuleAmbiguous, f"rules {rules[0][0]} and {index} of {self.of} lead to {how}; {apart}"
                )
        return first
