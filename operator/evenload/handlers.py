"""kopf's part: watch Balancers, and keep the newest of each in the store.

Not Remediations: kopf reads a whole list into memory before it hands on the first object, and theirs holds every flight
recording. They are watched by a Reflector (app.py), which never keeps one.

Only `on.event` handlers: they write no finalizer and no annotation, so deleting a Balancer never hangs when the
operator is gone, and a healthy Balancer costs the API server nothing. Weights stay as they are on deletion.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import kopf

from evenload.api.v1alpha1 import GROUP, VERSION
from evenload.kube.config import Connection
from evenload.store import Objects, Store

# kopf opens one watch a kind and namespace, and asks for little else.
MAX_CONNECTIONS = 64


def registry(store: Store, connection: Connection) -> kopf.OperatorRegistry:
    """Handlers that feed `store`."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return session(connection)

    @kopf.on.event(GROUP, VERSION, "balancers", registry=handlers)
    async def balancer(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        keep(store.balancers, event, body)

    return handlers


def keep(objects: Objects, event: kopf.RawEvent, body: kopf.Body) -> None:
    """Take one watch event into `objects`."""
    manifest = dict(body)
    if event["type"] == "DELETED":
        objects.remove(manifest)
    else:
        objects.put(manifest)


def session(connection: Connection) -> kopf.AiohttpSession:
    """Our own connection for kopf: the same verified TLS, bounded, with the token read afresh for each request."""

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers.update(connection.headers())
        return await handler(request)

    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=connection.tls or True)
    return kopf.AiohttpSession(
        server=connection.url,
        aiohttp_session=aiohttp.ClientSession(
            connector=connector, middlewares=(authorize,), proxy=connection.proxy, trust_env=False
        ),
    )


def settings() -> kopf.OperatorSettings:
    """kopf, kept to watching: no peering, no events of its own, no scanning, short time-outs."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True  # leader election is by Lease: equal peering priorities freeze every operator
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    # Never written by event handlers; under our own name all the same, should a future kopf change its mind.
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    chosen.networking.request_timeout = 15
    chosen.networking.connect_timeout = 5
    chosen.networking.enforce_retry_after = True
    chosen.watching.server_timeout = 300
    chosen.watching.chunk_size = 500
    chosen.process.ultimate_exiting_timeout = 30  # kopf's default is ten minutes
    return chosen
