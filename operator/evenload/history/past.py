"""One Balancer's past as Snapshots, and in words what had to be assumed to make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView, Place, check_shares
from evenload.errors import InputError, SignalsUnavailable
from evenload.history.ranges import Grid
from evenload.history.reader import Chunk, Extra, RangeReader
from evenload.history.roster import Behind, Roster, behind
from evenload.kube.resources import Manifest
from evenload.model.base import Value
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.spec import TargetRef
from evenload.observe.access import Access
from evenload.observe.cluster import ClusterView
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Prometheus, parse
from evenload.observe.queries import PodLabels, Source, found_in, looked_for, quoted, render
from evenload.record.conditions import Trouble
from evenload.sight import route_of

DEADLINE_SECONDS: Final = 60.0  # a query: nobody's tick waits for it
_PODS: Final = PodLabels("namespace", "pod")
_BACKENDS: Final = PodLabels("namespace", "backend")

Progress = Callable[[float], None]
"""Told the time up to which the past has been read."""


class Subject(Value, frozen=True, kw_only=True):
    """Whose past is to be read: the Balancer's name, its signals, its route's weights of today, who stands behind it.

    `origin` says in a few words where weights and pods were learnt.
    """

    namespace: str
    name: str
    source: Source
    weights: dict[str, int]
    backends: dict[str, Behind]
    max_age_seconds: float
    origin: str
    weights_total: int | None = None  # as the Snapshot has it

    @property
    def namespaces(self) -> set[str]:
        return {service.namespace for service in self.services.values()}

    @property
    def services(self) -> dict[str, Place]:
        return {name: each.service for name, each in self.backends.items()}


class Past:
    """Read once, forwards. `assumptions` are complete when all of it was read."""

    def __init__(self, subject: Subject, grid: Grid, *, access: Access | None = None) -> None:
        namespaces = subject.namespaces
        pods = [name for each in subject.backends.values() for name in each.members]
        self._subject = subject
        self._grid = grid
        self._reader = RangeReader(
            subject.source,
            namespaces,
            pods=pods,
            extras=_extras(subject, namespaces),
            access=access,
            limited=False,  # a person's own process, and answers of a week
            deadline_seconds=DEADLINE_SECONDS,
        )
        self._roster = Roster(subject.backends)
        self._weights = dict(subject.weights)
        self._remembered: set[str] = set()  # extras that had any answer
        self._pods: set[str] = set()
        self.gaps = 0  # moments before the first pod was seen

    def snapshots(self, progress: Progress = lambda time: None) -> Iterator[Snapshot]:
        """In order of time. Raises SignalsUnavailable where not even requests can be read."""
        try:
            for chunk in self._reader.chunks(self._grid):
                yield from self._of(chunk)
                progress(chunk.grid.end)
        finally:
            self._reader.close()

    def _of(self, chunk: Chunk) -> Iterator[Snapshot]:
        self._remembered |= {name for name, answer in chunk.extras.items() if answer.value.keys}
        weights = self._weights_over(chunk)
        for index, (time, lineup) in enumerate(zip(chunk.grid.times, self._roster.lineups(chunk), strict=True)):
            if not lineup.blanks:
                self.gaps += 1
                continue
            yield snapshot_of(
                time=time,
                weights=weights[index],
                fleet=lineup,
                samples=chunk.samples(index),
                max_age_seconds=self._subject.max_age_seconds,
                weights_total=self._subject.weights_total,
            )

    def _weights_over(self, chunk: Chunk) -> list[dict[str, int]]:
        """What our own metric remembers; else as before."""
        answer = chunk.extras["weights"]
        if not answer.value.keys:
            return [self._weights] * chunk.grid.moments
        over = []
        for index in range(chunk.grid.moments):
            told = answer.value.at(index).get(self._subject.namespace, {})
            told = {backend: weight for backend, weight in told.items() if backend in self._weights}
            if any(self._weights[backend] != weight for backend, weight in told.items()):
                self._weights = self._weights | {backend: round(weight) for backend, weight in told.items()}
            over.append(self._weights)
        return over

    @property
    def assumptions(self) -> tuple[str, ...]:
        """A sentence each; what was remembered is told too, so that nobody has to guess which it was."""
        return (*self._told_weights(), *self._told_pods(), *self._told_gaps())

    def _told_weights(self) -> Iterator[str]:
        today = ", ".join(f"{name} {weight}" for name, weight in sorted(self._subject.weights.items()))
        if "weights" in self._remembered:
            yield "Weights are those that evenload_backend_weight remembers; before its first sample those of today."
        else:
            yield (
                f"Weights were taken to have been as in {self._subject.origin} all along ({today}): Prometheus has no "
                "evenload_backend_weight of this Balancer. If they were others then, a skew is blamed on the balancer "
                "ignoring them, and what would have been written starts from the wrong weights."
            )

    def _told_pods(self) -> Iterator[str]:
        if "ready" not in self._remembered:
            yield "Every pod counts as ready while it has series: kube_pod_status_ready is not in this Prometheus."
        if "started" not in self._remembered:
            yield "A pod's age is known only if it appeared within the time looked at, or still runs."
        if not any(each.members for each in self._subject.backends.values()):
            yield "No cluster was asked: a pod belongs to the Service that its workload is named like."
        if former := self._roster.former:
            yield (
                f"{len(former)} pods that are gone were given to a backend by their names; limits that Prometheus does "
                "not know were taken from today's pods."
            )
        yield "Rollouts, autoscaling, pauses and earlier Remediations are not in Prometheus: none was assumed."

    def _told_gaps(self) -> Iterator[str]:
        if self.gaps:
            yield f"{self.gaps} moments at the start have no series of any of these pods, and were left out."
        for name, problem in self._reader.lost.items():
            yield f"The signal {name} could not be read at times: {problem}."


def found_now(subject: Subject, access: Access | None) -> Subject:
    """With the preset that answers now, where the spec names none. Raises SignalsUnavailable where none does."""
    source = subject.source
    if source.preset is not None:
        return subject
    prometheus = Prometheus(source.url, access=access, deadline_seconds=DEADLINE_SECONDS)
    try:
        query, labels = render(source, "requests", subject.namespaces), source.pod_labels("requests")
        found = found_in(source, prometheus.now(query, lambda body: parse(body, labels)).found)
    finally:
        prometheus.close()
    if found is None:
        raise SignalsUnavailable(looked_for(source))
    return replace(subject, source=found)


def _extras(subject: Subject, namespaces: set[str]) -> Mapping[str, Extra]:
    """What kube-state-metrics and our own operator may remember. None of it is needed."""
    matching = subject.source.matching(application=False)
    where = f'namespace=~"{quoted(namespaces)}"{matching}'
    limit = "sum by (namespace, pod) (max by (namespace, pod, container) (kube_pod_container_resource_limits{{{}}}))"
    ours = f'namespace="{quoted([subject.namespace])}", balancer="{quoted([subject.name])}", state="actual"{matching}'
    return {
        "weights": Extra(f"max by (namespace, backend) (evenload_backend_weight{{{ours}}})", _BACKENDS),
        "ready": Extra(f'max by (namespace, pod) (kube_pod_status_ready{{condition="true", {where}}})', _PODS),
        "started": Extra(f"max by (namespace, pod) (kube_pod_start_time{{{where}}})", _PODS),
        "cpuLimit": Extra(limit.format(f'resource="cpu", {where}'), _PODS),
        "memoryLimit": Extra(limit.format(f'resource="memory", {where}'), _PODS),
    }


def subject_of(view: ClusterView, target: TargetRef, policy: Policy | None = None, **basis: Any) -> Subject:
    """From a cluster that is being watched. Raises InputError where the operator would not look after the route."""
    seen = route_of(view, basis["namespace"], target, lambda route: _seen(route, target, policy), granted=None)
    if isinstance(seen, Trouble):
        raise InputError(seen.message)
    fleet = view.fleet(seen)
    if not fleet.backends:
        raise InputError(fleet.problems[0].sentence)
    origin = f"{seen.kind} {seen.name} today"
    total = driver_of(target.kind).limits.total
    return Subject(
        weights=seen.weights, backends=behind(seen.services, fleet), origin=origin, weights_total=total, **basis
    )


def offline_subject(route: Manifest, target: TargetRef, policy: Policy | None = None, **basis: Any) -> Subject:
    """From a route's manifest alone: pods belong to the Service (or "service-subset") that their workload is named
    like. Raises as above."""
    seen = _seen(route, target, policy)
    backends = {
        backend: Behind(service=service, workloads=frozenset({"-".join(filter(None, (service.name, service.subset)))}))
        for backend, service in seen.services.items()
    }
    origin, total = f"the file's {seen.kind} {seen.name}", driver_of(target.kind).limits.total
    return Subject(weights=seen.weights, backends=backends, origin=origin, weights_total=total, **basis)


def _seen(route: Mapping[str, Any], target: TargetRef, policy: Policy | None) -> BalancerView:
    seen = driver_of(target.kind).backends(route, target)
    return seen if policy is None else check_shares(policy, seen)
