"""Isolated pods that nothing holds any more get their label back: none is forgotten, whatever stopped its restart.

The stored step decides, with the pod's UID and the label that it names. What stands on the pod is for people only.
It goes on where other writes have stopped (suspended, paused, the Balancer gone): it takes back what was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from evenload.act.episode import decode, find_step, is_open, step_of, steps_of, with_step
from evenload.act.isolation import give_back
from evenload.act.remediations import amend
from evenload.act.restart import lacks
from evenload.act.retries import Retries
from evenload.api.v1alpha1 import Remediation, RemediationStatus
from evenload.case import read
from evenload.episode.isolation import returned, taken_back
from evenload.errors import InputError, KubeError
from evenload.kube.client import Client
from evenload.model.episode import Step
from evenload.model.policy import Policy, strictest
from evenload.model.spec import Mode
from evenload.observe.cluster import ClusterView
from evenload.record.events import Happening, given_back
from evenload.sight import paused_by
from evenload.store import Key, Store

_log = structlog.get_logger()

SPARE_SECONDS = 60.0  # beyond the deadlines of the spec: a late tick is no reason


class Returns:
    """Of the Balancers in `store`. `paused` (the whole installation) and `not_leading`: None, or a sentence."""

    def __init__(
        self,
        *,
        store: Store,
        cluster: ClusterView,
        client: Client,
        retries: Retries,
        max_mode: Mode,
        paused: Callable[[], str | None],
        not_leading: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._client = client
        self._retries = retries
        self._max_mode = max_mode
        self._paused = paused
        self._not_leading = not_leading
        self._now = now

    def orphaned(self) -> set[Key]:
        """Balancers that are gone and may have left an isolated pod."""
        return {key for key in self._store.isolating if self._store.balancers.get(key) is None}

    async def settle(self, key: Key) -> tuple[Happening, ...]:
        """Give back what this Balancer's Remediations do not hold any more. Does not raise; what fails is tried again
        later."""
        happenings = []
        for manifest in self._store.isolating_of(key):
            for step, why in self._due(key, manifest):
                if await self._give_back(manifest, step, why):
                    happenings.append(given_back(manifest["metadata"]["name"], step, why, self._now()))
        return tuple(happenings)

    def _due(self, key: Key, manifest: Mapping[str, Any]) -> Iterator[tuple[Step, str]]:
        try:
            steps = steps_of(decode(manifest).status)
        except InputError:  # a version that we do not know has written it
            return
        stopped, most_seconds = self._limits(self._store.balancers.get(key), manifest)
        for step in steps:
            if step.action == "Isolate" and self._is_off(key.namespace, step):
                why = returned(step, steps, stopped=stopped, most_seconds=most_seconds, now=self._now())
                if why:
                    yield step, why

    def _is_off(self, namespace: str, step: Step) -> bool:
        """Whether the very pod is there and lacks its label."""
        pod = self._cluster.pod(namespace, step.pod or "")
        if pod is None or pod.uid != step.uid or pod.terminating:
            return False
        return lacks(dict(pod.labels), step.label or "")

    def _limits(self, balancer: Mapping[str, Any] | None, remediation: Mapping[str, Any]) -> tuple[str, float]:
        """Why nothing may be done to its pods any more, or "", and how long one may wait for its eviction."""
        if balancer is None:
            return "its Balancer is gone", 0.0
        if not is_open(remediation):
            return "its Remediation is closed", 0.0
        if pause := self._paused():
            return pause, 0.0
        if by := paused_by(balancer):
            return by.message, 0.0
        try:
            policy = Policy.of(read(balancer).spec)
        except InputError as error:
            return f"the Balancer's spec cannot be read: {error}", 0.0
        if strictest(policy.restart_mode, self._max_mode) is Mode.Observe:
            return "the mode is Observe", 0.0
        return "", policy.drain_timeout_seconds + policy.eviction_deadline_seconds + SPARE_SECONDS

    async def _give_back(self, manifest: Mapping[str, Any], step: Step, why: str) -> bool:
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        what = (namespace, name, f"give back {step.uid}")
        if self._retries.waiting(what) or self._not_leading():
            return False
        because = f"{step.pod} has its label {step.label} back: {why}"

        def change(known: Remediation) -> RemediationStatus:
            record = find_step(known.status, step.name)
            if record is None:
                return known.status
            return with_step(known.status, taken_back(step_of(record), self._now(), because))

        try:
            await give_back(self._client, namespace, step.pod or "", step.uid or "", step.label or "")
            self._store.remediations.put(await amend(self._client, dict(manifest), change))
        except (KubeError, InputError) as error:
            self._retries.failed(what, str(error))
            _log.warning("pod-not-given-back", namespace=namespace, remediation=name, pod=step.pod, error=str(error))
            return False
        self._retries.succeeded(what)
        _log.info("pod-given-back", namespace=namespace, remediation=name, pod=step.pod, reason=why)
        return True
