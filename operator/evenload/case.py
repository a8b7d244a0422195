"""What this process remembers of one Balancer between ticks. All of it may be lost at any point.

What must not be lost is in the cluster: docs/architecture.md, "Where state lives".
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from evenload.act.episode import decode
from evenload.act.outcome import Tick
from evenload.api.v1alpha1 import Balancer, Remediation, Resolved, RouteChange
from evenload.auditing import Auditor
from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Driver, check_shares
from evenload.engine import Engine
from evenload.errors import InputError
from evenload.model.episode import Disruption
from evenload.model.policy import Policy
from evenload.model.spec import Signals, TargetRef
from evenload.observe.ahead import Ahead
from evenload.observe.cluster import Fleet
from evenload.observe.prometheus import Samples
from evenload.observe.queries import Source, found_as, found_in, installation_matchers, source_of
from evenload.presets import with_own
from evenload.record.changelog import changes_of
from evenload.record.events import Chronicle
from evenload.record.flight import Flight
from evenload.settings import Settings

LOST_TICKS = 6  # so often none of its pods has a series of the preset that was found, and it is looked for again
TICKS_REMEMBERED = 720  # two hours of ten-second ticks, for the outcome of an episode


@dataclass(slots=True, kw_only=True)
class Case:
    """One Balancer of one generation: a changed spec begins a new one."""

    identity: tuple[str, int]
    engine: Engine
    policy: Policy
    driver: Driver
    target: TargetRef
    source: Source
    flight: Flight = field(default_factory=Flight)
    chronicle: Chronicle = field(default_factory=Chronicle)
    ahead: Ahead = field(default_factory=Ahead)
    auditor: Auditor = field(default_factory=Auditor)
    ticks: deque[Tick] = field(default_factory=lambda: deque(maxlen=TICKS_REMEMBERED))
    judged: Samples | None = None  # the last that the engine has been given
    ledger: tuple[Disruption, ...] = ()  # what budgets counted when the last Snapshot was made
    outdated_route: str = ""  # the resourceVersion that our last write replaced: a view that still shows it lags
    _searching: Source | None = None  # how its preset is found; None: its spec names one
    _unanswered: int = 0  # ticks without any series of the preset that was found
    _workloads: dict[str, frozenset[str]] = field(default_factory=dict)  # by backend
    _view: tuple[str, BalancerView] | None = None
    _changes: tuple[str, tuple[RouteChange, ...]] | None = None
    _decoded: dict[str, tuple[str, Remediation]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        balancer: Balancer,
        source_for: Callable[[Signals], Source],
        before: Case | None,
        resolved: Resolved | None = None,
    ) -> Case:
        """Raises InputError naming the field of the spec that cannot be met, as `source_for` does.

        The recorder, what was reported and what the engine learnt go on from `before`: a changed spec does not end an
        episode. `resolved`: what an earlier process found.
        """
        spec = balancer.spec
        source = source_for(spec.signals)
        same = before if before is not None and before.identity[0] == balancer.metadata.uid else None
        case = cls(
            identity=(balancer.metadata.uid, balancer.metadata.generation),
            engine=Engine(spec, before=same.engine if same is not None else None),
            policy=Policy.of(spec),
            driver=driver_of(spec.target_ref.kind),
            target=spec.target_ref,
            source=source,
            _searching=source if source.preset is None else None,
            chronicle=Chronicle(balancer.metadata.namespace),
        )
        case._find_again(same, resolved)
        if same is not None:
            case.flight, case.chronicle, case.ticks, case.ahead, case._workloads, case.judged = (
                same.flight,
                same.chronicle,
                same.ticks,
                same.ahead,
                same._workloads,
                same.judged,
            )
        return case

    def _find_again(self, before: Case | None, resolved: Resolved | None) -> None:
        """Go on with the preset that was found already; if it is none of these any more, it is looked for."""
        if self._searching is None:
            return
        if before is not None and before.source.preset is not None:
            self.source = found_as(self._searching, before.source.preset.name, before.source.code) or self._searching
        elif resolved is not None:
            self.source = found_as(self._searching, resolved.signals, resolved.code) or self._searching

    def look(self, samples: Samples, fleet: Fleet) -> bool:
        """Learn from samples of `source` whose metrics these pods have, where the spec does not say it.

        True where that is known now and was not before: numbers come with the next samples.
        """
        if self._searching is None:
            return False
        pods = ((each.facts.namespace, name) for members in fleet.backends.values() for name, each in members.items())
        requests = samples.readings["requests"]
        if self.source.preset is None:
            self.source = found_in(self.source, requests.found, set(pods)) or self.source
            return self.source.preset is not None
        answered = requests.problem or any(name in requests.values.get(namespace, ()) for namespace, name in pods)
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered >= LOST_TICKS:
            self.source, self._unanswered = self._searching, 0
        return False

    def view_of(self, route: Mapping[str, Any]) -> BalancerView:
        """The route as the driver reads it, with the backends that the spec asks for; read once a version.

        Raises RouteProblem.
        """
        version = route["metadata"]["resourceVersion"]
        if self._view is None or self._view[0] != version:
            self._view = (version, check_shares(self.policy, self.driver.backends(route, self.target)))
        return self._view[1]

    def changes_of(
        self,
        route: Mapping[str, Any],
        versions: Sequence[Mapping[str, Any]],
        broken: Callable[[Sequence[Mapping[str, Any]]], Sequence[Counter[str]]] = lambda versions: (),
    ) -> tuple[RouteChange, ...]:
        """The newest changes of the route, from `versions` on, oldest first; compared once a version.

        `broken`: of each version, how often each rule of the audit does not hold in it.
        """
        version = route["metadata"]["resourceVersion"]
        if self._changes is None or self._changes[0] != version:
            whole = (*versions, route)
            self._changes = (version, tuple(changes_of(self.driver, self.target, whole, broken(whole))))
        return self._changes[1]

    def workloads(self, fleet: Fleet, namespace: str) -> frozenset[str]:
        """Those of `namespace` behind the backends; of a backend without pods, as in a restart, those seen last."""
        self._workloads = {
            backend: workloads or self._workloads.get(backend, frozenset())
            for backend, workloads in fleet.workloads_in(namespace).items()
        }
        return frozenset[str]().union(*self._workloads.values())

    def remediations(self, manifests: Iterable[Mapping[str, Any]]) -> tuple[Remediation, ...]:
        """Decoded, each version once: budgets are counted from all of them on every tick. Raises InputError."""
        known, self._decoded = self._decoded, {}
        for manifest in manifests:
            name, version = manifest["metadata"]["name"], manifest["metadata"]["resourceVersion"]
            found = known.get(name)
            self._decoded[name] = found if found and found[0] == version else (version, decode(manifest))
        return tuple(remediation for _, remediation in self._decoded.values())


def source_within(settings: Settings, signals: Signals) -> Source:
    """Whom to ask for a Balancer's signals, by the installation's rules. Raises InputError naming the field."""
    return source_of(
        signals,
        default_url=settings.prometheus_url,
        scrape_seconds=settings.scrape_seconds,
        allowed_urls=settings.allowed_urls,
        own_queries=settings.prometheus_own_queries,
        matchers=installation_matchers(settings.matchers),
        presets=with_own(settings.prometheus_presets),
    )


def identity_of(manifest: Mapping[str, Any]) -> tuple[str, int]:
    """UID and generation: what a Case is bound to. Without decoding the rest, as every tick asks."""
    return manifest["metadata"]["uid"], manifest["metadata"]["generation"]


def read(manifest: Mapping[str, Any]) -> Balancer:
    """The typed Balancer without its status. Raises InputError."""
    try:
        return msgspec.convert({key: manifest[key] for key in ("metadata", "spec")}, Balancer)
    except msgspec.ValidationError as error:
        raise InputError(
            f"this version of Evenload cannot read the Balancer: {error}; are its CRDs up to date?"
        ) from error
