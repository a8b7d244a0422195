"""The audit of a balancer's object by the running operator: after each change of it, from what is known anyway.

The same pure rules as `evenload audit`, with a World that holds the object, and what its driver reads beside it;
Services and other balancers of its namespace are looked up as a rule asks for them. What was asked for is remembered,
so that nothing is computed anew before the object or one of those changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from evenload.audit.rules import RULES
from evenload.audit.run import audit_object
from evenload.audit.world import Named, Scope, World, objects_of
from evenload.drivers.base import Driver
from evenload.kube.resources import Manifest, Resource
from evenload.observe.cluster import ClusterView
from evenload.record.audited import Audited

_log = structlog.get_logger()

LASTING: Final = {rule.id: rule for rule in RULES.values() if not rule.passing}
"""What is found in the moment after a change, and is over in the next, is not reported."""
MOST_NODES: Final = 5_000
"""Values in the specs of the object and of what is beside it: a route of 16 rules with 16 backends each has 2,000, and
takes 8 ms; the worst of this size takes 0.1 s. What is larger is left to `evenload audit`, so that no tenant's object
delays the others."""
WHOLE_AUDIT: Final = "all"
"""Stands for a rule where not a single one failed but all that is around them."""

Route = Mapping[str, Any]
OnFailure = Callable[[str], None]
"""Is given the id of a rule that raised on an object."""


class _Ground(NamedTuple):
    """What findings rest on besides the object: the versions of what was asked for, None where there is none."""

    kinds: frozenset[str]
    delivery: str | None
    beside: tuple[tuple[str, str], ...]
    asked: tuple[tuple[Named, str | None], ...]


class _Known(NamedTuple):
    version: str
    ground: _Ground
    audited: Audited | None


class Auditor:
    """Of one Balancer."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._failing = ""  # the resourceVersion on which the audit as a whole failed last
        self._broken: dict[str, Counter[str]] = {}  # by resourceVersion, of the versions compared last

    def audited(self, cluster: ClusterView, driver: Driver, route: Route, on_failure: OnFailure) -> Audited | None:
        """What is found in `route`, as it and the cluster are now. None where it is too large, or that fails."""
        version = _version(route)
        try:
            known = self._known
            if known is None or known.version != version or known.ground != self._ground_now(cluster, driver, route):
                audited, asked = _audit(cluster, driver, route, on_failure)
                self._known = known = _Known(version, _ground(cluster, driver, route, asked), audited)
        except Exception as error:  # whatever the object holds, it must not keep the Balancer from being looked after
            if self._failing != version:
                _failed(WHOLE_AUDIT, error, driver, route, on_failure)
            self._failing = version
            return None
        return known.audited

    def broken(
        self, cluster: ClusterView, driver: Driver, versions: Iterable[Route], on_failure: OnFailure
    ) -> list[Counter[str]]:
        """How often each rule does not hold in each of these versions of the object, the last of which it has now.

        Each is looked at once, though what is beside it may have changed since.
        """

        def count(route: Route) -> Counter[str]:
            if route is not now:
                return _broken(cluster, driver, route, on_failure)
            audited = self.audited(cluster, driver, route, on_failure)
            return audited.broken if audited is not None else Counter()

        whole = list(versions)
        now = whole[-1]
        known = self._broken
        self._broken = {
            version: known[version] if version in known else count(each)
            for version, each in ((_version(each), each) for each in whole)
        }
        return [self._broken[_version(each)] for each in whole]

    def _ground_now(self, cluster: ClusterView, driver: Driver, route: Route) -> _Ground:
        asked = self._known.ground.asked if self._known else ()
        return _ground(cluster, driver, route, (named for named, _ in asked))


def _broken(cluster: ClusterView, driver: Driver, route: Route, on_failure: OnFailure) -> Counter[str]:
    try:
        audited, _ = _audit(cluster, driver, route, on_failure)
    except Exception as error:
        _failed(WHOLE_AUDIT, error, driver, route, on_failure)
        return Counter()
    return audited.broken if audited is not None else Counter()


def _ground(cluster: ClusterView, driver: Driver, route: Route, asked: Iterable[Named]) -> _Ground:
    namespace, name = _where(route)
    return _Ground(
        kinds=cluster.kinds_known_in(namespace),
        delivery=cluster.delivered_by(driver.kind, namespace, name),
        beside=tuple(
            (each["metadata"]["name"], each["metadata"].get("resourceVersion", ""))
            for resource in driver.beside
            for each in cluster.beside(resource, namespace)
        ),
        asked=tuple((named, cluster.version_of(*named)) for named in asked),
    )


def _audit(
    cluster: ClusterView, driver: Driver, route: Route, on_failure: OnFailure
) -> tuple[Audited | None, tuple[Named, ...]]:
    """With what was asked for. None where there is too much to look at."""
    namespace, name = _where(route)
    asked: dict[Named, None] = {}

    def look_up(kind: str, where: str, what: str) -> Mapping[str, Any] | None:
        if where != namespace:
            return None  # who writes routes here need not be allowed to know what is there
        asked[kind, where, what] = None
        return cluster.named(kind, where, what)

    deliverer = cluster.delivered_by(driver.kind, namespace, name)
    beside = [_typed(resource, each) for resource in driver.beside for each in cluster.beside(resource, namespace)]
    if _nodes(each.get("spec") for each in (route, *beside)) > MOST_NODES:
        return None, ()
    objects = list(objects_of([_typed(driver.resource, route), *beside], namespace))
    world = World(
        objects,
        Scope(kinds=cluster.kinds_known_in(namespace), namespaces=frozenset({namespace})),
        look_up=look_up,
        deliverers={(driver.kind, namespace, name): deliverer} if deliverer else {},
    )
    found = audit_object(
        objects[0], world, LASTING, lambda rule, error: _failed(rule, error, driver, route, on_failure)
    )
    return Audited(findings=tuple(each for each in found if each.suppressed is None)), tuple(asked)


def _nodes(values: Iterable[Any]) -> int:
    """Values in these, at any depth; counted no further than it matters."""
    found, waiting = 0, list(values)
    while waiting and found <= MOST_NODES:
        value = waiting.pop()
        found += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return found


def _typed(resource: Resource, manifest: Route) -> Manifest:
    """As a list has it, it lacks these two."""
    return {**manifest, "apiVersion": resource.api_version, "kind": resource.kind}


def _where(route: Route) -> tuple[str, str]:
    return route["metadata"]["namespace"], route["metadata"]["name"]


def _version(route: Route) -> str:
    return str(route["metadata"].get("resourceVersion", ""))


def _failed(rule: str, error: Exception, driver: Driver, route: Route, on_failure: OnFailure) -> None:
    namespace, name = _where(route)
    cause = type(error).__name__  # its text may quote the object
    _log.warning("audit-rule-failed", rule=rule, kind=driver.kind, namespace=namespace, name=name, error=cause)
    on_failure(rule)
