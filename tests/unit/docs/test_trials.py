"""What the pages say that planes and presets were tried on: each claim names tests, and there are those tests."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from docs.trials import BEHIND_EACH, END_TO_END, ENVOY_GATEWAY, PLANES, PRESETS, TRAEFIK, gateways
from evenload.drivers import DRIVERS
from evenload.drivers.base import Tried
from evenload.presets import PRESETS as FILES
from tests.support.chart import REPOSITORY

TESTS = sorted({test for trials in (PLANES, PRESETS) for tests in trials.values() for test in tests})
FOLDERS = {
    Tried.Loop: END_TO_END,
    Tried.Proxy: END_TO_END,
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
    real = {f"tests/integration/observe/{name}.py" for name in ("test_presets", "test_by_address")}
    assert files & {*real, "tests/e2e/test_traefik_counts.py"}


class TestGateways:
    def test_an_end_to_end_test_runs_behind_traefik_and_one_without_a_proxy_behind_none(self) -> None:
        assert gateways("tests/e2e/test_traefik_kinds.py::test_x") == (TRAEFIK,)
        assert gateways("tests/integration/observe/test_presets.py::test_x") == ()

    def test_the_whole_loop_by_weights_and_by_isolation_is_shown_behind_both(self) -> None:
        both = [test for test in PLANES["HTTPRoute"] if gateways(test) == (TRAEFIK, ENVOY_GATEWAY)]
        assert {test.partition("::")[0] for test in both} == {
            f"{END_TO_END}test_{name}.py" for name in ("postmortem", "isolate", "routes")
        }

    def test_what_is_said_to_run_behind_envoy_gateway_is_marked_for_all_tests_of_its_file(self) -> None:
        for test in TESTS:
            if ENVOY_GATEWAY in gateways(test):
                statements = map(ast.unparse, module(REPOSITORY / test.partition("::")[0]).body)
                assert any(each.startswith("pytestmark = ") and BEHIND_EACH in each for each in statements)

    def test_make_planes_runs_all_that_are_marked_behind_envoy_gateway(self) -> None:
        recipe = (REPOSITORY / "Makefile").read_text().partition("\nplanes:")[2].partition("\n.PHONY")[0]
        marker = BEHIND_EACH.removeprefix("pytest.mark.")
        assert f"--plane envoy-gateway -- pytest -v -m {marker} tests/e2e\n" in recipe
