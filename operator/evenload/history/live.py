"""What the operator would see of one Balancer now, read by somebody who may only look: for `evenload record`.

The same view, reader and join as the operator's; its open Remediation and ledger are read from the cluster, so that the
recording replays to what the operator decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from evenload.act.episode import decode, episode_of, is_open
from evenload.act.ledger import Ledger, Subject
from evenload.api.v1alpha1 import PAUSED_ANNOTATION, Balancer
from evenload.drivers import driver_of
from evenload.drivers.base import RouteView, check_shares
from evenload.errors import InputError
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest
from evenload.model.decision import HeldReason
from evenload.model.episode import Disruption
from evenload.model.policy import Policy, strictest
from evenload.model.snapshot import Hold, Snapshot
from evenload.model.spec import BalancerSpec
from evenload.observe.cluster import ClusterView, Fleet, Problem, Trouble
from evenload.observe.join import last_write, snapshot_of
from evenload.observe.presets import Source, source_seen_from_here
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.observe.promql import Matcher
from evenload.record.publish import known_status


class Onlooker:
    """Of one Balancer, as of the manifest given: a spec that changes later is another recording."""

    def __init__(
        self,
        client: Client,
        view: ClusterView,
        reader: SignalReader,
        manifest: Manifest,
        *,
        prometheus_url: str,
        matchers: tuple[Matcher, ...] = (),
        scrape_seconds: float,
        now: Callable[[], float],
    ) -> None:
        """Raises InputError naming the field of the spec that cannot be met."""
        self._client = client
        self._view = view
        self._reader = reader
        self._now = now
        self._balancer = _read(manifest)
        spec: BalancerSpec = self._balancer.spec
        self._source: Source = source_seen_from_here(spec.signals, prometheus_url, scrape_seconds, matchers)
        self._policy = Policy.of(spec)
        self._driver = driver_of(spec.target_ref.kind)

    async def look(self) -> Snapshot | str:
        """One Snapshot, or in a sentence why there is none now. Raises KubeError."""
        route = self._view.route(self._balancer.metadata.namespace, self._balancer.spec.target_ref.name)
        if isinstance(route, Problem):
            return route.sentence
        try:
            seen = check_shares(self._policy, self._driver.backends(route, self._balancer.spec.target_ref))
        except InputError as error:
            return str(error)
        fleet = self._view.fleet(seen)
        known = await self._known(fleet)
        tolerated = {Trouble.NoPods} if known["episode"] else set()
        if problem := next((each for each in fleet.problems if each.reason not in tolerated), None):
            return problem.sentence
        samples = await self._samples(seen, fleet.pods)
        previous = self._view.previous_route(seen.namespace, seen.name)
        return snapshot_of(
            time=self._now(),
            weights=seen.weights,
            fleet=fleet,
            samples=samples,
            max_age_seconds=self._policy.max_age_seconds,
            last_write=last_write(seen, self._readable(previous)),
            **known,
        )

    async def _samples(self, seen: RouteView, pods: tuple[str, ...]) -> Samples:
        namespaces = frozenset(service.namespace for service in seen.services.values())
        interest = Interest(source=self._source, namespaces=namespaces, pods=pods)
        return (await self._reader.read({"balancer": interest}))["balancer"]

    async def _known(self, fleet: Fleet) -> dict[str, Any]:
        """What the cluster remembers: good weights, the open Remediation, budgets spent, a pause, the mode in force."""
        meta = self._balancer.metadata
        manifest = await self._client.get(BALANCERS, meta.namespace, meta.name)
        listed, _ = await self._client.list(REMEDIATIONS, meta.namespace)
        mine = [each for each in listed if each["spec"]["balancerRef"].get("uid") == meta.uid]
        now_open = next((each for each in mine if is_open(each)), None)
        status = known_status(manifest)
        paused = manifest["metadata"].get("annotations", {}).get(PAUSED_ANNOTATION, "false") != "false"
        hold = Hold(reason=HeldReason.Paused, detail="the Balancer is paused")
        return {
            "known_good": status.known_good.weights if status.known_good else None,
            "episode": episode_of(decode(now_open)) if now_open else None,
            "ledger": self._spent(listed, fleet),
            "holds": (hold,) if paused or manifest["spec"].get("suspend") else (),
            "max_mode": strictest(status.mode),
        }

    def _spent(self, remediations: Iterable[Manifest], fleet: Fleet) -> tuple[Disruption, ...]:
        """What its budgets count, by all Balancers of the namespace."""
        ledger, meta = Ledger(), self._balancer.metadata
        for each in remediations:
            ledger.changed((each["metadata"]["namespace"], each["metadata"]["name"]), each)
        subject = Subject(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            workloads=frozenset[str]().union(*fleet.workloads_in(meta.namespace).values()),
            backends=frozenset(fleet.backends),
        )
        return ledger.of(subject, self._now())

    def _readable(self, route: Manifest | None) -> RouteView | None:
        try:
            return self._driver.backends(route, self._balancer.spec.target_ref) if route else None
        except InputError:
            return None


def _read(manifest: Manifest) -> Balancer:
    try:
        return msgspec.convert({key: manifest[key] for key in ("metadata", "spec")}, Balancer)
    except msgspec.ValidationError as error:
        raise InputError(f'Balancer "{manifest["metadata"]["name"]}" cannot be read: {error}') from error
