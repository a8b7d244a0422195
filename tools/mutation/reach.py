"""Which tests can notice a change: those that run the function it is in, or a function that reads the constant."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.mutation.mutants import Mutant

BUDGET_SECONDS = 5.0  # of tests a mutant: who outlives so much has survived, so the figure errs downwards

Lines = range


@dataclass(frozen=True)
class Reach:
    """`seconds` by test; `tests` by file and line, as one run of the unchanged engine showed it."""

    seconds: Mapping[str, float]
    tests: Mapping[Path, Mapping[int, Sequence[str]]]

    @classmethod
    def read(cls, text: str) -> Reach:
        """Of what `written` gave."""
        told = json.loads(text)
        names, files = told["names"], told["files"]
        return cls(
            told["seconds"],
            {
                Path(path): {int(n): [names[i] for i in tests] for n, tests in lines.items()}
                for path, lines in files.items()
            },
        )

    @staticmethod
    def written(seconds: Mapping[str, float], files: Mapping[str, Mapping[int, Sequence[str]]]) -> str:
        """JSON: tests are told by number, many thousand times."""
        numbers = {name: number for number, name in enumerate(seconds)}
        short = {
            path: {n: [numbers[name] for name in names if name in numbers] for n, names in lines.items()}
            for path, lines in files.items()
        }
        return json.dumps({"names": list(seconds), "seconds": seconds, "files": short})

    def of(self, mutant: Mutant) -> list[str]:
        """Tests that can notice it, the most telling first, no more than BUDGET_SECONDS of them; [] if none can."""
        return list(self._affordable(self._ordered(self._reaching(mutant), mutant.path)))

    def inside_function(self, mutant: Mutant) -> bool:
        """Or it changes what stands at module or class level."""
        return bool(self._code[mutant.path].functions_at(mutant.line))

    def _reaching(self, mutant: Mutant) -> set[str]:
        places = self._code[mutant.path].functions_at(mutant.line) or self._readers(mutant)
        return {test for path, lines in places for line in lines for test in self.tests[path].get(line, ())}

    def _readers(self, mutant: Mutant) -> list[tuple[Path, Lines]]:
        """Functions that read what the statement at module or class level defines, or what is made of that."""
        names = self._code[mutant.path].defined_at(mutant.line)
        while more := {name for code in self._code.values() for name in code.made_of(names)} - names:
            names |= more
        return [place for code in self._code.values() for place in code.reading(names)]

    def _ordered(self, tests: Iterable[str], path: Path) -> list[str]:
        """The module's own folder first, then one case of each test function before the second; quick ones first."""
        cases: dict[str, int] = {}
        ranked = []
        own = f"/{path.parent.name if path.parent.name != 'evenload' else path.stem}/"
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            function = test.partition("[")[0]
            cases[function] = cases.get(function, -1) + 1
            ranked.append((own not in test, cases[function], self.seconds[test], test))
        return [test for *_, test in sorted(ranked)]

    def _affordable(self, tests: Iterable[str]) -> Iterator[str]:
        spent = 0.0
        for test in tests:
            spent += self.seconds[test]
            if spent > BUDGET_SECONDS:
                return
            yield test

    @cached_property
    def _code(self) -> dict[Path, Code]:
        return {path: Code(path) for path in self.tests}


class Code:
    """One file's functions and statements at module level, and the names they mention."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())
        self.functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]

    def functions_at(self, line: int) -> list[tuple[Path, Lines]]:
        """The innermost function whose body holds the line."""
        around = [_body(node) for node in self.functions if line in _body(node)]
        return [(self.path, min(around, key=len))] if around else []

    def defined_at(self, line: int) -> set[str]:
        """What the statement at module level there binds."""
        return next((set(_bound(node)) for node in self.tree.body if line in _all(node)), set())

    def made_of(self, names: set[str]) -> set[str]:
        """What statements at module level bind that mention one of `names`: tables, sums of constants, aliases."""
        plain = (node for node in self.tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
        return {name for node in plain if names & _mentioned(node) for name in _bound(node)}

    def reading(self, names: set[str]) -> list[tuple[Path, Lines]]:
        """Functions that mention one of `names`, and methods of a class of that name."""
        methods = [each for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name in names
                   for each in ast.walk(node) if isinstance(each, ast.FunctionDef)]  # fmt: skip
        return [(self.path, _body(node)) for node in self.functions if node in methods or names & _mentioned(node)]


def _all(node: ast.stmt) -> Lines:
    decorators = getattr(node, "decorator_list", [])
    return range(min(node.lineno, *(each.lineno for each in decorators), node.lineno), (node.end_lineno or 0) + 1)


def _body(node: ast.FunctionDef) -> Lines:
    return range(node.body[0].lineno, (node.end_lineno or 0) + 1)


def _bound(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign():
            yield from (each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _mentioned(node: ast.AST) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
