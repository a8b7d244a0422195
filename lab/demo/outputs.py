"""What stays of the demo: the report, the postmortem, the figures and the recordings, all in one folder."""

from __future__ import annotations

import base64
import gzip
import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

import evenload
from evenload import recording
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.snapshot import Snapshot
from evenload.replay import replay
from evenload.report import ClientBin, ClientRecord, Report, build
from lab import api, golang
from lab.demo.script import Script
from lab.demo.summary import Figures, Run, Target, Updates
from lab.demo.view import percent, seconds_text
from lab.load.analysis import percentile, time_to_mitigate, within
from lab.load.record import Record
from lab.shop import manifests as shop
from lab.state import LabState

FLIGHT: Final = "flight.jsonl"
ROLLBACK: Final = "rollback"  # the folder of what is about the update that was taken back
OF_AN_INCIDENT: Final = ("report.html", "postmortem.md", FLIGHT, "remediation.json")
OURS: Final = (
    *("report.html", "postmortem.md", "summary.json", FLIGHT, "remediation.json", "live-view.svg"),
    *("load-alone.jsonl", "load-evenload.jsonl"),
    *(f"{ROLLBACK}/{name}" for name in OF_AN_INCIDENT),
)


def clear(folder: Path) -> None:
    """Remove what an earlier demo left there, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in OURS:
        (folder / name).unlink(missing_ok=True)


class Records(NamedTuple):
    """What the cluster keeps of an incident."""

    remediation: Manifest  # the whole object, flight recording included
    balancer: Manifest


async def fetch_records(client: Client, namespace: str, remediation: str) -> Records:
    found = await client.get(REMEDIATIONS, namespace, remediation)
    return Records(found, await client.get(BALANCERS, namespace, found["spec"]["balancerRef"]["name"]))


def write_incident(
    folder: Path, records: Records, run: Run, alone: Run | None, script: Script, tried: Sequence[str] = ()
) -> None:
    """The Remediation, its flight recording, and the report made of both and of the customers' records.

    `tried`: what was tried after it, in sentences. The flight recording goes back further, into the other arm, which
    would be taken for a part of this incident.
    """
    folder.mkdir(exist_ok=True)
    remediation, balancer = records
    (folder / "remediation.json").write_text(json.dumps(remediation, indent=2) + "\n")
    flight = _flight(remediation)
    if flight:
        (folder / FLIGHT).write_bytes(flight)
    start, period = run.onset - script.shown_before_seconds, script.period_seconds
    seen = [(snapshot, made) for snapshot, made in _replayed(flight) if snapshot.time >= start]
    beside = callers(alone, period) if alone else None
    report = build(remediation, seen or None, callers(run, period), alone=beside, balancer=balancer, tried=tried)
    write_report(folder, report)


def write_report(folder: Path, report: Report) -> None:
    (folder / "postmortem.md").write_text(report.markdown)
    (folder / "report.html").write_text(report.html)


def callers(run: Run, period_seconds: float) -> ClientRecord:
    """The customers' record, as the report wants it: in periods of a second from the fault on."""
    end = run.onset + period_seconds
    records = within(run.records, run.onset, end)
    return ClientRecord(
        bins=tuple(_bin(records, run.onset + second) for second in range(round(period_seconds))),
        bin_seconds=1.0,
        onset=run.onset,
        time_to_mitigate_seconds=time_to_mitigate(within(run.records, run.onset), run.onset),
        source="the demo's load generator",
    )


def _bin(records: Sequence[Record], start: float) -> ClientBin:
    chosen = within(records, start, start + 1.0)
    latencies = sorted(record.latency_seconds for record in chosen if not record.failed)
    failed = sum(record.failed for record in chosen)
    return ClientBin(start=start, requests=len(chosen), failed=failed, latency_p95=percentile(latencies, 95))


def _flight(remediation: Manifest) -> bytes:
    packed = remediation.get("status", {}).get("recording", "")
    return gzip.decompress(base64.b64decode(packed)) if packed else b""


def _replayed(flight: bytes) -> list[tuple[Snapshot, Decision]]:
    if not flight:
        return []
    read = recording.read(flight.splitlines())
    snapshots = list(read.snapshots)
    again = recording.Recording(header=read.header, snapshots=snapshots)
    return list(zip(snapshots, replay(again), strict=True))


def write_summary(folder: Path, document: dict[str, Any]) -> None:
    (folder / "summary.json").write_text(json.dumps(document, indent=2) + "\n")


def versions(lab: LabState) -> dict[str, str | None]:
    """Of everything whose behaviour the figures depend on; None where it did not say."""
    return {
        "evenload": evenload.__version__,
        "kubernetes": lab.kubernetes_version,
        "traefik": _ask(f"{lab.traefik_api_url}/api/version", "Version"),
        "prometheus": _prometheus_version(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def _ask(url: str, key: str) -> str | None:
    body = api.get(url)
    found: str | None = json.loads(body).get(key) if body else None
    return found


def _prometheus_version() -> str | None:
    """Of its Go module, v0.315.0 for 3.15.0: built from one, it does not know its own."""
    requirement = re.search(r"prometheus/prometheus (v\S+)", (golang.MODULES / "prometheus" / "go.mod").read_text())
    return requirement[1] if requirement else None


def print_results(
    console: Console,
    evenload: Figures | None,
    alone: Figures | None,
    judged: Sequence[Target],
    folder: Path,
    script: Script,
    updates: Updates | None = None,
) -> None:
    """The last thing one sees."""
    console.print(_comparison(evenload, alone, script))
    for line in described(updates) if updates else ():
        console.print(line, highlight=False, markup=False)
    if judged:
        console.print(_targets(judged))
    missed = [target.name for target in judged if target.met is False]
    if evenload is not None and evenload.failed_elsewhere_after_restart:
        console.print(
            f"{evenload.failed_elsewhere_after_restart} requests failed on other servers once the restart had begun: "
            "their queues overflowed, as they do when this machine is too busy."
        )
    if missed:
        console.print(f"[bold red]Missed:[/] {', '.join(missed)}. The operator's log is in {folder / 'logs'}.")
    elif judged:
        every = all(target.met is not None for target in judged)
        console.print(f"[bold green]Every figure{'' if every else ' that was judged'} holds.[/]")
    for name in OURS:
        if (folder / name).exists():
            console.print(f"  {folder / name}", highlight=False)


def described(updates: Updates) -> Iterator[str]:
    """The two later updates, in sentences."""
    if updates.refusal is None:
        yield "The same update with the guard on was NOT refused."
    else:
        yield f"The same update with the guard on was refused by the API server: {updates.refusal}"
    if updates.rolled_back_seconds is None:
        yield f"An update that gave {shop.NEXT}, which fails, its fair share was NOT taken back."
    else:
        yield (
            f"An update that gave {shop.NEXT}, which fails, its fair share was taken back after "
            f"{updates.rolled_back_seconds:.1f} s: {updates.failed:,} of {updates.requests:,} requests failed."
        )


def _comparison(evenload: Figures | None, alone: Figures | None, script: Script) -> Table:
    title = f"The same incident, {script.period_seconds:.0f} s from {script.fault}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    arms = [(title, arm) for title, arm in (("with Evenload", evenload), ("left alone", alone)) if arm is not None]
    for title, _ in arms:
        table.add_column(title, justify="right")
    for name in script.rows:
        table.add_row(name, *(ROWS[name](arm) for _, arm in arms))
    return table


def _targets(judged: Sequence[Target]) -> Table:
    table = Table(title="Targets", title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target")
    table.add_column("")
    for target in judged:
        measured = "never" if target.value is None else f"{target.value:,.1f}".removesuffix(".0")
        limit = f"{target.text} ({target.limit:,.0f})" if "1/5" in target.text and target.limit else target.text
        table.add_row(target.name, measured, limit, _VERDICTS[target.met])
    return table


_VERDICTS: Final = {True: "[bold green]met[/]", False: "[bold red]MISSED[/]", None: "[dim]not judged[/]"}


def _seconds(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:.1f} s" if value >= 0 else f"{-value:.1f} s before it"


ROWS: Final[Mapping[str, Callable[[Figures], str]]] = {
    "time to detect": lambda arm: _seconds(arm.time_to_detect_seconds),
    "time to mitigate": lambda arm: _seconds(arm.time_to_mitigate_seconds),
    "time to resolve": lambda arm: _seconds(arm.time_to_resolve_seconds),
    "requests": lambda arm: f"{arm.requests:,}",
    "failed": lambda arm: f"{arm.failed:,}",
    "failed share": lambda arm: percent(arm.failed_share),
    "p95 of the answers": lambda arm: seconds_text(arm.latency_p95_seconds),
    "restarts": lambda arm: str(arm.restarts),
    "weight writes": lambda arm: str(arm.weight_writes),
}
"""What the last table can say of an arm."""
