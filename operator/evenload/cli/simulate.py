"""`simulate`: how good is its judgement? The engine against synthetic plants, seed by seed; needs no cluster."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from evenload.cli.exits import ExitCode, finish
from evenload.errors import InputError

if TYPE_CHECKING:
    from evenload.simulate.score import Score


class SimulateOutput(StrEnum):
    table = "table"
    json = "json"


def simulate(
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given again. Default: all but the long ones.")
    ] = None,
    size: Annotated[list[int] | None, typer.Option(help="Pods of a fleet; may be given again.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each scenario and size.", min=1, max=1000)] = 20,
    first_seed: Annotated[int, typer.Option(help="Seeds below 1000 are for tuning, others for reporting.")] = 1000,
    held_out: Annotated[bool, typer.Option("--held-out", help="The scenarios never used in tuning.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Also those that take minutes: leaks, healthy days.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw one run, a line a tick, instead of scoring.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Name the scenarios and stop.")] = False,
    output: Annotated[SimulateOutput, typer.Option("-o", "--output", help="Output format.")] = SimulateOutput.table,
) -> None:
    """Score the engine on synthetic plants: right diagnosis in time, settling, failed requests, forbidden actions.

    Leaves with 1 if any action was taken that must never be.
    """
    names, sizes = scenario or [], size or [4, 10, 40, 200]
    if list_:
        finish(_list)
    if plot:
        finish(lambda: _plot(names, sizes[0], first_seed))
    finish(lambda: _score(names, sizes, range(first_seed, first_seed + seeds), held_out, long, output))


def _list() -> ExitCode:
    from evenload.simulate.scenarios import SCENARIOS

    for row in SCENARIOS:
        notes = "".join(note for note, true in ((" [held out]", row.held_out), (" [long]", row.long)) if true)
        print(f"{row.name:<20}{row.summary}{notes}")
    return ExitCode.Fine


def _plot(names: list[str], size: int, seed: int) -> ExitCode:
    from evenload.simulate.results import choose
    from evenload.simulate.timeline import timeline

    if len(names) != 1:
        raise InputError("--plot draws one run: name it with one --scenario (--list names them all)")
    for line in timeline(choose(names)[0].trial(size, seed)):
        print(line)
    return ExitCode.Fine


def _score(
    names: list[str], sizes: list[int], seeds: range, held_out: bool, long: bool, output: SimulateOutput
) -> ExitCode:
    from evenload.simulate.results import run

    results = run(names, sizes, seeds, held_out=held_out, long=long, progress=_progress)
    if output is SimulateOutput.json:
        sys.stdout.buffer.write(results.json() + b"\n")
        sys.stdout.buffer.flush()
    else:
        print(results.table())
    return ExitCode.Findings if results.forbidden() else ExitCode.Fine


def _progress(score: Score) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{score.scenario} N={score.size} seed {score.seed}", end="\r", file=sys.stderr, flush=True)
