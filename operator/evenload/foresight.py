"""What a changed balancer would do, reckoned before it is applied. Pure.

Shares follow from the weights. What a backend would need of its CPU follows from what it needs now and from how its
traffic changes (plan/headroom); of one that has too little traffic now to tell, from what a request costs the others.
Errors are those of now, what a backend cannot serve beyond all of its CPU, and what goes to one without a ready pod.
Traffic is taken to follow the weights as it does now: a backend that gets twice its share goes on to. Just after a
change of the weights that is not known, and it is taken to follow them to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from msgspec import field
from msgspec.structs import replace

from evenload.audit.endpoints import ready_endpoints
from evenload.audit.finding import ORDER, Finding, Severity
from evenload.audit.world import World
from evenload.drivers.base import ServiceName
from evenload.guard.verdict import WAYS_OUT, Verdict
from evenload.model.base import Value
from evenload.model.fleet import Bools, Fleet, Floats
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.snapshot import SignalName, SignalState, Snapshot
from evenload.model.spec import GuardMode
from evenload.model.wording import percent
from evenload.plan.headroom import Cost, worst_use
from evenload.plan.targets import desired_shares, shares_of

NEEDED: Final[tuple[SignalName, ...]] = ("requests", "errors", "cpu")
MOST_USE: Final = 1.0  # of a backend's CPU: what is asked beyond it is not served
WORSE_RATIO: Final = 1.02  # by less the change is not to blame for what was too much before


class Concern(Value, frozen=True, kw_only=True):
    """Something that is wrong with the change. `rule`: a stable word, or the audit's; `object`: "Service shop/a"."""

    severity: Severity
    rule: str
    object: str
    what: str
    fix: str = ""
    path: str = ""


class Standing(Value, frozen=True, kw_only=True):
    """A backend's Service. None: nobody knows."""

    exists: bool | None = None
    ready: int | None = None  # endpoints


UNKNOWN: Final = Standing()


class Sighting(Value, frozen=True, kw_only=True):
    """What the operator would see of a Balancer: now, and of the pods behind the balancer as it would be.

    `before`: None without signals. `missing`: why something cannot be predicted, a sentence each.
    """

    policy: Policy
    before: Snapshot | None = None
    after: Snapshot | None = None
    targets: dict[str, int] = field(default_factory=dict)  # of the status: the share that each backend should have now
    missing: tuple[str, ...] = ()


class Row(Value, frozen=True, kw_only=True):
    """One backend. Weights and shares are None where it is not in the balancer then; other numbers where unknown.

    Shares, traffic and use are of 1. `use`: CPU of the busiest pod over its limit. `guessed`: `use_after` is what a
    request costs the other backends.
    """

    backend: str
    standing: Standing = UNKNOWN
    weight_before: int | None = None
    weight_after: int | None = None
    share_before: float | None = None
    share_after: float | None = None
    due: float | None = None
    traffic: float | None = None
    use: float | None = None
    use_after: float | None = None
    guessed: bool = False

    @property
    def gains(self) -> bool:
        """Whether the change gives it more of the traffic than it has."""
        return (self.share_after or 0.0) > (self.share_before or 0.0)


class Outlook(Value, frozen=True, kw_only=True):
    """What becomes of the traffic. `balancer`: whose eyes it is seen with, "" where there is no Balancer.

    `failing`, `failing_after`: of all requests, 0..1.
    """

    rows: tuple[Row, ...]
    balancer: str = ""
    rule: str = ""
    failing: float | None = None
    failing_after: float | None = None
    missing: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether any traffic goes elsewhere."""
        return any(row.share_before != row.share_after for row in self.rows)

    @property
    def predicted(self) -> bool:
        return any(row.use_after is not None for row in self.rows)


class State(StrEnum):
    """What applying it does to an object."""

    new = "new"
    changed = "changed"
    unchanged = "unchanged"


class Answer(StrEnum):
    """What the API server says to a dry run."""

    accepted = "accepted"
    refused = "refused"
    unasked = "not asked"


class ObjectDiff(Value, frozen=True, kw_only=True):
    """One object of the files. `places`: JSON Pointers (RFC 6901) to what changes in it besides weights.

    `detail`: why the API server was not asked. `manager`: whose name it would be applied with.
    """

    name: str  # "HTTPRoute shop/shop"
    file: str
    line: int
    state: State
    answer: Answer
    manager: str
    detail: str = ""
    warnings: tuple[str, ...] = ()
    outlooks: tuple[Outlook, ...] = ()
    places: tuple[str, ...] = ()
    concerns: tuple[Concern, ...] = ()
    notes: tuple[str, ...] = ()


class Report(Value, frozen=True, kw_only=True):
    """All of it. `elsewhere`: findings on objects that are not in the files. `known`: how many findings are there with
    and without the change. `ignored`: documents by kind. `refused`: kinds that may not be listed, and why.

    `untold`: predictions were asked for, and could not be made.
    """

    objects: tuple[ObjectDiff, ...]
    elsewhere: tuple[Concern, ...] = ()
    known: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    untold: bool = False

    @property
    def concerns(self) -> list[Concern]:
        """The worst first."""
        found = [*(concern for each in self.objects for concern in each.concerns), *self.elsewhere]
        return sorted(found, key=lambda each: ORDER[each.severity])


def foresee(
    before: Mapping[str, int],
    after: Mapping[str, int],
    standing: Mapping[str, Standing],
    sighting: Sighting | None = None,
    *,
    balancer: str = "",
    rule: str = "",
) -> Outlook:
    """From weights to weights, by backend; `before` is empty for a new balancer."""
    old, new = _shares(before), _shares(after)
    rows = tuple(
        Row(
            backend=name,
            standing=standing.get(name, UNKNOWN),
            weight_before=before.get(name),
            weight_after=after.get(name),
            share_before=old.get(name),
            share_after=new.get(name),
        )
        for name in sorted(before.keys() | after.keys())
    )
    outlook = Outlook(rows=rows, balancer=balancer, rule=rule)
    return outlook if sighting is None else _predicted(outlook, before, after, sighting)


def _shares(weights: Mapping[str, int]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def _predicted(outlook: Outlook, before: Mapping[str, int], after: Mapping[str, int], sighting: Sighting) -> Outlook:
    due = _due(after, sighting)
    rows = tuple(replace(row, due=due.get(row.backend)) for row in outlook.rows)
    outlook = replace(outlook, rows=rows, missing=(*sighting.missing, *_missing(sighting.before)))
    if sighting.before is None or not _told(sighting.before, "requests"):
        return outlook
    seen = _Seen.of(sighting.before, sighting, before, after)
    return replace(
        outlook,
        rows=tuple(seen.filled(row) for row in rows),
        failing=seen.fleet.error_ratio() if _told(sighting.before, "errors") else None,
        failing_after=seen.failing() if _told(sighting.before, "errors") else None,
    )


def _told(snapshot: Snapshot, signal: SignalName) -> bool:
    return signal in snapshot.signals and snapshot.signals[signal].state in (SignalState.Fresh, SignalState.Partial)


def _missing(snapshot: Snapshot | None) -> Iterator[str]:
    for name in NEEDED if snapshot is not None else ():
        signal = snapshot.signals.get(name) if snapshot is not None else None
        if signal is None or signal.state is not SignalState.Fresh:
            state = signal.state.value if signal else SignalState.Missing.value
            yield f"{name}: {state}{f': {signal.detail}' if signal and signal.detail else ''}"


def _due(after: Mapping[str, int], sighting: Sighting) -> dict[str, float]:
    """The shares that the backends should have after it; empty where nobody knows."""
    if sighting.after is None or not after or shares_problem(sighting.policy, after) is not None:
        return {}
    fleet = Fleet(sighting.after)
    if sighting.targets.keys() == after.keys() and all(fleet.ready_by_backend > 0):
        return _shares(sighting.targets)  # the operator's, who has learnt what each backend bears
    shares = desired_shares(fleet, sighting.policy)
    return dict(zip(fleet.backends, shares.tolist(), strict=True)) if shares.sum() else {}


class _Seen(NamedTuple):
    """All backends there are or will be, with the numbers of now. Vectors are by backend."""

    fleet: Fleet
    shares: Floats  # of the traffic, as they would be
    use: Floats
    use_after: Floats
    guessed: Bools

    @classmethod
    def of(cls, now: Snapshot, sighting: Sighting, before: Mapping[str, int], after: Mapping[str, int]) -> _Seen:
        backends = {**(sighting.after.backends if sighting.after else {}), **now.backends}
        fleet = Fleet(replace(now, backends=backends))
        shares = shares_of(fleet, after)
        if _settled(now, sighting.policy):
            shares = _bent(fleet, shares_of(fleet, before), shares)
        own = Cost().predicted(fleet, now.window, shares, clean=True)
        guessed = np.isnan(own) & (shares > 0)
        return cls(fleet, shares, worst_use(fleet), np.where(guessed, _as_the_others(fleet, shares), own), guessed)

    def filled(self, row: Row) -> Row:
        if row.backend not in self.fleet.backends:
            return row
        at = self.fleet.backends.index(row.backend)
        return replace(
            row,
            traffic=_number(self.fleet.shares[at]) if self.fleet.told_by_backend[at] else None,
            use=_number(self.use[at]),
            use_after=_number(self.use_after[at]) if row.weight_after is not None else None,
            guessed=bool(self.guessed[at]),
        )

    def failing(self) -> float | None:
        """Of all requests, 0..1, as they would fail; None where nobody knows how many fail now."""
        fleet, overall = self.fleet, self.fleet.error_ratio()
        if overall is None or not self.shares.sum():
            return None if self.shares.sum() else 1.0
        requests, errors = fleet.requests_by_backend, fleet.by_backend(fleet.errors)
        ratio = np.where(requests > 0, errors / np.where(requests > 0, requests, 1.0), overall)
        served = np.minimum(_served(self.use_after) / _served(self.use), 1.0)  # what is lost now is in the ratio
        lost = np.where(fleet.ready_by_backend > 0, 1 - (1 - ratio) * served, 1.0)
        return float((self.shares * lost).sum())


def _served(use: Floats) -> Floats:
    """What of the requests a backend of that use can serve, 0..1; all where nobody knows."""
    return np.where(use > MOST_USE, MOST_USE / np.where(use > 0, use, 1.0), 1.0)


def _settled(now: Snapshot, policy: Policy) -> bool:
    """Whether the window lies behind the last change of the weights: then traffic shows what is made of them."""
    last = now.last_write
    return last is None or now.time - last.time > now.window + policy.actuator_lag_seconds


def _bent(fleet: Fleet, commanded: Floats, shares: Floats) -> Floats:
    """`shares` as traffic would follow them if it did as it follows `commanded` now (plan/gains, of a single look)."""
    told = (commanded > 0) & fleet.told_by_backend & (fleet.requests_by_backend > 0)
    gains = np.where(told, fleet.shares / np.where(told, commanded, 1.0), 1.0)
    bent = shares * gains
    total = float(bent.sum())
    return bent / total if total else shares


def _as_the_others(fleet: Fleet, shares: Floats) -> Floats:
    """Use that each backend would have if a request cost it what it costs the others; NaN where nothing tells."""
    cpu, limit = (fleet.by_backend(np.where(fleet.ready, values, 0.0)) for values in (fleet.cpu, fleet.cpu_limit))
    telling = (fleet.requests_by_backend > 0) & (cpu > 0) & fleet.told_by_backend
    if not telling.any():
        return np.full(len(fleet.backends), np.nan)
    cost = float(np.median(cpu[telling] / fleet.requests_by_backend[telling]))
    return np.where(limit > 0, cost * shares * fleet.total_requests / np.where(limit > 0, limit, 1.0), np.nan)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


# What is wrong.


def standing_of(world: World, service: ServiceName) -> Standing:
    """What is known of a Service and its ready endpoints."""
    found = world.get("Service", service.namespace, service.name)
    if found is None:
        return Standing(exists=False, ready=0) if world.lacks("Service", service.namespace, service.name) else UNKNOWN
    known = world.complete("EndpointSlice", service.namespace) and found.spec["type"].text != "ExternalName"
    return Standing(exists=True, ready=len(ready_endpoints(world, found)) if known else None)


def overloads(outlook: Outlook, policy: Policy) -> Iterator[tuple[Severity, str]]:
    """Backends that the change brings over the most that a receiver may have, with how sure that is."""
    for row in outlook.rows if outlook.moves else ():
        use = row.use_after
        if use is None or use <= policy.max_utilization or use <= WORSE_RATIO * (row.use or 0.0):
            continue
        now = f", now {percent(row.use)}" if row.use is not None else ""
        how = ", at what a request costs the other backends" if row.guessed else ""
        sure = not row.guessed or use > MOST_USE
        yield (
            Severity.error if sure else Severity.warning,
            f"{row.backend} would need {percent(use)} of its CPU{how}{now} "
            f"(at most {percent(policy.max_utilization)}: spec.guardrails.maxUtilizationPercent)",
        )


def unready(outlook: Outlook) -> Iterator[tuple[str, str, str]]:
    """Backends that would get more of the traffic and have nobody to answer it: which, what is wrong, and the fix."""
    for row in outlook.rows:
        if not row.gains or row.standing.ready != 0:
            continue
        share, name = f"gets {percent(row.share_after or 0.0)} of the traffic", f"Service {row.backend}"
        if row.standing.exists:
            yield row.backend, f"{name} has no ready endpoint, and {share}", "Bring its pods up, or give it weight 0."
        else:
            yield row.backend, f"{name} does not exist, and {share}", "Correct the name, or create the Service first."


def guarded(verdict: Verdict, *, accepted: bool | None) -> Iterator[tuple[Severity, str]]:
    """What the guard says, without the ways out. `accepted`: what a dry run came to; None where there was none."""
    said = verdict.sentence.removesuffix(f". {WAYS_OUT}")
    if not verdict.mistakes:
        return
    if verdict.override and verdict.mode is GuardMode.Deny:
        yield Severity.info, f"{said}; that is overridden, with the reason: {verdict.override}"
    elif verdict.refused:
        stored = "; yet the API server would store it: the guard's policies are not in force here"
        yield Severity.error, f"{said}{stored if accepted else ''}"
    else:
        yield Severity.warning, said


def new_findings(before: list[Finding], after: list[Finding]) -> list[Finding]:
    """Those that the change brings, suppressed ones left out."""
    known = {_identity(each) for each in before if each.suppressed is None}
    return [each for each in after if each.suppressed is None and _identity(each) not in known]


def _identity(finding: Finding) -> tuple[str, str, str, str, str]:
    return finding.rule, finding.kind, finding.namespace, finding.name, finding.what
