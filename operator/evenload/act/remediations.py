"""Remediation objects: opened once, moved on with a precondition, pruned.

Two operators, or one that forgot, cannot open two for one fault: the name follows from the Balancer and from the last
Remediation it had, so both try to create the same object, and the API server lets one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from evenload.act.episode import LEDGER_SECONDS, counted_of, decode, is_open
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
    RouteChange,
    RuledOut,
    Trigger,
)
from evenload.api.values import moment, number
from evenload.clock import from_rfc3339
from evenload.errors import Conflict, InputError, NotFound, Refused, Unknown
from evenload.kube.resources import REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis
from evenload.model.snapshot import RouteWrite

_NAME_ROOM = 200  # of 253, leaving some for the suffix
_MOST_PRUNED = 10  # a call; the rest can wait for the next one
RETIRED_KEPT = 50  # newest Remediations of deleted Balancers in a namespace, as the default of spec.historyLimit
RETIRED_MOST = 500  # of those a day old at most
_MOST_RETIRED = 200  # a namespace and call


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
    written: RouteWrite | None = None,
    trigger: Trigger = Trigger.Diagnosis,
) -> Manifest:
    """Create it, or get the one another operator, or we before a crash, created; that may even be closed by now.

    `written`: the write of the route that caused it, if it was one: only this one process may have seen it.
    It has no status yet: `store` follows. Raises KubeError where the API server gives neither.
    """
    name = name_after(balancer, previous)
    diagnosis = _recorded(decision.diagnosis, written)
    body = _manifest(name, balancer, diagnosis, approval_required=approval_required, trigger=trigger)
    try:
        return await cluster.create(REMEDIATIONS, balancer.namespace, body)
    except (Conflict, Unknown) as error:
        try:
            return await cluster.get(REMEDIATIONS, balancer.namespace, name)
        except NotFound:
            raise error from None


def _manifest(
    name: str, balancer: ObjectMeta, diagnosis: RecordedDiagnosis, *, approval_required: bool, trigger: Trigger
) -> Manifest:
    spec = RemediationSpec(
        balancer_ref=BalancerReference(name=balancer.name, uid=balancer.uid, generation=balancer.generation),
        trigger=trigger,
        diagnosis=diagnosis,
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


def _route_change(write: RouteWrite) -> RouteChange:
    """As it is kept."""
    return RouteChange(
        manager=write.manager[:128],
        time=moment(write.time),
        before=write.before,
        elsewhere=write.elsewhere,
        undo=write.undo,
    )


def _recorded(diagnosis: Diagnosis, written: RouteWrite | None) -> RecordedDiagnosis:
    return RecordedDiagnosis(
        label=diagnosis.label,
        also=diagnosis.also,
        cause=diagnosis.cause,
        manager=diagnosis.manager,
        sentence=diagnosis.sentence,
        since=None if diagnosis.since is None else moment(diagnosis.since),
        route_change=None if written is None else _route_change(written),
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
    same way, once: what the server fails twice it will hardly do a moment later. Raises as `store` in the end.
    """
    while True:
        attempts -= 1
        try:
            return await store(cluster, manifest, change(decode(manifest)))
        except (Conflict, Unknown) as error:
            if attempts <= 0:
                raise
            attempts = min(attempts, 1) if isinstance(error, Unknown) else attempts
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
    """Whether a budget counts something of it. One that cannot be read may hold such a thing until it is old."""
    if _seconds_since(manifest.get("status", {}).get("closedAt"), now) > 2 * LEDGER_SECONDS:
        return False
    try:
        return any(entry.what.time > now - LEDGER_SECONDS for entry in counted_of(decode(manifest)))
    except InputError:
        return _seconds_since(manifest["metadata"].get("creationTimestamp"), now) < LEDGER_SECONDS


def _seconds_since(time: str | None, now: float) -> float:
    """0 where nobody knows."""
    at = from_rfc3339(time) if time else None
    return 0.0 if at is None else now - at


def retired(remediations: Iterable[Mapping[str, Any]], now: float) -> list[Mapping[str, Any]]:
    """Of the closed Remediations that deleted Balancers of one namespace left, those to delete, oldest first.

    The newest are kept, and so is what budgets still count. The rest goes when it is a day old; at once where there
    are very many, as when Balancers are created and deleted in a loop.
    """
    beyond = surplus(remediations, RETIRED_KEPT, now)
    excess = max(0, len(beyond) + RETIRED_KEPT - RETIRED_MOST)
    return beyond[:excess] + [each for each in beyond[excess:] if _old(each, now)]


def _old(manifest: Mapping[str, Any], now: float) -> bool:
    return _seconds_since(manifest["metadata"].get("creationTimestamp"), now) > LEDGER_SECONDS


async def retire(cluster: Cluster, remediations: Iterable[Mapping[str, Any]], now: float) -> int:
    """Delete what is `retired` in each namespace; `remediations`: all whose Balancer is gone. How many it tried.

    Raises KubeError; what is refused in one namespace stays there and stops no other.
    """
    by_namespace: dict[str, list[Mapping[str, Any]]] = {}
    for manifest in remediations:
        by_namespace.setdefault(manifest["metadata"]["namespace"], []).append(manifest)
    tried = 0
    for group in by_namespace.values():
        doomed = retired(group, now)[:_MOST_RETIRED]
        tried += len(doomed)
        with suppress(Refused):
            await _delete(cluster, doomed)
    return tried


async def prune(cluster: Cluster, remediations: Iterable[Mapping[str, Any]], limit: int, now: float) -> int:
    """Delete the surplus, a few a call; how many are gone. Raises KubeError, but not for those gone already."""
    doomed = surplus(remediations, limit, now)[:_MOST_PRUNED]
    await _delete(cluster, doomed)
    return len(doomed)


async def _delete(cluster: Cluster, doomed: Iterable[Mapping[str, Any]]) -> None:
    for manifest in doomed:
        metadata = manifest["metadata"]
        try:
            await cluster.delete(REMEDIATIONS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except (NotFound, Conflict):
            continue
