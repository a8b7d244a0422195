"""One owner of each rule of a route: two Balancers that weight the same rule would write against each other.

The older Balancer owns: by creation, then by UID, so that every replica says the same. A Balancer owns all the rules it
claims or none: one that lost a rule writes nothing and locks nobody out of its other rules. Whoever is being deleted,
cannot be read, or whose driver cannot read the object, claims nothing; one that is suspended, paused or only observes
does. Pure, apart from what is remembered of a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from evenload.drivers import driver_of
from evenload.drivers.base import BalancerView
from evenload.model.base import Value


class Claim(Value, frozen=True, kw_only=True):
    """The rules (by index) that one Balancer would weight. `created` as the API server's text: it sorts by time."""

    namespace: str
    name: str
    uid: str
    created: str
    rules: frozenset[int]

    @property
    def seniority(self) -> tuple[str, str, str, str]:
        """The least is the oldest. No two Balancers have the same."""
        return self.created, self.uid, self.namespace, self.name


def owners(claims: Iterable[Claim]) -> dict[int, Claim]:
    """Who owns each rule. A rule that only losers claim is nobody's."""
    owned: dict[int, Claim] = {}
    for claim in sorted(claims, key=lambda each: each.seniority):
        if owned.keys().isdisjoint(claim.rules):
            owned |= dict.fromkeys(claim.rules, claim)
    return owned


def taken(view: BalancerView, uid: str, owned: Mapping[int, Claim]) -> str | None:
    """Why the Balancer of this `uid`, which reads `view`, may not write; None where every rule of it is its own."""
    for rule in view.rules:
        owner = owned.get(rule.index)
        if owner is not None and owner.uid != uid:
            return (
                f"{view.kind} {view.name}: rule {rule.index} is already balanced by Balancer "
                f"{owner.namespace}/{owner.name}, which is older; delete one of the two{_or_apart(view.kind)}"
            )
    return None


def _or_apart(kind: str) -> str:
    """The other way out, where rules have names."""
    split = driver_of(kind).split
    named = split is not None and bool(split.rules) and split.named
    return ", or give each its own rule in spec.targetRef.ruleName" if named else ""


def seniority(balancer: Mapping[str, Any]) -> tuple[str, str]:
    """The least is the oldest, as in `Claim.seniority`. No two Balancers have the same."""
    metadata = balancer["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["uid"]


class _Settled(NamedTuple):
    """Of one object in one tick."""

    version: str
    known: frozenset[Hashable]  # UIDs and generations that were asked
    owned: dict[int, Claim]


class Ownership:
    """Who owns what in the present tick: settled once for each object that several Balancers target."""

    def __init__(
        self,
        contenders: Callable[[BalancerView], Iterable[Mapping[str, Any]]],
        view_of: Callable[[Mapping[str, Any]], BalancerView | None],
    ) -> None:
        """`contenders`: the manifests of all Balancers that target the object. `view_of`: the object as that Balancer's
        driver reads it, None where it does not; it must not raise."""
        self._contenders = contenders
        self._view_of = view_of
        self._turn = -1
        self._settled: dict[Hashable, _Settled] = {}
        self._claims: dict[Hashable, Claim | None] = {}  # of this tick, by place, its version and who claims

    def taken(self, balancer: Mapping[str, Any], view: BalancerView, turn: int) -> str | None:
        """Why `balancer` may not write what it reads as `view`, in the tick of that number; None if it may."""
        if turn != self._turn:
            self._turn, self._settled, self._claims = turn, {}, {}
        place = (view.kind, view.namespace, view.name)
        known = self._settled.get(place)
        if known is None or known.version != view.resource_version or identity(balancer) not in known.known:
            known = self._settled[place] = self._settle(view)
        return taken(view, balancer["metadata"]["uid"], known.owned)

    def _settle(self, view: BalancerView) -> _Settled:
        contenders = tuple(self._contenders(view))
        claims = [self._claim_once(view, each) for each in contenders] if len(contenders) > 1 else []
        return _Settled(
            version=view.resource_version,
            known=frozenset(map(identity, contenders)),
            owned=owners(claim for claim in claims if claim is not None),
        )

    def _claim_once(self, view: BalancerView, manifest: Mapping[str, Any]) -> Claim | None:
        """Each is asked once a tick: one that is edited settles the place anew, where there may be a thousand."""
        ending = "deletionTimestamp" in manifest["metadata"]
        asked = view.kind, view.namespace, view.name, view.resource_version, identity(manifest), ending
        if asked not in self._claims:
            self._claims[asked] = self._claim(manifest)
        return self._claims[asked]

    def _claim(self, manifest: Mapping[str, Any]) -> Claim | None:
        metadata = manifest["metadata"]
        view = None if "deletionTimestamp" in metadata else self._view_of(manifest)
        if view is None:
            return None
        return Claim(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            created=metadata.get("creationTimestamp") or "",
            rules=frozenset(rule.index for rule in view.rules),
        )


def identity(manifest: Mapping[str, Any]) -> Hashable:
    """UID and generation: another one is another Balancer, or another spec."""
    return manifest["metadata"]["uid"], manifest["metadata"].get("generation")
