"""What the pages say that planes and presets were tried on: each claim names tests, and there are those tests."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from docs.trials import PLANES, PRESETS
from evenload.drivers import DRIVERS
from evenload.drivers.base import Tried
from evenload.presets import PRESETS as FILES
from tests.support.chart import REPOSITORY

TESTS = sorted({test for trials in (PLANES, PRESETS) for tests in trials.values() for test in tests})
FOLDERS = {
    Tried.Loop: "tests/e2e/",
    Tried.Proxy: "tests/e2e/",
    Tried.Control: "tests/integration/",
    Tried.Server: "tests/integration/",
}


@functools.cache
def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def found(test: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that `test` names, in its file and class."""
    path, *classes, name = test.partition("[")[0].split("::")
    body: list[ast.stmt] = module(REPOSITORY / path).body
    for each in classes:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == each), [])
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return next((node for node in functions if node.name == name), None)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_is_named_exists_with_the_case_that_is_meant(test: str) -> None:
    function = found(test)
    assert function is not None
    case = test.partition("[")[2].removesuffix("]")
    assert not case or any(repr(case) in ast.unparse(each) for each in function.decorator_list)


def test_one_that_does_not_exist_would_be_noticed() -> None:
    assert found("tests/unit/docs/test_trials.py::test_that_nobody_wrote") is None
    assert found("tests/unit/docs/test_trials.py::Nobody::found") is None


def test_every_plane_and_every_preset_has_a_row() -> None:
    assert PLANES.keys() == DRIVERS.keys()
    assert PRESETS.keys() == FILES.keys()


@pytest.mark.parametrize("kind", DRIVERS)
def test_what_a_plane_claims_is_shown_where_such_a_thing_runs(kind: str) -> None:
    assert PLANES[kind][0].startswith(FOLDERS[DRIVERS[kind].tried])


@pytest.mark.parametrize("preset", FILES)
def test_every_preset_is_answered_by_a_real_prometheus(preset: str) -> None:
    files = {test.partition("::")[0] for test in PRESETS[preset]}
    assert files & {f"tests/integration/observe/{name}.py" for name in ("test_presets", "test_by_address")}
