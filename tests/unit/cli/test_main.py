from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from evenload import __version__
from evenload.cli.main import app

ROOT = Path(__file__).parents[3]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def test_every_command_and_option_says_what_it_is_for() -> None:
    group: Any = typer.main.get_command(app)
    silent = [name for name, command in group.commands.items() if not command.help]
    silent += [
        f"{name} {parameter.name}"
        for name, command in group.commands.items()
        for parameter in command.params
        if not parameter.help
    ]
    assert silent == []


def test_help_needs_no_cluster_and_none_of_the_heavy_libraries() -> None:
    heavy = "kubernetes", "matplotlib", "numpy", "aiohttp", "kopf", "jinja2", "urllib3"
    script = f"import sys, evenload.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    assert python("-c", script).stdout == "[]\n"


def test_the_module_is_the_command_line() -> None:
    assert python("-m", "evenload", "version").stdout.startswith(f"evenload {__version__} ")


def test_version_for_scripts() -> None:
    found = json.loads(CliRunner().invoke(app, ["version", "-o", "json"]).stdout)
    assert (found["evenload"], found["api"]) == (__version__, "evenload.dev/v1alpha1")


def test_an_unknown_flag_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["get", "--nope"]).exit_code == 2


def test_an_unknown_command_is_a_usage_error_that_suggests_the_right_one() -> None:
    result = CliRunner().invoke(app, ["histroy"])
    assert result.exit_code == 2
    assert "history" in result.stderr
