"""`report`: the postmortem of a Remediation, from what the cluster has kept of it."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evenload.cli.cluster import Cluster
from evenload.cli.completing import remediation_names
from evenload.cli.exits import ExitCode
from evenload.cli.objects import balancers, remediations
from evenload.cli.printing import needs_plots, note, on_terminal, write_file
from evenload.errors import InputError, NotFound, RecordingError
from evenload.kube.resources import Manifest
from evenload.model.decision import Decision
from evenload.model.snapshot import Snapshot


class ReportOutput(StrEnum):
    md = "md"
    html = "html"
    json = "json"


def report(
    cluster: Cluster,
    remediation: Annotated[
        str, typer.Argument(help="Name of the Remediation (see: evenload history).", autocompletion=remediation_names)
    ],
    output: Annotated[
        ReportOutput, typer.Option("-o", "--output", help="Markdown, an HTML page with plots, or plain data.")
    ] = ReportOutput.md,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Write it there instead of to stdout.")] = None,
) -> ExitCode:
    """Write the postmortem of a Remediation: timeline, impact, root cause, evidence, what was done."""
    if output is ReportOutput.html and file is None and on_terminal():
        raise InputError(f"-o html: a page is of no use on a terminal; give --file {remediation}.html, or redirect")
    if output is ReportOutput.html:
        needs_plots()
    [item] = remediations(cluster, [remediation])
    text = render(item.manifest, output, _balancer(cluster, item.object.spec.balancer_ref.name))
    if file is None:
        sys.stdout.write(text)
    else:
        write_file(file, text, "--file")
    return ExitCode.Fine


def _balancer(cluster: Cluster, name: str) -> Manifest | None:
    """None where it is deleted, or cannot be read: the rest of the report is worth having."""
    try:
        return balancers(cluster, [name])[0].manifest
    except NotFound:
        return None
    except InputError as error:
        note(f"warning: its Balancer is left out: {error}")
        return None


def render(manifest: dict[str, object], output: ReportOutput, balancer: Manifest | None = None) -> str:
    """The text of the report. A recording that cannot be read is said and left out: the rest is worth having."""
    from evenload.report import build

    made = build(manifest, flight_recording(manifest), balancer=balancer)
    match output:
        case ReportOutput.md:
            return made.markdown
        case ReportOutput.html:
            return made.html
        case ReportOutput.json:
            return json.dumps(made.data, indent=2, ensure_ascii=False) + "\n"


def flight_recording(manifest: dict[str, object]) -> list[tuple[Snapshot, Decision]] | None:
    """The Snapshots stored with the Remediation and what the engine makes of them; None where there are none to use."""
    status = manifest.get("status")
    packed = status.get("recording") if isinstance(status, dict) else None
    if not packed:
        return None
    try:
        return unpack(str(packed))
    except RecordingError as error:
        note(f"warning: the flight recording cannot be read and is left out: {error}")
        return None


def unpack(packed: str) -> list[tuple[Snapshot, Decision]]:
    """Raises RecordingError."""
    from evenload import recording
    from evenload.record import flight
    from evenload.replay import replay

    lines = list(flight.unpack(packed))
    snapshots = recording.read(lines).snapshots
    return list(zip(snapshots, replay(recording.read(lines)), strict=True))
