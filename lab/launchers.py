"""Evenload's command line of this checkout as programs, for the PATH of a lab's shell: nothing has to be installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
PROGRAMS: Final = {
    "evenload": "evenload.cli.main",
    "kubectl-evenload": "evenload.cli.main",
    "kubectl_complete-evenload": "evenload.cli.completing",
}
"""As pyproject.toml names them."""


def write(folder: Path) -> Path:
    """Put them into `folder`, which is made if need be; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        program = folder / name
        program.write_text(_script(name, module))
        program.chmod(0o755)
    return folder


def _script(name: str, module: str) -> str:
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import main; main()"
    return (
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(CHECKOUT / 'operator'))} "
        f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
    )
