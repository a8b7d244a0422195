"""One pod out of every Service, and back: the label that they select it by is taken off, and given back.

Taking it off is a step like any other: stored with its inverse, the label, before the write. It holds for that very
version of that very pod. The annotation that goes with it is for people, and to find pods whose Remediation is gone;
what is done follows from the stored step and the pod's UID alone, so nothing that a tenant writes on a pod counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from evenload.act.execution import ATTEMPTS, Attempt, Bench, Cluster, Result, failed, persistently
from evenload.act.restart import LOOK_SECONDS, is_going, lacks, objection
from evenload.api.v1alpha1 import ISOLATED_ANNOTATION, StepRecord
from evenload.errors import Conflict, KubeError, NotFound, Unknown
from evenload.kube.resources import PODS, Manifest
from evenload.model.base import Value

Operation = dict[str, object]


class Mark(Value, frozen=True, kw_only=True):
    """What the annotation of an isolated pod says."""

    remediation: str
    uid: str
    label: str

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """None where it is not ours: anybody may write anything there."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    @property
    def text(self) -> str:
        return msgspec.json.encode(self).decode()


async def isolate(bench: Bench, step: StepRecord, remediation: str) -> Attempt:
    """Take the step's label off its pod, if a PodDisruptionBudget would let the pod go."""
    return await persistently(lambda: _isolate_once(bench, step, remediation))


async def _isolate_once(bench: Bench, step: StepRecord, remediation: str) -> Attempt:
    """Raises Conflict and Unknown: both mean look again."""
    namespace, name, uid, label = bench.namespace, step.pod or "", step.uid or "", step.label or ""
    gone = Attempt(result=Result.Gone, detail=f"pod {name} with that UID is gone or going")
    try:
        pod = await bench.cluster.get(PODS, namespace, name)
        if is_going(pod, uid):
            return gone
        if _is_off(pod, label):
            return Attempt(result=Result.Applied)
        await bench.cluster.evict(namespace, name, uid, dry_run=True)
        async with asyncio.timeout(LOOK_SECONDS):
            pod, reason = await asyncio.gather(bench.cluster.get(PODS, namespace, name), bench.veto())
        if is_going(pod, uid):
            return gone
        if complaint := objection(pod) or _unlike(pod, label):
            return Attempt(result=Result.Refused, detail=complaint)
        if reason:
            return Attempt(result=Result.Vetoed, detail=reason)
        mark = Mark(remediation=remediation, uid=uid, label=label)
        await bench.cluster.patch_json(PODS, namespace, name, list(_off(pod, mark)))
        return Attempt(result=Result.Applied)
    except TimeoutError:
        return Attempt(result=Result.Unavailable, detail=f"the pod could not be read within {LOOK_SECONDS:g} s")
    except NotFound:
        return gone
    except (Conflict, Unknown):
        raise
    except KubeError as error:
        return failed(error)


async def give_back(cluster: Cluster, namespace: str, name: str, uid: str, label: str) -> bool:
    """Put the label back on that very pod; False where nothing is to be done: it is gone or going, or has its label.

    A label of that key with another value is somebody else's: it stays. Raises KubeError.
    """
    for attempt in range(ATTEMPTS):
        try:
            pod = await cluster.get(PODS, namespace, name)
            operations = [] if is_going(pod, uid) else list(_on(pod, label))
            if operations:
                await cluster.patch_json(PODS, namespace, name, [*_only_if(pod), *operations])
            return bool(operations)
        except NotFound:
            return False
        except (Conflict, Unknown):
            if attempt == ATTEMPTS - 1:
                raise
    return False


def _is_off(pod: Manifest, label: str) -> bool:
    return lacks(pod["metadata"].get("labels") or {}, label)


def _unlike(pod: Manifest, label: str) -> str | None:
    key, _, value = label.partition("=")
    found = (pod["metadata"].get("labels") or {}).get(key)
    return None if found == value else f"pod {pod['metadata']['name']} has the label {key}={found}, not {label}"


def _off(pod: Manifest, mark: Mark) -> Iterator[Operation]:
    key, _, value = mark.label.partition("=")
    yield from _only_if(pod)
    yield {"op": "test", "path": f"/metadata/labels/{_escaped(key)}", "value": value}
    yield {"op": "remove", "path": f"/metadata/labels/{_escaped(key)}"}
    yield from _put(pod, "annotations", ISOLATED_ANNOTATION, mark.text)


def _on(pod: Manifest, label: str) -> Iterator[Operation]:
    key, _, value = label.partition("=")
    if _is_off(pod, label):
        yield from _put(pod, "labels", key, value)
    if ISOLATED_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        yield {"op": "remove", "path": f"/metadata/annotations/{_escaped(ISOLATED_ANNOTATION)}"}


def _only_if(pod: Manifest) -> Iterator[Operation]:
    for field in ("uid", "resourceVersion"):
        yield {"op": "test", "path": f"/metadata/{field}", "value": pod["metadata"][field]}


def _put(pod: Manifest, field: str, key: str, value: str) -> Iterator[Operation]:
    known: Mapping[str, Any] | None = pod["metadata"].get(field)
    if known:
        yield {"op": "add", "path": f"/metadata/{field}/{_escaped(key)}", "value": value}
    else:
        yield {"op": "add", "path": f"/metadata/{field}", "value": {key: value}}


def _escaped(key: str) -> str:
    """As a JSON Pointer (RFC 6901) has it."""
    return key.replace("~", "~0").replace("/", "~1")
