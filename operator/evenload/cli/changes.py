"""`changes`: who changed which weight or rule of a balancer, when, from what to what, and why."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
import typer

from evenload.api.v1alpha1 import Balancer, RouteChange
from evenload.cli.cluster import Cluster
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.objects import Item, balancers
from evenload.cli.options import Everywhere
from evenload.cli.printing import note, print_table
from evenload.cli.text import local_time
from evenload.model.wording import changed


class ChangesOutput(StrEnum):
    table = "table"
    json = "json"


class _Entry(NamedTuple):
    balancer: Item[Balancer]
    change: RouteChange


def changes(
    cluster: Cluster,
    balancer: Annotated[
        str | None,
        typer.Argument(
            metavar="BALANCER", help="Only of this Balancer; of all by default.", autocompletion=balancer_names
        ),
    ] = None,
    output: Annotated[ChangesOutput, typer.Option("-o", "--output", help="Output format.")] = ChangesOutput.table,
    everywhere: Everywhere = False,
) -> ExitCode:
    """List who changed which weight or rule, newest first: people, GitOps tools and Evenload alike.

    A Balancer keeps its last 20 changes; writes of one Remediation in a row are one.
    """
    items = balancers(cluster, [balancer] if balancer else (), everywhere=everywhere)
    found = [_Entry(item, change) for item in items for change in item.object.status.changes]
    found.sort(key=lambda entry: entry.change.time, reverse=True)
    if output is ChangesOutput.json:
        print(json.dumps([*map(_built, found)], indent=2))
    elif found:
        titles = ("WHEN", "BALANCER", "WHO", "WHY", "PROBATION", "WHAT")
        first = ("NAMESPACE",) if everywhere else ()
        print_table((*first, *titles), [(*_namespace(entry, everywhere), *_row(entry)) for entry in found])
    else:
        note("No changes were seen yet.")
    return ExitCode.Fine


def _namespace(entry: _Entry, everywhere: bool) -> tuple[str, ...]:
    return (entry.balancer.namespace,) if everywhere else ()


def _row(entry: _Entry) -> tuple[str, ...]:
    change = entry.change
    return (
        local_time(change.time),
        entry.balancer.name,
        change.manager,
        _why(change),
        _probation(change),
        described(change),
    )


def described(change: RouteChange) -> str:
    """What it changed, in one phrase."""
    return "; ".join(changed(change.before, change.after, change.elsewhere))


def _probation(change: RouteChange) -> str:
    if change.probation is None:
        return ""
    word = change.probation.value.lower()
    return f"{word}: {change.remediation}" if change.remediation else word


def _why(change: RouteChange) -> str:
    if change.remediation is None or change.probation is not None:
        return change.cause
    writes = f", {change.writes} writes" if change.writes > 1 else ""
    return f"Remediation {change.remediation}{writes}"


def _built(entry: _Entry) -> dict[str, object]:
    change: dict[str, object] = msgspec.to_builtins(entry.change)
    return {"namespace": entry.balancer.namespace, "balancer": entry.balancer.name, **change}
