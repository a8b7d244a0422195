"""Routes of the Gateway API: weights of the Services behind a rule, changed by JSON Patch. All kinds split alike.

Which rules: see rules.py. Where all lead to a single Service, its pods are looked after, and the route is never written
to.

Server-side apply cannot own a weight here (`rules` and `backendRefs` are atomic lists), so each write is a JSON Patch
that first tests resourceVersion and every whole backend reference at its index: name, kind, namespace, port, filters
and old weight. If anything has moved, the API server refuses and nothing is written.

What it refuses, and why:
- one Service twice in a rule (two ports, say): both weights lead to the same pods, and how to split a sum between
  them is not ours to invent;
- a reference with weight that is no Service: our writes would change its share, and it has no pods to watch. With
  weight 0 it is left as it is;
- routes owned by Flagger's Canary or an Argo Rollout: uneven weights are their work.

- a reference whose name no Service can have ("shop/dns"): the CRD takes it, and it could be read as another namespace.

A Service of another namespace is keyed "namespace/name"; whether it may be looked after is decided elsewhere
(drivers/base.py, refuse_foreign).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from evenload.clock import from_rfc3339
from evenload.drivers.base import (
    GATEWAY,
    BalancerView,
    Beside,
    Handle,
    JsonPatchOp,
    Limits,
    Manifest,
    Parent,
    Place,
    Problem,
    RouteProblem,
    RulePlace,
    Split,
    Tried,
    as_shares,
    patch_of,
    references,
    set_weight,
)
from evenload.drivers.metadata import Metadata, PartialObject, Reference, read_as, view_of
from evenload.drivers.rules import Rules
from evenload.kube.resources import DNS_LABEL, HTTPROUTES, REFERENCEGRANTS, Resource
from evenload.model.spec import TargetRef

LARGEST_WEIGHT = 1_000_000
_SPLIT = Split(rules=("spec", "rules"), references=("backendRefs",))


class _Ref(Reference):
    group: str | None = None
    kind: str | None = None

    @property
    def is_service(self) -> bool:
        return (self.group or "") == "" and (self.kind or "Service") == "Service"


class _Rule(PartialObject):
    name: str | None = None
    backend_refs: list[_Ref] = msgspec.field(default_factory=list)

    @property
    def services(self) -> list[_Ref]:
        return [ref for ref in self.backend_refs if ref.is_service]


class _Spec(PartialObject):
    rules: list[_Rule] = msgspec.field(default_factory=list)


class _Condition(PartialObject):
    type: str
    status: str
    observed_generation: int | None = None
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class _ParentRef(PartialObject):
    name: str
    namespace: str | None = None
    section_name: str | None = None


class _ParentStatus(PartialObject):
    parent_ref: _ParentRef
    conditions: list[_Condition] = msgspec.field(default_factory=list)


class _Status(PartialObject):
    parents: list[_ParentStatus] = msgspec.field(default_factory=list)


class _Route(PartialObject):
    kind: str
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class RouteDriver:
    """Driver of one kind of route of `gateway.networking.k8s.io/v1` (see the module)."""

    limits = Limits(largest_weight=LARGEST_WEIGHT)
    handles = (Handle.Weights, Handle.Isolate, Handle.Restart)
    beside: tuple[Resource, ...] = ()
    grants = (REFERENCEGRANTS,)
    plane = GATEWAY
    split = _SPLIT
    to_install = "the Gateway API's CRDs (v1) and a gateway"

    def __init__(self, resource: Resource) -> None:
        self.kind = resource.kind
        self.resource = resource
        self.about = f"{resource.kind}s of the Gateway API."
        self.tried = Tried.Loop if resource is HTTPROUTES else Tried.Server

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route, self.kind)
        all_rules = _rules(parsed)
        rules = all_rules.chosen(target)
        weights = all_rules.common(rules, partial(_weights, parsed))
        meta = parsed.metadata
        services = {
            _key(ref, meta.namespace): Place(namespace=ref.namespace or meta.namespace, name=ref.name)
            for ref in rules[0][1].services
        }
        return view_of(
            self.kind,
            meta,
            "rules",
            weights=weights,
            services=services,
            rules=tuple(RulePlace(index=index, name=rule.name) for index, rule in rules),
            parents=tuple(_parent(status, meta) for status in parsed.status.parents),
        )

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """As it is: a Service leads to its pods by itself."""
        return view

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """Raises RouteProblem."""
        return tuple(f"{path}/weight" for path, _, _ in _references(route, self.backends(route, target)))

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Raises RouteProblem."""
        view = self.backends(route, target)
        return patch_of(view, weights, self.limits, _operations(route, view, weights))


def _parse(route: Manifest, kind: str) -> _Route:
    article = "an" if kind.startswith("H") else "a"
    return read_as(_Route, {**route, "kind": kind}, f"{article} {kind}")


def _rules(route: _Route) -> Rules[_Rule]:
    need = "leads to a Service; give a rule a backendRef that is one"
    return Rules(of=_of(route), field="spec.rules", need=need, all=route.spec.rules)


def _weights(route: _Route, index: int, rule: _Rule) -> dict[str, int]:
    weights: dict[str, int] = {}
    for ref in rule.backend_refs:
        if not ref.is_service:
            _refuse_share(route, index, ref)
            continue
        _check_name(route, index, ref)
        key = _key(ref, route.metadata.namespace)
        if key in weights:
            raise RouteProblem(
                Problem.BackendRepeated,
                f"rule {index} of {_of(route)} names Service {key} twice; name each Service once a rule",
            )
        weights[key] = ref.effective_weight
    return as_shares(weights)


def _check_name(route: _Route, index: int, ref: _Ref) -> None:
    for field, text in (("name", ref.name), ("namespace", ref.namespace or route.metadata.namespace)):
        if not DNS_LABEL.fullmatch(text):
            raise RouteProblem(
                Problem.BackendUnsupported,
                f"rule {index} of {_of(route)}: backendRefs[].{field} {text!r} is no {field} that a Service can have; "
                f"correct it",
            )


def _refuse_share(route: _Route, index: int, ref: _Ref) -> None:
    if ref.effective_weight:
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"rule {index} of {_of(route)} gives {ref.kind} {ref.name} a share, which is no Service; "
            f"set its weight to 0, or name another rule in spec.targetRef.ruleName",
        )


def _operations(route: Manifest, view: BalancerView, weights: Mapping[str, int]) -> Iterator[JsonPatchOp]:
    for path, ref, parsed in _references(route, view):
        yield from set_weight(path, ref, parsed.effective_weight, weights[_key(parsed, view.namespace)])


def _references(route: Manifest, view: BalancerView) -> Iterator[tuple[str, Manifest, _Ref]]:
    """Each reference with a weight of ours: where it stands, as it stands there, and as it is read."""
    for place, ref in references(_SPLIT, route, view.rules):
        parsed = msgspec.convert(ref, _Ref)
        if parsed.is_service:
            yield place, ref, parsed


def _key(ref: _Ref, namespace: str) -> str:
    return ref.name if ref.namespace in (None, namespace) else f"{ref.namespace}/{ref.name}"


def _of(route: _Route) -> str:
    return f"{route.kind} {route.metadata.namespace}/{route.metadata.name}"


def _parent(status: _ParentStatus, meta: Metadata) -> Parent:
    ref = status.parent_ref
    name = f"{ref.namespace or meta.namespace}/{ref.name}" + (f"/{ref.section_name}" if ref.section_name else "")
    current = {
        condition.type: condition
        for condition in status.conditions
        if condition.observed_generation is None or condition.observed_generation >= meta.generation
    }
    answers = (current.get("Accepted"), current.get("ResolvedRefs"))
    refused = [condition for condition in answers if condition is not None and condition.status == "False"]
    times = (from_rfc3339(condition.last_transition_time or "") for condition in refused)
    return Parent(
        name=name,
        accepted=_truth(current.get("Accepted")),
        resolved=_truth(current.get("ResolvedRefs")),
        detail="; ".join(f"{condition.reason}: {condition.message}" for condition in refused),
        since=max((time for time in times if time is not None), default=None),
    )


def _truth(condition: _Condition | None) -> bool | None:
    return {"True": True, "False": False}.get(condition.status) if condition else None
