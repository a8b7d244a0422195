"""Whose pods stood behind which backend, and when, as far as series tell.

The cluster knows the pods of today. Those of last week are known by their series alone: a pod belongs to a backend if
its name is one that the backend's workload gives ("shop-a-6b9f7c5d8-x2x9q" for Deployment shop-a). It was there while
any of its series was, and counts as ready then, unless kube-state-metrics remembers better. In a moment without any
series at all (Prometheus was down) the pods stay as they were, so that it reads as missing data and not as no pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenload.drivers.base import Place
from evenload.history.reader import Chunk
from evenload.model.base import Value
from evenload.observe.cluster import Fleet, Member
from evenload.observe.copies import PodName
from evenload.observe.join import Lineup
from evenload.observe.pods import PodFacts

_TOLD: Final = {"started": "started_at", "cpuLimit": "cpu_limit", "memoryLimit": "memory_limit"}
_SAFE: Final = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters of names that Kubernetes makes up
_DEPLOYMENT: Final = re.compile(rf"(.+)-{_SAFE}{{1,10}}-{_SAFE}{{5}}")
_STATEFUL_SET: Final = re.compile(r"(.+)-\d+")
_OTHER: Final = re.compile(rf"(.+)-{_SAFE}{{5}}")


class Behind(Value, frozen=True, kw_only=True):
    """What is known today of one backend: its Service, its pods, and the workloads that make them."""

    service: Place
    members: dict[str, Member] = msgspec.field(default_factory=dict)
    workloads: frozenset[str] = frozenset()  # "Deployment/shop-a"


def behind(services: Mapping[str, Place], fleet: Fleet) -> dict[str, Behind]:
    """Of a cluster that can be asked."""
    return {
        backend: Behind(
            service=service,
            members=fleet.backends.get(backend, {}),
            workloads=frozenset(m.workload for m in fleet.backends.get(backend, {}).values() if m.workload),
        )
        for backend, service in services.items()
    }


def workload_names(pod: str) -> Iterator[tuple[str, str]]:
    """Kind and name of every workload that could have named a pod so."""
    for kind, pattern in (("Deployment", _DEPLOYMENT), ("StatefulSet", _STATEFUL_SET), ("DaemonSet", _OTHER)):
        if found := pattern.fullmatch(pod):
            yield kind, found[1]


class Roster:
    """Of one Balancer; chunks are to be given in order of time."""

    def __init__(self, backends: Mapping[str, Behind]) -> None:
        self._backends = backends
        self._owners = {
            (each.service.namespace, *_split(workload)): backend
            for backend, each in backends.items()
            for workload in each.workloads
        }
        self._today = {
            (member.facts.namespace, name): (backend, member)
            for backend, each in backends.items()
            for name, member in each.members.items()
        }
        self._members: dict[PodName, tuple[str, Member] | None] = {}
        self._before: frozenset[PodName] | None = None
        self._since: float | None = None
        self._seen: set[PodName] = set()
        self._fleets: dict[tuple[frozenset[PodName], frozenset[PodName]], Fleet] = {}

    @property
    def former(self) -> frozenset[str]:
        """Pods known by their series alone."""
        return frozenset(key[1] for key, found in self._members.items() if found and key not in self._today)

    def fleets(self, chunk: Chunk) -> Iterator[Fleet]:
        """Who was there, moment by moment. A fleet without pods: none has been seen so far."""
        keys, there = chunk.pods({each.service.namespace for each in self._backends.values()})
        mine = [place for place, key in enumerate(keys) if self._belongs(key)]
        keys, there = [keys[place] for place in mine], there[:, mine]
        self._meet(chunk, keys, there)
        unready = _unready(chunk, keys)
        changes = there[1:] != there[:-1]
        same = np.concatenate([[False], ~(changes | (unready[1:] != unready[:-1])).any(axis=1)]).tolist()
        fleet = Fleet(backends={})
        for index in range(chunk.grid.moments):
            if not same[index]:
                fleet = self._fleet_at(keys, there[index], unready[index])
            yield fleet

    def lineups(self, chunk: Chunk) -> Iterator[Lineup]:
        """The same, ready to be joined with numbers."""
        lineup = None
        for fleet in self.fleets(chunk):
            if lineup is None or lineup.fleet is not fleet:
                lineup = Lineup.of(fleet)
            yield lineup

    def _fleet_at(self, keys: list[PodName], there: NDArray[np.bool_], unready: NDArray[np.bool_]) -> Fleet:
        present = frozenset(key for key, seen in zip(keys, there.tolist(), strict=True) if seen)
        if not present and self._before:
            present = self._before
        self._before = present
        not_ready = present & frozenset(key for key, sick in zip(keys, unready.tolist(), strict=True) if sick)
        if (present, not_ready) not in self._fleets:
            self._fleets[present, not_ready] = self._fleet(present, not_ready)
        return self._fleets[present, not_ready]

    def _fleet(self, present: Iterable[PodName], not_ready: frozenset[PodName]) -> Fleet:
        backends: dict[str, dict[str, Member]] = {backend: {} for backend in self._backends}
        for key in sorted(present):
            if (found := self._members[key]) is not None:
                backend, member = found
                backends[backend][key[1]] = msgspec.structs.replace(member, ready=key not in not_ready)
        return Fleet(backends=backends, services={name: each.service for name, each in self._backends.items()})

    def _belongs(self, key: PodName) -> bool:
        if key not in self._members:
            self._members[key] = self._today.get(key) or self._former(key)
        return self._members[key] is not None

    def _former(self, key: PodName) -> tuple[str, Member] | None:
        namespace, name = key
        for kind, owner in workload_names(name):
            backend = self._owners.get((namespace, kind, owner)) or self._owners.get((namespace, "", owner))
            if backend is not None:
                return backend, self._like(backend, key, f"{kind}/{owner}")
        return None

    def _like(self, backend: str, key: PodName, workload: str) -> Member:
        """A pod that is gone, taken to have been like one of today's."""
        siblings = self._backends[backend].members.values()
        facts = next((member.facts for member in siblings), _NOTHING_KNOWN)
        namespace, name = key
        changed = msgspec.structs.replace(
            facts, namespace=namespace, name=name, uid=f"history:{name}", ready=True, terminating=False,
            started_at=None, node=None, zone=None, addresses=(), protected=False,
        )  # fmt: skip
        return Member(facts=changed, ready=True, workload=workload)

    def _meet(self, chunk: Chunk, keys: list[PodName], there: NDArray[np.bool_]) -> None:
        """Learn of each pod what this chunk tells: since when it has been there, its limits."""
        if self._since is None:
            self._since = chunk.grid.start
        told = {field: _newest(chunk, name) for name, field in _TOLD.items()}
        for column, key in enumerate(keys):
            if (found := self._members[key]) is None:
                continue
            backend, member = found
            facts = member.facts
            if key not in self._seen:
                self._seen.add(key)
                first = chunk.grid.start + chunk.grid.step * int(there[:, column].argmax())
                facts = msgspec.structs.replace(facts, started_at=self._started_at(facts, first))
            facts = msgspec.structs.replace(
                facts, **{field: known[key] for field, known in told.items() if key in known}
            )
            if facts != member.facts:
                self._members[key] = backend, msgspec.structs.replace(member, facts=facts)
                self._fleets.clear()

    def _started_at(self, facts: PodFacts, first: float) -> float | None:
        """What is known today, unless it was there before: then its container is another since. `first`: first seen."""
        if facts.started_at is not None and facts.started_at <= first:
            return facts.started_at
        return first if self._since is not None and first > self._since else None


def _unready(chunk: Chunk, keys: list[PodName]) -> NDArray[np.bool_]:
    """When kube-state-metrics said that a pod was not ready."""
    sick = np.zeros((chunk.grid.moments, len(keys)), dtype=bool)
    answer = chunk.extras.get("ready")
    if answer is not None and not answer.problem:
        places = {key: place for place, key in enumerate(answer.value.keys)}
        for column, key in enumerate(keys):
            if key in places:
                sick[:, column] = answer.value.zeros(places[key])
    return sick


def _newest(chunk: Chunk, name: str) -> dict[PodName, float]:
    answer = chunk.extras.get(name)
    return answer.value.newest() if answer is not None and not answer.problem else {}


def _split(workload: str) -> tuple[str, str]:
    """ "Deployment/shop-a" as its kind and name. Without a slash: any kind."""
    kind, _, name = workload.rpartition("/")
    return (kind if kind in ("Deployment", "StatefulSet", "DaemonSet") else ""), name


_NOTHING_KNOWN: Final = PodFacts(
    namespace="", name="", uid="", ready=True, terminating=False, started_at=None, node=None, zone=None, owner=None,
    protected=False, pre_stop_seconds=None, capacity=None, cpu_limit=None, memory_limit=None,
)  # fmt: skip
