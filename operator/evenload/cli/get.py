"""`get` and `history`: lists, as kubectl prints lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from evenload.api.v1alpha1 import Balancer, ConditionType, Outcome, Remediation
from evenload.cli.attendance import as_attended
from evenload.cli.cluster import Cluster
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.objects import Item, balancers, condition, remediations, status_of
from evenload.cli.options import Everywhere, Output, OutputFlag, Selector
from evenload.cli.printing import Column, note, show
from evenload.cli.text import age
from evenload.model.episode import StepState

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="BALANCER", help="Names; all of them by default.", autocompletion=balancer_names),
]


def get(
    cluster: Cluster,
    names: Names = None,
    output: OutputFlag = Output.table,
    everywhere: Everywhere = False,
    selector: Selector = None,
) -> ExitCode:
    """List Balancers: is their traffic even, and does Evenload work?"""
    items = balancers(cluster, names or (), everywhere=everywhere, selector=selector)
    if output in (Output.table, Output.wide):  # the others give the objects as they stand
        items = as_attended(cluster, items, note)
    if not items:
        note(_none_found("Balancers", cluster, everywhere=everywhere))
    if items or output in (Output.json, Output.yaml):
        show(items, _with_namespace(_BALANCER_COLUMNS, everywhere=everywhere), output, one=len(names or ()) == 1)
    return ExitCode.Fine


def history(
    cluster: Cluster,
    balancer: Annotated[
        str | None,
        typer.Argument(
            metavar="BALANCER", help="Only of this Balancer; of all by default.", autocompletion=balancer_names
        ),
    ] = None,
    output: OutputFlag = Output.table,
    everywhere: Everywhere = False,
    selector: Selector = None,
) -> ExitCode:
    """List Remediations, newest first: what went wrong, what was done, how long it took."""
    items = remediations(cluster, everywhere=everywhere, selector=selector)
    chosen = [item for item in items if balancer in (None, item.object.spec.balancer_ref.name)]
    if not chosen:
        note(_none_found("Remediations", cluster, everywhere=everywhere))
    if chosen or output in (Output.json, Output.yaml):
        show(chosen, _with_namespace(_REMEDIATION_COLUMNS, everywhere=everywhere), output)
    return ExitCode.Fine


def _none_found(what: str, cluster: Cluster, *, everywhere: bool) -> str:
    return f"No {what} found." if everywhere else f"No {what} found in namespace {cluster.namespace}; -A looks in all."


def _with_namespace(columns: tuple[Column, ...], *, everywhere: bool) -> tuple[Column, ...]:
    first = (Column("NAMESPACE", lambda item: item.namespace),) if everywhere else ()
    return first + columns


def mode(balancer: Balancer) -> str:
    """The one in force; the one wished for while the operator has not said."""
    return (balancer.status.mode or balancer.spec.mode).value


def reason(balancer: Balancer) -> str:
    found = condition(balancer, ConditionType.Balanced)
    return found.reason if found else "NotSeenYet"


def _summary(attribute: str) -> Callable[[Item[Balancer]], str]:
    return lambda item: str(getattr(item.object.status.summary, attribute, None) or "")


def _outcome(attribute: str) -> Callable[[Item[Remediation]], str]:
    def value(item: Item[Remediation]) -> str:
        number = getattr(item.object.status.outcome or Outcome(), attribute)
        return "" if number is None else str(number)

    return value


def _seconds(attribute: str) -> Callable[[Item[Remediation]], str]:
    known = _outcome(attribute)
    return lambda item: f"{known(item)}s" if known(item) else ""


def _steps(item: Item[Remediation]) -> str:
    """Those written, not those planned."""
    unwritten = (StepState.Planned, StepState.Abandoned)
    return str(sum(step.state not in unwritten for step in item.object.status.steps))


_BALANCER_COLUMNS = (
    Column("NAME", lambda item: item.name),
    Column("MODE", lambda item: mode(item.object)),
    Column("BALANCED", lambda item: status_of(item.object, ConditionType.Balanced)),
    Column("REASON", lambda item: reason(item.object)),
    Column("WORST", _summary("worst_share_ratio")),
    Column("PODS", _summary("pods")),
    Column("READY", lambda item: status_of(item.object, ConditionType.Ready)),
    Column("AGE", lambda item: age(item.object.metadata.creation_timestamp)),
    Column("TARGET", lambda item: f"{item.object.spec.target_ref.kind}/{item.object.spec.target_ref.name}", wide=True),
    Column("RPS", _summary("requests_per_second"), wide=True),
    Column("ERRORS%", _summary("error_percent"), wide=True),
    Column("REMEDIATION", lambda item: item.object.status.active_remediation or "", wide=True),
    Column(
        "DIAGNOSIS",
        lambda item: item.object.status.diagnosis.sentence if item.object.status.diagnosis else "",
        wide=True,
    ),
)

_REMEDIATION_COLUMNS = (
    Column("NAME", lambda item: item.name),
    Column("BALANCER", lambda item: item.object.spec.balancer_ref.name),
    Column("DIAGNOSIS", lambda item: item.object.spec.diagnosis.label),
    Column("PHASE", lambda item: item.object.status.phase or ""),
    Column("STEPS", _steps),
    Column("DETECTED", _seconds("time_to_detect_seconds")),
    Column("MITIGATED", _seconds("time_to_mitigate_seconds")),
    Column("RESOLVED", _seconds("time_to_resolve_seconds")),
    Column("FAILED", _outcome("requests_failed")),
    Column("AGE", lambda item: age(item.object.status.opened_at or item.object.metadata.creation_timestamp)),
    Column("APPROVED-BY", lambda item: item.object.spec.approval.by or "", wide=True),
    Column("WRITTEN-BY", lambda item: item.object.spec.diagnosis.manager or "", wide=True),
    Column("SENTENCE", lambda item: item.object.spec.diagnosis.sentence, wide=True),
)
