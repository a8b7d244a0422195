"""A changed balancer with the eyes of its Balancers: whose they are, and what the operator would see of it now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from evenload import clock
from evenload.cli.cluster import Access, Cluster
from evenload.cli.manifests import proposed, spec_of
from evenload.cli.rehearsal import Change
from evenload.cli.signing import PrometheusAccess
from evenload.drivers import DRIVERS
from evenload.drivers.base import BalancerView, RouteProblem
from evenload.errors import EvenloadError, InputError, InvalidName, NotFound, Refused
from evenload.foresight import Sighting, State
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.policy import Policy
from evenload.model.spec import BalancerSpec, TargetRef

if TYPE_CHECKING:
    from evenload.history.live import Seen
    from evenload.kube.client import Client
    from evenload.observe.cluster import ClusterView

NO_TRAFFIC: Final = "it is new, and there is no traffic yet to predict from"


class Question(NamedTuple):
    """What would become of the balancer, seen by that Balancer. `applied`: whether the cluster has it as it is here."""

    change: Change
    balancer: Manifest
    applied: bool

    @property
    def spec(self) -> BalancerSpec:
        return spec_of(self.balancer)

    @property
    def policy(self) -> Policy:
        return Policy.of(self.spec)

    @property
    def target(self) -> TargetRef:
        return self.spec.target_ref


class Balancers(NamedTuple):
    """Those of a namespace, each with whether the cluster has it as it is here. `stored`: as the API server has them,
    by name. `problem`: why some are not known."""

    all: list[tuple[Manifest, bool]]
    stored: Mapping[str, Manifest]
    problem: str = ""


def balancers_in(cluster: Cluster, namespace: str, changes: list[Change]) -> Balancers:
    """Of the cluster and of the files; a file's own one goes first."""
    problem = ""
    try:
        stored = {each["metadata"]["name"]: each for each in cluster.within(namespace).every(BALANCERS)}
    except (NotFound, Refused) as error:
        if isinstance(error, InvalidName) or error.status not in (403, 404):
            raise
        stored = {}
        problem = str(error) if error.status == 403 else ""
    given: dict[str, Manifest] = {}
    for change in changes:
        kind, where, name = change.document.key
        if (kind, where) == (BALANCERS.kind, namespace) and change.state is not State.unchanged:
            given[name] = proposed(name, namespace, change.after["spec"])
    live = []
    for name, each in stored.items():
        try:
            spec_of(each)
        except InputError as error:
            problem = f"this version of Evenload cannot read one: {error}"
            continue
        if name not in given:
            live.append((each, True))
    return Balancers([*((each, False) for each in given.values()), *live], stored, problem)


def about(balancer: Manifest, change: Change) -> bool:
    """Whether it looks after that object."""
    kind, namespace, name = change.document.key
    target = spec_of(balancer).target_ref
    return (target.kind, target.namespace or namespace, target.name) == (kind, namespace, name)


def look(
    access: Access, prometheus: PrometheusAccess, scrape_seconds: float, questions: list[Question]
) -> list[Sighting]:
    """At the cluster and at Prometheus, as the operator would: an answer to each question."""
    return asyncio.run(_look(access, prometheus, scrape_seconds, questions)) if questions else []


async def _look(
    access: Access, prometheus: PrometheusAccess, scrape_seconds: float, questions: list[Question]
) -> list[Sighting]:
    from evenload.cli.observing import observing

    found: dict[int, Sighting] = {}
    for namespace in sorted({each.change.document.namespace for each in questions}):
        here = [(at, each) for at, each in enumerate(questions) if each.change.document.namespace == namespace]
        try:
            async with observing(access, namespace) as (client, view):
                for at, question in here:
                    found[at] = await _sighting(client, view, prometheus, scrape_seconds, question)
        except EvenloadError as error:
            found |= {at: Sighting(policy=each.policy, missing=(str(error),)) for at, each in here}
    return [found[at] for at in range(len(questions))]


async def _sighting(
    client: Client, view: ClusterView, prometheus: PrometheusAccess, scrape_seconds: float, question: Question
) -> Sighting:
    from evenload.observe.join import snapshot_of, without_numbers

    sighting = Sighting(policy=question.policy, targets=_targets(question))
    seen: Seen | str = NO_TRAFFIC
    if question.change.before is not None:
        seen = await _read(client, view, prometheus, scrape_seconds, question)
    route = route_after(view, question)
    fleet = view.fleet(route) if route is not None else None
    if isinstance(seen, str):
        bare = without_numbers(fleet, route.weights, clock.now()) if route and fleet else None
        return replace(sighting, after=bare, missing=(seen,))
    sighting = replace(sighting, before=seen.snapshot)
    if route is None or fleet is None:
        return sighting
    after = snapshot_of(
        time=seen.snapshot.time,
        weights=route.weights,
        fleet=fleet,
        samples=seen.samples,
        max_age_seconds=question.policy.max_age_seconds,
    )
    return replace(sighting, after=after)


def route_after(view: ClusterView, question: Question) -> BalancerView | None:
    """The changed object as its driver reads it, with where its backends' pods are; None where that is not known."""
    driver, namespace = DRIVERS[question.change.document.resource.kind], question.change.document.namespace
    try:
        read = driver.backends(question.change.after, question.target)
        return driver.located(read, lambda resource: view.beside(resource, namespace))
    except RouteProblem:
        return None


async def _read(
    client: Client, view: ClusterView, prometheus: PrometheusAccess, scrape_seconds: float, question: Question
) -> Seen | str:
    """What the operator would see now, or in a sentence why it sees nothing."""
    from evenload.cli.observing import onlooker, reading

    applied = question.applied
    try:
        with reading(prometheus) as reader:
            found = onlooker(client, view, reader, question.balancer, scrape_seconds, prometheus, applied=applied)
            return await found.read()
    except EvenloadError as error:
        return str(error)


def _targets(question: Question) -> dict[str, int]:
    found = question.balancer.get("status", {}).get("targetShares", {})
    return {str(name): int(share) for name, share in found.items()}
