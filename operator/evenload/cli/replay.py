"""`replay`: what the engine decides for a recording, a line a tick. The same file always gives the same bytes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, BinaryIO

import typer

from evenload.cli.exits import ExitCode, finish
from evenload.cli.text import plain
from evenload.errors import InputError
from evenload.model.decision import Decision
from evenload.model.plan import Advise, Drain, Freeze, Isolate, RestartPod, SetWeights


class ReplayOutput(StrEnum):
    text = "text"
    json = "json"


def replay(
    file: Annotated[str, typer.Argument(help='A recording (format recording/v1); "-" reads from stdin.')],
    output: Annotated[ReplayOutput, typer.Option("-o", "--output", help="Output format.")] = ReplayOutput.text,
) -> None:
    """Run a recording through the engine and print a Decision a line; needs no cluster."""
    finish(lambda: _replay(file, output))


def _replay(file: str, output: ReplayOutput) -> ExitCode:
    from evenload import recording
    from evenload import replay as again

    with _opened(file) as stream:
        for decision in again.replay(recording.read(recording.lines_of(stream))):
            line = recording.decision_line(decision) if output is ReplayOutput.json else _text_line(decision)
            sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return ExitCode.Fine


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """Raises InputError naming the file."""
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(file, "rb") as stream:
            yield stream
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give a recording/v1 file") from error


def _text_line(decision: Decision) -> bytes:
    return f"{plain(text_line(decision))}\n".encode()


def text_line(decision: Decision) -> str:
    """ "1760089500 LoadBalancerSkew shop-a: <sentence> | SetWeights shop-a 970 to 250 | held CoolDown: ..."."""
    from evenload.clock import rfc3339

    diagnosis = decision.diagnosis
    about = ",".join(diagnosis.backends or diagnosis.pods)
    parts = [f"{rfc3339(decision.time)} {diagnosis.label}{f' {about}' if about else ''}: {diagnosis.sentence}"]
    parts += [describe(action) for action in decision.actions]
    parts += [f"held {held.reason}: {describe(held.action)}" for held in decision.held]
    return " | ".join(parts)


def describe(action: object) -> str:
    """An action in a few words."""
    match action:
        case SetWeights() | Drain():
            changed = [
                f"{name} {action.before.get(name, 0)} to {weight}"
                for name, weight in sorted(action.after.items())
                if action.before.get(name) != weight
            ]
            return f"{type(action).__name__} ({action.purpose}) {', '.join(changed)}"
        case Isolate():
            return f"Isolate {action.pod} of {action.workload} ({action.label})"
        case RestartPod():
            return f"RestartPod {action.pod} of {action.workload}"
        case Freeze():
            return f"Freeze: {action.because}"
        case Advise():
            return f"Advise {action.topic}: {action.because}"
        case _:
            raise TypeError(f"not an action: {action!r}")
