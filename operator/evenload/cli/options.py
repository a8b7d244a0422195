"""Flags that many commands share, spelt as kubectl spells them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Annotated, Concatenate, ParamSpec

import typer

from evenload.cli.cluster import Access, Cluster, connect
from evenload.cli.exits import ExitCode, finish

P = ParamSpec("P")

CLUSTER = "Cluster"


class Output(StrEnum):
    """Formats of a list of objects."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"
    name = "name"


class DocumentOutput(StrEnum):
    """Formats of something to be applied, or pasted."""

    yaml = "yaml"
    json = "json"


OutputFlag = Annotated[Output, typer.Option("-o", "--output", help="Output format.")]
Everywhere = Annotated[bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")]
Selector = Annotated[
    str | None, typer.Option("-l", "--selector", help="Label selector, as kubectl's.", metavar="QUERY")
]


def _access(
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "-n", "--namespace", metavar="NAME", help="Namespace; the context's by default.", rich_help_panel=CLUSTER
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig to use.", rich_help_panel=CLUSTER)
    ] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Kubeconfig file; else $KUBECONFIG, else ~/.kube/config.", rich_help_panel=CLUSTER
        ),
    ] = None,
    as_user: Annotated[
        str | None,
        typer.Option("--as", help="User to act as (impersonation).", metavar="USER", rich_help_panel=CLUSTER),
    ] = None,
) -> Access:
    return Access(context=context, kubeconfig=kubeconfig, as_user=as_user, namespace=namespace)


def with_cluster(command: Callable[Concatenate[Cluster, P], ExitCode]) -> Callable[..., None]:
    """`command` as typer sees it: without its first parameter, with kubectl's flags, leaving with its exit code."""

    @wraps(command)
    def connected(access: Access, /, *args: P.args, **kwargs: P.kwargs) -> ExitCode:
        return command(connect(access), *args, **kwargs)

    return with_access(connected)


def with_access(command: Callable[Concatenate[Access, P], ExitCode]) -> Callable[..., None]:
    """The same for a command that may do without a cluster: nothing is signed in to before it asks."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(_access, eval_str=True).parameters.values())

    @wraps(command)
    def run(**given: object) -> None:
        flags = {parameter.name: given.pop(parameter.name) for parameter in shared}
        finish(lambda: command(_access(**flags), **given))  # type: ignore[arg-type, call-arg]

    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *shared]]
    run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    return run
