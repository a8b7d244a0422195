"""What a driver is: pure functions that read a balancer's weights from its object and say how to change them.

A driver never talks to the cluster, has no clock and keeps nothing: `act` does the I/O, `observe` the watching. That
is what lets one conformance suite (tests/unit/drivers) hold all of them to the same promises: what is not ours stays
untouched, undo is exact, "no traffic for anyone" cannot be written, and a rival writer is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypedDict

from evenload.errors import InputError
from evenload.kube.resources import Resource
from evenload.model.base import Value
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.spec import TargetRef

Manifest = Mapping[str, Any]  # an object as the API server gave it


CLUSTER_DOMAIN = "svc.cluster.local"
"""What a Service's name in full ends with: name.namespace.svc.cluster.local."""

GATEWAY = "gateway"
"""The plane of what leads from a gateway to the Services behind it."""


class JsonPatchOp(TypedDict):
    """One operation of RFC 6902."""

    op: str
    path: str
    value: object


class Problem(StrEnum):
    """Why a balancer cannot be weighted. A stable word: it becomes the reason of a condition."""

    RuleAmbiguous = "RuleAmbiguous"  # several rules split traffic, and not in the same way
    RuleNotFound = "RuleNotFound"  # spec.targetRef.ruleName names none
    NothingToBalance = "NothingToBalance"  # no Service gets any traffic
    BackendRepeated = "BackendRepeated"  # one Service stands twice in a rule
    BackendUnsupported = "BackendUnsupported"  # something that is no Service gets a share
    ForeignBackend = "ForeignBackend"  # a Service of another namespace, and nobody said that this is meant
    SubsetUnknown = "SubsetUnknown"  # a part of a Service that nothing describes, or that is described twice
    ProgressiveDelivery = "ProgressiveDelivery"  # a canary controller owns these weights
    WeightsInvalid = "WeightsInvalid"  # the weights asked for cannot be written
    SharesInvalid = "SharesInvalid"  # spec.desired.shares are not of exactly the backends that it has
    Unreadable = "Unreadable"  # not the shape its API promises


class RouteProblem(InputError):
    """The balancer, or what is to be written to it, is not something a driver can act on. Says the fix."""

    def __init__(self, reason: Problem, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Handle(StrEnum):
    """What can be done to a balancer and the pods behind it. A stable word: it stands in status.resolved.handles."""

    Weights = "Weights"  # relative shares of backends, where there are two or more
    Isolate = "Isolate"  # a pod with siblings gets no new requests, and is evicted when it has none left
    Restart = "Restart"  # a pod is drained and evicted, its replacement awaited


class Tried(StrEnum):
    """The most that a plane was tried on, as its page says it. docs/trials.py names the tests."""

    Loop = "the whole loop, on a real proxy"
    Proxy = "a real proxy: what is written moves requests"
    Control = (
        "its real control plane, which makes the routes that are written; no proxy: who gets which request is played"
    )
    Server = "a real API server: who gets which request is played"


class Limits(Value, frozen=True, kw_only=True):
    """What a weight of that data plane can be."""

    largest_weight: int
    total: int | None = None  # what the weights that Evenload plans come to; None: any


class Split(Value, frozen=True, kw_only=True):
    """Where the weights stand in the object: paths of field names.

    Each reference has name, weight (absent: 1), namespace (absent or "": the object's own), kind (absent: Service) and
    group (absent: the core group). Those of a mesh (`mesh`) have destination.host, destination.subset (absent or "":
    the whole host) and weight (absent: 0).
    """

    rules: tuple[str, ...] = ()  # to the list of rules; none: the object is a single rule
    references: tuple[str, ...]  # within a rule, to the list of references
    named: bool = True  # whether a rule can have a name
    alone: bool = True  # whether the weight of a rule's only reference counts
    mesh: bool = False

    @property
    def field(self) -> str:
        """The field of `spec` that its writers own as a whole."""
        return (self.rules or self.references)[1]


class Place(Value, frozen=True, kw_only=True):
    """Where a backend's pods are found: behind that Service, or, of those, the ones of a subset."""

    namespace: str
    name: str
    subset: str = ""  # as its plane calls it; "": all of them
    labels: tuple[tuple[str, str], ...] = ()  # that the pods of the subset have; `Driver.located` fills them in


class RulePlace(Value, frozen=True, kw_only=True):
    """A rule that the weights stand in: its index, and its name where it has one."""

    index: int
    name: str | None = None


class Parent(Value, frozen=True, kw_only=True):
    """What one gateway says of the route. None: it has not said, or only of an older generation."""

    name: str
    accepted: bool | None = None
    resolved: bool | None = None
    detail: str = ""
    since: float | None = None  # of the newest refusal, seconds since the epoch


class Writer(Value, frozen=True, kw_only=True):
    """A field manager that owns the weights, and when it last changed something (seconds since the epoch)."""

    manager: str
    time: float


class BalancerView(Value, frozen=True, kw_only=True):
    """A balancer as far as weights go.

    Backends are keyed by Service name, or "namespace/name" where the Service is not in the route's own namespace, or
    "name/subset". A key is for people and for maps of weights; where the pods are, stands in `services` alone: no key
    is ever split.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    weights: dict[str, int]
    services: dict[str, Place]
    rules: tuple[RulePlace, ...]
    parents: tuple[Parent, ...] = ()
    writer: Writer | None = None  # the newest owner of the weights
    rival: Writer | None = None  # the newest owner other than us
    notes: tuple[str, ...] = ()  # what of it limits us, a sentence each
    delivery: str | None = None  # "Canary/shop": a progressive-delivery controller that owns these weights

    @property
    def handles(self) -> tuple[Handle, ...]:
        """What can be done to this very balancer: the weight of a single backend changes nothing."""
        pods = (Handle.Isolate, Handle.Restart)
        return (Handle.Weights, *pods) if len(self.weights) > 1 else pods

    @property
    def accepted(self) -> bool | None:
        """Whether every gateway accepted this generation; None where one has not said. Accepted is not programmed."""
        return _all_of(parent.accepted for parent in self.parents)

    @property
    def resolved(self) -> bool | None:
        """Whether every gateway could resolve all backends of this generation; None where one has not said."""
        return _all_of(parent.resolved for parent in self.parents)


def _all_of(answers: Any) -> bool | None:
    given = tuple(answers)
    if False in given:
        return False
    return None if None in given or not given else True


class Driver(Protocol):
    """One data plane."""

    @property
    def kind(self) -> str:
        """The targetRef.kind it answers for."""

    @property
    def resource(self) -> Resource:
        """Where the API server keeps it. It is watched, read, and patched where weights are written."""

    @property
    def beside(self) -> tuple[Resource, ...]:
        """Kinds that tell what the object itself does not. They are watched, and never written."""

    @property
    def grants(self) -> tuple[Resource, ...]:
        """Kinds by which another namespace allows its Services as backends; watched where such are looked after."""

    @property
    def plane(self) -> str:
        """Balancers of one plane may lead to the same pods; of those of different planes the oldest has them."""

    @property
    def limits(self) -> Limits: ...

    @property
    def handles(self) -> tuple[Handle, ...]:
        """What the plane gives at most; `BalancerView.handles` says what one balancer of it gives."""

    @property
    def split(self) -> Split | None:
        """Where the weights stand; None where there are none."""

    @property
    def about(self) -> str:
        """What it is, as the chart says of `drivers.<name>`."""

    @property
    def tried(self) -> Tried: ...

    @property
    def to_install(self) -> str:
        """What is missing where the API server does not serve the kind."""

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Read `route`. Raises RouteProblem."""

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """`view`, with what the kinds of `beside` tell of where its backends' pods are. Raises RouteProblem."""

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """JSON Pointers (RFC 6901) to the weights of its backends: `patch` writes nowhere else. Raises RouteProblem."""

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """The JSON patch that gives exactly `weights` to exactly the route's backends; empty if they stand already.

        It holds only for the very `route` given: any change by anyone makes the API server refuse it.
        Raises RouteProblem (WeightsInvalid for weights no one should write).
        """


Beside = Callable[[Resource], Iterable[Manifest]]
"""The objects of a kind in the namespace of the balancer that is asked about."""


def readable(driver: Driver, manifest: Manifest, target: TargetRef) -> BalancerView | None:
    """The object as the driver reads it; None where it cannot."""
    try:
        return driver.backends(manifest, target)
    except RouteProblem:
        return None


Granted = Callable[[Place], bool]
"""Whether the namespace of that Service allows routes of the Balancer's namespace to name it (a ReferenceGrant)."""


def refuse_foreign(view: BalancerView, granted: Granted | None) -> None:
    """Refuse Services of other namespaces unless everybody concerned agreed. Raises RouteProblem(ForeignBackend).

    Who may write a route and a Balancer in one namespace has no say in another. `granted`: None where the installation
    does not allow such backends at all. With it, the other namespace must grant the reference and every gateway must
    have resolved it; a route that no gateway has taken proves nothing.
    """
    for service in view.services.values():
        if service.namespace == view.namespace:
            continue
        who = f"{view.kind} {view.namespace}/{view.name} names Service {service.namespace}/{service.name}"
        if granted is None:
            why = (
                "which is in another namespace; move it into the Balancer's own namespace, or have the installation "
                "allow such backends (value crossNamespaceBackends of the chart)"
            )
        elif not granted(service):
            why = f"but no ReferenceGrant in namespace {service.namespace} allows it; create one there"
        elif view.resolved is not True:
            why = "but not every gateway has resolved it yet (condition ResolvedRefs of the route's parents)"
        else:
            continue
        raise RouteProblem(Problem.ForeignBackend, f"{who}, {why}")


def references(split: Split, manifest: Manifest, rules: Iterable[RulePlace]) -> Iterator[tuple[str, Manifest]]:
    """Every reference in these rules of the object, with the JSON Pointer (RFC 6901) to it."""
    for rule in rules:
        within = (*split.rules, rule.index) if split.rules else ()
        found: Any = manifest
        for step in (*within, *split.references):
            found = found[step]
        place = "".join(f"/{step}" for step in (*within, *split.references))
        yield from ((f"{place}/{position}", reference) for position, reference in enumerate(found))


def as_shares(weights: Mapping[str, int]) -> dict[str, int]:
    """Weights as they share the traffic: a single backend has all of it, or, at 0, none."""
    return dict(weights) if len(weights) > 1 else {name: min(1, weight) for name, weight in weights.items()}


def check_shares(policy: Policy, view: BalancerView) -> BalancerView:
    """The view itself, if the shares a person desires are of its backends. Raises RouteProblem(SharesInvalid)."""
    if complaint := shares_problem(policy, view.weights, f"{view.kind} {view.name}"):
        raise RouteProblem(Problem.SharesInvalid, complaint)
    return view


def patch_of(
    view: BalancerView, weights: Mapping[str, int], limits: Limits, operations: Iterable[JsonPatchOp]
) -> list[JsonPatchOp]:
    """`operations`, bound to the very version that `view` shows; empty if `weights` stand. Raises RouteProblem."""
    check_weights(weights, view.weights, limits)
    if view.delivery:
        raise RouteProblem(
            Problem.ProgressiveDelivery,
            f"{view.delivery} sets the weights of {view.kind} {view.name}; Evenload does not write to it",
        )
    if not view.resource_version:
        raise RouteProblem(Problem.Unreadable, f"{view.kind} {view.name} has no metadata.resourceVersion")
    if weights == view.weights:
        return []
    if Handle.Weights not in view.handles:
        raise RouteProblem(
            Problem.WeightsInvalid,
            f"{view.kind} {view.name} has one backend: no weight of it changes anything, and none is written",
        )
    return [only_if("/metadata/resourceVersion", view.resource_version), *operations]


def only_if(path: str, value: object) -> JsonPatchOp:
    """What makes the API server refuse the patch where something else stands at `path`."""
    return {"op": "test", "path": path, "value": value}


def set_weight(path: str, ref: Mapping[str, Any], now: int, wanted: int) -> Iterator[JsonPatchOp]:
    """Give the reference at `path` that weight, if it is still `ref`, whose weight comes to `now`."""
    yield only_if(path, ref)
    if wanted != now:
        yield {"op": "replace" if "weight" in ref else "add", "path": f"{path}/weight", "value": wanted}


def check_weights(weights: Mapping[str, int], backends: Mapping[str, object], limits: Limits) -> None:
    """Refuse what no driver may write. Raises RouteProblem(WeightsInvalid) with a sentence."""
    for complaint in (_names(weights, backends), _numbers(weights, limits)):
        if complaint:
            raise RouteProblem(Problem.WeightsInvalid, complaint)


def _names(weights: Mapping[str, int], backends: Mapping[str, object]) -> str | None:
    if unknown := sorted(weights.keys() - backends.keys()):
        return f"the route has no backend {_and(unknown)}; it has {_and(sorted(backends))}"
    if missing := sorted(backends.keys() - weights.keys()):
        return f"no weight is given for {_and(missing)}; name every backend, 0 to send it nothing"
    return None


def _numbers(weights: Mapping[str, int], limits: Limits) -> str | None:
    for backend, weight in sorted(weights.items()):
        if isinstance(weight, bool) or not isinstance(weight, int):
            return f"the weight of {backend} is {weight!r}; weights are whole numbers"
        if not 0 <= weight <= limits.largest_weight:
            return f"the weight of {backend} is {weight}; it must be from 0 to {limits.largest_weight}"
    if not any(weights.values()):
        return "every weight is 0, which would fail every request; leave at least one backend above 0"
    return None


def _and(names: list[str]) -> str:
    return ", ".join(names)
