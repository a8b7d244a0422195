"""Exit codes, and the one place where exceptions become a sentence and a code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum

import typer

from evenload.cli.text import plain
from evenload.errors import EvenloadError, InputError, NotFound


class ExitCode(IntEnum):
    """What a script may rely on."""

    Fine = 0
    Findings = 1  # something is wrong or unhealthy, and this is how it was found
    Usage = 2  # a flag, a name or a file is wrong
    CouldNotTell = 3  # the cluster, or the signals, did not answer


def finish(command: Callable[[], ExitCode]) -> None:
    """Run it and leave with its code; what went wrong on purpose goes to stderr as a sentence."""
    try:
        code = command()
    except (InputError, NotFound) as error:
        code = failed(error, ExitCode.Usage)
    except EvenloadError as error:
        code = failed(error, ExitCode.CouldNotTell)
    raise typer.Exit(code)


def failed(error: EvenloadError, code: ExitCode) -> ExitCode:
    print(f"error: {plain(str(error))}", file=sys.stderr)
    return code
