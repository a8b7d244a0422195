"""What all Remediations of a cluster did, for budgets: restarts by the workload they hit, freezes by Balancer.

A budget is about pods, not about who asks: restarts of a workload count for every Balancer that has it behind it,
whoever made them, and those of a deleted Balancer too; so neither a second Balancer nor one that is deleted and created
again gets a budget of its own. Freezes (after an undo, a person's no, a contest) are of the Balancer's name.

Kept up to date by the store, read lazily: a Remediation is decoded once a version, and only where somebody asks about
its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from evenload.act.episode import LEDGER_SECONDS, counted_of, decode
from evenload.episode.disruptions import Entry, finishes_isolation, restarting
from evenload.errors import InputError
from evenload.groups import Groups
from evenload.model.base import Value
from evenload.model.episode import Disruption
from evenload.model.plan import PodAction, Write

Key = tuple[str, str]
"""Namespace and name."""


class Subject(Value, frozen=True, kw_only=True):
    """Whose budgets are asked for: a Balancer, the workloads that its pods belong to, and its backends.

    A backend stands for its workloads while none of its pods is there, as in the middle of a restart.
    """

    namespace: str
    name: str
    uid: str
    workloads: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()


class _Account(Value, frozen=True, kw_only=True):
    """All that one Remediation did."""

    created: str
    balancer: str
    uid: str
    entries: tuple[Entry, ...]


class Ledger:
    """Of every Remediation that the store knows."""

    def __init__(self) -> None:
        self._unread: dict[str, dict[Key, Mapping[str, Any]]] = {}  # by namespace
        self._versions: dict[Key, str] = {}
        self._accounts: dict[Key, _Account] = {}
        self._by_mark: Groups[tuple[str, str, str], Key] = Groups()
        self._under_way: dict[Key, _Account] = {}  # by Balancer: what this process is doing now

    def changed(self, key: Key, manifest: Mapping[str, Any] | None) -> None:
        """A Remediation is new, another version of itself, or gone (None)."""
        version = None if manifest is None else str(manifest["metadata"].get("resourceVersion", ""))
        if version and self._versions.get(key) == version:
            return
        self._drop(key)
        if manifest is not None and version is not None:
            self._versions[key] = version
            self._unread.setdefault(key[0], {})[key] = manifest

    def of(self, subject: Subject, now: float) -> tuple[Disruption, ...]:
        """The disruptions of the last day that this Balancer's budgets count, oldest first."""
        found = [
            entry.what
            for account in self._accounts_of(subject)
            for entry in account.entries
            if entry.what.time > now - LEDGER_SECONDS and _counts(subject, account, entry)
        ]
        return tuple(sorted(found, key=lambda entry: entry.time))

    @contextmanager
    def under_way(self, subject: Subject, write: Write, now: float) -> Iterator[None]:
        """While a restart is being stored and made it counts for all others, or two could spend the same budget."""
        key = (subject.namespace, subject.name)
        if not isinstance(write, PodAction) or finishes_isolation(write):
            yield
            return
        entry = Entry(what=restarting(write, now), backend=write.backend, planned=True)
        self._under_way[key] = _Account(created="~", balancer=subject.name, uid=subject.uid, entries=(entry,))
        try:
            yield
        finally:
            del self._under_way[key]

    def _accounts_of(self, subject: Subject) -> Iterable[_Account]:
        self._read(subject.namespace)
        marks = [("balancer", subject.name)]
        marks += [("workload", name) for name in subject.workloads] + [("backend", name) for name in subject.backends]
        keys = {key for kind, name in marks for key in self._by_mark.of((subject.namespace, kind, name))}
        stored = sorted((self._accounts[key].created, key) for key in keys)
        others = [account for (namespace, _), account in self._under_way.items() if namespace == subject.namespace]
        return (*(self._accounts[key] for _, key in stored), *others)

    def _read(self, namespace: str) -> None:
        for key, manifest in self._unread.pop(namespace, {}).items():
            account = _account(manifest)
            if account is not None:
                self._accounts[key] = account
                for mark in _marks(account):
                    self._by_mark.add((namespace, *mark), key)

    def _drop(self, key: Key) -> None:
        self._versions.pop(key, None)
        unread = self._unread.get(key[0], {})
        unread.pop(key, None)
        if not unread:
            self._unread.pop(key[0], None)
        account = self._accounts.pop(key, None)
        for mark in _marks(account) if account else ():
            self._by_mark.discard((key[0], *mark), key)


def _account(manifest: Mapping[str, Any]) -> _Account | None:
    """None where there is nothing to count, or nothing that this version can read."""
    try:
        remediation = decode(manifest)
    except InputError:
        return None
    entries = counted_of(remediation)
    if not entries:
        return None
    reference = remediation.spec.balancer_ref
    created = str(manifest["metadata"].get("creationTimestamp", ""))
    return _Account(created=created, balancer=reference.name, uid=reference.uid or "", entries=entries)


def _marks(account: _Account) -> Iterator[tuple[str, str]]:
    """What it is found by."""
    yield "balancer", account.balancer
    for entry in account.entries:
        if entry.what.workload:
            yield "workload", entry.what.workload
        if entry.backend:
            yield "backend", entry.backend


def _counts(subject: Subject, account: _Account, entry: Entry) -> bool:
    own = account.balancer == subject.name
    if own and account.uid == subject.uid:
        return not entry.planned  # the engine sees that step in its episode
    if entry.what.kind == "Restart":
        return own or entry.what.workload in subject.workloads or entry.backend in subject.backends
    return own
