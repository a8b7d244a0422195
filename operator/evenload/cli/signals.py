"""`signals`: what Prometheus answers for a Balancer's pods, and what to change where that is not enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenload.cli.cluster import Access, connect
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.manifests import balancers_of, documents_in, proposed, spec_of
from evenload.cli.printing import print_table, say
from evenload.cli.signing import PrometheusAccess
from evenload.errors import InputError, SignalsUnavailable
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.policy import seconds
from evenload.model.snapshot import SIGNALS, Pod, SignalName, SignalState
from evenload.model.wording import duration

if TYPE_CHECKING:
    from evenload.history.live import Seen

_ATTRIBUTES: dict[SignalName, str] = {"inFlight": "in_flight"}
_NEEDED: tuple[SignalName, ...] = ("requests", "errors")


class SignalsOutput(StrEnum):
    table = "table"
    json = "json"


def signals(
    access: Access,
    source: PrometheusAccess,
    balancer: Annotated[str | None, typer.Argument(help="Name of the Balancer.", autocompletion=balancer_names)] = None,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help='A Balancer that need not be applied; "-" is stdin.', metavar="FILE"),
    ] = None,
    queries: Annotated[bool, typer.Option("--queries", help="Show the PromQL of each signal, too.")] = False,
    scrape: Annotated[str, typer.Option(help="The scrape interval of the pods.")] = "10s",
    output: Annotated[SignalsOutput, typer.Option("-o", "--output", help="Output format.")] = SignalsOutput.table,
) -> ExitCode:
    """Show what Prometheus answers for each pod behind a Balancer, how old it is, and what is missing; only reads.

    Exit code 1 where requests or errors are not complete: then nothing is decided.
    """
    manifest = _manifest(access, balancer, file)
    seen = asyncio.run(_read(access, manifest, seconds(scrape, "--scrape"), source, applied=file is None))
    if isinstance(seen, str):
        raise SignalsUnavailable(seen)
    if output is SignalsOutput.json:
        print(json.dumps(document(seen), indent=2))
    else:
        _print(manifest["metadata"]["name"], seen, queries=queries)
    whole = all(seen.snapshot.signals[name].state is SignalState.Fresh for name in _NEEDED)
    return ExitCode.Fine if whole else ExitCode.Findings


def _manifest(access: Access, name: str | None, file: Path | None) -> Manifest:
    """The Balancer to look at, from the cluster or from a file. Raises InputError."""
    if file is None:
        if name is None:
            raise InputError("name a Balancer, or give one in a file with -f")
        return connect(access).get(BALANCERS, name)
    found = [each for each in balancers_of(documents_in(file), file) if name in (None, each["metadata"]["name"])]
    if len(found) != 1:
        raise InputError(
            f"{file}: holds {len(found)} Balancers{f' of the name {name}' if name else ''}; name one of it"
        )
    metadata = found[0]["metadata"]
    namespace = access.namespace or metadata.get("namespace") or connect(access).namespace
    spec_of(found[0])
    return proposed(metadata["name"], namespace, found[0]["spec"])


async def _read(
    access: Access, manifest: Manifest, scrape_seconds: float, prometheus: PrometheusAccess, *, applied: bool
) -> Seen | str:
    from evenload.cli.observing import onlooking

    async with onlooking(access, manifest, scrape_seconds, prometheus, applied=applied) as onlooker:
        return await onlooker.read()


def document(seen: Seen) -> dict[str, Any]:
    """For machines: numbers by signal and pod, absent where there is none."""
    from evenload.observe.address import redacted

    source = seen.samples.source
    return {
        **({"byService": True} if source.counts_by_service else {}),
        "preset": source.preset.name if source.preset else None,
        "code": source.code or None,
        "prometheus": redacted(source.url),
        "windowSeconds": source.window_seconds,
        "signals": {name: _signal(seen, name) for name in SIGNALS},
    }


def _signal(seen: Seen, name: SignalName) -> dict[str, Any]:
    each = seen.snapshot.signals[name]
    numbers = {pod: number for _, pod, found in _pods(seen) if (number := _number(found, name)) is not None}
    return {
        "state": each.state.value,
        "detail": each.detail,
        "ageSeconds": each.age,
        "query": _query(seen, name),
        "pods": numbers,
    }


def _print(balancer: str, seen: Seen, *, queries: bool) -> None:
    answer = document(seen)
    whose = f'preset {answer["preset"]} (status in the label "{answer["code"]}")' if answer["preset"] else "no preset"
    say(f"{balancer}: {whose}, from {answer['prometheus']}, over {duration(answer['windowSeconds'])}")
    say("")
    if answer.get("byService"):
        say("Requests, errors and latency are counted by Service: of its backend's, each ready pod shows an equal part")
        say("(of latency the whole). Which pod is sick cannot be seen; CPU and memory are its own.")
        say("")
    pods = list(_pods(seen))
    rows = [
        [name, each["state"], f"{len(each['pods'])}/{len(pods)}", _age(each["ageSeconds"]), each["detail"]]
        for name, each in answer["signals"].items()
    ]
    print_table(["SIGNAL", "STATE", "PODS", "AGE", "WHAT"], rows)
    say("")
    numbers = [[backend, name, *(_text(_number(pod, each)) for each in SIGNALS)] for backend, name, pod in pods]
    print_table(["BACKEND", "POD", *(name.upper() for name in SIGNALS)], numbers)
    for name, each in answer["signals"].items() if queries else ():
        say("")
        say(f"{name}: {each['query'] or 'not asked'}")


def _pods(seen: Seen) -> Iterator[tuple[str, str, Pod]]:
    for backend, found in seen.snapshot.backends.items():
        for name, pod in found.pods.items():
            yield backend, name, pod


def _number(pod: Pod, name: SignalName) -> float | None:
    number: float | None = getattr(pod, _ATTRIBUTES.get(name, name))
    return number


def _query(seen: Seen, name: SignalName) -> str | None:
    from evenload.observe.queries import render

    source, interest = seen.samples.source, seen.interest
    return render(source, name, interest.namespaces, interest.pods) if name in source.templates else None


def _age(age: float | None) -> str:
    return "" if age is None else duration(age)


def _text(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"
