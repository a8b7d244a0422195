"""`simulate`: how good is its judgement? The engine against synthetic plants, seed by seed; needs no cluster."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from evenload.cli.exits import ExitCode, finish
from evenload.cli.printing import console, needs_plots, on_terminal
from evenload.errors import InputError


class SimulateOutput(StrEnum):
    table = "table"
    json = "json"
    svg = "svg"


def simulate(
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given again. Default: all but the long ones.")
    ] = None,
    size: Annotated[
        list[int] | None, typer.Option(help="Pods of a fleet; may be given again. Default: 4, 10, 40, 200.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each scenario and size.", min=1, max=1000)] = 20,
    first_seed: Annotated[int, typer.Option(help="Seeds below 2020 are for tuning, others for reporting.")] = 2020,
    held_out: Annotated[bool, typer.Option("--held-out", help="The scenarios never used in tuning.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Also those that take minutes: leaks, healthy days.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes to spread the runs over. Default: all cores.", min=1)
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw one run: a line a tick, or a picture with -o svg.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Name the scenarios and stop.")] = False,
    output: Annotated[
        SimulateOutput, typer.Option("-o", "--output", help="Output format; svg goes with --plot.")
    ] = SimulateOutput.table,
) -> None:
    """Score the engine on synthetic plants: right diagnosis in time, settling, failed requests, forbidden actions.

    One run as a picture: evenload simulate --scenario postmortem --plot -o svg > run.svg

    Leaves with 1 if any action was taken that must never be.
    """
    names, sizes = scenario or [], size or []
    if list_:
        finish(_list)
    if plot:
        finish(lambda: _plot(names, sizes, first_seed, output))
    finish(lambda: _score(names, sizes, range(first_seed, first_seed + seeds), held_out, long, jobs, output))


def _list() -> ExitCode:
    from evenload.simulate.scenarios import SCENARIOS

    for row in SCENARIOS:
        notes = "".join(note for note, true in ((" [held out]", row.held_out), (" [long]", row.long)) if true)
        only = f" [{row.only_size} pods]" if row.only_size else ""
        print(f"{row.name:<20}{row.summary}{notes}{only}")
    return ExitCode.Fine


def _plot(names: list[str], sizes: list[int], seed: int, output: SimulateOutput) -> ExitCode:
    from evenload.simulate.results import SIZES, choose
    from evenload.simulate.score import first_fault, play
    from evenload.simulate.timeline import timeline

    if len(names) != 1 or len(sizes) > 1:
        raise InputError("--plot draws one run: name it with one --scenario (--list names them all), and one --size")
    if output is SimulateOutput.json:
        raise InputError("-o json: a plot is lines or a picture; leave --plot out for the run's figures")
    scenario = choose(names)[0]
    size = sizes[0] if sizes else scenario.only_size or SIZES[0]
    if output is SimulateOutput.svg:
        return _picture(scenario.name, size, seed)
    trial = scenario.trial(size, seed)
    for line in timeline(play(trial), first_fault(trial) if trial.events else None):
        _print_line(line)
    return ExitCode.Fine


def _picture(name: str, size: int, seed: int) -> ExitCode:
    from evenload.cli.playback import playback
    from evenload.report.playback import playback_svg
    from evenload.simulate.scenarios import BY_NAME

    if on_terminal():
        raise InputError(
            "-o svg: a picture is of no use on a terminal; redirect it: "
            f"evenload simulate --scenario {name} --plot -o svg > {name}.svg"
        )
    needs_plots()
    sys.stdout.write(playback_svg(playback(BY_NAME[name], size, seed)))
    return ExitCode.Fine


_STYLES = {"Healthy": "green", "-- the fault --": "bold red", "broke a rule": "bold red"}
"""Colour is a hint beside the word, never instead of it."""


def _print_line(line: str) -> None:
    from rich.text import Text

    text = Text(line)
    for words, style in _STYLES.items():
        text.highlight_words([words], style)
    console().print(text, soft_wrap=True)


def _score(
    names: list[str],
    sizes: list[int],
    seeds: range,
    held_out: bool,
    long: bool,
    jobs: int | None,
    output: SimulateOutput,
) -> ExitCode:
    from evenload.cli.parallel import cores, mapper
    from evenload.simulate.results import SIZES, run

    if output is SimulateOutput.svg:
        raise InputError("-o svg draws one run: add --plot and one --scenario")
    results = run(names, sizes or SIZES, seeds, held_out=held_out, long=long, mapper=mapper(jobs or cores()))
    if output is SimulateOutput.json:
        sys.stdout.buffer.write(results.json() + b"\n")
        sys.stdout.buffer.flush()
    else:
        print(results.table())
    return ExitCode.Findings if results.forbidden() else ExitCode.Fine
