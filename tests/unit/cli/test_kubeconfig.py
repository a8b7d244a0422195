"""A malformed kubeconfig: one error that names the file and the field, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from evenload.cli.main import app
from tests.unit.cli.fake_api import write_kubeconfig


def run(path: Path) -> Result:
    return CliRunner().invoke(app, ["get", "--kubeconfig", str(path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: b: c\n", "line 1, column 5"),
        ("users:\n\t- x\n", "line 2, column 1"),
        ("clusters: [\n", "line 2, column 1"),
        ("\x00", "UTF-8"),
        ("- a\n", "it holds no fields"),
        ("hello", "it holds no fields"),
        ("", "empty"),
        ("contexts: 7\n", "field contexts must be a list"),
        ("contexts: [x]\n", "field contexts[0] must have a name"),
        ("clusters: [{name: c, cluster: x}]\n", "field clusters[0].cluster must have fields"),
        ("clusters: [{name: c, cluster: {server: 7}}]\n", "field clusters[0].cluster.server must be an address"),
        ("clusters: [{name: c, cluster: {}}]\n", "field clusters[0].cluster.server must be an address"),
        ("contexts: [{name: c, context: {cluster: [1]}}]\n", "field contexts[0].context.cluster must be a name"),
        ("current-context: x\n", "contexts"),
    ],
)
def test_a_malformed_kubeconfig_is_one_error_that_names_file_and_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    result = run(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: kubeconfig {path}")
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


def test_no_secret_of_the_file_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("users:\n- name: jane\n  user: {token: s3cret: x}\n")
    assert "s3cret" not in run(path).stderr


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "cluster", "user"]), inner),
    max_leaves=4,
)


@given(place=st.sampled_from(["clusters", "contexts", "users", "current-context"]), inner=st.booleans(), value=values)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_in_a_field_ends_in_a_sentence(tmp_path: Path, place: str, inner: bool, value: object) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", 1)
    document = yaml.safe_load(path.read_text())
    if inner and isinstance(document[place], list):
        first = document[place][0]
        first[next(key for key in first if key != "name")] = value
    else:
        document[place] = value
    path.write_text(yaml.safe_dump(document))
    result = run(path)
    assert result.exit_code in (2, 3)
    assert result.stderr.startswith("error: ")
