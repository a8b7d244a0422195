"""Balancers and Remediations from the cluster: the manifest as it came (for -o json) beside its typed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from evenload.api.v1alpha1 import BALANCER_LABEL, Balancer, Condition, ConditionStatus, ConditionType, Remediation
from evenload.cli.cluster import Cluster
from evenload.cli.commands import evenload
from evenload.errors import InputError
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest, Resource
from evenload.model.episode import FINAL_PHASES

Kind = TypeVar("Kind", Balancer, Remediation)


class Item(NamedTuple, Generic[Kind]):
    """One object."""

    manifest: Manifest
    object: Kind

    @property
    def name(self) -> str:
        return self.object.metadata.name

    @property
    def namespace(self) -> str:
        return self.object.metadata.namespace

    @property
    def version(self) -> str:
        """The precondition of a patch."""
        return self.object.metadata.resource_version


def balancers(
    cluster: Cluster, names: Sequence[str] = (), *, everywhere: bool = False, selector: str | None = None
) -> list[Item[Balancer]]:
    """Those named, or all of the namespace (or of all of them). Raises NotFound for a name that is not there."""
    return _items(cluster, BALANCERS, Balancer, names, everywhere, selector)


def remediations(
    cluster: Cluster, names: Sequence[str] = (), *, everywhere: bool = False, selector: str | None = None
) -> list[Item[Remediation]]:
    """The same of Remediations, newest first."""
    found = _items(cluster, REMEDIATIONS, Remediation, names, everywhere, selector)
    return sorted(found, key=lambda item: (str(item.object.metadata.creation_timestamp), item.name), reverse=True)


def _items(
    cluster: Cluster,
    resource: Resource,
    kind: type[Kind],
    names: Sequence[str],
    everywhere: bool,
    selector: str | None,
) -> list[Item[Kind]]:
    if names and (everywhere or selector):
        raise InputError("give names, or -A and -l, not both: a name belongs to one namespace (-n)")
    if names:
        return [read(cluster.get(resource, name), kind) for name in names]
    return [read(manifest, kind) for manifest in cluster.every(resource, everywhere=everywhere, selector=selector)]


def read(manifest: Manifest, kind: type[Kind]) -> Item[Kind]:
    """Raises InputError naming the object and the field this version cannot read."""
    try:
        return Item(manifest, msgspec.convert(manifest, kind))
    except msgspec.ValidationError as error:
        name = manifest.get("metadata", {}).get("name", "?")
        raise InputError(
            f'{manifest.get("kind", kind.__name__)} "{name}" cannot be read by this version of the CLI: {error}. '
            f"Is the operator newer? Compare: evenload version, {evenload('check')}"
        ) from error


def condition(balancer: Balancer, kind: ConditionType) -> Condition | None:
    """None while the operator has not said."""
    return next((each for each in balancer.status.conditions if each.type == kind), None)


def status_of(balancer: Balancer, kind: ConditionType) -> ConditionStatus:
    """Unknown while the operator has not said."""
    found = condition(balancer, kind)
    return found.status if found else ConditionStatus.UNKNOWN


def is_open(remediation: Remediation) -> bool:
    """Also right after its creation, before it has a status."""
    return remediation.status.phase not in FINAL_PHASES


def belonging(balancer: Item[Balancer]) -> str | None:
    """The label selector of its Remediations; a name that is too long for a label has none."""
    return f"{BALANCER_LABEL}={balancer.name}" if len(balancer.name) <= 63 else None


def of_balancer(items: Sequence[Item[Remediation]], balancer: Item[Balancer]) -> list[Item[Remediation]]:
    """Those of this very Balancer: by uid where both are known, since names are used again."""
    return [item for item in items if item.namespace == balancer.namespace and _belongs(item.object, balancer.object)]


def _belongs(remediation: Remediation, balancer: Balancer) -> bool:
    reference = remediation.spec.balancer_ref
    return reference.name == balancer.metadata.name and (not reference.uid or reference.uid == balancer.metadata.uid)
