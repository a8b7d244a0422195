"""What drivers read of an object's metadata: who wrote its weights, and whether a canary controller owns them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from evenload.api.v1alpha1 import FIELD_MANAGER
from evenload.clock import from_rfc3339
from evenload.drivers.base import Writer

DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLLOUT_LABEL = "rollouts.argoproj.io/gatewayapi-canary"

_CONTROLLERS = {
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
        """Who owns `spec.<field>`, oldest first. It is atomic: whoever changed it last, and appliers who agree."""
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
            if owner.kind in ("Canary", "Rollout"):
                return f"{owner.kind}/{owner.name}"
        if self.labels.get(_ROLLOUT_LABEL) == "in-progress":
            return "an Argo Rollout"
        return f"{_CONTROLLERS[writer]} (field manager {writer})" if writer in _CONTROLLERS else None


def rival_of(writers: Sequence[Writer]) -> Writer | None:
    """The newest writer other than us."""
    return next((writer for writer in reversed(writers) if writer.manager != FIELD_MANAGER), None)
