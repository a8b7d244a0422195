"""What a remediation of the postmortem leaves behind, told from the cluster and from the writes the proxy saw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from evenload.kube.resources import Manifest
from tests.support.apiproxy import Seen
from tests.support.town import BACKENDS, SICK, Shop

WHOLE = ["Restore", "Drain", "RestartPod", "Ramp", "Ramp", "Ramp", "Ramp"]


def done(writes: Iterable[Seen], shop: Shop) -> list[Seen]:
    """Writes in the shop's namespace that the API server carried out."""
    return [seen for seen in writes if shop.namespace in seen.path and seen.status in (200, 201)]


def evictions(writes: Iterable[Seen], shop: Shop) -> list[str]:
    """Names of evicted pods."""
    return [seen.path.split("/")[-2] for seen in done(writes, shop) if seen.path.endswith("/eviction")]


def weights_written(writes: Iterable[Seen], shop: Shop, before: Mapping[str, int]) -> list[dict[str, int]]:
    """The route's weights after each patch of the operator."""
    written, current = [], dict(before)
    for seen in done(writes, shop):
        if f"/{shop.plane.resource.plural}/" in seen.path:
            for operation in json.loads(seen.body):
                if operation["op"] != "test" and operation["path"].endswith("/weight"):
                    current[BACKENDS[int(operation["path"].split("/")[-2])]] = operation["value"]
            written.append(dict(current))
    return written


def purposes(remediation: Manifest) -> list[str]:
    """What each step was for, in order."""
    return [step.get("purpose") or step["action"] for step in remediation["status"]["steps"]]


def weight_of_sick(written: Iterable[Mapping[str, int]]) -> list[float]:
    """SICK's weight after each write, as a fraction of a healthy backend's."""
    return [round(weights[SICK] / weights[BACKENDS[0]], 2) for weights in written]


def touched(writes: Iterable[Seen], shop: Shop) -> list[Seen]:
    """What was asked of the world outside our own kinds: weights and evictions."""
    return [
        seen
        for seen in writes
        if shop.namespace in seen.path
        and (f"/{shop.plane.resource.plural}/" in seen.path or seen.path.endswith("/eviction"))
    ]
