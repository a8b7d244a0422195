"""Mutation testing of the engine: which small change of it would no test notice?

`make mutate` tries all, `make mutate SAMPLE=400` a random sample of that many (always the same) and gives the interval
of what all would give; both write the figures into docs/explanation/mutation.md, and every survivor into
out/mutation.txt. `make mutate ONLY=plan/law` tries one module and writes nothing into the docs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tools.mutation.mutants import Mutant, mutants
from tools.mutation.reach import Reach
from tools.mutation.report import Result, figures, summary, told
from tools.mutation.trial import SURVIVED, Attempt, Trial, anew, keep_bytecode, loaded, reach

PACKAGE = Path("operator/evenload")
MODEL = ("model/fleet.py", "model/policy.py", "model/vectors.py")  # of it, what computes
ENGINE = ("diagnose/*.py", "plan/*.py", "govern/*.py", "verify.py", "engine.py", *MODEL)
TESTS = (
    *(f"tests/unit/{stage}" for stage in ("diagnose", "plan", "govern", "verify", "engine", "model")),
    "tests/scenarios",
)
PAGE = Path("docs/explanation/mutation.md")
MARK = "<!-- Written by `make mutate`: do not edit below. -->"
OUT = Path("out/mutation.txt")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evenload/mutation"
SEED = 20261124


def main() -> None:
    options = _options()
    keep_bytecode(CACHE / "bytecode")
    paths = [path for pattern in ENGINE for path in sorted(PACKAGE.glob(pattern)) if path.name != "__init__.py"]
    reached = reach(paths, TESTS, CACHE)
    every = [each for path in paths if options.only in str(path) for each in mutants(path)]
    chosen = sorted(random.Random(SEED).sample(every, options.sample)) if 0 < options.sample < len(every) else every
    results: list[Result] = []

    def attempts(some: list[Mutant], attempt: Attempt) -> None:
        for result in tried(some, reached, attempt, options.jobs):
            results.append(result)
            if result.killer is None:
                print(told(result), flush=True)

    attempts([mutant for mutant in chosen if not reached.inside_function(mutant)], anew)
    loaded(TESTS, partial(attempts, [mutant for mutant in chosen if reached.inside_function(mutant)]))
    print(summary(results))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(told(result) for result in results if result.killer is None) + f"\n{summary(results)}\n")
    if not options.only:
        head, _, _ = PAGE.read_text().partition(MARK)
        of = len(every) if len(chosen) < len(every) else len(results)  # a few places change nothing at all
        PAGE.write_text(f"{head}{MARK}\n\n{figures(results, of)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="so many of all, chosen at random; 0: all")
    parser.add_argument("--only", default="", help="part of the path of the modules to change")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    return parser.parse_args()


def tried(chosen: Iterable[Mutant], reached: Reach, attempt: Attempt, jobs: int) -> Iterator[Result]:
    """Each with what became of it, `jobs` at a time."""
    killers = Killers(CACHE / "killers.json")
    running: dict[int, tuple[Mutant, Trial]] = {}
    for mutant in chosen:
        source = mutant.source()
        if source is None:
            continue
        tests = killers.first(mutant, reached.of(mutant))
        if not tests:
            yield Result(mutant, killer=None, reached=False)
            continue
        trial = attempt(mutant.path, source, tests, sum(reached.seconds[test] for test in tests))
        running[trial.end] = mutant, trial
        if len(running) >= jobs:
            yield _next(running, killers)
    while running:
        yield _next(running, killers)
    killers.keep()


def _next(running: dict[int, tuple[Mutant, Trial]], killers: Killers) -> Result:
    (end, *_), _, _ = select.select(list(running), (), ())
    mutant, trial = running.pop(end)
    told = trial.wait()
    if told == SURVIVED:
        return Result(mutant, killer=None)
    killers.told[killers.key(mutant)] = told
    return Result(mutant, killer=told or "took too long")


class Killers:
    """Which test killed a mutant the last time: it is asked first. Only speed comes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def key(self, mutant: Mutant) -> str:
        return f"{mutant.path} {mutant.operator} {mutant.occurrence}"

    def first(self, mutant: Mutant, tests: list[str]) -> list[str]:
        killer = self.told.get(self.key(mutant))
        return [killer, *(test for test in tests if test != killer)] if killer in tests else tests

    def keep(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.told))


if __name__ == "__main__":
    main()
