"""Completion: names from the cluster for every shell, and kubectl's way of asking a plugin.

`kubectl evenload why sh<TAB>` runs the program `kubectl_complete-evenload why sh` from the PATH. It prints a candidate
a line, a tab and a description behind it, and last a colon with the directive of cobra, which kubectl is built on.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys

import typer

from evenload.cli.cluster import Access, connect
from evenload.errors import EvenloadError
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Resource

FILES, NO_FILES = ":0", ":4"  # cobra's ShellCompDirectiveDefault and ShellCompDirectiveNoFileComp


def balancer_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Those of the namespace that the words so far mean."""
    return _names(ctx, BALANCERS, incomplete)


def remediation_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same of Remediations."""
    return _names(ctx, REMEDIATIONS, incomplete)


def _names(ctx: typer.Context, resource: Resource, incomplete: str) -> list[str]:
    """None where the cluster does not answer: who presses a key wants no error."""
    try:
        cluster = connect(Access(**{flag: ctx.params.get(flag) for flag in Access._fields}))
        found = [str(manifest["metadata"]["name"]) for manifest in cluster.every(resource)]
    except EvenloadError:
        return []
    given = ctx.params.get("names") or ()
    return [name for name in found if name.startswith(incomplete) and name not in given]


def main() -> None:
    """The entry point of `kubectl_complete-evenload`; its arguments are the words so far, the last one unfinished."""
    *words, incomplete = sys.argv[1:] or [""]
    found = _candidates(words, incomplete)
    print(found, end="")
    print(NO_FILES if found else FILES)


def _candidates(words: list[str], incomplete: str) -> str:
    """As typer answers the fish shell, whose lines are those that kubectl reads."""
    from evenload.cli.main import app

    os.environ |= {
        "_EVENLOAD_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{shlex.join(['evenload', *words])} {incomplete}",
    }
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
        app(args=[], prog_name="evenload")
    return told.getvalue().lstrip("\n")


if __name__ == "__main__":
    main()
