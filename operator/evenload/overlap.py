"""One owner of a Service's pods: a Balancer of the Service itself, or Balancers of objects over it of a single plane.

Others would judge and restart the same pods, on different grounds. The older one owns, as with the rules of a route
(ownership.py): by creation, then by UID. Routes over the same Services do not exclude each other: each has weights of
its own, and restarts are budgeted by workload. A Balancer that owns nothing locks nobody out. Pure, apart from what is
remembered of a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView
from evenload.ownership import identity, seniority

Manifest = Mapping[str, Any]


class _Owner(NamedTuple):
    balancer: str
    through: str  # "HTTPRoute shop", or "Service web"


class _Settled(NamedTuple):
    """Of one namespace in one tick."""

    known: frozenset[Hashable]  # UIDs and generations that were asked
    lost: dict[str, str]  # by UID, why


class Overlap:
    """Who looks after the pods of which Service in the present tick: settled once for each namespace."""

    def __init__(
        self,
        neighbours: Callable[[str], Iterable[Manifest]],
        view_of: Callable[[Manifest], BalancerView | None],
        loses: Callable[[Manifest, BalancerView], object],
    ) -> None:
        """`neighbours`: the manifests of a namespace's Balancers, or none where all targets there are of one plane.
        `view_of`: what a Balancer looks after, None where it reads nothing; it must not raise. `loses`: whether another
        Balancer owns the rules of what it looks after."""
        self._neighbours = neighbours
        self._view_of = view_of
        self._loses = loses
        self._turn = -1
        self._settled: dict[str, _Settled] = {}

    def taken(self, balancer: Manifest, view: BalancerView, turn: int) -> str | None:
        """Why `balancer` may do nothing to the pods of `view`, in the tick of that number; None if it may."""
        if turn != self._turn:
            self._turn, self._settled = turn, {}
        known = self._settled.get(view.namespace)
        if known is None or identity(balancer) not in known.known:
            known = self._settled[view.namespace] = self._settle(view.namespace, balancer)
        return known.lost.get(balancer["metadata"]["uid"])

    def _settle(self, namespace: str, asker: Manifest) -> _Settled:
        rivals = sorted(self._neighbours(namespace), key=seniority)
        owners: dict[str, tuple[str, _Owner]] = {}  # by Service: the plane that has it, and the oldest of it
        lost: dict[str, str] = {}
        for each in rivals:
            view = None if "deletionTimestamp" in each["metadata"] else self._view_of(each)
            if view is None or self._loses(each, view):
                continue
            plane = driver_of(view.kind).plane
            names = sorted(service.name for service in view.services.values() if service.namespace == namespace)
            taken = next((name for name in names if name in owners and owners[name][0] != plane), None)
            if taken is not None:
                lost[each["metadata"]["uid"]] = _refusal(namespace, taken, owners[taken][1])
                continue
            owner = _Owner(balancer=f"{namespace}/{each['metadata']['name']}", through=f"{view.kind} {view.name}")
            for name in names:
                owners.setdefault(name, (plane, owner))
        return _Settled(known=frozenset(map(identity, (*rivals, asker))), lost=lost)


def _refusal(namespace: str, service: str, owner: _Owner) -> str:
    return (
        f"the pods of Service {namespace}/{service} are already looked after by Balancer {owner.balancer} (of "
        f"{owner.through}), which is older; delete one of the two"
    )
