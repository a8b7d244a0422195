"""What is seen of one Balancer: the one road from our own objects, the cluster's and Prometheus' samples to a Snapshot.

The operator, its warm start and `evenload record` look through the same Observer, so all of them see the same route,
pods, holds and Remediation, or have the same Trouble with them. Pure, apart from what is remembered of a tick: nothing
is read or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from evenload.act.episode import decode, episode_of, is_open
from evenload.act.isolation import Mark
from evenload.act.ledger import Subject
from evenload.act.remediations import newest
from evenload.act.restart import lacks
from evenload.api.v1alpha1 import (
    PAUSED_ANNOTATION,
    Balancer,
    BalancerStatus,
    Remediation,
    RouteChange,
    Trigger,
)
from evenload.api.values import epoch_seconds
from evenload.auditing import OnFailure
from evenload.case import Case, identity_of, read
from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Granted, RouteProblem, Writer, refuse_foreign
from evenload.errors import InputError
from evenload.model.base import Value
from evenload.model.decision import HeldReason
from evenload.model.episode import StepState
from evenload.model.snapshot import Hold, RouteWrite, Snapshot
from evenload.model.spec import Mode, Signals, TargetRef
from evenload.observe import cluster
from evenload.observe.cluster import ClusterView, Fleet
from evenload.observe.join import Isolated, snapshot_of
from evenload.observe.prometheus import Interest, Samples
from evenload.observe.queries import Source
from evenload.overlap import Overlap
from evenload.ownership import Ownership
from evenload.record.audited import Audited
from evenload.record.conditions import Trouble
from evenload.record.publish import known_status
from evenload.store import Key, Store, Target, key_of

# The API server shows at least once a minute that a watch is alive. An older view is not acted on.
STALEST_VIEW_SECONDS: Final = 90.0
# A gateway has looked at a change of the route by then; what it still refuses it refuses for good.
REFUSAL_SECONDS: Final = 60.0
ROUTE_TAKEN: Final = "RouteTaken"

Manifests = Iterable[Mapping[str, Any]]


class Sight(Value, frozen=True, kw_only=True):
    """The route, who stands behind it, and the Balancer's Remediations. `pause`: by what writes are stopped.

    `holds`: reasons not to write that are not the pods'; `limits`: what is not done or not waited for, in sentences.
    """

    balancer: Balancer
    view: BalancerView
    fleet: Fleet
    remediations: tuple[Remediation, ...]
    open: Remediation | None
    pause: Trouble | None
    changes: tuple[RouteChange, ...] = ()  # the newest of the route, the last one last
    holds: tuple[Hold, ...] = ()
    limits: tuple[str, ...] = ()
    isolated: tuple[Isolated, ...] = ()

    @property
    def namespaces(self) -> frozenset[str]:
        """Of the Services behind the route."""
        return frozenset(service.namespace for service in self.view.services.values())


class Observer:
    """Looks at the Balancers of `store` through `cluster`. Call `begin_turn` before each round of looks."""

    def __init__(
        self,
        *,
        store: Store,
        cluster: ClusterView,
        source_of: Callable[[Signals], Source],
        max_mode: Callable[[BalancerStatus], Mode],
        foreign_backends: bool,
        paused: Callable[[], str | None],
        now: Callable[[], float],
        audit_failed: OnFailure = lambda rule: None,
    ) -> None:
        """`max_mode`: the ceiling, for a Balancer of that status. `paused` (the whole installation): None, or a
        sentence. `foreign_backends`: whether Services of other namespaces may be looked after where they agree."""
        self.cases: dict[Key, Case] = {}
        self.turn = 0
        self._store = store
        self._cluster = cluster
        self._source_of = source_of
        self._max_mode = max_mode
        self._foreign_backends = foreign_backends
        self._paused = paused
        self._now = now
        self._audit_failed = audit_failed
        self._ownership = Ownership(
            lambda view: store.balancers.group(Target(view.namespace, view.kind, view.name)), self._view_of
        )
        self._overlap = Overlap(
            store.across_planes, self._view_of, lambda each, view: self._ownership.taken(each, view, self.turn)
        )

    def begin_turn(self) -> None:
        """Whoever owned a route in the last round is asked anew."""
        self.turn += 1

    def case(self, key: Key) -> Case | None:
        """The Case of the Balancer's present generation; None where it is gone. Raises InputError."""
        manifest = self._store.balancers.get(key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            return None
        known = self.cases.get(key)
        if known is None or known.identity != identity_of(manifest):
            resolved = known_status(manifest).resolved
            known = self.cases[key] = Case.of(read(manifest), self._source_of, known, resolved)
        return known

    def sight(self, key: Key) -> Sight | Trouble:
        """All that is seen of it, or why nothing can be done for it."""
        manifest = self._store.balancers.get(key)
        try:
            case = self.case(key)
            if manifest is None or case is None:
                return Trouble(reason="Deleted", message="the Balancer is being deleted")
            view = self._route(key, case)
            if isinstance(view, Trouble):
                return view
            if reason := self._taken(key, view):
                return Trouble(reason=ROUTE_TAKEN, message=reason)
            balancer = read(manifest)
            mine = self._remediations(key, balancer.metadata.uid)
            remediations = case.remediations(mine)
        except InputError as error:
            return Trouble(reason="InvalidSpec", message=str(error))
        delivered = tuple(self._delivered(view))
        fleet, uncounted = self._countable(self._cluster.fleet(view), case.source)
        if delivered:
            fleet = _each_pod_once(fleet, view)
        current = _current(mine, remediations)
        if problem := _blocking(fleet, restarting=current is not None):
            return Trouble(reason=problem.reason.value, message=problem.sentence)
        pause = self._pause(manifest)
        paused = (Hold(reason=HeldReason.Paused, detail=pause.message),) if pause else ()
        refused, limits = _refusals(view, self._now())
        return Sight(
            balancer=balancer,
            view=view,
            fleet=fleet,
            remediations=remediations,
            open=current,
            pause=pause,
            changes=self._changes(case, view),
            holds=(*paused, *refused, *delivered),
            limits=(*view.notes, *fleet.limits, *uncounted, *limits, *self._left_isolated(key, view)),
            isolated=tuple(self._isolated(key)),
        )

    def _countable(self, fleet: Fleet, source: Source) -> tuple[Fleet, tuple[str, ...]]:
        """The Services that have numbers of their own where it is counted by Service; and what that cannot show."""
        if not source.counts_by_service:
            return fleet, ()
        preset = source.preset.name if source.preset else ""
        alike = {key: list(self._cluster.alike(place)) for key, place in fleet.services.items()}
        services = {key: place for key, place in fleet.services.items() if not alike[key]}
        limits = [
            f"the preset {preset} cannot tell Service {fleet.services[key].name} from Service {other.name} of "
            f"namespace {other.namespace}: {key} has no numbers; rename one of them, or name a preset that counts by "
            "pod"
            for key, others in alike.items()
            for other in others[:1]
        ]
        limits += [
            f"the preset {preset} counts by Service, and {key} is a subset of one: it has no numbers; name a preset "
            "that counts by pod"
            for key, place in services.items()
            if place.subset
        ]
        if len(fleet.services) == 1:
            limits.append(
                f"the preset {preset} counts by Service, and there is a single one: nothing can be compared, so "
                "neither a sick pod nor an uneven spread is ever found; name a preset that counts by pod"
            )
        return replace(fleet, services=services), tuple(limits)

    def audited(self, key: Key) -> Audited | None:
        """What the audit finds in the balancer's own object; None where that is not known."""
        case = self.cases.get(key)
        if case is None or case.target.namespace not in (None, key.namespace):
            return None
        route = self._cluster.balancer(case.driver, key.namespace, case.target.name)
        if isinstance(route, cluster.Problem):
            return None
        return case.auditor.audited(self._cluster, case.driver, route, self._audit_failed)

    def _isolated(self, key: Key) -> Iterable[Isolated]:
        """Pods that steps of this Balancer's Remediations keep out of every Service."""
        for manifest in self._store.isolating_of(key):
            for step in decode(manifest).status.steps:
                pod = self._cluster.pod(key.namespace, step.pod or "") if step.action == "Isolate" else None
                off = pod is not None and pod.uid == step.uid and lacks(dict(pod.labels), step.label or "")
                if pod is not None and off and step.state is not StepState.Reverted:
                    yield Isolated(facts=pod, workload=step.workload or "")

    def _left_isolated(self, key: Key, view: BalancerView) -> Iterable[str]:
        """Pods that its Services would send to, were they not kept, or isolated by a Remediation that is gone."""
        for pod in self._cluster.marked_in(key.namespace):
            mark = Mark.read(pod.isolated)
            if mark is None or mark.uid != pod.uid or pod.terminating or not lacks(dict(pod.labels), mark.label):
                continue
            if not any(self._cluster.selects(place, mark.label) for place in view.services.values()):
                continue
            known = self._store.remediations.get(Key(key.namespace, mark.remediation))
            step = _step_of(known, pod.uid) if known is not None else None
            if step is None:
                yield (
                    f"pod {pod.name} lacks the label {mark.label}, and the Remediation that took it off is gone: put "
                    f"it back (kubectl label pod {pod.name} {mark.label} -n {pod.namespace}) or delete the pod"
                )
            elif step["state"] == StepState.Verified:
                yield (
                    f"pod {pod.name} is kept isolated for inspection; when that is done: kubectl delete pod {pod.name} "
                    f"-n {pod.namespace}"
                )

    def interest(self, key: Key) -> Interest | None:
        """What to ask Prometheus for this Balancer; None where its own run will find what is wrong."""
        try:
            case = self.case(key)
            route = case and self._route(key, case)
            if case is None or not isinstance(route, BalancerView) or self._taken(key, route):
                return None
            namespaces = frozenset(service.namespace for service in route.services.values())
            return Interest(
                source=case.source,
                namespaces=namespaces,
                pods=self._cluster.fleet(route).pods if case.source.own else (),
                owner=key.namespace,
                expected_pods=self.pods_in(namespaces),  # a preset asks about all of them
            )
        except Exception:  # whatever it holds: it must not keep the others from being asked for
            return None

    def snapshot(self, key: Key, sight: Sight, samples: Samples) -> Snapshot:
        """Of a Balancer whose `sight` this is, now."""
        case, now = self.cases[key], self._now()
        case.ledger = self._store.ledger.of(self.subject(key, sight), now)
        status = known_status(self._store.balancers.get(key) or {})
        seen = snapshot_of(
            time=now,
            weights=sight.view.weights,
            fleet=sight.fleet,
            samples=samples,
            max_age_seconds=case.policy.max_age_seconds,
            isolated=sight.isolated,
            last_write=last_write(sight.view.writer, sight.changes, status.changes),
            known_good=status.known_good.weights if status.known_good else None,
            episode=episode_of(sight.open, sight.remediations) if sight.open else None,
            ledger=case.ledger,
            holds=sight.holds,
            max_mode=self._max_mode(status),
            weights_total=case.driver.limits.total,
        )
        return case.ahead.settled(seen)

    def subject(self, key: Key, sight: Sight) -> Subject:
        """Whose budgets count."""
        case = self.cases[key]
        return Subject(
            namespace=key.namespace,
            name=key.name,
            uid=case.identity[0],
            workloads=case.workloads(sight.fleet, key.namespace),
            backends=frozenset(sight.view.weights),
        )

    def pods_in(self, namespaces: Iterable[str]) -> int:
        """How many pods there are, those of other applications included."""
        return self._cluster.pods_in(namespaces)

    def _remediations(self, key: Key, uid: str) -> list[Mapping[str, Any]]:
        return [m for m in self._store.remediations_of(key) if m["spec"]["balancerRef"].get("uid") == uid]

    def _route(self, key: Key, case: Case) -> BalancerView | Trouble:
        kind = case.driver.resource
        granted: Granted = lambda service: self._cluster.granted(service, kind, key.namespace)  # noqa: E731
        return route_of(
            self._cluster,
            key.namespace,
            case.target,
            case.view_of,
            granted=granted if self._foreign_backends else None,
        )

    def _changes(self, case: Case, view: BalancerView) -> tuple[RouteChange, ...]:
        route = self._cluster.balancer(case.driver, view.namespace, view.name)
        if view.writer is None or isinstance(route, cluster.Problem):
            return ()
        versions = self._cluster.versions(view.kind, view.namespace, view.name)
        return case.changes_of(
            route,
            versions,
            lambda whole: case.auditor.broken(self._cluster, case.driver, whole, self._audit_failed),
        )

    def _delivered(self, view: BalancerView) -> Iterable[Hold]:
        if who := view.delivery or self._cluster.delivery(view):
            detail = f"{who} sets the weights of {view.kind} {view.name}"
            yield Hold(reason=HeldReason.ProgressiveDelivery, detail=detail)

    def _taken(self, key: Key, view: BalancerView) -> str | None:
        """Why another Balancer owns what this one would look after, if one does."""
        manifest = self._store.balancers.get(key)
        if manifest is None:
            return None
        return self._ownership.taken(manifest, view, self.turn) or self._overlap.taken(manifest, view, self.turn)

    def _view_of(self, manifest: Mapping[str, Any]) -> BalancerView | None:
        """What a rival of somebody reads; None where it reads nothing, whatever is wrong with it."""
        key = key_of(manifest)
        try:
            case = self.case(key)
            view = case and self._route(key, case)
        except Exception:  # its own run finds out; it locks nobody out
            return None
        return view if isinstance(view, BalancerView) else None

    def _pause(self, manifest: Mapping[str, Any]) -> Trouble | None:
        """By what writes are stopped, if they are, as far as the store knows."""
        if reason := self._paused():
            return Trouble(reason="Installation", message=reason)
        return paused_by(manifest)


def _step_of(remediation: Mapping[str, Any], uid: str) -> Mapping[str, Any] | None:
    """The step that isolated the pod of that UID."""
    steps = (remediation.get("status") or {}).get("steps") or ()
    return next((step for step in steps if step["action"] == "Isolate" and step.get("uid") == uid), None)


def last_write(
    writer: Writer | None, seen: tuple[RouteChange, ...], known: tuple[RouteChange, ...]
) -> RouteWrite | None:
    """What `writer`, who wrote the route's weights or rules last, changed: as was seen (oldest first), or as the status
    remembers from an earlier process (`known`, newest first)."""
    if writer is None:
        return None
    found = RouteWrite(manager=writer.manager, time=writer.time)
    for change in (*seen[-1:], *known[:1]):
        same = change.manager == writer.manager[:128] and epoch_seconds(change.time) == writer.time
        if same and change.before is not None:
            return replace(found, before=change.before, elsewhere=change.elsewhere, undo=change.undo)
    return found


def route_of(
    view: ClusterView,
    namespace: str,
    target: TargetRef,
    read_as: Callable[[Mapping[str, Any]], BalancerView],
    *,
    granted: Granted | None,
) -> BalancerView | Trouble:
    """The route that a Balancer of `namespace` targets, as `read_as` reads it, or what is wrong with it.

    `granted`: None where Services of other namespaces are not looked after.
    """
    if target.namespace not in (None, namespace):
        # Whoever may write Balancers here need not be allowed to change routes there.
        return Trouble(
            reason="OtherNamespace",
            message=f"spec.targetRef.namespace: {target.namespace} is not the Balancer's own namespace; "
            f"create the Balancer in {target.namespace}",
        )
    driver = driver_of(target.kind)
    route = view.balancer(driver, namespace, target.name)
    if isinstance(route, cluster.Problem):
        return Trouble(reason=route.reason.value, message=route.sentence)
    try:
        seen = driver.located(read_as(route), lambda resource: view.beside(resource, namespace))
        others = {service.namespace for service in seen.services.values()} - {namespace}
        if granted is not None and (unknown := _unwatched(view, others) or _ungranted(view, others)):
            return unknown
        refuse_foreign(seen, granted)
    except RouteProblem as error:
        return Trouble(reason=error.reason.value, message=str(error))
    return _unwatched(view, {namespace}) or _stale(view, {namespace, *others}, target.kind) or seen


def _unwatched(view: ClusterView, namespaces: set[str]) -> Trouble | None:
    """Before anything is called missing there."""
    unwatched = min((name for name in namespaces if not view.watches(name)), default=None)
    if unwatched is None:
        return None
    message = f"namespace {unwatched} is not watched by this installation (value watchNamespaces of the chart)"
    return Trouble(reason="NamespaceNotWatched", message=message)


def _ungranted(view: ClusterView, namespaces: set[str]) -> Trouble | None:
    why = view.grants_unknown(namespaces)
    return Trouble(reason=cluster.Trouble.NotPermitted.value, message=why) if why else None


def _stale(view: ClusterView, namespaces: set[str], kind: str) -> Trouble | None:
    """Why what is known of these namespaces is not to be acted on."""
    if view.fresh_age_in(namespaces, kind) <= STALEST_VIEW_SECONDS:
        return None
    why = "; ".join(view.troubles) or "no watch has been answered"
    return Trouble(reason="ClusterViewStale", message=f"what is known of the cluster is too old to act on: {why}")


def paused_by(manifest: Mapping[str, Any]) -> Trouble | None:
    """What a person wrote into the Balancer to stop writes."""
    annotation = (manifest["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION)
    if annotation is not None and annotation != "false":
        return Trouble(reason="Annotation", message=f"paused by annotation {PAUSED_ANNOTATION}: {annotation}")
    if manifest["spec"].get("suspend"):
        return Trouble(reason="Suspended", message="spec.suspend is true")
    return None


def still_open(remediations: Manifests) -> Mapping[str, Any] | None:
    """The open one. A wish to undo an earlier one waits until the incident under way has ended."""
    found = [manifest for manifest in remediations if is_open(manifest)]
    return newest(m for m in found if m["spec"].get("trigger") != Trigger.Undo) or newest(found)


def _current(manifests: Manifests, remediations: Iterable[Remediation]) -> Remediation | None:
    found = still_open(manifests)
    name = found["metadata"]["name"] if found else None
    return next((each for each in remediations if each.metadata.name == name), None)


def _blocking(fleet: Fleet, *, restarting: bool) -> cluster.Problem | None:
    """The first problem that forbids to go on. While its only pod is restarted, a backend may be without any."""
    tolerated = {cluster.Trouble.NoPods} if restarting else set()
    return next((problem for problem in fleet.problems if problem.reason not in tolerated), None)


def _each_pod_once(fleet: Fleet, view: BalancerView) -> Fleet:
    """Between two canaries both Services of a canary controller lead to the same pods: those of the one with weight."""
    seen: set[str] = set()
    backends = dict(fleet.backends)
    for backend in sorted(backends, key=lambda name: -view.weights[name]):
        backends[backend] = {name: each for name, each in backends[backend].items() if each.facts.uid not in seen}
        seen |= {each.facts.uid for each in backends[backend].values()}
    problems = tuple(each for each in fleet.problems if each.reason is not cluster.Trouble.PodShared)
    return replace(fleet, backends=backends, problems=problems)


def _refusals(view: BalancerView, now: float) -> tuple[tuple[Hold, ...], tuple[str, ...]]:
    """What gateways that do not take all of the route mean: a hold while it is new, or where none of them serves it."""
    refusing = [parent for parent in view.parents if False in (parent.accepted, parent.resolved)]
    if not refusing:
        return (), ()
    served = any(parent.accepted for parent in view.parents)
    detail = "; ".join(f"{parent.name}: {parent.detail}" for parent in refusing)
    if not served or any(now - (parent.since or 0.0) < REFUSAL_SECONDS for parent in refusing):
        detail = f"a gateway does not accept the route: {detail}"
        return (Hold(reason=HeldReason.NotAccepted, detail=detail),), ()
    return (), (f"a gateway does not accept all of the route, and is not waited for: {detail}",)
