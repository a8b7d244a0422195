"""What a run found, for the terminal and for docs/explanation/mutation.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.mutation.mutants import Mutant

Z = 1.96  # 95%
PACKAGE = "operator/evenload/"


@dataclass(frozen=True)
class Result:
    """`killer` is the test that noticed, None for a survivor; `reached`, whether any test runs the place at all."""

    mutant: Mutant
    killer: str | None
    reached: bool = True


def told(result: Result) -> str:
    """A survivor: its line before and after."""
    return result.mutant.told() + ("" if result.reached else "\n  (no test runs it)")


def summary(results: Sequence[Result]) -> str:
    """One line: killed of tried, in percent, with its interval."""
    killed = sum(result.killer is not None for result in results)
    low, high = wilson(killed, len(results))
    return f"{killed} of {len(results)} killed: {killed / len(results):.1%} (95% interval {low:.1%} to {high:.1%})"


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Interval of a proportion (Wilson 1927)."""
    ratio, weight = hits / trials, Z * Z / trials
    middle = (ratio + weight / 2) / (1 + weight)
    reach = Z / (1 + weight) * (ratio * (1 - ratio) / trials + weight / (4 * trials)) ** 0.5
    return max(0.0, middle - reach), min(1.0, middle + reach)


def figures(results: Sequence[Result], of: int) -> str:
    """The generated part of the page: the whole, by module, and what kinds of change survive."""
    tried = "all" if len(results) == of else f"a random sample of {len(results)} of the"
    survived = [result for result in results if result.killer is None]
    return (
        f"Tried: {tried} {of} changes. {summary(results)}.\n\n"
        f"{_table('module', results, lambda result: str(result.mutant.path).removeprefix(PACKAGE))}\n"
        f"Of the {len(survived)} survivors, by what was changed:\n\n"
        f"{_table('change', results, lambda result: kind(result.mutant.operator))}"
    )


def _table(head: str, results: Sequence[Result], key: Callable[[Result], str]) -> str:
    tried = Counter(key(result) for result in results)
    killed = Counter(key(result) for result in results if result.killer is not None)
    rows = (
        f"| {name} | {tried[name]} | {killed[name]} | {killed[name] / tried[name]:.0%} |\n" for name in sorted(tried)
    )
    return f"| {head} | tried | killed | rate |\n|---|---|---|---|\n" + "".join(rows)


def kind(operator: str) -> str:
    """In words, what an operator of cosmic-ray changes."""
    swap = operator.rpartition("_")[0]
    if operator in ("ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_GtE_Gt",
                    "ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_LtE_Lt"):  # fmt: skip
        return "a comparison: the boundary itself"
    if swap.startswith("ReplaceComparisonOperator"):
        return "a comparison: turned round"
    if swap.startswith("ReplaceBinaryOperator"):
        return "an arithmetic or mask operator"
    if operator == "NumberReplacer":
        return "a number: one more or one less"
    if operator in ("ReplaceAndWithOr", "ReplaceOrWithAnd"):
        return "and, or"
    return "not, a sign, a condition, true and false, a loop"
