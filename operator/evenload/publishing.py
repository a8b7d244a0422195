"""What a run found, as the status of its Balancer: of the one that was looked at, not of what took its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from evenload.api.v1alpha1 import Balancer, ObjectMeta, Resolved
from evenload.case import Case, identity_of
from evenload.errors import NotFound
from evenload.kube.client import Client
from evenload.model.decision import Decision
from evenload.model.policy import strictest
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Mode
from evenload.record.audited import Audited
from evenload.record.conditions import Facts, Trouble, status_of
from evenload.record.events import Bulletin
from evenload.record.metrics import Metrics
from evenload.record.notices import notices
from evenload.record.publish import known_status, publish
from evenload.sight import Sight, still_open
from evenload.store import Key, Store

_log = structlog.get_logger()


class StatusPublisher:
    """Of every Balancer in `store`. `max_mode`: the installation's ceiling. `audited`: what the audit finds."""

    def __init__(
        self,
        *,
        store: Store,
        client: Client,
        bulletin: Bulletin,
        metrics: Metrics,
        max_mode: Mode,
        audited: Callable[[Key], Audited | None],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._client = client
        self._bulletin = bulletin
        self._audited = audited
        self._metrics = metrics
        self._max_mode = max_mode
        self._now = now

    def mode(self, balancer: Balancer) -> Mode:
        """The mode in force."""
        return strictest(balancer.spec.mode, self._max_mode)

    async def found(
        self,
        key: Key,
        case: Case,
        sight: Sight,
        snapshot: Snapshot,
        decision: Decision,
        *,
        unrecorded: str,
        unwritten: str,
    ) -> None:
        """What a run found and decided, and why the Remediation or the write cannot be made. Raises KubeError."""
        current = still_open(self._store.remediations_of(key))
        facts = Facts(
            **self._common(key, sight.balancer),
            snapshot=snapshot,
            decision=decision,
            policy=case.policy,
            resolved=Resolved(
                driver=case.driver.kind,
                handles=tuple(handle.value for handle in sight.view.handles),
                signals=case.source.preset.name if case.source.preset else "",
                code=case.source.code,
                backends=tuple(sorted(sight.view.weights)),
            ),
            changes=sight.changes,
            remediation=current["metadata"]["name"] if current else None,
            paused=sight.pause,
            limits=sight.limits,
            unrecorded=unrecorded,
            unwritten=unwritten,
        )
        await self._publish(key, _identity(sight.balancer), facts)

    async def trouble(self, key: Key, balancer: Balancer, trouble: Trouble) -> None:
        """Why nothing can be done for it. Raises KubeError."""
        await self._publish(key, _identity(balancer), Facts(**self._common(key, balancer), trouble=trouble))

    async def unreadable(self, key: Key, trouble: Trouble) -> None:
        """For a Balancer of which no more can be read than that it is there. Raises KubeError."""
        manifest = self._store.balancers.get(key)
        if manifest is None:
            return
        facts = Facts(
            time=self._now(),
            generation=identity_of(manifest)[1],
            mode=self._max_mode,
            subject=f"Balancer {key.name}",
            trouble=trouble,
        )
        await self._publish(key, identity_of(manifest), facts)

    async def failure(self, key: Key, error: Exception) -> None:
        """A run that failed unexpectedly is a condition of its Balancer; nothing more is done for that one."""
        message = (
            f"Evenload failed on this Balancer ({type(error).__name__}) and does nothing for it; "
            "its log has the details: please report them"
        )
        try:
            await self.unreadable(key, Trouble(reason="InternalError", message=message))
        except Exception:  # the first failure is the one to be raised
            _log.exception("failure-not-published", namespace=key.namespace, balancer=key.name)

    def _common(self, key: Key, balancer: Balancer) -> dict[str, Any]:
        target = balancer.spec.target_ref
        return {
            "time": self._now(),
            "generation": balancer.metadata.generation,
            "mode": self.mode(balancer),
            "subject": f"{target.kind} {target.name}",
            "audited": self._audited(key),
        }

    async def _publish(self, key: Key, identity: tuple[str, int], facts: Facts) -> None:
        manifest = self._store.balancers.get(key)
        if manifest is None or identity_of(manifest) != identity:
            return  # what was found is about a spec that is no longer
        self._metrics.tell(key.namespace, key.name, facts)
        known = known_status(manifest)
        status = status_of(known, facts)
        metadata = ObjectMeta(name=key.name, namespace=key.namespace, uid=identity[0])
        for happening in notices(known, status, facts.time):  # before the status remembers them; a name makes no two
            await self._bulletin.post(metadata, happening)
        try:
            self._store.balancers.put(await publish(self._client, dict(manifest), status))
        except NotFound:
            return


def _identity(balancer: Balancer) -> tuple[str, int]:
    return balancer.metadata.uid, balancer.metadata.generation
