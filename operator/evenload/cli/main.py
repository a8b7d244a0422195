"""The commands, in the order in which a person needs them."""

from __future__ import annotations

import json
import platform
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evenload import __version__
from evenload.api.v1alpha1 import API_VERSION
from evenload.cli.audit import audit
from evenload.cli.backtest import backtest
from evenload.cli.changes import changes
from evenload.cli.check import check
from evenload.cli.decide import approve, deny, pause, resume, undo
from evenload.cli.diff import diff
from evenload.cli.get import get, history
from evenload.cli.gitops import gitops
from evenload.cli.incident_report import report
from evenload.cli.init import init
from evenload.cli.options import with_access, with_cluster
from evenload.cli.record import record
from evenload.cli.replay import replay
from evenload.cli.signals import signals
from evenload.cli.signing import asking_prometheus
from evenload.cli.simulate import simulate
from evenload.cli.status import status
from evenload.cli.why import why

LOOK, DECIDE, SETUP = "Look", "Decide", "Set up"

app = typer.Typer(
    name="evenload",
    help="Keeps the servers behind a Kubernetes load balancer evenly loaded, and mends it when they are not.",
    epilog="Exit codes: 0 fine, 1 findings or unhealthy, 2 wrong usage, 3 could not tell.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class VersionOutput(StrEnum):
    text = "text"
    json = "json"


def version(
    output: Annotated[VersionOutput, typer.Option("-o", "--output", help="Output format.")] = VersionOutput.text,
) -> None:
    """Print the version of this program and of the API it speaks."""
    if output is VersionOutput.json:
        print(json.dumps({"evenload": __version__, "api": API_VERSION, "python": platform.python_version()}))
    else:
        print(f"evenload {__version__} (API {API_VERSION}, Python {platform.python_version()})")


def run() -> None:
    """Run the operator; settings come from the environment (EVENLOAD_...). The chart does this for you."""
    from evenload.app import main as operator

    operator()


for _command, _panel in (
    (with_cluster(get), LOOK),
    (with_cluster(status), LOOK),
    (with_cluster(why), LOOK),
    (with_cluster(history), LOOK),
    (with_cluster(changes), LOOK),
    (with_cluster(report), LOOK),
    (with_cluster(approve), DECIDE),
    (with_cluster(deny), DECIDE),
    (with_cluster(pause), DECIDE),
    (with_cluster(resume), DECIDE),
    (with_cluster(undo), DECIDE),
    (with_access(asking_prometheus(signals)), LOOK),
    (with_access(asking_prometheus(record)), LOOK),
    (with_access(audit), LOOK),
    (with_access(asking_prometheus(diff)), LOOK),
    (replay, LOOK),
    (with_access(asking_prometheus(backtest)), LOOK),
    (simulate, LOOK),
    (with_access(asking_prometheus(init)), SETUP),
    (with_cluster(asking_prometheus(check)), SETUP),
    (with_cluster(gitops), SETUP),
    (version, SETUP),
    (run, SETUP),
):
    app.command(rich_help_panel=_panel)(_command)


def main() -> None:
    """The entry point of `evenload` and `kubectl-evenload`."""
    name = Path(sys.argv[0]).name
    app(prog_name="kubectl evenload" if name.startswith("kubectl-") else "evenload")


if __name__ == "__main__":
    main()
