"""What all drivers read alike: a reference with a weight, who wrote the weights, and whether a canary owns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from evenload.api.v1alpha1 import FIELD_MANAGER
from evenload.clock import from_rfc3339
from evenload.drivers.base import BalancerView, Manifest, Parent, Place, Problem, RouteProblem, RulePlace, Writer

ROLLOUT_LABEL = "rollouts.argoproj.io/gatewayapi-canary"
DELIVERY_OWNERS = ("Canary", "Rollout")

CONTROLLERS = {
    "flagger": "Flagger",
    "rollouts-controller": "Argo Rollouts",
    "gatewayAPI": "Argo Rollouts",
    "gatewayapi-plugin": "Argo Rollouts",
    "rollouts-plugin-trafficrouter-gatewayapi": "Argo Rollouts",
    "kruise-rollout": "OpenKruise Rollouts",
}
"""Canary controllers by the field manager they write as. A client that sets none writes as its program is called, and a
plugin of Argo Rollouts is called as it was installed."""


class PartialObject(msgspec.Struct, rename="camel"):
    """As much of the API object as is read here; the rest stays in the raw manifest."""


class Reference(PartialObject):
    """To what gets a share. Without a weight it has 1."""

    name: str
    namespace: str | None = None
    weight: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @property
    def effective_weight(self) -> int:
        return 1 if self.weight is None else self.weight


P = TypeVar("P", bound=PartialObject)


def read_as(what: type[P], manifest: Manifest, name: str) -> P:
    """As much of the object as `what` has. Raises RouteProblem(Unreadable); `name`: "an HTTPRoute"."""
    try:
        return msgspec.convert(manifest, what)
    except msgspec.ValidationError as error:
        raise RouteProblem(Problem.Unreadable, f"this is not {name} as its API describes it: {error}") from error


class _Owner(PartialObject):
    kind: str
    name: str


class _Managed(PartialObject):
    manager: str = ""
    time: str | None = None
    subresource: str = ""
    fields: dict[str, dict[str, object]] = msgspec.field(name="fieldsV1", default_factory=dict)


class Metadata(PartialObject):
    name: str
    namespace: str = "default"
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: list[_Owner] = msgspec.field(default_factory=list)
    managed_fields: list[_Managed] = msgspec.field(default_factory=list)

    def writers(self, field: str) -> list[Writer]:
        """Who owns `spec.<field>`, oldest first. It is atomic: who changed it last, and appliers who agree."""
        found = (
            Writer(manager=each.manager, time=from_rfc3339(each.time) or 0.0)
            for each in self.managed_fields
            if not each.subresource and each.time and f"f:{field}" in each.fields.get("f:spec", {})
        )
        return sorted(found, key=lambda writer: writer.time)

    def delivery(self, writers: Sequence[Writer]) -> str | None:
        """A progressive-delivery controller that owns the weights, by owner, label or its field manager."""
        writer = writers[-1].manager if writers else ""
        for owner in self.owner_references:
            if owner.kind in DELIVERY_OWNERS:
                return f"{owner.kind}/{owner.name}"
        if self.labels.get(ROLLOUT_LABEL) == "in-progress":
            return "an Argo Rollout"
        return f"{CONTROLLERS[writer]} (field manager {writer})" if writer in CONTROLLERS else None


def view_of(
    kind: str,
    meta: Metadata,
    field: str,
    *,
    weights: dict[str, int],
    services: dict[str, Place],
    rules: tuple[RulePlace, ...],
    parents: tuple[Parent, ...] = (),
    notes: tuple[str, ...] = (),
) -> BalancerView:
    """The view of an object of that metadata, whose weights stand in `spec.<field>`."""
    writers = meta.writers(field)
    return BalancerView(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        generation=meta.generation,
        weights=weights,
        services=services,
        rules=rules,
        parents=parents,
        writer=writers[-1] if writers else None,
        rival=next((writer for writer in reversed(writers) if writer.manager != FIELD_MANAGER), None),
        notes=notes,
        delivery=meta.delivery(writers),
    )
