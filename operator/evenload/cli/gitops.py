"""`gitops`: the rules by which a GitOps tool leaves the weights that Evenload moves, and nothing else, alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import typer

from evenload.cli.cluster import Cluster
from evenload.cli.completing import balancer_names
from evenload.cli.exits import ExitCode
from evenload.cli.objects import balancers
from evenload.cli.options import DocumentOutput
from evenload.cli.printing import say
from evenload.drivers import driver_of
from evenload.drivers.base import Handle
from evenload.kube.resources import Resource


class Tool(StrEnum):
    argocd = "argocd"
    flux = "flux"


class _Weights(NamedTuple):
    """Where the weights of one object stand."""

    resource: Resource
    namespace: str
    name: str
    pointers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.namespace}/{self.name}"


class _Rules(NamedTuple):
    """What is added to an object of the tool, and what to know about it, a sentence each."""

    spec: dict[str, Any]
    notes: tuple[str, ...]


def gitops(
    cluster: Cluster,
    tool: Annotated[Tool, typer.Argument(help="Which GitOps tool applies the route.")],
    balancer: Annotated[str, typer.Argument(help="Name of the Balancer.", autocompletion=balancer_names)],
    output: Annotated[DocumentOutput, typer.Option("-o", "--output", help="Output format.")] = DocumentOutput.yaml,
) -> ExitCode:
    """Print the rules for Argo CD or Flux: they leave the weights of this Balancer's target alone, and the rest in Git.

    Without them the tool puts its own weights back; overwritten twice, Evenload stops and says Contested.
    """
    [found] = balancers(cluster, [balancer])
    target = found.object.spec.target_ref
    driver = driver_of(target.kind)
    manifest = cluster.get(driver.resource, target.name, found.namespace)
    written = Handle.Weights in driver.backends(manifest, target).handles
    weights = _Weights(driver.resource, found.namespace, target.name, driver.weights_at(manifest, target))
    rules = _RULES[tool](weights) if written else _Rules({}, (f"Nothing is written to {weights}: no rule is needed.",))
    if output is DocumentOutput.json:
        print(json.dumps({"spec": rules.spec} if rules.spec else {}, indent=2))
    else:
        for line in _yaml(rules):
            say(line)
    return ExitCode.Fine


def _argocd(weights: _Weights) -> _Rules:
    expressions = sorted({_jq(pointer) for pointer in weights.pointers})
    rule = {
        "group": weights.resource.group,
        "kind": weights.resource.kind,
        "name": weights.name,
        "namespace": weights.namespace,
        "jqPathExpressions": expressions,
    }
    options = {"syncOptions": ["RespectIgnoreDifferences=true"]}
    return _Rules(
        {"ignoreDifferences": [rule], "syncPolicy": options},
        (f"Add this to the Argo CD Application that holds {weights}.",),
    )


def _flux(weights: _Weights) -> _Rules:
    target = {
        "group": weights.resource.group,
        "kind": weights.resource.kind,
        "name": re.escape(weights.name),  # Flux reads a pattern
        "namespace": weights.namespace,
    }
    return _Rules(
        {"ignore": [{"paths": list(weights.pointers), "target": target}]},
        (
            f"Add this to the Flux Kustomization that holds {weights} (kustomize-controller 1.9 or newer).",
            "A path names a backend by its position: print the rules again when a backend is added or taken out.",
        ),
    )


_RULES: Final[dict[Tool, Callable[[_Weights], _Rules]]] = {Tool.argocd: _argocd, Tool.flux: _flux}


def _jq(pointer: str) -> str:
    """ "/spec/rules/0/backendRefs/1/weight" as ".spec.rules[]?.backendRefs[]?.weight": the place in any list."""
    parts = pointer.split("/")[1:]
    return "".join("[]?" if part.isdigit() else f".{part}" for part in parts)


def _yaml(rules: _Rules) -> Iterator[str]:
    import yaml

    yield from (f"# {note}" for note in rules.notes)
    if rules.spec:
        yield from yaml.safe_dump({"spec": rules.spec}, sort_keys=False, width=10_000).splitlines()
