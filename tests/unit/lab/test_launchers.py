"""The lab's shell has the command line of this checkout, as kubectl's plugin too."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

from evenload import __version__
from lab import launchers


def test_the_programs_are_those_of_the_package() -> None:
    project = tomllib.loads((launchers.CHECKOUT / "pyproject.toml").read_text())["project"]
    assert {name: f"{module}:main" for name, module in launchers.PROGRAMS.items()} == project["scripts"]


def test_they_run_without_anything_being_installed(tmp_path: Path) -> None:
    folder = launchers.write(tmp_path / "bin")
    environment = {"PATH": f"{folder}{os.pathsep}{os.defpath}", "HOME": str(tmp_path)}
    told = subprocess.run(["evenload", "version"], env=environment, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"evenload {__version__} ")
    usage = subprocess.run(["kubectl-evenload", "-h"], env=environment, capture_output=True, text=True, check=True)
    assert "Usage: kubectl evenload" in usage.stdout
