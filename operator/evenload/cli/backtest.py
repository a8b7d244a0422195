"""`backtest`: what Evenload would have done last week, from Prometheus' history. Needs no operator; writes nothing."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
import typer

from evenload import clock
from evenload.cli.cluster import Access, connect
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.manifests import balancers_of, documents_in, spec_of
from evenload.cli.printing import needs_plots, note, on_terminal, print_table, say, write_file
from evenload.cli.signing import PrometheusAccess
from evenload.cli.text import plain
from evenload.drivers import DRIVERS
from evenload.errors import InputError
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.policy import Policy, seconds
from evenload.model.spec import BalancerSpec

if TYPE_CHECKING:
    from evenload.history.backtest import Backtest, PastEpisode
    from evenload.history.past import Subject

DAY_SECONDS: Final = 86400.0
QUIET_SECONDS: Final = 2.0  # what takes longer shows how far it is


class BacktestOutput(StrEnum):
    table = "table"
    json = "json"
    html = "html"


class _Asked(NamedTuple):
    """A Balancer to look at: its manifest, and its route's where a file gave it."""

    manifest: Manifest
    namespace: str
    route: Manifest | None = None

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])


def backtest(
    access: Access,
    source: PrometheusAccess,
    balancer: Annotated[
        list[str] | None,
        typer.Argument(help="Names of Balancers; all of the namespace by default.", autocompletion=balancer_names),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f",
            "--file",
            help="A Balancer that is not applied anywhere; with its target in the file, no cluster is asked.",
        ),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back to begin: 90m, 36h, 7d.")] = "7d",
    until: Annotated[str, typer.Option(help="How far back to end.")] = "0s",
    scrape: Annotated[str, typer.Option(help="Scrape interval of that Prometheus; also the tick.")] = "15s",
    output: Annotated[BacktestOutput, typer.Option("-o", "--output", help="Output format.")] = BacktestOutput.table,
    to: Annotated[Path | None, typer.Option(help="With -o html: write the page there.", metavar="FILE")] = None,
) -> ExitCode:
    """Replay Prometheus' history: what would have been diagnosed and done, when, and what was at stake.

    The traffic is replayed as it was: would-be actions do not change it, and nothing is written anywhere.
    """
    _refuse_pages(output, to)
    asked = _from_file(file, access) if file else _from_cluster(access, balancer or [])
    if file and balancer:
        raise InputError("give names, or a file with -f, not both")
    tick = seconds(scrape, "--scrape")
    span = _ago(since, "--since"), _ago(until, "--until")
    if span[0] <= span[1]:
        raise InputError(f"--since {since}: must be further back than --until {until}")
    results = [_judged(access, each, source, tick, span) for each in asked]
    _print(results, output, to)
    return ExitCode.Fine


def _refuse_pages(output: BacktestOutput, to: Path | None) -> None:
    """Before the history is read, which takes minutes. Raises InputError."""
    if output is not BacktestOutput.html:
        if to is not None:
            raise InputError(f"--to {to}: goes with -o html")
        return
    if to is None and on_terminal():
        raise InputError("-o html: a page is of no use on a terminal; give --to week.html, or redirect")
    needs_plots()


def _judged(
    access: Access, asked: _Asked, prometheus: PrometheusAccess, tick: float, span: tuple[float, float]
) -> Backtest:
    from evenload.history.backtest import backtest as judge
    from evenload.history.past import found_now
    from evenload.history.ranges import Grid

    spec = spec_of(asked.manifest)
    subject = found_now(_subject(access, asked, spec, prometheus, tick), prometheus.access)
    now = clock.now()
    grid = Grid.between(now - span[0], now - span[1], tick)
    return judge(subject, spec, grid, access=prometheus.access, progress=_progress(subject.name, grid.start, grid.end))


def _subject(
    access: Access, asked: _Asked, spec: BalancerSpec, prometheus: PrometheusAccess, scrape_seconds: float
) -> Subject:
    from evenload.cli.observing import observing
    from evenload.history.past import offline_subject, subject_of
    from evenload.observe.queries import source_seen_from_here

    try:
        source = source_seen_from_here(
            spec.signals, prometheus.url, scrape_seconds, prometheus.matchers, prometheus.presets
        )
    except InputError as error:
        raise InputError(f"{error}; give --prometheus and --scrape to say where and how it is scraped") from error
    policy = Policy.of(spec)
    basis: dict[str, Any] = {
        "namespace": asked.namespace,
        "name": asked.name,
        "source": source,
        "max_age_seconds": policy.max_age_seconds,
        "policy": policy,
    }
    if asked.route is not None:
        return offline_subject(asked.route, spec.target_ref, **basis)

    async def look() -> Subject:
        async with observing(access, asked.namespace) as (_, view):
            return subject_of(view, spec.target_ref, **basis)

    return asyncio.run(look())


def _from_cluster(access: Access, names: Sequence[str]) -> list[_Asked]:
    cluster = connect(access)
    found = [cluster.get(BALANCERS, name) for name in names] if names else cluster.every(BALANCERS)
    if not found:
        raise InputError(
            f'there is no Balancer in namespace "{cluster.namespace}"; name one, or give a manifest with -f: it need '
            "not be applied"
        )
    return [_Asked(manifest, cluster.namespace) for manifest in found]


def _from_file(file: Path, access: Access) -> list[_Asked]:
    """Raises InputError naming the file."""
    documents = documents_in(file)
    balancers = balancers_of(documents, file)
    routes = {(each["kind"], each["metadata"]["name"]): each for each in documents if each.get("kind") in DRIVERS}
    return [_asked(each, routes, access) for each in balancers]


def _asked(manifest: Manifest, routes: dict[tuple[str, str], Manifest], access: Access) -> _Asked:
    target = spec_of(manifest).target_ref
    route = routes.get((target.kind, target.name))
    namespace = access.namespace or manifest["metadata"].get("namespace")
    if route is not None:
        namespace = namespace or route["metadata"].get("namespace") or "default"
        metadata = {"namespace": namespace, "uid": "", "resourceVersion": "", **route["metadata"]}
        return _Asked(manifest, namespace, {**route, "metadata": metadata})
    return _Asked(manifest, namespace or connect(access).namespace)


def _ago(text: str, flag: str) -> float:
    """Seconds of "7d" and whatever else is a duration."""
    days = re.fullmatch(r"(\d+(?:\.\d+)?)d", text)
    return float(days[1]) * DAY_SECONDS if days else seconds(text, flag)


def _progress(name: str, start: float, end: float) -> Callable[[float], None]:
    began = time.monotonic()

    def show(read_until: float) -> None:
        if time.monotonic() - began > QUIET_SECONDS and sys.stderr.isatty():
            done = 100 * (read_until - start) / max(1.0, end - start)
            ending = "\r\x1b[K" if read_until >= end else ""
            print(
                f"\r\x1b[K{plain(name)}: {done:.0f}% of the history judged{ending}", end="", file=sys.stderr, flush=True
            )

    return show


def _print(results: Sequence[Backtest], output: BacktestOutput, to: Path | None) -> None:
    match output:
        case BacktestOutput.json:
            print(json.dumps(msgspec.to_builtins(results), indent=2))
        case BacktestOutput.html:
            from evenload.history.page import html_page

            page = html_page(results)
            if to is None:
                sys.stdout.write(page)
            else:
                write_file(to, page, "--to")
        case BacktestOutput.table:
            for result in results:
                _print_one(result)


def _print_one(result: Backtest) -> None:
    from evenload.history.wording import headline, judgement_text

    say(headline(result))
    if result.episodes:
        titles = ["OPENED (UTC)", "LASTED", "DIAGNOSIS", "WHERE", "WOULD HAVE", "FAILED", "AFTER", "JUDGEMENT"]
        print_table(titles, [_row(episode) for episode in result.episodes])
    for judgement in dict.fromkeys(episode.judgement for episode in result.episodes):
        note(f"{judgement}: {judgement_text(judgement)}")
    for sentence in (result.note, *result.assumptions):
        note(f"note: {sentence}")


def _row(episode: PastEpisode) -> list[str]:
    from evenload.history.wording import lasted, opened, where, would_have
    from evenload.report.wording import count

    failed_after = count(episode.failed_after) if episode.done else "-"
    return [
        opened(episode),
        lasted(episode),
        episode.label.value,
        where(episode),
        would_have(episode),
        count(episode.failed),
        failed_after,
        episode.judgement.value,
    ]
