"""VirtualService of Istio: the weights of `spec.http[].route[]`, changed by JSON Patch.

A backend is a destination: a Service, or a subset of its pods that a DestinationRule describes. Which routes of the
object: see rules.py; they are called rules here, as those of the other kinds are. What stands below `spec` is atomic
(the CRD declares no list types), so each write first tests resourceVersion and every whole destination at its index.

Weights are whole per cent: what Evenload plans comes to 100. Istio has taken any sum since 1.15, so another one is read
as it is meant, noted, and put back to the digit by an undo. A destination without a weight gets nothing beside others;
a single one gets everything, whatever its weight.

What it refuses, and why:
- a destination with weight whose host is no Service of the VirtualService's own namespace: another namespace has not
  agreed, and a host of a ServiceEntry has no pods. With weight 0 such a host is left as it is;
- one destination twice in a rule: both weights lead to the same pods;
- a subset that no DestinationRule of the namespace describes, or that two describe differently;
- a rule that delegates: the weights stand in another VirtualService, which can be the target itself.

Not looked after, and noted: routes of `tcp` and `tls`, delegated rules beside others, and mirrored requests, which
weights do not steer. The object has no status that says whether proxies took it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from evenload.drivers.base import (
    CLUSTER_DOMAIN,
    BalancerView,
    Beside,
    Handle,
    JsonPatchOp,
    Limits,
    Manifest,
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
from evenload.drivers.metadata import Metadata, PartialObject, read_as, view_of
from evenload.drivers.rules import Rules
from evenload.kube.resources import DESTINATIONRULES, DNS_LABEL, VIRTUALSERVICES, Resource
from evenload.model.spec import TargetRef

TOTAL: Final = 100  # per cent
_LARGEST: Final = 1_000_000
_SPLIT: Final = Split(rules=("spec", "http"), references=("route",), alone=False, mesh=True)
_IN_FULL: Final = re.compile(rf"([^.]+)\.([^.]+)\.{re.escape(CLUSTER_DOMAIN)}")


class _Destination(PartialObject):
    host: str
    subset: str = ""

    @property
    def key(self) -> str:
        """Of a Service of the own namespace."""
        return "/".join(filter(None, (self.host.partition(".")[0], self.subset)))

    def __str__(self) -> str:
        return f"{self.host} (subset {self.subset})" if self.subset else self.host


class _Weighted(PartialObject):
    destination: _Destination
    weight: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)] = 0


class _Rule(PartialObject):
    name: str | None = None
    route: list[_Weighted] = msgspec.field(default_factory=list)
    delegate: dict[str, Any] | None = None
    mirror: dict[str, Any] | None = None
    mirrors: list[Any] = msgspec.field(default_factory=list)


class _Spec(PartialObject):
    http: list[_Rule] = msgspec.field(default_factory=list)
    tcp: list[Any] = msgspec.field(default_factory=list)
    tls: list[Any] = msgspec.field(default_factory=list)


class _VirtualService(PartialObject):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Split(NamedTuple):
    """A rule with those of its destinations that are Services, of whatever namespace."""

    rule: _Rule
    services: list[_Weighted]

    @property
    def name(self) -> str | None:
        return self.rule.name


class _Subset(PartialObject):
    name: str
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class _DestinationSpec(PartialObject):
    host: str
    subsets: list[_Subset] = msgspec.field(default_factory=list)
    workload_selector: dict[str, Any] | None = None


class _DestinationRule(PartialObject):
    metadata: Metadata
    spec: _DestinationSpec


class VirtualServiceDriver:
    """Driver of `networking.istio.io/v1` VirtualService (see the module)."""

    kind = VIRTUALSERVICES.kind
    resource = VIRTUALSERVICES
    beside = (DESTINATIONRULES,)
    grants: tuple[Resource, ...] = ()
    plane = "mesh"
    limits = Limits(largest_weight=_LARGEST, total=TOTAL)
    handles = (Handle.Weights, Handle.Isolate, Handle.Restart)
    split = _SPLIT
    about = "VirtualServices of Istio, over Services and over subsets of DestinationRules."
    tried = Tried.Control
    to_install = "Istio's CRDs (networking.istio.io/v1)"

    def backends(self, route: Manifest, target: TargetRef) -> BalancerView:
        """Raises RouteProblem."""
        parsed = _parse(route)
        all_rules = _rules(parsed)
        _refuse_delegate(parsed, all_rules.of, target)
        rules = all_rules.chosen(target)
        weights = all_rules.common(rules, partial(_weights, parsed))
        destinations = [each.destination for each in rules[0][1].services if _is_ours(parsed, each.destination)]
        namespace = parsed.metadata.namespace
        return view_of(
            self.kind,
            parsed.metadata,
            "http",
            weights=weights,
            services={
                each.key: Place(namespace=namespace, name=each.host.partition(".")[0], subset=each.subset)
                for each in destinations
            },
            rules=tuple(RulePlace(index=index, name=rule.name) for index, rule in rules),
            notes=tuple(_notes(parsed, [(index, split.rule) for index, split in rules])),
        )

    def located(self, view: BalancerView, beside: Beside) -> BalancerView:
        """With the labels of its subsets, from the DestinationRules of its namespace. Raises RouteProblem."""
        names = {place.name for place in view.services.values() if place.subset}
        if not names:
            return view
        subsets = list(_subsets(beside(DESTINATIONRULES), names, view.namespace))
        places = {key: _located(view, place, subsets) for key, place in view.services.items()}
        return replace(view, services=places)

    def weights_at(self, route: Manifest, target: TargetRef) -> tuple[str, ...]:
        """Raises RouteProblem."""
        return tuple(f"{path}/weight" for path, _, _ in _references(route, self.backends(route, target)))

    def patch(self, route: Manifest, target: TargetRef, weights: Mapping[str, int]) -> list[JsonPatchOp]:
        """Raises RouteProblem."""
        view = self.backends(route, target)
        return patch_of(view, weights, self.limits, _operations(route, view, weights))


def _parse(manifest: Manifest) -> _VirtualService:
    return read_as(_VirtualService, manifest, "a VirtualService")


def _rules(parsed: _VirtualService) -> Rules[_Split]:
    need = "leads to a Service; give one of spec.http a route with a destination"
    if not parsed.spec.http and (parsed.spec.tcp or parsed.spec.tls):
        need += " (routes of tcp and tls are not looked after)"
    own = parsed.metadata.namespace
    splits = [
        _Split(rule, [each for each in rule.route if _service(each.destination.host, own)]) for rule in parsed.spec.http
    ]
    return Rules(of=_of(parsed), field="spec.http", need=need, all=splits)


def _refuse_delegate(parsed: _VirtualService, of: str, target: TargetRef) -> None:
    """Where the weights that are asked for stand in another object."""
    meant = [rule for rule in parsed.spec.http if target.rule_name in (None, rule.name)]
    delegated = next((rule.delegate for rule in meant if rule.delegate is not None), None)
    if delegated is None or any(rule.route for rule in meant):
        return
    other = f"{delegated.get('namespace') or parsed.metadata.namespace}/{delegated.get('name', '')}"
    raise RouteProblem(
        Problem.BackendUnsupported,
        f"{of} delegates to VirtualService {other}, where the weights stand; name that one in spec.targetRef",
    )


def _weights(parsed: _VirtualService, index: int, split: _Split) -> dict[str, int]:
    of, rule = f"rule {index} of {_of(parsed)}", split.rule
    if len(rule.route) > TOTAL:
        raise RouteProblem(
            Problem.BackendUnsupported,
            f"{of} has {len(rule.route)} destinations, and whole per cent cannot be split over more than {TOTAL}",
        )
    weights: dict[str, int] = {}
    alone = len(rule.route) == 1
    for each in rule.route:
        if not _is_ours(parsed, each.destination):
            if alone or each.weight:
                raise _foreign(parsed, of, each.destination)
            continue
        key = each.destination.key
        if key in weights:
            raise RouteProblem(
                Problem.BackendRepeated,
                f"{of} names destination {each.destination} twice; name each destination once a rule",
            )
        weights[key] = each.weight
    if not weights:
        raise RouteProblem(Problem.NothingToBalance, f"{of} leads to no Service; give it a destination that is one")
    return dict.fromkeys(weights, 1) if alone else as_shares(weights)


def _is_ours(parsed: _VirtualService, destination: _Destination) -> bool:
    """Whether it is a Service of the VirtualService's own namespace, by its short name or in full."""
    place = _service(destination.host, parsed.metadata.namespace)
    return place is not None and place.namespace == parsed.metadata.namespace


def _service(host: str, namespace: str) -> Place | None:
    """As Istio reads it: a name without dots is a Service of that namespace, every other host is taken literally."""
    found = _IN_FULL.fullmatch(host)
    name, of = (found[1], found[2]) if found else (host, namespace)
    return Place(namespace=of, name=name) if DNS_LABEL.fullmatch(name) else None


def _foreign(parsed: _VirtualService, of: str, destination: _Destination) -> RouteProblem:
    place = _service(destination.host, parsed.metadata.namespace)
    if place is not None:
        return RouteProblem(
            Problem.ForeignBackend,
            f"{of} names Service {place.namespace}/{place.name}, which is in another namespace; move it into the "
            "Balancer's own namespace",
        )
    return RouteProblem(
        Problem.BackendUnsupported,
        f"{of}: host {destination.host!r} is no Service that Evenload can look after; write a Service's name, or "
        f"name.namespace.{CLUSTER_DOMAIN}, or set its weight to 0",
    )


def _notes(parsed: _VirtualService, rules: Iterable[tuple[int, _Rule]]) -> Iterator[str]:
    for index, rule in rules:
        total = sum(each.weight for each in rule.route)
        if len(rule.route) > 1 and total != TOTAL:
            yield (
                f"the weights of rule {index} come to {total}, not to {TOTAL}: Istio takes them as relative; what "
                f"Evenload writes are whole per cent that come to {TOTAL}"
            )
        if rule.mirror is not None or rule.mirrors:
            yield f"rule {index} mirrors requests: where they go, they come on top of what the weights ask for"
    if any(rule.delegate is not None for rule in parsed.spec.http):
        yield "rules that delegate to another VirtualService are not looked after; that one can be a target itself"
    if parsed.spec.tcp or parsed.spec.tls:
        yield "routes of tcp and tls are not looked after"


def _subsets(rules: Iterable[Manifest], names: Container[str], namespace: str) -> Iterator[tuple[Place, str]]:
    """Each subset of the Services of these names, as a place with its labels, and the DestinationRule that says so.

    Those for certain clients alone (workloadSelector) do not say what the subset is for the others. One that cannot be
    read describes nothing.
    """
    for manifest in rules:
        if _host_of(manifest).partition(".")[0] not in names:
            continue  # not decoded: every tick looks at all of them
        try:
            rule = msgspec.convert(manifest, _DestinationRule)
        except msgspec.ValidationError:
            continue
        service = _service(rule.spec.host, namespace)
        if service is not None and rule.spec.workload_selector is None:
            for each in rule.spec.subsets:
                labels = tuple(sorted(each.labels.items()))
                yield replace(service, subset=each.name, labels=labels), rule.metadata.name


def _host_of(manifest: Manifest) -> str:
    spec = manifest.get("spec")
    host = spec.get("host") if isinstance(spec, dict) else None
    return host if isinstance(host, str) else ""


def _located(view: BalancerView, place: Place, subsets: list[tuple[Place, str]]) -> Place:
    if not place.subset:
        return place
    described = [each for each in subsets if (each[0].namespace, each[0].name) == (place.namespace, place.name)]
    found = {each: rule for each, rule in described if each.subset == place.subset}
    if len(found) == 1:
        return next(iter(found))
    where = f"{view.kind} {view.namespace}/{view.name} names subset {place.subset} of Service {place.name}"
    if found:
        why = f"which DestinationRules {', '.join(sorted(found.values()))} describe differently; let one describe it"
    elif described:
        names = ", ".join(sorted({rule for _, rule in described}))
        known = ", ".join(sorted({each.subset for each, _ in described}))
        why = f"and DestinationRule {names} has no such subset, only {known}; add it to spec.subsets there"
    else:
        why = (
            f"and no DestinationRule of namespace {view.namespace} for host {place.name} has subsets; create one with "
            f"spec.subsets[].name {place.subset}"
        )
    raise RouteProblem(Problem.SubsetUnknown, f"{where}, {why}")


def _operations(route: Manifest, view: BalancerView, weights: Mapping[str, int]) -> Iterator[JsonPatchOp]:
    for path, reference, parsed in _references(route, view):
        yield from set_weight(path, reference, parsed.weight, weights[parsed.destination.key])


def _references(route: Manifest, view: BalancerView) -> Iterator[tuple[str, Manifest, _Weighted]]:
    """Each destination with a weight of ours: where it stands, as it stands there, and as it is read."""
    whole = _parse(route)
    for place, reference in references(_SPLIT, route, view.rules):
        parsed = msgspec.convert(reference, _Weighted)
        if _is_ours(whole, parsed.destination):
            yield place, reference, parsed


def _of(parsed: _VirtualService) -> str:
    return f"VirtualService {parsed.metadata.namespace}/{parsed.metadata.name}"
