"""The pods of one Balancer side by side, as Prometheus knows them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

from evenload.observe.cluster import Member

T = TypeVar("T")

Column = list[float | None]
"""One signal's numbers, parallel to the list of members. Columns rather than a table: 50,000 pods a tick."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Pods as Prometheus knows them, side by side: found once, and looked up in six signals."""

    names: Sequence[str]
    namespaces: Sequence[str]
    ready: Sequence[bool]
    started_at: Sequence[float | None]  # seconds since the epoch
    spaces: Set[str]  # the different ones among the namespaces: nearly always one
    addresses: Sequence[tuple[str, ...]]
    services: Sequence[str]  # that each stands behind, as rows by Service name it; "": none that rows could name

    @classmethod
    def of(cls, members: Sequence[Member], services: Sequence[str] | None = None) -> Crowd:
        namespaces = [member.facts.namespace for member in members]
        names = [member.facts.name for member in members]
        started_at = [member.facts.started_at for member in members]
        ready, addresses = [member.ready for member in members], [member.facts.addresses for member in members]
        services = services if services is not None else [""] * len(members)
        return cls(names, namespaces, ready, started_at, frozenset(namespaces), addresses, services)

    def look_up(self, numbers: Mapping[str, Mapping[str, T]], otherwise: Mapping[str, T]) -> list[T | None]:
        """Each pod's number, by namespace and name; in a namespace that has none, from `otherwise`."""
        if len(self.spaces) == 1:
            return list(map(numbers.get(self.namespaces[0], otherwise).get, self.names))
        places = zip(self.namespaces, self.names, strict=True)
        return [numbers.get(namespace, otherwise).get(name) for namespace, name in places]

    def at_addresses(self, numbers: Mapping[str, float]) -> Column:
        """Each pod's number, of all its addresses; absent where none of them has one."""
        found = ([numbers[each] for each in addresses if each in numbers] for addresses in self.addresses)
        return [sum(mine) if mine else None for mine in found]

    def behind_services(self, numbers: Mapping[str, float]) -> Column:
        """Each ready pod's number: that of its Service."""
        found = zip(self.services, self.ready, strict=True)
        return [numbers.get(service) if ready and service else None for service, ready in found]

    def parts_of_services(self, numbers: Mapping[str, float]) -> Column:
        """Each ready pod's number: an equal part of that of its Service."""
        ready = Counter(service for service, ready in zip(self.services, self.ready, strict=True) if ready)
        whole = zip(self.services, self.behind_services(numbers), strict=True)
        return [None if number is None else number / ready[service] for service, number in whole]


def listed(names: Sequence[str]) -> str:
    """The first of them, for a sentence."""
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
