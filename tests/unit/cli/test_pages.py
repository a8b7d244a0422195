"""Pages with plots where matplotlib is not installed: told before anything is read or opened, with what to install."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from evenload.report.drawing import MATPLOTLIB
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("_no_matplotlib")
@pytest.mark.parametrize(
    "words",
    [
        ("report", "shop-1st", "-o", "html", "--file", "page.html"),
        ("backtest", "shop", "-o", "html", "--to", "page.html"),
        ("backtest", "shop", "-o", "html"),
        ("simulate", "--scenario", "postmortem", "--plot", "-o", "svg"),
    ],
)
def test_without_matplotlib_a_page_is_refused_before_anything_is_read_or_written(
    run: Run, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    api.put_remediation(objects.closed())
    result = run(*words)
    assert (result.exit_code, result.stdout, api.requests) == (2, "", [])
    assert f"-m pip install '{MATPLOTLIB}'" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_what_is_to_be_installed_is_what_the_extra_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["report"] == [MATPLOTLIB]


def test_the_documented_install_brings_the_plots() -> None:
    assert "pip install '.[report]'" in (ROOT / "docs/how-to/install.md").read_text()


def test_a_page_to_a_file_goes_with_html_alone(run: Run) -> None:
    result = run("backtest", "shop", "--to", "week.html")
    assert result.exit_code == 2
    assert "--to week.html: goes with -o html" in result.stderr


def test_a_page_that_cannot_be_written_names_the_flag_and_the_file(run: Run, api: FakeApi, tmp_path: Path) -> None:
    api.put_remediation(objects.closed())
    result = run("report", "shop-1st", "-o", "html", "--file", str(tmp_path))
    assert result.exit_code == 2
    assert f"--file {tmp_path}: Is a directory" in result.stderr
