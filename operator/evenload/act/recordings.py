"""The flight recordings of closed Remediations: a hundred kilobytes and more each, and kept by the API server.

The operator reads none of them (`report` and people do), so it keeps none in memory: only how large each is. And it
has the API server keep but the newest few of each Balancer, within a budget for all of them, or an installation with
many incidents would fill etcd.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from evenload.act.episode import is_open
from evenload.errors import Conflict, NotFound
from evenload.kube.resources import REMEDIATIONS, Manifest
from evenload.kube.verbs import Sink

RECORDINGS_KEPT: Final = 5
"""Of each Balancer, the newest ones."""
MOST_DROPPED: Final = 500
"""In one go, each in a request of its own."""
_BYTES = "recordingBytes"  # beside metadata, spec and status; it is never sent


def without_recording(manifest: Mapping[str, Any]) -> Manifest:
    """A Remediation without its recording, and with the size of it."""
    status = manifest.get("status")
    recording = status.get("recording") if isinstance(status, Mapping) else None
    if not isinstance(status, Mapping) or not isinstance(recording, str):
        return dict(manifest)
    rest = {name: value for name, value in status.items() if name != "recording"}
    return {**manifest, "status": rest, _BYTES: len(recording)}


def decode_without_recording(text: msgspec.Raw) -> Manifest:
    """The same of its JSON."""
    return without_recording(msgspec.json.decode(text, type=Manifest))


def recording_bytes(manifest: Mapping[str, Any]) -> int:
    """How large the recording is that was left out of it."""
    return int(manifest.get(_BYTES, 0))


def surplus_recordings(remediations: Iterable[Mapping[str, Any]], most_bytes: int) -> list[Mapping[str, Any]]:
    """The Remediations whose recording is to be dropped, oldest first.

    They are all but the newest RECORDINGS_KEPT of a Balancer, and of these the oldest where all together have more than
    `most_bytes`.
    """
    recorded = [each for each in remediations if recording_bytes(each) and not is_open(each)]
    known: Counter[tuple[str, str]] = Counter()
    kept, doomed = 0, []
    for manifest in sorted(recorded, key=_age, reverse=True):
        balancer = manifest["metadata"]["namespace"], str(manifest["spec"]["balancerRef"].get("name"))
        known[balancer] += 1
        if known[balancer] <= RECORDINGS_KEPT:
            kept += recording_bytes(manifest)
        if known[balancer] > RECORDINGS_KEPT or kept > most_bytes:
            doomed.append(manifest)
    return doomed[::-1]


def _age(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return str(manifest["status"].get("closedAt", "")), manifest["metadata"]["name"]


async def drop_recording(sink: Sink, manifest: Mapping[str, Any]) -> Manifest | None:
    """Have the API server drop the recording of this very version; what is left, None where it is another by now.

    Raises KubeError.
    """
    metadata = manifest["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": {"recording": None}}
    try:
        return await sink.patch_merge(REMEDIATIONS, metadata["namespace"], metadata["name"], body, subresource="status")
    except (Conflict, NotFound):
        return None
