"""What the operator would see of one Balancer now, read by somebody who may only look: for `record` and `signals`.

The same Observer, view, reader and join as the operator's. What the operator keeps by watching (Balancers and
Remediations) is listed here on every look, so that the recording replays to what the operator decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from evenload.api.v1alpha1 import BalancerStatus, ConditionStatus
from evenload.errors import InvariantBroken, NotFound
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest
from evenload.model.policy import strictest
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Mode
from evenload.observe.cluster import ClusterView
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.observe.promql import Matcher
from evenload.observe.queries import source_seen_from_here
from evenload.presets import PRESETS, Preset
from evenload.record.conditions import Trouble
from evenload.record.publish import known_status
from evenload.sight import Observer
from evenload.store import Store, key_of

_CHANGED = "the Balancer was changed or made anew since this recording began; begin another one"


class Seen(NamedTuple):
    """One look: the samples as answered, what they were asked for, and what was made of them.

    `limits`: what is not done or not waited for, a sentence each.
    """

    snapshot: Snapshot
    samples: Samples
    interest: Interest
    limits: tuple[str, ...] = ()


class Onlooker:
    """Of one Balancer, as of the manifest given: a spec that changes later is another recording.

    It need not be `applied`: then it is looked at as if it were, also where Evenload is not installed yet.
    """

    def __init__(
        self,
        client: Client,
        view: ClusterView,
        reader: SignalReader,
        manifest: Manifest,
        *,
        prometheus_url: str,
        matchers: tuple[Matcher, ...] = (),
        presets: Mapping[str, Preset] = PRESETS,
        scrape_seconds: float,
        now: Callable[[], float],
        applied: bool = True,
    ) -> None:
        """Raises InputError naming the field of the spec that cannot be met."""
        self._client = client
        self._reader = reader
        self._key, self._recorded = key_of(manifest), _recorded(manifest)
        self._applied = applied
        self._store = Store()
        self._store.balancers.put(manifest)
        self._observer = Observer(
            store=self._store,
            cluster=view,
            source_of=lambda signals: source_seen_from_here(signals, prometheus_url, scrape_seconds, matchers, presets),
            max_mode=_mode_in_force,
            foreign_backends=False,
            paused=self._paused,
            now=now,
        )
        self._observer.case(self._key)

    async def look(self) -> Snapshot | str:
        """One Snapshot, or in a sentence why there is none now. Raises KubeError."""
        seen = await self.read()
        return seen if isinstance(seen, str) else seen.snapshot

    async def read(self) -> Seen | str:
        """The same with the samples that it was made of."""
        await self._read()
        manifest = self._store.balancers.get(self._key)
        if manifest is not None and _recorded(manifest) != self._recorded:
            return _CHANGED
        self._observer.begin_turn()
        sight = self._observer.sight(self._key)
        if isinstance(sight, Trouble):
            return sight.message
        interest, samples = await self._asked()
        if self._observer.cases[self._key].look(samples, sight.fleet):
            interest, samples = await self._asked()  # whose metrics these pods have is known now
        return Seen(self._observer.snapshot(self._key, sight, samples), samples, interest, sight.limits)

    async def _asked(self) -> tuple[Interest, Samples]:
        interest = self._observer.interest(self._key)
        if interest is None:
            raise InvariantBroken("a Balancer that is seen has signals to be asked for")
        return interest, (await self._reader.read({self._key: interest}))[self._key]

    async def _read(self) -> None:
        """All of our own objects in its namespace: other Balancers may own its route, or have spent its budgets."""
        namespace = self._key.namespace
        for resource, objects in ((BALANCERS, self._store.balancers), (REMEDIATIONS, self._store.remediations)):
            try:
                listed, version = await self._client.list(resource, namespace)
            except NotFound:
                if self._applied:
                    raise
                continue  # its CRD is not installed: there are none
            objects.sweep(listed, int(version), namespace)

    def _paused(self) -> str | None:
        """Whether the whole installation is paused, as the Balancer's status tells: nobody else may know."""
        told = known_status(self._store.balancers.get(self._key) or {}).conditions
        paused = (each for each in told if (each.type, each.reason) == ("Paused", "Installation"))
        return next((each.message for each in paused if each.status is ConditionStatus.TRUE), None)


def _mode_in_force(status: BalancerStatus) -> Mode:
    return strictest(status.mode)


def _recorded(manifest: Mapping[str, Any]) -> object:
    """What of it a recording is of; being suspended shows in each Snapshot."""
    spec = {name: value for name, value in manifest["spec"].items() if name != "suspend"}
    return manifest["metadata"]["uid"], spec
