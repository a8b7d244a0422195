"""The mutation tool: what it changes, which tests it asks, what it reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from tools.mutation.mutants import Mutant, mutants
from tools.mutation.reach import BUDGET_SECONDS, Reach
from tools.mutation.report import Result, figures, kind, summary, wilson

TEXT = """LIMIT = 3
TABLE = (LIMIT,)


@dataclass(slots=True)
class Value(Base, frozen=True):
    size: int | None = None


def over(values: list[int], *, strict: bool) -> bool | None:
    return any(value > LIMIT for value, _ in zip(values, values, strict=True))


def other() -> int:
    return len(TABLE)
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "plan" / "limits.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_constants_and_comparisons_are_changed_and_nothing_that_decides_nothing(module: Path) -> None:
    changed = [(mutant.line, mutant.operator.removeprefix("ReplaceComparisonOperator_")) for mutant in mutants(module)]
    assert changed == [(1, "NumberReplacer"), (1, "NumberReplacer"), (11, "Gt_GtE"), (11, "Gt_LtE")]


def test_a_mutant_is_the_file_with_one_change_and_told_by_its_line(module: Path) -> None:
    first = mutants(module)[0]
    assert first.source() == TEXT.replace("LIMIT = 3", "LIMIT = 4")
    assert first.told() == f"{module}:1\n  - LIMIT = 3\n  + LIMIT = 4"


def reached(module: Path, seconds: dict[str, float]) -> Reach:
    mine = [test for test in seconds if "other" not in test]
    return Reach(seconds, {module: {11: mine, 15: [test for test in seconds if "other" in test]}})


def test_the_tests_that_run_the_function_are_asked_its_own_folder_first_and_one_case_of_each_before_the_second(
    module: Path,
) -> None:
    seconds = {
        "tests/scenarios/t.py::long": 0.9,
        "tests/unit/plan/t.py::a[2]": 0.2,
        "tests/unit/plan/t.py::a[1]": 0.1,
        "tests/unit/plan/t.py::b": 0.5,
        "tests/unit/plan/t.py::other": 0.1,
    }
    comparison = mutants(module)[2]
    assert reached(module, seconds).inside_function(comparison)
    assert [test.partition("::")[2] for test in reached(module, seconds).of(comparison)] == [
        "a[1]",
        "b",
        "a[2]",
        "long",
    ]


def test_a_constant_is_asked_of_all_that_read_it_or_what_is_made_of_it(module: Path) -> None:
    seconds = {"tests/t.py::a": 0.1, "tests/t.py::other": 0.1}
    constant = mutants(module)[0]
    assert not reached(module, seconds).inside_function(constant)
    assert set(reached(module, seconds).of(constant)) == set(seconds)


def test_no_more_tests_are_asked_than_the_budget_pays_for(module: Path) -> None:
    seconds = {f"tests/t.py::a{number}": BUDGET_SECONDS / 3 for number in range(6)}
    assert len(reached(module, seconds).of(mutants(module)[2])) == 3


def test_the_interval_is_scipys() -> None:
    expected = stats.binomtest(88, 100).proportion_ci(method="wilson")
    assert wilson(88, 100) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_the_page_tells_the_whole_by_module_and_by_kind() -> None:
    path = Path("operator/evenload/plan/law.py")
    results = [
        Result(Mutant(path, 1, 0, "NumberReplacer", 0), killer="tests/t.py::a"),
        Result(Mutant(path, 2, 0, "ReplaceComparisonOperator_Gt_GtE", 0), killer=None),
    ]
    assert summary(results) == "1 of 2 killed: 50.0% (95% interval 9.5% to 90.5%)"
    page = figures(results, 10)
    assert "a random sample of 2 of the 10 changes" in page
    assert "| plan/law.py | 2 | 1 | 50% |" in page
    assert f"| {kind('ReplaceComparisonOperator_Gt_GtE')} | 1 | 0 | 0% |" in page
