"""`record`: what the operator sees of a Balancer, tick by tick, as a recording to replay or to send. Writes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from evenload.cli.cluster import Access, connect
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.printing import note
from evenload.cli.signing import PrometheusAccess
from evenload.errors import InputError, KubeError
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.policy import seconds
from evenload.model.snapshot import SignalState, Snapshot

if TYPE_CHECKING:
    from evenload.history.live import Onlooker


def record(
    access: Access,
    source: PrometheusAccess,
    balancer: Annotated[str, typer.Argument(help="Name of the Balancer.", autocompletion=balancer_names)],
    duration: Annotated[str | None, typer.Option(help="How long, as in 10m; until Ctrl-C by default.")] = None,
    output: Annotated[str, typer.Option("-o", "--output", help='File to write; "-" is stdout.', metavar="FILE")] = "-",
    tick: Annotated[str, typer.Option(help="Time from line to line; set it to the scrape interval.")] = "10s",
) -> ExitCode:
    """Record what the operator sees of a Balancer (format recording/v1), a line a tick; only reads.

    `evenload replay FILE` makes the decisions again. Every line is complete when it is written: Ctrl-C loses nothing.
    """
    cluster = connect(access)
    manifest = cluster.get(BALANCERS, balancer)
    lasting = seconds(duration, "--duration") if duration else None
    taken = _Taken()
    with _opened(output) as stream, suppress(KeyboardInterrupt):
        asyncio.run(_record(access, manifest, stream, taken, lasting, seconds(tick, "--tick"), source))
    note(f"Recorded {taken.lines} ticks{f' to {output}' if output != '-' else ''}{taken.verdict}")
    return taken.code


class _Taken:
    """How much was written, and what was told last."""

    def __init__(self) -> None:
        self.lines = 0
        self.blind = 0  # of the lines, those in which no pod has a request count
        self._told = ""

    @property
    def verdict(self) -> str:
        """What is to be added where the recording says little."""
        if not self.blind:
            return ""
        which = "all" if self.blind == self.lines else str(self.blind)
        return f", {which} of them without any requests"

    def line(self, snapshot: Snapshot) -> None:
        """Count one that was written, and say what it lacks."""
        self.lines += 1
        requests = snapshot.signals["requests"]
        blind = requests.state in (SignalState.Missing, SignalState.Stale)
        self.blind += blind
        self.tell(requests.detail if blind else "", "recorded without requests")

    @property
    def code(self) -> ExitCode:
        """Whether there is anything to judge by."""
        return ExitCode.Fine if self.lines > self.blind else ExitCode.CouldNotTell

    def tell(self, problem: str, what: str = "not recorded") -> None:
        """A trouble, once while it lasts."""
        if problem != self._told:
            note(f"warning: {what}: {problem}" if problem else "recording again")
        self._told = problem


async def _record(
    access: Access,
    manifest: Manifest,
    stream: BinaryIO,
    taken: _Taken,
    lasting: float | None,
    tick_seconds: float,
    prometheus: PrometheusAccess,
) -> None:
    from evenload.cli.observing import onlooking
    from evenload.recording import Header, encode

    async with onlooking(access, manifest, tick_seconds, prometheus) as onlooker:
        stream.write(encode(Header.of(_bare(manifest), tick_seconds)))
        await _lines(onlooker, stream, taken, lasting, tick_seconds)


async def _lines(
    onlooker: Onlooker, stream: BinaryIO, taken: _Taken, lasting: float | None, tick_seconds: float
) -> None:
    from evenload.recording import encode

    loop = asyncio.get_running_loop()
    began = due = loop.time()
    while lasting is None or loop.time() - began < lasting:
        try:
            seen = await onlooker.look()
        except KubeError as error:
            seen = str(error)
        if isinstance(seen, str):
            taken.tell(seen)
        else:
            stream.write(encode(seen))
            stream.flush()
            taken.line(seen)
        due = max(due + tick_seconds, loop.time())
        await asyncio.sleep(due - loop.time())


def _bare(manifest: Manifest) -> dict[str, object]:
    """Without what tells nothing about decisions: status, and who wrote which field."""
    kept = ("name", "namespace", "uid", "generation")
    metadata = {key: manifest["metadata"][key] for key in kept if key in manifest["metadata"]}
    return {
        "apiVersion": BALANCERS.api_version,
        "kind": BALANCERS.kind,
        "metadata": metadata,
        "spec": manifest["spec"],
    }


@contextmanager
def _opened(output: str) -> Iterator[BinaryIO]:
    """Raises InputError naming the file; an existing one is not overwritten."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        stream = Path(output).open("xb")  # noqa: SIM115  # closed below: only opening it may fail on the user
    except FileExistsError as error:
        raise InputError(f"-o {output}: exists already; name another file") from error
    except OSError as error:
        raise InputError(f"-o {output}: {error.strerror}") from error
    with stream:
        yield stream
