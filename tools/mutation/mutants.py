"""Every small change of the engine that is tried: one operator of cosmic-ray at one place.

Of cosmic-ray's operators, one or two that stand for each kind: a comparison moves its boundary and is turned round;
plus and minus, times and over, and and or, true and false change places; a `not`, a `~` or a sign goes; a condition is
negated; a number, at module level too, becomes one more and one less. Left out is only what decides nothing: type
annotations (never evaluated), parameter lists, a class's `frozen` and `kw_only`, zip's `strict`, and swaps that end in
a TypeError at once, which any test would notice and which would flatter the figure. No operator changes a sentence.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    *(f"ReplaceComparisonOperator_{swap}" for swap in (
        "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt",
        "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is",
    )),
    *(f"ReplaceBinaryOperator_{swap}" for swap in (
        "Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul",
        "BitAnd_BitOr", "BitOr_BitAnd",
    )),
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_Invert", "ReplaceUnaryOperator_Delete_USub",
    "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "AddNot", "NumberReplacer",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop",
)  # fmt: skip

ASSERTING = frozenset({"frozen", "slots", "kw_only", "strict"})  # keywords of a class, a dataclass and of zip


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one file; `line` is where, from 1."""

    path: Path
    line: int
    column: int
    operator: str
    occurrence: int

    def source(self) -> str | None:
        """The file with the change in it; None where that is no Python at all."""
        text = self.path.read_text()
        changed = mutate_code(text, get_operator(f"core/{self.operator}")(), self.occurrence)
        try:
            ast.parse(changed)
        except SyntaxError:
            return None
        return str(changed)

    def told(self) -> str:
        """The changed line as it was and as it is, for people."""
        old, new = self.path.read_text().splitlines(), (self.source() or "").splitlines()
        number = next((i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), self.line - 1)
        return f"{self.path}:{number + 1}\n  - {old[number].strip()}\n  + {new[number].strip()}"


def mutants(path: Path) -> list[Mutant]:
    """All that can be made of one file, in the order of the file."""
    text = path.read_text()
    tree = get_ast(text)
    unread = _unread(text)
    return sorted(mutant for name in OPERATORS for mutant in _of(path, tree, name) if not _within(unread, mutant))


def _of(path: Path, tree: parso.tree.Node, name: str) -> Iterator[Mutant]:
    operator = get_operator(f"core/{name}")()
    places = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
    for occurrence, (line, column) in enumerate(places):
        yield Mutant(path, line, column, name, occurrence)


Span = tuple[tuple[int, int], tuple[int, int]]


def _unread(text: str) -> list[Span]:
    """Annotations, parameter lists (a bare `*` is no product), and keywords that only assert: see the module."""
    nodes = list(ast.walk(ast.parse(text)))
    annotations = [getattr(node, field, None) for node in nodes for field in ("annotation", "returns")]
    asserting = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg in ASSERTING]
    spans = [_span(each) for each in (*annotations, *asserting) if isinstance(each, ast.expr)]
    heads = [((node.lineno, 0), (node.body[0].lineno, 0)) for node in nodes if isinstance(node, ast.FunctionDef)]
    return [*spans, *heads]


def _span(node: ast.expr) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _within(spans: list[Span], mutant: Mutant) -> bool:
    return any(start <= (mutant.line, mutant.column) < end for start, end in spans)
