"""The two writes of recording: a status that changed, and an Event. Nobody's action waits for either."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from evenload.api.mergepatch import difference
from evenload.api.v1alpha1 import BalancerStatus
from evenload.kube.resources import BALANCERS, Manifest
from evenload.kube.verbs import Sink


def known_status(manifest: Mapping[str, object]) -> BalancerStatus:
    """The status as told so far. One that this version cannot read counts as none, and is told anew."""
    try:
        return msgspec.convert(manifest.get("status") or {}, BalancerStatus)
    except msgspec.ValidationError:
        return BalancerStatus()


async def publish(sink: Sink, manifest: Manifest, status: BalancerStatus) -> Manifest:
    """Write what changed of the status, on the very Balancer `manifest`; no call at all where nothing did.

    Raises Conflict if the Balancer changed since (the next tick tells it), NotFound if it is gone, KubeError else.
    """
    patch = difference(msgspec.to_builtins(known_status(manifest)), msgspec.to_builtins(status))
    if not patch:
        return manifest
    metadata = manifest["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": patch}
    return await sink.patch_merge(BALANCERS, metadata["namespace"], metadata["name"], body, subresource="status")
