"""kubectl itself asks our program what could stand behind `kubectl evenload`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import store
from tests.support.kubectl import Kubectl
from tests.unit.cli import objects

PROGRAMS = {"kubectl-evenload": "evenload.cli.main", "kubectl_complete-evenload": "evenload.cli.completing"}


@pytest.fixture
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both programs, as installing the package would put them there."""
    for name, module in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("on_the_path")
def test_kubectl_offers_our_commands_and_the_names_that_are_there(kubectl: Kubectl) -> None:
    for name in ("shop", "shelf"):
        store(kubectl, objects.healthy(name))
    assert offered("sta") == ["status"]
    assert offered("why", "-n", kubectl.namespace, "sh") == ["shelf", "shop"]


def offered(*words: str) -> list[str]:
    """What kubectl tells the shell, without descriptions and directive."""
    command = ["kubectl", "__complete", "evenload", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [line.partition("\t")[0] for line in done.stdout.splitlines() if not line.startswith(":")]
