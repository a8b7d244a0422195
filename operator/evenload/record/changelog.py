"""The changelog of a balancer: who changed which weight or rule, when, from what to what, and why. Pure.

It stands in the Balancer's status, newest first and bounded: people, GitOps tools and Evenload alike. What happened
while no operator looked is one entry, from the weights that were seen last to those that are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from evenload.api.v1alpha1 import (
    FIELD_MANAGER,
    LONGEST_CAUSE,
    LONGEST_PLACE,
    MOST_BROUGHT,
    MOST_CHANGES,
    MOST_PLACES,
    RouteChange,
)
from evenload.api.values import moment
from evenload.drivers.base import BalancerView, Driver, Manifest, Writer, readable
from evenload.guard import verdict
from evenload.model.spec import TargetRef
from evenload.model.wording import printable
from evenload.record.undo import command

CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
COMMITS: Final = ("/git-commit", "/commit", "/commit-sha", "/git-sha", "/revision")
"""How the annotations end by which pipelines name the commit they roll out."""


def changes_of(
    driver: Driver, target: TargetRef, versions: Sequence[Manifest], broken: Sequence[Counter[str]] = ()
) -> Iterator[RouteChange]:
    """What led from each of `versions` of the object to the next, oldest first; and to the first of them.

    Nothing of a version whose weights nobody owns, or that the driver cannot read. `broken`: of each version, how often
    each rule of the audit does not hold in it.
    """
    before: _Version | None = None
    for manifest, found in zip(versions, broken or [Counter[str]()] * len(versions), strict=True):
        now = _Version.of(driver, manifest, target, found)
        if now.view is not None and now.view.writer is not None:
            yield _change(driver, now.view, now.view.writer, now, before)
        before = now


def changelog(
    known: tuple[RouteChange, ...], changes: Iterable[RouteChange], remediation: str | None
) -> tuple[RouteChange, ...]:
    """`known`, newest first, with those of `changes`, oldest first, that do not stand there.

    `remediation`: the open one, of which our writes are. Our writes in a row, of one Remediation, are one entry.
    """
    for change in changes:
        known = _with(known, change, remediation)
    return known


class _Version(NamedTuple):
    """One version of the object. `view` and `places` (of its weights): nothing where the driver cannot read it."""

    manifest: Manifest
    view: BalancerView | None
    places: frozenset[str]
    broken: Counter[str]

    @classmethod
    def of(cls, driver: Driver, manifest: Manifest, target: TargetRef, broken: Counter[str]) -> _Version:
        view = readable(driver, manifest, target)
        return cls(manifest, view, frozenset(driver.weights_at(manifest, target)) if view else frozenset(), broken)

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.manifest["metadata"].get("annotations") or {}


def _change(driver: Driver, view: BalancerView, writer: Writer, now: _Version, before: _Version | None) -> RouteChange:
    found = RouteChange(
        manager=writer.manager[:128],
        time=moment(writer.time),
        generation=view.generation,
        after=view.weights,
    )
    if before is None:
        return found
    specs = before.manifest.get("spec"), now.manifest.get("spec")
    places = sorted(differences("/spec", *specs, now.places | before.places))
    return replace(
        found,
        before=before.view and before.view.weights,
        elsewhere=tuple(place[:LONGEST_PLACE] for place in places[:MOST_PLACES]),
        undo=command(driver.resource, before.manifest, now.manifest, places) if len(places) <= MOST_PLACES else "",
        cause=_cause(before.annotations, now.annotations),
        override=printable(verdict.override(before.manifest, now.manifest))[:LONGEST_CAUSE],
        brought=tuple(sorted(now.broken - before.broken))[:MOST_BROUGHT],
    )


def _with(known: tuple[RouteChange, ...], change: RouteChange, remediation: str | None) -> tuple[RouteChange, ...]:
    if not known:
        return (_named(change, remediation),)
    last = known[0]
    if change.time < last.time or _stands(change, last):
        return known
    change = _named(change, remediation)
    if change.before is None and last.after is not None and last.after.keys() == (change.after or {}).keys():
        change = replace(change, before=last.after)
    if _one_of_ours(last, change):
        whole = replace(change, before=last.before, elsewhere=_both(last, change), undo="", writes=last.writes + 1)
        return (whole, *known[1:])
    return (change, *known)[:MOST_CHANGES]


def _stands(change: RouteChange, last: RouteChange) -> bool:
    """It is there already, or only metadata was written since. An object that was made again counts from 1, later."""
    if change.time == last.time:
        return change.generation <= last.generation
    return change.generation == last.generation and change.after == last.after


def _named(change: RouteChange, remediation: str | None) -> RouteChange:
    return replace(change, remediation=remediation) if change.manager == FIELD_MANAGER else change


def _one_of_ours(last: RouteChange, change: RouteChange) -> bool:
    return last.manager == change.manager == FIELD_MANAGER and None is not change.remediation == last.remediation


def _both(last: RouteChange, change: RouteChange) -> tuple[str, ...]:
    return tuple(sorted({*last.elsewhere, *change.elsewhere}))[:MOST_PLACES]


def differences(place: str, before: Any, now: Any, besides: Collection[str]) -> Iterator[str]:
    """JSON Pointers (RFC 6901), from `place` on, of what differs; a list that grew or shrank is one place.

    `besides`: pointers to what is not looked at.
    """
    if place in besides or before == now:
        return
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in before.keys() | now.keys():
            part = str(key).replace("~", "~0").replace("/", "~1")
            yield from differences(f"{place}/{part}", before.get(key), now.get(key), besides)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from differences(f"{place}/{index}", old, new, besides)
    else:
        yield place


def _cause(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What the object says of why it was changed, where that was written with it: else it is of an older change."""
    new = {key: value for key, value in now.items() if before.get(key) != value}
    if cause := new.get(CHANGE_CAUSE):
        return cause[:LONGEST_CAUSE]
    commit = next((value for key, value in sorted(new.items()) if key.endswith(COMMITS)), None)
    return f"commit {commit}"[:LONGEST_CAUSE] if commit else ""
