"""`check`: is everything there that Evenload needs? Before the installation with --pre, after it without.

Each line is one question with its answer; one that is not "ok" has a hint, and a section of docs/reference/check.md.
Only reads (and access reviews, which change nothing). What this person may not see is "unknown", never "ok".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Final

import msgspec
import typer

from evenload.cli.cluster import Cluster
from evenload.cli.exits import ExitCode
from evenload.cli.findings import Answer, Result
from evenload.cli.printing import console, styled
from evenload.cli.questions import AFTER, BEFORE, Check, ask_prometheus
from evenload.cli.signing import PrometheusAccess
from evenload.cli.text import plain
from evenload.errors import KubeError

DOCS: Final = "docs/reference/check.md"


SYMBOLS: Final = {Answer.ok: "✓", Answer.fail: "✗", Answer.unknown: "?", Answer.skipped: "-"}
_COLOURS: Final = {Answer.ok: "green", Answer.fail: "red", Answer.unknown: "yellow", Answer.skipped: "dim"}


class CheckOutput(StrEnum):
    text = "text"
    json = "json"


def check(
    cluster: Cluster,
    source: PrometheusAccess,
    pre: Annotated[bool, typer.Option("--pre", help="What has to be there before the installation.")] = False,
    output: Annotated[CheckOutput, typer.Option("-o", "--output", help="Output format.")] = CheckOutput.text,
) -> ExitCode:
    """Check the cluster and the installation; a hint for whatever is not as it should be."""
    results = list(run_checks(cluster, BEFORE if pre else AFTER))
    if source.url:
        results.append(ask_prometheus(source.url, source.access))
    if output is CheckOutput.json:
        print(json.dumps(msgspec.to_builtins(results), indent=2))
    else:
        print_results(results)
    return verdict(results)


def run_checks(cluster: Cluster, checks: Iterable[tuple[str, Check]]) -> Iterator[Result]:
    """One after the other; a check that the cluster does not answer is unknown, and the others go on."""
    for topic, each in checks:
        try:
            yield from each(cluster)
        except KubeError as error:
            yield Result(topic=topic, answer=Answer.unknown, what=f"{topic}: could not tell", hint=str(error))


def verdict(results: Iterable[Result]) -> ExitCode:
    """A failure wins over not knowing."""
    answers = {result.answer for result in results}
    if Answer.fail in answers:
        return ExitCode.Findings
    return ExitCode.CouldNotTell if Answer.unknown in answers else ExitCode.Fine


def print_results(results: Iterable[Result]) -> None:
    target = console()
    for result in results:
        line = styled(f"{SYMBOLS[result.answer]} {result.answer.value:<8}")
        line.stylize(_COLOURS[result.answer])
        target.print(line.append(plain(result.what), style="default"), soft_wrap=True)
        if result.hint:
            target.print(f"           hint: {plain(result.hint)} ({DOCS}#{result.topic})", soft_wrap=True)
