"""One leader at a time, by a Lease; the others wait.

The rules are client-go's: a candidate believes a lease to be dead when it has not changed for `lease_seconds` of the
candidate's own monotonic clock, so clocks that differ or jump do no harm; times written into the lease are for people.
A leader that could not renew for `renew_deadline_seconds` stops being one, before anybody else can begin.

A lost leadership is final: `on_lost` is called exactly once, and the process is expected to end (the next leader
resumes half-finished work from the cluster). `leads()` is the fence to ask before each write: it is false from the
deadline on, even if the event loop was stuck and nobody has been told yet.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Final

import structlog

from evenload import clock
from evenload.errors import EvenloadError, NotFound
from evenload.kube.client import Client
from evenload.kube.resources import LEASES, Manifest

LEASE_SECONDS: Final = 15.0
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
RELEASE_SECONDS: Final = 2.0
JITTER: Final = 0.2

_log = structlog.get_logger()


class LeaderElector:
    """Run `run()` as a task from before there is work to lead until after the last of it is done.

    It ends by being cancelled, which hands the lease back, or after `on_lost`. Identities must differ.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        namespace: str,
        identity: str,
        on_lost: Callable[[], None],
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_deadline_seconds: float = RENEW_DEADLINE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not retry_seconds * (1 + JITTER) < renew_deadline_seconds < lease_seconds:
            raise ValueError("a lease needs retry < renew deadline < lease")
        self._where = f"{namespace}/{name}"
        self.identity = identity
        self.elected = asyncio.Event()
        self._client = client
        self._name = name
        self._namespace = namespace
        self._on_lost = on_lost
        self._lease_seconds = lease_seconds
        self._renew_deadline_seconds = renew_deadline_seconds
        self._retry_seconds = retry_seconds
        self._monotonic = monotonic
        self._lease: Manifest | None = None  # as last seen; None: read it first
        self._annotations: dict[str, str] = {}
        self._seen_version = ""
        self._seen_at = 0.0  # when it last changed, by our clock
        self._renewed_at: float | None = None  # when the last renewal that worked was *sent*

    def leads(self) -> bool:
        """This process may write now."""
        return self._renewed_at is not None and self._monotonic() < self._renewed_at + self._renew_deadline_seconds

    @property
    def holder(self) -> str:
        """Who holds the lease as last seen; "" if nobody."""
        return str(((self._lease or {}).get("spec") or {}).get("holderIdentity") or "")

    @property
    def annotations(self) -> dict[str, str]:
        """Of the lease as last seen, two seconds ago at most while all is well: people pause all operators there."""
        return self._annotations

    async def run(self) -> None:
        """Wait to be elected, then renew until lost or cancelled."""
        try:
            await self._acquire()
            _log.info("elected", identity=self.identity, lease=self._where)
            self.elected.set()
            await self._renew()
        except asyncio.CancelledError:
            await self._release()
            raise
        self._renewed_at = None
        _log.error("leadership-lost", identity=self.identity, holder=self.holder, lease=self._where)
        self._on_lost()

    async def _acquire(self) -> None:
        while True:
            if await self._attempt(self._renew_deadline_seconds / 2):
                return
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Until the next look: soon enough to be there when the lease dies."""
        retry = self._retry_seconds * random.uniform(1, 1 + JITTER)
        return retry if self._lease is None else min(retry, max(0.05, self._dies_at() - self._monotonic()))

    async def _renew(self) -> None:
        """Returns when leadership is lost."""
        while True:
            await asyncio.sleep(min(self._retry_seconds, self._seconds_left()))
            if not self.leads():
                return
            if not await self._attempt(min(self._renew_deadline_seconds / 2, self._seconds_left())) and self._taken():
                return

    def _seconds_left(self) -> float:
        assert self._renewed_at is not None
        return max(0.0, self._renewed_at + self._renew_deadline_seconds - self._monotonic())

    def _taken(self) -> bool:
        return self._lease is not None and self.holder != self.identity

    async def _attempt(self, timeout: float) -> bool:
        """Take or renew the lease, in at most `timeout` seconds; True: it is ours as of now."""
        sent_at = self._monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self._take()
        except (EvenloadError, TimeoutError) as error:
            self._lease = None  # the write may have landed, or lost to another: look before the next try
            _log.warning("lease-attempt-failed", lease=self._where, error=str(error) or "timeout")
            return False
        if self.holder != self.identity:
            return False
        self._renewed_at = sent_at
        return True

    async def _take(self) -> None:
        if self._lease is None or self.holder != self.identity:
            await self._look()
        if self._lease is None:
            self._saw(await self._client.create(LEASES, self._namespace, self._manifest()))
        elif self.holder == self.identity or self._dead():
            self._saw(await self._client.replace(LEASES, self._namespace, self._name, self._manifest()))

    async def _look(self) -> None:
        try:
            self._saw(await self._client.get(LEASES, self._namespace, self._name))
        except NotFound:
            self._lease = None

    def _saw(self, lease: Manifest) -> None:
        self._lease = lease
        self._annotations = dict(lease["metadata"].get("annotations") or {})
        version = str(lease["metadata"]["resourceVersion"])
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._monotonic()

    def _dead(self) -> bool:
        return not self.holder or self._monotonic() >= self._dies_at()

    def _dies_at(self) -> float:
        """When it must be changed by, or it is dead. A holder with a longer lease than ours is given its time."""
        spec = (self._lease or {}).get("spec") or {}
        return self._seen_at + max(self._lease_seconds, float(spec.get("leaseDurationSeconds") or 0))

    def _manifest(self) -> Manifest:
        """The lease as ours; with the resourceVersion of what it replaces, so only one of two candidates can win."""
        now = clock.rfc3339(clock.now())
        spec = dict((self._lease or {}).get("spec") or {})
        if self.holder != self.identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if self._lease else 0)
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._lease_seconds),
            "renewTime": now,
        }
        return self._body(spec)

    def _body(self, spec: Manifest) -> Manifest:
        metadata = dict(self._lease["metadata"]) if self._lease else {"name": self._name, "namespace": self._namespace}
        metadata.pop("managedFields", None)
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """Hand it back, so that the next leader need not wait for it to die; if that fails, it will die."""
        self._renewed_at = None
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._look()  # a renewal may have been cut short
                if self._lease is not None and self.holder == self.identity:
                    spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.replace(LEASES, self._namespace, self._name, self._body(spec))
        except (EvenloadError, TimeoutError) as error:
            _log.warning("lease-release-failed", lease=self._where, error=str(error) or "timeout")
