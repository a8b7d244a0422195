"""Remediation objects: opened once, moved on with a precondition, pruned.

Two operators, or one that forgot, cannot open two for one fault: the name follows from the Balancer and from the last
Remediation it had, so both try to create the same object, and the API server lets one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from evenload.act.episode import LEDGER_SECONDS, decode, is_open, ledger_of
from evenload.act.execution import Cluster
from evenload.api.mergepatch import difference
from evenload.api.v1alpha1 import (
    API_VERSION,
    BALANCER_LABEL,
    Approval,
    BalancerReference,
    Evidence,
    ObjectMeta,
    RecordedDiagnosis,
    Remediation,
    RemediationSpec,
    RemediationStatus,
    RuledOut,
    Trigger,
)
from evenload.api.values import epoch_seconds, moment, number
from evenload.errors import Conflict, NotFound, Unknown
from evenload.kube.resources import REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis

_NAME_ROOM = 200  # of 253, leaving some for the suffix
_MOST_PRUNED = 10  # a call; the rest can wait for the next one


def name_after(balancer: ObjectMeta, previous: str | None) -> str:
    """The name of the Remediation that follows `previous` (the newest known one of this Balancer, or None)."""
    follows = hashlib.sha256(f"{balancer.uid}/{previous or ''}".encode()).hexdigest()[:8]
    return f"{balancer.name[:_NAME_ROOM].rstrip('.-')}-{follows}"


def newest(remediations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """By creation; creation times are whole seconds, so the opening decides within one."""

    def age(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
        metadata = manifest["metadata"]
        return metadata["creationTimestamp"], manifest.get("status", {}).get("openedAt", ""), metadata["name"]

    return max(remediations, key=age, default=None)


async def open_remediation(
    cluster: Cluster,
    balancer: ObjectMeta,
    decision: Decision,
    *,
    previous: str | None,
    approval_required: bool,
    trigger: Trigger = Trigger.Diagnosis,
) -> Manifest:
    """Create it, or get the one another operator, or we before a crash, created; that may even be closed by now.

    It has no status yet: `store` follows. Raises KubeError where the API server gives neither.
    """
    name = name_after(balancer, previous)
    body = _manifest(name, balancer, decision, approval_required=approval_required, trigger=trigger)
    try:
        return await cluster.create(REMEDIATIONS, balancer.namespace, body)
    except (Conflict, Unknown) as error:
        try:
            return await cluster.get(REMEDIATIONS, balancer.namespace, name)
        except NotFound:
            raise error from None


def _manifest(
    name: str, balancer: ObjectMeta, decision: Decision, *, approval_required: bool, trigger: Trigger
) -> Manifest:
    spec = RemediationSpec(
        balancer_ref=BalancerReference(name=balancer.name, uid=balancer.uid, generation=balancer.generation),
        trigger=trigger,
        diagnosis=_recorded(decision.diagnosis),
        approval=Approval(required=approval_required),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": REMEDIATIONS.kind,
        # No ownerReference: the record outlives the Balancer.
        "metadata": {"name": name, "namespace": balancer.namespace, "labels": _labels(balancer)},
        "spec": msgspec.to_builtins(spec),
    }


def _labels(balancer: ObjectMeta) -> dict[str, str]:
    """A label's value holds 63 characters; a Balancer with a longer name is found by spec.balancerRef alone."""
    return {BALANCER_LABEL: balancer.name} if len(balancer.name) <= 63 else {}


def _recorded(diagnosis: Diagnosis) -> RecordedDiagnosis:
    return RecordedDiagnosis(
        label=diagnosis.label,
        also=diagnosis.also,
        cause=diagnosis.cause,
        manager=diagnosis.manager,
        sentence=diagnosis.sentence,
        since=None if diagnosis.since is None else moment(diagnosis.since),
        pods=diagnosis.pods[:64],
        backends=diagnosis.backends[:64],
        evidence=tuple(
            Evidence(
                metric=one.metric,
                subject=one.subject,
                observed=number(one.observed),
                expected=number(one.expected),
                threshold=number(one.threshold),
                sentence=one.sentence,
            )
            for one in diagnosis.evidence[:64]
        ),
        ruled_out=tuple(RuledOut(label=one.label, because=one.because) for one in diagnosis.ruled_out[:16]),
    )


async def store(cluster: Cluster, manifest: Manifest, status: RemediationStatus) -> Manifest:
    """Write `status` onto the very object `manifest`; no call at all where that is how it stands.

    Raises Conflict if anybody changed it since; NotFound, Refused, Unavailable, Unknown as they come.
    """
    # Both in our own words, so that defaults which the API server filled in are no difference.
    patch = difference(msgspec.to_builtins(decode(manifest).status), msgspec.to_builtins(status))
    if not patch:
        return manifest
    metadata = manifest["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": patch}
    return await cluster.patch_merge(REMEDIATIONS, metadata["namespace"], metadata["name"], body, subresource="status")


async def amend(
    cluster: Cluster, manifest: Manifest, change: Callable[[Remediation], RemediationStatus], *, attempts: int = 4
) -> Manifest:
    """Like `store`, but where somebody was quicker, `change` is asked again about what they left.

    For what is true whatever they changed (a verdict, a write that was made). An answer that was lost is settled the
    same way. Raises as `store` once `attempts` are used up.
    """
    while True:
        attempts -= 1
        try:
            return await store(cluster, manifest, change(decode(manifest)))
        except (Conflict, Unknown):
            if attempts <= 0:
                raise
        metadata = manifest["metadata"]
        manifest = await cluster.get(REMEDIATIONS, metadata["namespace"], metadata["name"])


def surplus(remediations: Iterable[Mapping[str, Any]], limit: int, now: float) -> list[Mapping[str, Any]]:
    """The closed ones beyond the newest `limit`, oldest first, without those that budgets still count."""
    finished = sorted(
        (manifest for manifest in remediations if not is_open(manifest)),
        key=lambda manifest: str(manifest["metadata"]["creationTimestamp"]),
    )
    return [manifest for manifest in finished[: max(0, len(finished) - limit)] if not _remembered(manifest, now)]


def _remembered(manifest: Mapping[str, Any], now: float) -> bool:
    remediation = decode(manifest)
    created = remediation.metadata.creation_timestamp
    if created is not None and epoch_seconds(created) < now - 2 * LEDGER_SECONDS:
        return False
    return bool(ledger_of([remediation], now))


async def prune(cluster: Cluster, remediations: Iterable[Mapping[str, Any]], limit: int, now: float) -> int:
    """Delete the surplus, a few a call; how many are gone. Raises KubeError, but not for those gone already."""
    doomed = surplus(remediations, limit, now)[:_MOST_PRUNED]
    for manifest in doomed:
        metadata = manifest["metadata"]
        try:
            await cluster.delete(REMEDIATIONS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except (NotFound, Conflict):
            continue
    return len(doomed)
