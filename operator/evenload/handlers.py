"""kopf's part: watch Balancers and Remediations, keep the newest of each in the store, and say what changed.

Only `on.event` handlers: they write no finalizer and no annotation, so deleting a Balancer never hangs when the
operator is gone, and a healthy Balancer costs the API server nothing. Weights stay as they are on deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from evenload.store import Objects, Store

GROUP, VERSION = "evenload.dev", "v1alpha1"
# Own prefix, so that nothing of kopf's defaults ever shows on a user's object.
PREFIX = "evenload.dev"


def registry(
    store: Store,
    credentials: Callable[[], kopf.ConnectionInfo],
    forgotten: Callable[[kopf.Body], None],
) -> kopf.OperatorRegistry:
    """Handlers that feed `store`; `forgotten` is called with each deleted Balancer."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return credentials()

    @kopf.on.event(GROUP, VERSION, "balancers", registry=handlers)
    async def balancer(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        keep(store.balancers, event, body)
        if event["type"] == "DELETED":
            forgotten(body)

    @kopf.on.event(GROUP, VERSION, "remediations", registry=handlers)
    async def remediation(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        keep(store.remediations, event, body)

    return handlers


def keep(objects: Objects, event: kopf.RawEvent, body: kopf.Body) -> None:
    """Take one watch event into `objects`."""
    manifest = dict(body)
    if event["type"] == "DELETED":
        objects.remove(manifest)
    else:
        objects.put(manifest)


def settings() -> kopf.OperatorSettings:
    """kopf, kept to watching: no peering, no events of its own, no scanning, short time-outs."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True  # leader election is by Lease: equal peering priorities freeze every operator
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.persistence.finalizer = f"{PREFIX}/unused"
    chosen.persistence.progress_storage = kopf.StatusProgressStorage(field="status.unused")
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX)
    chosen.networking.request_timeout = 15
    chosen.networking.connect_timeout = 5
    chosen.networking.enforce_retry_after = True
    chosen.watching.server_timeout = 300
    chosen.watching.chunk_size = 500
    chosen.process.ultimate_exiting_timeout = 30  # kopf's default is ten minutes
    return chosen
