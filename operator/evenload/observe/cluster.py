"""The cluster as Balancers need it: whose pods stand behind a backend, in what state, and what else is going on there.

Membership comes from EndpointSlices, because they are what data planes go by: a pod belongs to a backend if a slice of
its Service names the pod and its UID, and is ready if both the slice and the pod itself say so.

A cluster without the Gateway API, a Service without pods, a missing permission: all are Problems in words, never
exceptions.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from evenload.drivers.base import RouteView, ServiceName
from evenload.groups import Groups
from evenload.kube.client import Client
from evenload.kube.reflector import Key, Reflector
from evenload.kube.resources import (
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HPAS,
    HTTPROUTES,
    PODS,
    REFERENCEGRANTS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
    Manifest,
    Resource,
)
from evenload.model.base import Value
from evenload.model.decision import HeldReason
from evenload.model.snapshot import Hold
from evenload.observe.pods import Meta, Partial, PodFacts
from evenload.observe.workloads import Hpa, Owned, Workload, deployment_rollout, stateful_set_rollout

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"


class _Service(Partial):
    metadata: Meta


class _SliceLabels(Partial):
    service: str = msgspec.field(name=SERVICE_NAME_LABEL, default="")


class _SliceMeta(Meta):
    labels: _SliceLabels = msgspec.field(default_factory=_SliceLabels)


class _TargetRef(Partial):
    kind: str = ""
    name: str = ""
    uid: str = ""


class _EndpointConditions(Partial):
    ready: bool | None = None


class _Endpoint(Partial):
    target_ref: _TargetRef | None = None
    conditions: _EndpointConditions = msgspec.field(default_factory=_EndpointConditions)


class _Slice(Partial):
    metadata: _SliceMeta
    endpoints: tuple[_Endpoint, ...] | None = None


class _Granted(Partial):
    group: str = ""
    kind: str = ""
    namespace: str = ""  # of those who refer
    name: str | None = None  # of what is referred to; None: any


class _GrantSpec(Partial):
    sources: tuple[_Granted, ...] = msgspec.field(name="from", default=())
    targets: tuple[_Granted, ...] = msgspec.field(name="to", default=())


class _Grant(Partial):
    metadata: Meta
    spec: _GrantSpec = msgspec.field(default_factory=_GrantSpec)

    def allows(self, namespace: str, service: str) -> bool:
        """Whether HTTPRoutes of `namespace` may name `service` of the grant's own namespace."""
        source = (HTTPROUTES.group, HTTPROUTES.kind, namespace)
        return any((each.group, each.kind, each.namespace) == source for each in self.spec.sources) and any(
            (each.group, each.kind) == ("", "Service") and each.name in (None, "", service)
            for each in self.spec.targets
        )


class Trouble(StrEnum):
    """Why a Balancer's fleet cannot be told. A stable word: it becomes the reason of a condition."""

    NotSynced = "NotSynced"
    GatewayApiMissing = "GatewayApiMissing"
    RouteNotFound = "RouteNotFound"
    ServiceNotFound = "ServiceNotFound"
    NoPods = "NoPods"
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


class Fleet(Value, frozen=True, kw_only=True):
    """Who stands behind a route: backend -> pod's name -> pod. With problems, it is not to be acted on."""

    backends: dict[str, dict[str, Member]]
    problems: tuple[Problem, ...] = ()
    holds: tuple[Hold, ...] = ()

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
        self.uids = frozenset(member.facts.uid for member in members.values())
        self.workloads = frozenset((each.facts.namespace, each.workload) for each in members.values() if each.workload)


class ClusterView:
    """Run `run()` as a task; ask once `synced`. Everything is answered from memory."""

    def __init__(
        self,
        client: Client,
        namespaces: Iterable[str] = (),
        *,
        on_route_change: Callable[[Key], None] = lambda key: None,
        reference_grants: bool = False,
    ) -> None:
        """`reference_grants`: whether to watch them, for backends of other namespaces."""
        watched = self._namespaces = tuple(namespaces)

        def watch(resource: Resource, decode: Any, on_change: Any = None) -> Reflector[Any]:
            return Reflector(client, resource, decode, watched, on_change=on_change)

        self._on_route_change = on_route_change
        self._slices_of: Groups[Key, Key] = Groups()
        self._members_of: dict[Key, _Crew] = {}  # by Service that exists, until something changes them
        self._services_of: Groups[Key, Key] = Groups()  # by pod: whose members to find anew when it changes
        self._hpas_of: Groups[tuple[str, str], Key] = Groups()
        self._previous_routes: dict[Key, Manifest] = {}
        self._pods_in: Counter[str] = Counter()
        self._pods: Reflector[PodFacts] = watch(PODS, PodFacts.decode, self._pod_changed)
        self._services: Reflector[_Service] = watch(SERVICES, _Service, self._service_changed)
        self._slices: Reflector[_Slice] = watch(ENDPOINTSLICES, _Slice, self._slice_changed)
        self._routes: Reflector[Manifest] = watch(HTTPROUTES, dict, self._route_changed)
        self._replica_sets: Reflector[Owned] = watch(REPLICASETS, Owned, self._replica_set_changed)
        self._deployments: Reflector[Workload] = watch(DEPLOYMENTS, Workload)
        self._stateful_sets: Reflector[Workload] = watch(STATEFULSETS, Workload)
        self._hpas: Reflector[Hpa] = watch(HPAS, Hpa, self._hpa_changed)
        self._grants: Reflector[_Grant] | None = watch(REFERENCEGRANTS, _Grant) if reference_grants else None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors():
                group.create_task(reflector.run())

    def _reflectors(self) -> tuple[Reflector[Any], ...]:
        leading = (self._pods, self._services, self._slices, self._routes)
        grants = (self._grants,) if self._grants else ()
        return (*leading, self._replica_sets, self._deployments, self._stateful_sets, self._hpas, *grants)

    @property
    def synced(self) -> bool:
        """Everything that this cluster serves has been listed once."""
        return all(each.synced or not each.served for each in self._reflectors())

    @property
    def tried(self) -> bool:
        """Everything has been listed, or could not be, once: a Balancer that needs what is missing can say so."""
        return all(each.tried for each in self._reflectors())

    @property
    def usable(self) -> bool:
        """Everything that is served has been listed in one of the watched namespaces at least."""
        return self.tried and (self.synced or any(map(self._synced_in, self._namespaces)))

    def _synced_in(self, namespace: str) -> bool:
        return all(each.synced_in(namespace) or not each.served for each in self._reflectors())

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the watching now, a sentence a kind."""
        return tuple(each.problem for each in self._reflectors() if each.problem)

    def watches(self, namespace: str) -> bool:
        """Whether this installation looks at that namespace at all."""
        return self._pods.covers(namespace)

    def fresh_age_in(self, namespaces: Iterable[str]) -> float:
        """Seconds since the API server last showed that what concerns these namespaces is up to date.

        It does so every minute at least. A namespace that cannot be watched makes no other one stale.
        """
        served = [each for each in self._reflectors() if each.served]
        return max((each.fresh_age_in(name) for each in served for name in namespaces), default=float("inf"))

    @property
    def unreadable(self) -> dict[str, int]:
        """How many objects of each kind could not be decoded and are left out."""
        return {each.resource.kind: len(each.unreadable) for each in self._reflectors()}

    def route(self, namespace: str, name: str) -> Manifest | Problem:
        """The route as the API server has it. Not to be changed by the caller."""
        if not self._routes.served:
            return Problem(
                reason=Trouble.GatewayApiMissing,
                sentence="this cluster does not serve HTTPRoute; install the Gateway API's CRDs (v1) and a gateway",
            )
        found = self._routes.objects.get((namespace, name))
        if found is not None:
            return found
        if not self._synced_in(namespace):
            return Problem(reason=Trouble.NotSynced, sentence=self._waiting(namespace))
        return Problem(
            reason=Trouble.RouteNotFound,
            sentence=f"HTTPRoute {namespace}/{name} does not exist; create it or correct spec.targetRef",
        )

    def pods_in(self, namespaces: Iterable[str]) -> int:
        """How many pods there are in these namespaces, those of other applications included."""
        return sum(self._pods_in[namespace] for namespace in namespaces)

    def granted(self, service: ServiceName, namespace: str) -> bool:
        """Whether a ReferenceGrant lets routes of `namespace` name that Service of another one."""
        grants = self._grants.objects if self._grants else {}
        return any(
            where == service.namespace and grant.allows(namespace, service.name) for (where, _), grant in grants.items()
        )

    def previous_route(self, namespace: str, name: str) -> Manifest | None:
        """The route before its spec last changed, if that was seen."""
        return self._previous_routes.get((namespace, name))

    def fleet(self, view: RouteView) -> Fleet:
        """Whose pods the route's backends lead to. Not to be changed by the caller: ticks share it."""
        for namespace in {service.namespace for service in view.services.values()}:
            if not self._synced_in(namespace):
                problem = Problem(reason=Trouble.NotSynced, sentence=self._waiting(namespace))
                return Fleet(backends={}, problems=(problem,))
        crews = {key: self._crew(service) for key, service in view.services.items()}
        backends = {
            key: crew.members if view.services[key].namespace == view.namespace else _untouchable(crew.members)
            for key, crew in crews.items()
        }
        problems = [*self._unreadable(view), *self._empty(view, backends), *_shared_pods(crews)]
        return Fleet(backends=backends, problems=tuple(problems), holds=self._holds(crews.values()))

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

    def _waiting(self, namespace: str) -> str:
        waiting = (each for each in self._reflectors() if each.served and not each.synced_in(namespace))
        what = "; ".join(each.problem or each.resource.plural for each in waiting)
        return f"the cluster is still being read: {what}"

    def _crew(self, service: ServiceName) -> _Crew:
        key = (service.namespace, service.name)
        if key not in self._members_of:
            crew = self._found(service)
            if key not in self._services.objects:
                return crew  # routes may name what never was: only what exists is remembered
            self._members_of[key] = crew
            for pod in crew.watched:
                self._services_of.add(pod, key)
        return self._members_of[key]

    def _found(self, service: ServiceName) -> _Crew:
        members: dict[str, Member] = {}
        watched = set()
        for target, ready in self._targets(service):
            pod = (service.namespace, target.name)
            watched.add(pod)
            facts = self._pods.objects.get(pod)
            if facts is None or (target.uid and facts.uid != target.uid):
                continue  # the slice or the pod list is a moment behind the other
            known = members.get(facts.name)  # a dual-stack Service has two slices
            ready = (ready and facts.ready and not facts.terminating) or (known is not None and known.ready)
            members[facts.name] = Member(facts=facts, ready=ready, workload=self.workload_of(facts))
        return _Crew(members, frozenset(watched))

    def _find_anew(self, service: Key) -> None:
        """Forget who stands behind a Service: the next who asks looks again."""
        crew = self._members_of.pop(service, None)
        for pod in crew.watched if crew else ():
            self._services_of.discard(pod, service)

    def _targets(self, service: ServiceName) -> Iterator[tuple[_TargetRef, bool]]:
        for key in self._slices_of.of((service.namespace, service.name)):
            for endpoint in self._slices.objects[key].endpoints or ():
                if endpoint.target_ref is not None and endpoint.target_ref.kind == "Pod":
                    yield endpoint.target_ref, endpoint.conditions.ready is not False

    def _unreadable(self, view: RouteView) -> Iterator[Problem]:
        """What may stand behind the route and is not known: of pods those that a slice names, else the namespace's."""
        services = view.services.values()
        namespaces = {service.namespace for service in services}
        pods = self._pods.unreadable and {
            (service.namespace, target.name) for service in services for target, _ in self._targets(service)
        }
        for reflector in self._reflectors():
            for key, why in reflector.unreadable.items():
                if key in pods if reflector is self._pods else key[0] in namespaces:
                    what = f"{reflector.resource.kind} {key[0]}/{key[1]}"
                    sentence = f"{what} holds something that this version of Evenload cannot read: {why}"
                    yield Problem(reason=Trouble.Unreadable, sentence=sentence)

    def _empty(self, view: RouteView, backends: dict[str, dict[str, Member]]) -> Iterator[Problem]:
        for key, service in view.services.items():
            where = f"{service.namespace}/{service.name}"
            if (service.namespace, service.name) not in self._services.objects:
                sentence = f"Service {where} does not exist; create it or take it out of {view.kind} {view.name}"
                yield Problem(reason=Trouble.ServiceNotFound, sentence=sentence)
            elif not backends[key]:
                sentence = f"Service {where} leads to no pod; does its selector match the pods' labels?"
                yield Problem(reason=Trouble.NoPods, sentence=sentence)

    def _holds(self, crews: Iterable[_Crew]) -> tuple[Hold, ...]:
        workloads = frozenset[tuple[str, str]]().union(*(crew.workloads for crew in crews))
        return tuple(hold for namespace, name in sorted(workloads) for hold in self._holds_of(namespace, name))

    def _holds_of(self, namespace: str, workload: str) -> Iterator[Hold]:
        kind, _, name = workload.partition("/")
        if rollout := self._rollout(kind, (namespace, name)):
            yield Hold(reason=HeldReason.Rollout, detail=f"{workload} is being rolled out: {rollout}")
        for key in self._hpas_of.of((namespace, workload)):
            status = self._hpas.objects[key].status
            if status.current_replicas != status.desired_replicas:
                detail = f"{workload} is being scaled from {status.current_replicas} to {status.desired_replicas} pods"
                yield Hold(reason=HeldReason.Autoscaling, detail=detail)

    def _rollout(self, kind: str, key: Key) -> str:
        if kind == "Deployment" and key in self._deployments.objects:
            return deployment_rollout(self._deployments.objects[key])
        if kind == "StatefulSet" and key in self._stateful_sets.objects:
            return stateful_set_rollout(self._stateful_sets.objects[key])
        return ""

    def _service_changed(self, key: Key, before: _Service | None, after: _Service | None) -> None:
        if after is None:
            self._find_anew(key)

    def _slice_changed(self, key: Key, before: _Slice | None, after: _Slice | None) -> None:
        for version, change in ((before, self._slices_of.discard), (after, self._slices_of.add)):
            if version is not None:
                service = (key[0], version.metadata.labels.service)
                change(service, key)
                self._find_anew(service)

    def _pod_changed(self, key: Key, before: PodFacts | None, after: PodFacts | None) -> None:
        self._pods_in[key[0]] += (after is not None) - (before is not None)
        if not self._pods_in[key[0]]:
            del self._pods_in[key[0]]
        if before != after:
            for service in tuple(self._services_of.of(key)):
                self._find_anew(service)

    def _replica_set_changed(self, key: Key, before: Owned | None, after: Owned | None) -> None:
        if before is None or after is None:  # a pod may be seen before the ReplicaSet that tells its Deployment
            self._members_of.clear()
            self._services_of.clear()

    def _hpa_changed(self, key: Key, before: Hpa | None, after: Hpa | None) -> None:
        for version, change in ((before, self._hpas_of.discard), (after, self._hpas_of.add)):
            if version is not None:
                target = version.spec.scale_target_ref
                change((key[0], f"{target.kind}/{target.name}"), key)

    def _route_changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        if after is None:
            self._previous_routes.pop(key, None)
        elif before is not None and before.get("spec") != after.get("spec"):
            self._previous_routes[key] = before
        self._on_route_change(key)


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
