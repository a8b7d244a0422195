"""What a changed balancer would do, reckoned before it is applied. Pure.

Shares follow from the weights; the rest is predicted from what is seen now (`prediction`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from msgspec import field

from evenload.audit.endpoints import ready_endpoints
from evenload.audit.finding import ORDER, Finding, Severity
from evenload.audit.world import World
from evenload.drivers.base import Place
from evenload.guard.verdict import WAYS_OUT, Verdict
from evenload.model.base import Value
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.spec import GuardMode
from evenload.model.wording import percent

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
    old, new = shares_by_backend(before), shares_by_backend(after)
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
    if sighting is None:
        return outlook
    from evenload.foresight.prediction import predicted  # with numpy, which takes as long as all the rest to import

    return predicted(outlook, before, after, sighting)


def shares_by_backend(weights: Mapping[str, int]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


# What is wrong.


def standing_of(world: World, service: Place) -> Standing:
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
