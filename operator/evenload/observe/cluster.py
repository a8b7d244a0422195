"""The cluster as Balancers need it: whose pods stand behind a backend, in what state, and what else is going on there.

Membership comes from EndpointSlices, because they are what data planes go by: a pod belongs to a backend if a slice of
its Service names the pod and its UID, and is ready if both the slice and the pod itself say so.

A kind of balancer that is not served, a Service without pods, a missing permission: all are Problems in words, never
exceptions.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final

import msgspec

from evenload import clock
from evenload.clock import rfc3339
from evenload.drivers import DRIVERS, name_of
from evenload.drivers.base import BalancerView, Driver, Place
from evenload.groups import Groups
from evenload.kube.client import Client
from evenload.kube.reflector import Key, Reflector
from evenload.kube.resources import (
    ENDPOINTSLICES,
    HPAS,
    KRUISE_ROLLOUTS,
    PODS,
    REFERENCEGRANTS,
    REPLICASETS,
    SERVICES,
    Manifest,
    Resource,
)
from evenload.model.base import Value
from evenload.model.decision import HeldReason
from evenload.model.snapshot import Hold, Steering
from evenload.model.wording import duration
from evenload.observe.objects import Grant, Service, Slice, TargetRef
from evenload.observe.pods import Labels, PodFacts
from evenload.observe.queries import service_key
from evenload.observe.selectors import Selector, Selectors, isolating
from evenload.observe.workloads import ADOPTING, KINDS, ArgoRollout, Hpa, KruiseRollout, Owned, Workload

STUCK_SECONDS: Final = 900.0
"""A rollout, or an autoscaler, of which nothing moved for so long, is not waited for. A Deployment's own deadline is
600 s by default; then its conditions tell."""
VERSIONS: Final = 4
"""Of a balancer's object, for the changelog: so many changes between two ticks are told apart."""
LEAVING_SECONDS: Final = 60.0
"""A pod that is still there so long after its grace period is stuck: a kubelet cleans up in seconds."""


_NO_SLICES: Final = (
    "it has no selector, and no EndpointSlice says who stands behind it: write slices whose endpoints have a targetRef "
    "to a Pod, or give it a selector"
)


class Trouble(StrEnum):
    """Why a Balancer's fleet cannot be told. A stable word: it becomes the reason of a condition."""

    NotSynced = "NotSynced"
    KindMissing = "KindMissing"
    TargetNotFound = "TargetNotFound"
    ServiceNotFound = "ServiceNotFound"
    NoPods = "NoPods"
    NoSelector = "NoSelector"
    NotPermitted = "NotPermitted"
    DriverDisabled = "DriverDisabled"
    Unreadable = "Unreadable"
    PodShared = "PodShared"


class Problem(Value, frozen=True, kw_only=True):
    """One trouble, in a sentence that says what to do."""

    reason: Trouble
    sentence: str


class Member(Value, frozen=True, kw_only=True):
    """A pod behind a backend: `ready` if the pod and its Service's slices agree that it is."""

    facts: PodFacts
    ready: bool
    workload: str | None
    isolable_by: str | None = None  # see selectors.py


class Fleet(Value, frozen=True, kw_only=True):
    """Who stands behind a route: backend -> pod's name -> pod. With problems, it is not to be acted on."""

    backends: dict[str, dict[str, Member]]
    problems: tuple[Problem, ...] = ()
    holds: tuple[Hold, ...] = ()
    limits: tuple[str, ...] = ()  # what cannot be done, or is not waited for: a sentence each
    steering: dict[str, tuple[Steering, ...]] = msgspec.field(default_factory=dict)  # by backend, where there is any
    services: dict[str, Place] = msgspec.field(default_factory=dict)  # by backend: who counts by Service is asked by it

    @property
    def namespaces(self) -> frozenset[str]:
        return frozenset(member.facts.namespace for pods in self.backends.values() for member in pods.values())

    @property
    def pods(self) -> tuple[str, ...]:
        return tuple(name for pods in self.backends.values() for name in pods)

    def workloads_in(self, namespace: str) -> dict[str, frozenset[str]]:
        """By backend, the workloads of its pods in that namespace: those that this Balancer's restarts can hit."""
        return {
            backend: frozenset(
                each.workload for each in members.values() if each.workload and each.facts.namespace == namespace
            )
            for backend, members in self.backends.items()
        }


class _Crew:
    """The pods behind a Service, and what every tick asks about all of them.

    `watched`: the pods that its slices name, also those that are not there (yet).
    """

    def __init__(self, members: dict[str, Member], watched: frozenset[Key] = frozenset()) -> None:
        self.members = members
        self.watched = watched
        self.leaving = any(member.facts.gone_by is not None for member in members.values())
        self.uids = frozenset(member.facts.uid for member in members.values())
        self.workloads = frozenset((each.facts.namespace, each.workload) for each in members.values() if each.workload)
        # Of the workloads and of what stands between them and the pods.
        self.kinds = frozenset((namespace, workload.partition("/")[0]) for namespace, workload in self.workloads)
        self.kinds |= {(each.facts.namespace, each.facts.owner.kind) for each in members.values() if each.facts.owner}


class ClusterView:
    """Run `run()` as a task; ask once `synced`. Everything is answered from memory."""

    def __init__(
        self,
        client: Client,
        namespaces: Iterable[str] = (),
        *,
        drivers: Iterable[Driver] = tuple(DRIVERS.values()),
        on_route_change: Callable[[Key], None] = lambda key: None,
        reference_grants: bool = False,
        now: Callable[[], float] = clock.now,
    ) -> None:
        """`reference_grants`: whether to watch them, for backends of other namespaces. `drivers`: of what
        the installation looks after; no other kind of balancer is watched. `now`: seconds since the epoch."""
        watched = self._namespaces = tuple(namespaces)
        drivers = tuple(drivers)
        grants = reference_grants and any(REFERENCEGRANTS in each.grants for each in drivers)

        def watch(resource: Resource, decode: Any, on_change: Any = None) -> Reflector[Any]:
            return Reflector(client, resource, decode, watched, on_change=on_change)

        self._now = now
        self._moved_at: dict[tuple[str, Key], float] = {}  # by kind: when a workload or autoscaler last changed
        self._on_route_change = on_route_change
        self._slices_of: Groups[Key, Key] = Groups()
        self._members_of: dict[Key, _Crew] = {}  # by Service that exists, until something changes them
        self._services_of: Groups[Key, Key] = Groups()  # by pod: whose members to find anew when it changes
        self._deliveries: Groups[tuple[str, Key], str] = Groups()  # by balancer
        self._hpas_of: Groups[tuple[str, str], Key] = Groups()
        self._versions: dict[tuple[str, Key], deque[Manifest]] = {}
        self._pods_in: Counter[str] = Counter()
        self._selectors = Selectors()
        self._marked_in: Groups[str, Key] = Groups()  # by namespace: pods that carry the mark of an isolated one
        self._pods: Reflector[PodFacts] = watch(PODS, PodFacts.decode, self._pod_changed)
        self._services: Reflector[Service] = watch(SERVICES, Service, self._service_changed)
        self._slices: Reflector[Slice] = watch(ENDPOINTSLICES, Slice, self._slice_changed)
        self._balancers: dict[str, Reflector[Any]] = {  # Services are watched in any case
            each.kind: self._services
            if each.resource == SERVICES
            else watch(each.resource, dict, partial(self._balancer_changed, each.kind))
            for each in drivers
        }
        self._nameable: dict[str, Reflector[Any]] = {SERVICES.kind: self._services, **self._balancers}
        self._beside_in: Groups[tuple[Resource, str], Key] = Groups()  # by namespace
        self._beside: dict[Resource, Reflector[Any]] = {
            resource: watch(resource, dict, partial(self._beside_changed, resource))
            for each in drivers
            for resource in each.beside
        }
        self._beside_of = {each.kind: tuple(self._beside[resource] for resource in each.beside) for each in drivers}
        self._replica_sets: Reflector[Owned] = watch(REPLICASETS, Owned, self._replica_set_changed)
        self._workloads: dict[str, Reflector[Any]] = {
            kind: watch(
                each.resource, ArgoRollout if kind == "Rollout" else Workload, partial(self._workload_changed, kind)
            )
            for kind, each in KINDS.items()
        }
        self._deployments, self._stateful_sets = self._workloads["Deployment"], self._workloads["StatefulSet"]
        self._kruise_rollouts: Reflector[KruiseRollout] = watch(
            KRUISE_ROLLOUTS, KruiseRollout, partial(self._delivery_changed, "OpenKruise Rollout")
        )
        self._hpas: Reflector[Hpa] = watch(HPAS, Hpa, self._hpa_changed)
        self._grants: Reflector[Grant] | None = watch(REFERENCEGRANTS, Grant) if grants else None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors():
                group.create_task(reflector.run())

    def _reflectors(self) -> tuple[Reflector[Any], ...]:
        watched = (*self._shared(), *self._balancers.values(), *self._beside.values(), *self._always())
        return tuple(dict.fromkeys(watched))

    def _shared(self) -> tuple[Reflector[Any], ...]:
        """Without these nothing can be said of any Balancer."""
        return (self._pods, self._services, self._slices)

    def _concerning(self, kind: str) -> tuple[Reflector[Any], ...]:
        """What a Balancer of a target of that kind is about: other kinds of balancers may fail as they like."""
        own = self._balancers.get(kind, self._services)
        return tuple(dict.fromkeys((*self._shared(), own, *self._beside_of.get(kind, ()), *self._always())))

    def _always(self) -> tuple[Reflector[Any], ...]:
        return (*self._telling(), *((self._grants,) if self._grants else ()))

    def _telling(self) -> tuple[Reflector[Any], ...]:
        """These tell what else is going on: without one that is needed no pod is taken away."""
        return (self._replica_sets, *self._workloads.values(), self._kruise_rollouts, self._hpas)

    @property
    def synced(self) -> bool:
        """Everything that this cluster serves, and that may be read, has been listed once."""
        return all(each.answered for each in self._reflectors())

    @property
    def tried(self) -> bool:
        """Everything has been listed, or could not be, once: a Balancer that needs what is missing can say so."""
        return all(each.tried for each in self._reflectors())

    @property
    def usable(self) -> bool:
        """All that is served and that one kind of balancer needs has been answered, in a watched namespace at least."""
        return self.tried and any(
            all(each.answered for each in self._concerning(kind))
            or any(self._synced_in(namespace, kind) for namespace in self._namespaces)
            for kind in self._balancers or ("",)
        )

    def _synced_in(self, namespace: str, kind: str) -> bool:
        return all(each.synced_in(namespace) for each in self._readable(namespace, kind))

    def _readable(self, namespace: str, kind: str) -> Iterator[Reflector[Any]]:
        """Of what is served and concerns a target of that kind, what may be read there."""
        return (each for each in self._concerning(kind) if each.served and not each.denied_in(namespace))

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the watching now, a sentence a kind. Other projects' kinds need not be there."""
        balancers = tuple(self._balancers.values())
        none_served = not any(each.served for each in balancers)
        needed = (each for each in self._reflectors() if each.served or (none_served and each in balancers))
        return tuple(each.problem for each in needed if each.problem)

    def watches(self, namespace: str) -> bool:
        """Whether this installation looks at that namespace at all."""
        return self._pods.covers(namespace)

    def fresh_age_in(self, namespaces: Iterable[str], kind: str) -> float:
        """Seconds since the API server last showed that what concerns a target of that kind there is up to date.

        It does so every minute at least. A namespace that cannot be watched makes no other one stale.
        """
        ages = (each.fresh_age_in(name) for name in namespaces for each in self._readable(name, kind))
        return max(ages, default=float("inf"))

    @property
    def unreadable(self) -> dict[str, int]:
        """How many objects of each kind could not be decoded and are left out."""
        kinds = Counter[str]()
        for each in self._reflectors():
            kinds[each.resource.kind] += len(each.unreadable)
        return dict(kinds)

    def balancer(self, driver: Driver, namespace: str, name: str) -> Manifest | Problem:
        """The balancer's object as the API server has it. Not to be changed by the caller."""
        kind = driver.kind
        known = self._balancers.get(kind)
        if known is None:
            return Problem(
                reason=Trouble.DriverDisabled,
                sentence=f"this installation does not look after {kind}s "
                f"(drivers.{name_of(driver)}.enabled of the chart)",
            )
        for each in (known, *self._beside_of[kind]):
            if each.denied_in(namespace):
                return Problem(reason=Trouble.NotPermitted, sentence=_denied(each, namespace))
        if not known.served:
            return Problem(
                reason=Trouble.KindMissing,
                sentence=f"this cluster does not serve {kind}; install {driver.to_install}",
            )
        found = known.objects.get((namespace, name))
        if found is not None:
            return found if isinstance(found, dict) else msgspec.to_builtins(found)
        if not self._synced_in(namespace, kind):
            return Problem(reason=Trouble.NotSynced, sentence=self._waiting(namespace, kind))
        return Problem(
            reason=Trouble.TargetNotFound,
            sentence=f"{kind} {namespace}/{name} does not exist; create it or correct spec.targetRef",
        )

    def beside(self, resource: Resource, namespace: str) -> Iterator[Manifest]:
        """The objects in a namespace of a kind that a driver reads beside its own, by name."""
        objects = self._beside[resource].objects
        return (objects[key] for key in sorted(self._beside_in.of((resource, namespace))))

    def kinds_known_in(self, namespace: str) -> frozenset[str]:
        """Of Services and balancers: those of which every object in that namespace is here."""
        return frozenset(
            kind
            for kind, each in self._nameable.items()
            if each.served
            and each.synced_in(namespace)
            and not each.denied_in(namespace)
            and not any(where == namespace for where, _ in each.unreadable)
        )

    def named(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """A Service, as far as it is read here, or a balancer, with its kind; None where there is none."""
        known = self._nameable.get(kind)
        found = known.objects.get((namespace, name)) if known else None
        if known is None or found is None:
            return None
        manifest = found if isinstance(found, dict) else msgspec.to_builtins(found)
        return {**manifest, "apiVersion": known.resource.api_version, "kind": kind}

    def version_of(self, kind: str, namespace: str, name: str) -> str | None:
        """Its resourceVersion; None where there is none."""
        known = self._nameable.get(kind)
        found = known.objects.get((namespace, name)) if known else None
        if found is None:
            return None
        return str(
            found["metadata"].get("resourceVersion", "") if isinstance(found, dict) else found.metadata.resource_version
        )

    def pods_in(self, namespaces: Iterable[str]) -> int:
        """How many pods there are in these namespaces, those of other applications included."""
        return sum(self._pods_in[namespace] for namespace in namespaces)

    def granted(self, service: Place, kind: Resource, namespace: str) -> bool:
        """Whether a ReferenceGrant lets objects of that `kind` of `namespace` name that Service of another one."""
        grants = self._grants.objects if self._grants else {}
        return any(
            where == service.namespace and grant.allows(kind, namespace, service.name)
            for (where, _), grant in grants.items()
        )

    def grants_unknown(self, namespaces: Iterable[str]) -> str:
        """Why nobody can tell what these namespaces grant, or ""."""
        grants = self._grants
        return next((_denied(grants, name) for name in namespaces if grants and grants.denied_in(name)), "")

    def versions(self, kind: str, namespace: str, name: str) -> tuple[Manifest, ...]:
        """The balancer's object before each of the last changes of its spec that were seen, oldest first."""
        return tuple(self._versions.get((kind, (namespace, name)), ()))

    def fleet(self, view: BalancerView) -> Fleet:
        """Whose pods the route's backends lead to. Not to be changed by the caller: ticks share it."""
        namespaces = sorted({service.namespace for service in view.services.values()})
        if problem := self._not_known(namespaces, view.kind):
            return Fleet(backends={}, problems=(problem,))
        crews = {key: self._crew(service) for key, service in view.services.items()}
        stuck = [member for crew in crews.values() if crew.leaving for member in self._stuck(crew)]
        backends = {
            key: _without(crew.members, stuck)
            if view.services[key].namespace == view.namespace
            else _untouchable(_without(crew.members, stuck))
            for key, crew in crews.items()
        }
        problems = [*self._unreadable(view, crews.values()), *self._empty(view, backends), *_shared_pods(crews)]
        holds, limits = self._going_on(crews.values())
        denied = sorted(set(self._denied_behind(crews.values())))
        if denied:
            holds = (*holds, Hold(reason=HeldReason.NotPermitted, detail=denied[0], restarts_only=True))
        told = (
            *(f"{text}; until then it takes no pod away" for text in denied),
            *limits,
            *map(self._leaving, stuck),
            *self._empty_subsets(view, backends),
        )
        return Fleet(
            backends=backends,
            problems=tuple(problems),
            holds=holds,
            limits=told,
            steering=self._steering(view),
            services=view.services,
        )

    def _steering(self, view: BalancerView) -> dict[str, tuple[Steering, ...]]:
        """Of a Service that is the target itself: gateways send to pods, past what is set on their Service."""
        if view.kind != SERVICES.kind:
            return {}
        services = {key: self._services.objects.get((each.namespace, each.name)) for key, each in view.services.items()}
        return {key: service.steering for key, service in services.items() if service is not None and service.steering}

    def _not_known(self, namespaces: Iterable[str], kind: str) -> Problem | None:
        """Why nothing can be said of these namespaces."""
        for namespace in namespaces:
            for each in self._shared():
                if each.denied_in(namespace):
                    return Problem(reason=Trouble.NotPermitted, sentence=_denied(each, namespace))
            if not self._synced_in(namespace, kind):
                return Problem(reason=Trouble.NotSynced, sentence=self._waiting(namespace, kind))
        return None

    def _denied_behind(self, crews: Iterable[_Crew]) -> Iterator[str]:
        """What may not be read of what stands behind the route. Kinds that nothing there is of are not missed."""
        kinds: dict[str, Reflector[Any]] = {"ReplicaSet": self._replica_sets, **self._workloads}
        for namespace, kind in frozenset[tuple[str, str]]().union(*(crew.kinds for crew in crews)):
            for each in (kinds.get(kind), self._hpas):
                if each is not None and each.denied_in(namespace):
                    yield _denied(each, namespace)

    def _stuck(self, crew: _Crew) -> Iterator[Member]:
        """Pods that should be gone: on a lost node, or kept by a finalizer. Nobody waits for them, or counts them."""
        now = self._now()
        for member in crew.members.values():
            if member.facts.gone_by is not None and now > member.facts.gone_by + LEAVING_SECONDS:
                yield member

    def _leaving(self, member: Member) -> str:
        facts = member.facts
        return (
            f"pod {facts.name} on node {facts.node} should have been gone since {rfc3339(facts.gone_by or 0.0)[:19]}Z "
            "(is the node lost, or does a finalizer keep the pod?) and is not waited for"
        )

    def delivery(self, view: BalancerView) -> str | None:
        """A canary controller's object that says of itself that it sets the weights of this route, as kind and name."""
        return self.delivered_by(view.kind, view.namespace, view.name)

    def delivered_by(self, kind: str, namespace: str, name: str) -> str | None:
        """The same, by the balancer's kind and name."""
        return min(self._deliveries.of((kind, (namespace, name))), default=None)

    def workload_of(self, pod: PodFacts) -> str | None:
        """ "Deployment/shop-a": what a person would restart. None: no controller would replace the pod."""
        if pod.owner is None:
            return None
        if pod.owner.kind == "ReplicaSet":
            replica_set = self._replica_sets.objects.get((pod.namespace, pod.owner.name))
            owner = replica_set.metadata.controller() if replica_set else None
            if owner is not None:
                return f"{owner.kind}/{owner.name}"
        return f"{pod.owner.kind}/{pod.owner.name}"

    def _waiting(self, namespace: str, kind: str) -> str:
        waiting = (each for each in self._readable(namespace, kind) if not each.synced_in(namespace))
        what = "; ".join(each.problem or each.resource.plural for each in waiting)
        return f"the cluster is still being read: {what}"

    def _crew(self, place: Place) -> _Crew:
        crew = self._whole_crew(place)
        if not place.labels:
            return crew
        wanted = frozenset(place.labels)
        mine = {name: each for name, each in crew.members.items() if wanted.issubset(each.facts.labels)}
        # An eviction of a subset's pod is refused (act/restart.py): it would lose its label in vain.
        return _Crew({name: msgspec.structs.replace(each, isolable_by=None) for name, each in mine.items()})

    def _whole_crew(self, service: Place) -> _Crew:
        """Of the Service, whatever the subset."""
        key = (service.namespace, service.name)
        if key not in self._members_of:
            crew = self._found(service)
            if key not in self._services.objects:
                return crew  # routes may name what never was: only what exists is remembered
            self._members_of[key] = crew
            for pod in crew.watched:
                self._services_of.add(pod, key)
        return self._members_of[key]

    def _found(self, service: Place) -> _Crew:
        members: dict[str, Member] = {}
        watched = set()
        isolable = functools.cache(partial(self._isolable_by, service))  # once for the pods of a workload
        for target, ready in self._targets(service):
            pod = (service.namespace, target.name)
            watched.add(pod)
            facts = self._pods.objects.get(pod)
            if facts is None or (target.uid and facts.uid != target.uid):
                continue  # the slice or the pod list is a moment behind the other
            known = members.get(facts.name)  # a dual-stack Service has two slices
            ready = (ready and facts.ready and not facts.terminating) or (known is not None and known.ready)
            members[facts.name] = Member(
                facts=facts,
                ready=ready,
                workload=self.workload_of(facts),
                isolable_by=isolable(facts.labels, facts.owner.name)
                if facts.owner is not None and facts.owner.kind == REPLICASETS.kind
                else None,
            )
        return _Crew(members, frozenset(watched))

    def _isolable_by(self, service: Place, labels: Labels, owner: str) -> str | None:
        """The label whose removal isolates a pod of that ReplicaSet; None where it cannot be isolated."""
        where = service.namespace
        owns = self._selectors.of(REPLICASETS.kind, (where, owner))
        selects = self._selectors.of(SERVICES.kind, (where, service.name))
        if owns is None or selects is None:
            return None
        return isolating(labels, selects, owns, lambda rest: any(True for _ in self._selectors.selecting(where, rest)))

    def pod(self, namespace: str, name: str) -> PodFacts | None:
        """The pod of that name, if there is one."""
        return self._pods.objects.get((namespace, name))

    def selects(self, place: Place, label: str) -> bool:
        """Whether that Service selects its pods by that label ("app=web"), among others."""
        selector = self._selectors.of(SERVICES.kind, (place.namespace, place.name))
        key, _, value = label.partition("=")
        return selector is not None and (selector.match_labels or {}).get(key) == value

    def alike(self, place: Place) -> Iterator[Place]:
        """Services of other namespaces that rows by Service name as they name that one."""
        parts = service_key(place.namespace, place.name).split("-")
        for cut in range(1, len(parts)):
            namespace, name = "-".join(parts[:cut]), "-".join(parts[cut:])
            if namespace != place.namespace and (namespace, name) in self._services.objects:
                yield Place(namespace=namespace, name=name)

    def marked_in(self, namespace: str) -> Iterator[PodFacts]:
        """Pods there that are annotated as isolated, by whomever."""
        return (self._pods.objects[key] for key in sorted(self._marked_in.of(namespace)))

    def _find_anew(self, service: Key) -> None:
        """Forget who stands behind a Service: the next who asks looks again."""
        crew = self._members_of.pop(service, None)
        for pod in crew.watched if crew else ():
            self._services_of.discard(pod, service)

    def _targets(self, service: Place) -> Iterator[tuple[TargetRef, bool]]:
        for key in self._slices_of.of((service.namespace, service.name)):
            for endpoint in self._slices.objects[key].endpoints or ():
                if endpoint.target_ref is not None and endpoint.target_ref.kind == "Pod":
                    yield endpoint.target_ref, endpoint.conditions.ready is not False

    def _unreadable(self, view: BalancerView, crews: Iterable[_Crew]) -> Iterator[Problem]:
        """What may stand behind the route and is not known: what a slice or a pod names, else all there is."""
        services = view.services.values()
        namespaces = {service.namespace for service in services}
        for reflector in self._concerning(view.kind):
            if not reflector.unreadable or reflector is self._kruise_rollouts:  # that one stands behind no pod
                continue
            named = self._named(reflector, services, crews)
            for key, why in reflector.unreadable.items():
                if key in named if named is not None else key[0] in namespaces:
                    what = f"{reflector.resource.kind} {key[0]}/{key[1]}"
                    sentence = f"{what} holds something that this version of Evenload cannot read: {why}"
                    yield Problem(reason=Trouble.Unreadable, sentence=sentence)

    def _named(self, reflector: Reflector[Any], services: Iterable[Place], crews: Iterable[_Crew]) -> set[Key] | None:
        """The objects of that kind that stand behind the route; None where nothing tells which."""
        kind = reflector.resource.kind
        if reflector is self._pods:
            return {(service.namespace, target.name) for service in services for target, _ in self._targets(service)}
        if kind not in self._workloads:
            return None
        found = {each for crew in crews for each in crew.workloads}
        return {(namespace, name.partition("/")[2]) for namespace, name in found if name.startswith(f"{kind}/")}

    def _empty(self, view: BalancerView, backends: dict[str, dict[str, Member]]) -> Iterator[Problem]:
        """Backends whose pods cannot be told. One that has none, beside others that do, is for the engine to judge."""
        deserted = not any(backends.values())
        for key, service in view.services.items():
            where = f"{service.namespace}/{service.name}"
            known = self._services.objects.get((service.namespace, service.name))
            if known is None:
                sentence = f"Service {where} does not exist; create it or take it out of {view.kind} {view.name}"
                yield Problem(reason=Trouble.ServiceNotFound, sentence=sentence)
            elif not backends[key] and self._whole_crew(service).members:  # a subset, as `_empty_subsets` says
                if deserted:
                    yield Problem(reason=Trouble.NoPods, sentence=self._without_pods(service))
            elif not backends[key] and (view.weights[key] or deserted):
                if problem := self._podless(known, service, where):
                    yield problem
                elif deserted:
                    why = "does its selector match the pods' labels?" if known.spec.selector else _NO_SLICES
                    yield Problem(reason=Trouble.NoPods, sentence=f"Service {where} leads to no pod; {why}")

    def _empty_subsets(self, view: BalancerView, backends: dict[str, dict[str, Member]]) -> Iterator[str]:
        for key, place in view.services.items():
            if place.labels and not backends[key] and self._whole_crew(place).members:
                yield self._without_pods(place)

    def _without_pods(self, place: Place) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in place.labels)
        count = len(self._whole_crew(place).members)
        return (
            f"subset {place.subset} of Service {place.namespace}/{place.name} has no pods: none of the Service's "
            f"{count} has its labels ({labels}); correct them in the DestinationRule, or label the pods"
        )

    def _podless(self, known: Service, service: Place, where: str) -> Problem | None:
        """Why a Service may well be answered for, though no pod behind it is known."""
        if known.spec.type == "ExternalName":
            sentence = f"Service {where} is an ExternalName ({known.spec.external_name}): it has no pods to look after"
            return Problem(reason=Trouble.NoSelector, sentence=f"{sentence}; give its backend weight 0 or another rule")
        slices = [self._slices.objects[key] for key in self._slices_of.of((service.namespace, service.name))]
        endpoints = [endpoint for each in slices for endpoint in each.endpoints or ()]
        if any(each.target_ref is None or each.target_ref.kind != "Pod" for each in endpoints):
            sentence = (
                f"Service {where} has no selector: somebody else writes its EndpointSlices, and they name no pods"
                if not known.spec.selector
                else f"the EndpointSlices of Service {where} name no pods"
            )
            return Problem(reason=Trouble.NoSelector, sentence=f"{sentence}, so there is nobody to look after")
        if any(each.conditions.ready is not False for each in endpoints):
            sentence = f"the EndpointSlices of Service {where} name pods that are not in the list of pods (yet)"
            return Problem(reason=Trouble.NotSynced, sentence=sentence)
        return None

    def _going_on(self, crews: Iterable[_Crew]) -> tuple[tuple[Hold, ...], tuple[str, ...]]:
        """What is waited for, and what is not because it would not end."""
        workloads = frozenset[tuple[str, str]]().union(*(crew.workloads for crew in crews))
        found = [each for namespace, name in sorted(workloads) for each in self._changes_of(namespace, name)]
        return tuple(each for each in found if isinstance(each, Hold)), tuple(
            each for each in found if isinstance(each, str)
        )

    def _changes_of(self, namespace: str, workload: str) -> Iterator[Hold | str]:
        kind, _, name = workload.partition("/")
        yield from self._rollout(kind, (namespace, name))
        for key in self._hpas_of.of((namespace, workload)):
            hpa = self._hpas.objects[key]
            if hpa.status.current_replicas != hpa.status.desired_replicas and not hpa.off:
                now, wanted = hpa.status.current_replicas, hpa.status.desired_replicas
                if why := hpa.stuck or self._still(HPAS.kind, key):
                    yield f"HorizontalPodAutoscaler {key[1]} does not scale {workload} ({why}) and is not waited for"
                else:
                    detail = f"{workload} is being scaled from {now} to {wanted} pods"
                    yield Hold(reason=HeldReason.Autoscaling, detail=detail)

    def _rollout(self, kind: str, key: Key) -> Iterator[Hold | str]:
        how = KINDS.get(kind)
        workload = self._workloads[kind].objects.get(key) if how else None
        if how is None or workload is None or not (rollout := how.rollout(workload)):
            return
        why = how.stuck(workload) or self._still(kind, key)
        detail = f"{kind}/{key[1]} is being rolled out: {rollout}"
        if why:
            yield f"the rollout of {kind}/{key[1]} does not go on ({why}; {rollout}) and is not waited for"
        if not why or how.canary:  # what is meant to stand half-way is left to stand
            yield Hold(reason=HeldReason.Rollout, detail=detail, restarts_only=bool(why))

    def _still(self, kind: str, key: Key) -> str:
        """That nothing of it has moved for too long, if so."""
        since = self._now() - self._moved_at.get((kind, key), self._now())
        return f"nothing has moved for more than {duration(STUCK_SECONDS)}" if since > STUCK_SECONDS else ""

    def _moved(self, kind: str, key: Key, before: object, after: object) -> None:
        if after is None:
            self._moved_at.pop((kind, key), None)
        elif before != after:
            self._moved_at[kind, key] = self._now()

    def _workload_changed(self, kind: str, key: Key, before: Workload | None, after: Workload | None) -> None:
        self._moved(kind, key, before, after)
        if kind in ADOPTING:
            self._selects(kind, key, after.spec.selector if after is not None else None)
        if isinstance(before, ArgoRollout) or isinstance(after, ArgoRollout):
            self._delivery_changed("Argo Rollout", key, before, after)

    def _delivery_changed(self, what: str, key: Key, before: Any, after: Any) -> None:
        for version, change in ((before, self._deliveries.discard), (after, self._deliveries.add)):
            for kind, name in version.balancers if version is not None else ():
                change((kind, (key[0], name)), f"{what} {key[1]}")

    def _service_changed(self, key: Key, before: Service | None, after: Service | None) -> None:
        if after is None:
            self._find_anew(key)
        selector = after.spec.selector if after is not None else None
        self._selects(SERVICES.kind, key, Selector(match_labels=selector) if selector else None)

    def _selects(self, kind: str, key: Key, selector: Selector | None) -> None:
        """What isolates a pod hangs on everything that selects pods there."""
        if self._selectors.change(kind, key, selector):
            for service in [each for each in self._members_of if each[0] == key[0]]:
                self._find_anew(service)

    def _slice_changed(self, key: Key, before: Slice | None, after: Slice | None) -> None:
        for version, change in ((before, self._slices_of.discard), (after, self._slices_of.add)):
            if version is not None:
                service = (key[0], version.metadata.labels.service)
                change(service, key)
                self._find_anew(service)

    def _pod_changed(self, key: Key, before: PodFacts | None, after: PodFacts | None) -> None:
        self._pods_in[key[0]] += (after is not None) - (before is not None)
        if not self._pods_in[key[0]]:
            del self._pods_in[key[0]]
        if after is not None and after.isolated:
            self._marked_in.add(key[0], key)
        elif before is not None and before.isolated:
            self._marked_in.discard(key[0], key)
        if before != after:
            for service in tuple(self._services_of.of(key)):
                self._find_anew(service)

    def _replica_set_changed(self, key: Key, before: Owned | None, after: Owned | None) -> None:
        if before is None or after is None:  # a pod may be seen before the ReplicaSet that tells its Deployment
            self._members_of.clear()
            self._services_of.clear()
        self._selectors.change(REPLICASETS.kind, key, after.spec.selector if after is not None else None)

    def _hpa_changed(self, key: Key, before: Hpa | None, after: Hpa | None) -> None:
        self._moved(HPAS.kind, key, before, after)
        for version, change in ((before, self._hpas_of.discard), (after, self._hpas_of.add)):
            if version is not None:
                target = version.spec.scale_target_ref
                change((key[0], f"{target.kind}/{target.name}"), key)

    def _balancer_changed(self, kind: str, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        if after is None:
            self._versions.pop((kind, key), None)
        elif before is not None and before.get("spec") != after.get("spec"):
            self._versions.setdefault((kind, key), deque(maxlen=VERSIONS)).append(before)
        self._on_route_change(key)

    def _beside_changed(self, resource: Resource, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        change = self._beside_in.add if after is not None else self._beside_in.discard
        change((resource, key[0]), key)


def _denied(reflector: Reflector[Any], namespace: str) -> str:
    """With the rule that is missing."""
    resource = reflector.resource
    return (
        f"Evenload may not list {resource.plural} in namespace {namespace}; its role lacks the rule "
        f'apiGroups: ["{resource.group}"], resources: ["{resource.plural}"], verbs: ["list", "watch"]'
    )


def _without(members: dict[str, Member], gone: Collection[Member]) -> dict[str, Member]:
    """The same object where nobody is gone: ticks share it."""
    names = {each.facts.uid for each in gone}
    if not names:
        return members
    return {name: each for name, each in members.items() if each.facts.uid not in names}


def _untouchable(members: Mapping[str, Member]) -> dict[str, Member]:
    """Pods of another namespace: weighted where that is allowed, never drained or evicted."""
    protect = msgspec.structs.replace
    return {name: protect(each, facts=protect(each.facts, protected=True)) for name, each in members.items()}


def _shared_pods(crews: Mapping[str, _Crew]) -> Iterator[Problem]:
    if len(frozenset[str]().union(*(crew.uids for crew in crews.values()))) == sum(
        len(crew.uids) for crew in crews.values()
    ):
        return
    seen: dict[str, str] = {}
    for backend, crew in crews.items():
        for member in crew.members.values():
            other = seen.setdefault(member.facts.uid, backend)
            if other != backend:
                sentence = (
                    f"pod {member.facts.name} stands behind {other} and {backend}; let each Service select its own"
                )
                yield Problem(reason=Trouble.PodShared, sentence=sentence)
                return
