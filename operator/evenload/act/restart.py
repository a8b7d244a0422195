"""The gentle restart of one pod: the Eviction API, for the very pod that was decided about.

Never DELETE: an eviction respects PodDisruptionBudgets and the pod's own termination grace. The UID is a
precondition, so a pod of the same name that was born in between is never hit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from evenload.act.execution import Attempt, Bench, Result, failed
from evenload.api.v1alpha1 import PROTECTING, StepRecord
from evenload.errors import Conflict, KubeError, NotFound, Unknown
from evenload.kube.resources import PODS, Manifest

LOOK_SECONDS = 3.0
"""What was seen longer ago than this is not acted on."""


async def evict(bench: Bench, step: StepRecord) -> Attempt:
    """Evict the step's pod. A pod that is gone, replaced or terminating already needs nothing more."""
    if _foreign(bench, step.backend or ""):  # the last check, whatever was planned and stored
        return Attempt(result=Result.Refused, detail="pods of another namespace are never evicted")
    try:
        return await _evict_once(bench, step)
    except (Conflict, Unknown) as error:
        # A conflict of the budget's own bookkeeping, or a lost answer: the pod itself tells.
        return await _looked_up(bench, step, error)


def _foreign(bench: Bench, backend: str) -> bool:
    """Whether that is a Service of another namespace. In a mesh, what follows the slash is a subset."""
    split = bench.driver.split
    return "/" in backend and not (split is not None and split.mesh)


async def _evict_once(bench: Bench, step: StepRecord) -> Attempt:
    """Raises Conflict and Unknown: both mean look at the pod."""
    namespace, name, uid = _address(bench, step)
    try:
        # Both at once: whatever is between a look and the write is time in which it may become wrong.
        async with asyncio.timeout(LOOK_SECONDS):
            pod, reason = await asyncio.gather(bench.cluster.get(PODS, namespace, name), bench.veto())
        if is_going(pod, uid):
            return _done(step)
        if complaint := objection(pod, isolated_by=step.label):
            return Attempt(result=Result.Refused, detail=complaint)
        if reason:
            return Attempt(result=Result.Vetoed, detail=reason)
        await bench.cluster.evict(namespace, name, uid)
        return Attempt(result=Result.Applied)
    except TimeoutError:
        return Attempt(result=Result.Unavailable, detail=f"the pod could not be read within {LOOK_SECONDS:g} s")
    except NotFound:
        return _done(step)
    except (Conflict, Unknown):
        raise
    except KubeError as error:
        return failed(error)


async def _looked_up(bench: Bench, step: StepRecord, lost: KubeError) -> Attempt:
    namespace, name, uid = _address(bench, step)
    try:
        pod = await bench.cluster.get(PODS, namespace, name)
    except NotFound:
        return _done(step)
    except KubeError as error:
        return Attempt(result=Result.Unclear, detail=f"{lost}; {error}")
    return _done(step) if is_going(pod, uid) else Attempt(result=Result.Unclear, detail=str(lost))


def _address(bench: Bench, step: StepRecord) -> tuple[str, str, str]:
    """In the Balancer's own namespace and nowhere else, whatever the step's backend is called: with the UID as a
    precondition no pod of another namespace can be meant."""
    return bench.namespace, step.pod or "", step.uid or ""


def _done(step: StepRecord) -> Attempt:
    return Attempt(result=Result.Applied, detail=f"pod {step.pod} with that UID is gone or going")


def is_going(pod: Manifest, uid: str) -> bool:
    """Whether the pod of that UID is gone, or ends."""
    metadata = pod["metadata"]
    return metadata["uid"] != uid or "deletionTimestamp" in metadata


def lacks(labels: Mapping[str, str], label: str) -> bool:
    """Whether that label ("app=web") is not there at all: with another value of it, somebody meant that."""
    return label.partition("=")[0] not in labels


def objection(pod: Manifest, isolated_by: str | None = None) -> str | None:
    """What only the pod itself can say at the last moment. One that was isolated by a label has no controller any more;
    with that label it takes requests again, and is not what was decided about."""
    metadata = pod["metadata"]
    if isolated_by is not None:
        if not lacks(metadata.get("labels") or {}, isolated_by):
            return f"pod {metadata['name']} has its label {isolated_by} again"
    elif not any(owner.get("controller") for owner in metadata.get("ownerReferences", ())):
        return f"pod {metadata['name']} has no controller, so nothing would replace it"
    for annotation, value in PROTECTING.items():
        if metadata.get("annotations", {}).get(annotation) == value:
            return f"pod {metadata['name']} is annotated {annotation}"
    return None
