"""All objects that are known, found by name, by label and by what they belong to; and where they are all there are.

Each index is made once: rules ask it for each object, of which there are ten thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from evenload.audit.field import Field
from evenload.audit.versions import UNKNOWN, Versions
from evenload.model.base import Value

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HTTPRoute": "gateway.networking.k8s.io",
        "GRPCRoute": "gateway.networking.k8s.io",
        "Gateway": "gateway.networking.k8s.io",
        "ReferenceGrant": "gateway.networking.k8s.io",
        "XBackendTrafficPolicy": "gateway.networking.x-k8s.io",
        "Service": "",
        "Pod": "",
        "EndpointSlice": "discovery.k8s.io",
        "Deployment": "apps",
        "StatefulSet": "apps",
        "DaemonSet": "apps",
        "Rollout": "argoproj.io",
        "HorizontalPodAutoscaler": "autoscaling",
        "PodDisruptionBudget": "policy",
        "TraefikService": "traefik.io",
        "IngressRoute": "traefik.io",
        "DestinationRule": "networking.istio.io",
        "VirtualService": "networking.istio.io",
        "BackendTrafficPolicy": "gateway.envoyproxy.io",
        "Ingress": "networking.k8s.io",
    }
)
"""The kinds that are audited, and the API group that is meant: others have a Gateway or a Service, too."""

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
_CLUSTER_DOMAIN: Final = ("svc", "cluster", "local")
SERVICE_NAME: Final = "kubernetes.io/service-name"


Named = tuple[str, str, str]
"""Kind, namespace and name of an object."""
LookUp = Callable[[str, str, str], Mapping[str, Any] | None]
"""Finds an object by these."""


class Scope(Value, frozen=True, kw_only=True):
    """Of which kinds all objects are known, and in which namespaces; None: in all of them."""

    kinds: frozenset[str] = frozenset()
    namespaces: frozenset[str] | None = None


NOWHERE: Final = Scope()
"""Of single files: what is not among them may be elsewhere."""


class Object(NamedTuple):
    """An object of a kind that is audited. `place`: its number among those that were given."""

    kind: str
    namespace: str
    name: str
    place: int
    root: Field
    spec: Field
    annotations: Field

    @property
    def labels(self) -> dict[str, str]:
        return self.root["metadata"]["labels"].texts()

    @property
    def applied(self) -> bool:
        """Whether it is as an API server has it, with status and defaults, and not as somebody wrote it."""
        return bool(self.root["metadata"]["uid"].text)

    @property
    def template(self) -> Field:
        """The pod, of a workload or of a pod itself."""
        return self.root if self.kind == "Pod" else self.spec["template"]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Selector(NamedTuple):
    """Which labels are meant: all of `equal`, and all of `expressions` (key, operator, values)."""

    equal: dict[str, str]
    expressions: tuple[tuple[str, str, frozenset[str]], ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.equal.items()) and all(
            _holds(labels, *expression) for expression in self.expressions
        )


def _holds(labels: Mapping[str, str], key: str, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selector_of(field: Field) -> Selector | None:
    """A LabelSelector (matchLabels, matchExpressions); None where it is absent or not one."""
    if not isinstance(field.value, dict):
        return None
    expressions = []
    for each in field["matchExpressions"].each():
        operator = each["operator"].text
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            return None
        values = frozenset(item.text for item in each["values"].each())
        expressions.append((each["key"].text, operator, values))
    return Selector(field["matchLabels"].texts(), tuple(expressions))


class _Labelled:
    """Objects by each label of their pods."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._by: dict[tuple[str, str, str], list[Object]] = {}
        self._all: dict[str, list[Object]] = {}
        self._labels: dict[int, dict[str, str]] = {}
        for each in objects:
            labels = each.template["metadata"]["labels"].texts()
            self._labels[each.place] = labels
            self._all.setdefault(each.namespace, []).append(each)
            for key, value in labels.items():
                self._by.setdefault((each.namespace, key, value), []).append(each)

    def matching(self, namespace: str, selector: Selector) -> list[Object]:
        lists = [self._by.get((namespace, key, value), []) for key, value in selector.equal.items()]
        candidates = min(lists, key=len) if lists else self._all.get(namespace, [])
        return [each for each in candidates if selector.matches(self._labels[each.place])]


class World:
    """The objects, and how far they are all there are. `today`: a date as "2026-11-28", "" where none is known.
    `versions`: what is known of balancers by their images.

    `look_up`: where to find an object that is not among `objects`, when a rule asks for it by name. `deliverers`:
    canary controllers that set the weights of balancers, besides those whose objects are here.
    """

    def __init__(
        self,
        objects: Iterable[Object],
        scope: Scope = NOWHERE,
        today: str = "",
        versions: Versions = UNKNOWN,
        *,
        look_up: LookUp | None = None,
        deliverers: Mapping[Named, str] = MappingProxyType({}),
    ) -> None:
        self._scope = scope
        self.today = today
        self.versions = versions
        self._look_up = look_up
        self._deliverers = deliverers
        self._selectors: dict[int, Selector | None] = {}
        self._subsets: dict[object, frozenset[str]] = {}
        self._by_kind: dict[str, list[Object]] = {}
        self._by_name: dict[Named, Object | None] = {}
        for each in objects:
            self._by_kind.setdefault(each.kind, []).append(each)
            self._by_name[each.kind, each.namespace, each.name] = each

    def __iter__(self) -> Iterator[Object]:
        for objects in self._by_kind.values():
            yield from objects

    def every(self, *kinds: str) -> Iterator[Object]:
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        key = (kind, namespace, name)
        if self._look_up is not None and key not in self._by_name:
            found = self._look_up(*key)
            self._by_name[key] = next(objects_of([found], namespace), None) if found is not None else None
        return self._by_name.get(key)

    def complete(self, kind: str, namespace: str) -> bool:
        """Whether an object of that kind that is not here does not exist."""
        known = self._scope.namespaces
        return kind in self._scope.kinds and (known is None or namespace in known)

    def complete_everywhere(self, kind: str) -> bool:
        return kind in self._scope.kinds and self._scope.namespaces is None

    def lacks(self, kind: str, namespace: str, name: str) -> bool:
        """Whether that object is known not to exist."""
        return self.complete(kind, namespace) and self.get(kind, namespace, name) is None

    def grants(self, namespace: str, service: str, route: Object) -> bool:
        """Whether a ReferenceGrant of that namespace lets the route use its Service."""
        came = (namespace, route.kind, route.namespace)
        return (*came, "") in self._grants or (*came, service) in self._grants

    @cached_property
    def _grants(self) -> set[tuple[str, str, str, str]]:
        """Namespace of the Service, kind and namespace of the route, and the Service, "" for all."""
        return {
            (grant.namespace, came["kind"].text, came["namespace"].text, to["name"].text)
            for grant in self.every("ReferenceGrant")
            for came in grant.spec["from"].each()
            for to in grant.spec["to"].each()
            if came["group"].text == GROUPS["HTTPRoute"] and to["group"].text == "" and to["kind"].text == "Service"
        }

    def rollout_of(self, balancer: Object) -> str | None:
        """The Argo Rollout that sets its weights: "Rollout/shop"."""
        key = (balancer.kind, balancer.namespace, balancer.name)
        name = self._rollouts.get(key)
        return f"Rollout/{name}" if name else self._deliverers.get(key)

    @cached_property
    def _rollouts(self) -> dict[tuple[str, str, str], str]:
        return {
            (kind, namespace or rollout.namespace, name): rollout.name
            for rollout in self.every("Rollout")
            for kind, namespace, name in _routed_by(rollout)
        }

    def destination_rules(self, host: object) -> list[Object]:
        """Istio's, by the host as `host_of` has it."""
        return self._destination_rules.get(host, [])

    def subsets(self, host: object) -> frozenset[str]:
        """The names of the subsets that they give this host."""
        if host not in self._subsets:
            rules = self.destination_rules(host)
            self._subsets[host] = frozenset(
                subset["name"].text for rule in rules for subset in rule.spec["subsets"].each()
            )
        return self._subsets[host]

    @cached_property
    def _destination_rules(self) -> dict[object, list[Object]]:
        found: dict[object, list[Object]] = {}
        for each in self.every("DestinationRule"):
            found.setdefault(host_of(each.spec["host"].text, each.namespace), []).append(each)
        return found

    # What belongs to a Service.

    def selector(self, service: Object) -> Selector | None:
        """None for a Service without a selector: its slices are made by hand."""
        if service.place not in self._selectors:
            self._selectors[service.place] = _selector(service)
        return self._selectors[service.place]

    def pods(self, namespace: str, selector: Selector | None) -> list[Object]:
        return self._pods.matching(namespace, selector) if selector else []

    def workloads(self, namespace: str, selector: Selector | None) -> list[Object]:
        """Those whose pods are selected."""
        return self._templates.matching(namespace, selector) if selector else []

    def backing(self, service: Object) -> list[Object]:
        """Its pods; where none are known, the workloads that make them."""
        selector = self.selector(service)
        return self.pods(service.namespace, selector) or self.workloads(service.namespace, selector)

    def slices(self, service: Object) -> list[Object]:
        return self._slices.get((service.namespace, service.name), [])

    def services_of(self, workload: Object) -> list[Object]:
        """The Services that select its pods."""
        return self._services.get(workload.place, [])

    def crews(self, namespace: str, pods: Iterable[Object]) -> dict[str, tuple[int, int]]:
        """How many of these pods each workload has, of how many it has at all: {"Deployment shop": (2, 3)}."""
        chosen = Counter(owner for pod in pods if is_alive(pod) and (owner := workload_of(pod)))
        return {owner: (count, self._crews[namespace, owner]) for owner, count in chosen.items()}

    @cached_property
    def _crews(self) -> Counter[tuple[str, str]]:
        return Counter(
            (pod.namespace, owner) for pod in self.every("Pod") if is_alive(pod) and (owner := workload_of(pod))
        )

    @cached_property
    def scaled(self) -> dict[tuple[str, str, str], list[Object]]:
        """Autoscalers by the kind, namespace and name of what they scale."""
        found: dict[tuple[str, str, str], list[Object]] = {}
        for hpa in self.every("HorizontalPodAutoscaler"):
            if key := target_of(hpa):
                found.setdefault(key, []).append(hpa)
        return found

    def budgets_of(self, pod: Object) -> list[Object]:
        """The PodDisruptionBudgets that select that pod, or the pods of that workload."""
        return self._budgets.get(pod.place, [])

    @cached_property
    def _budgets(self) -> dict[int, list[Object]]:
        found: dict[int, list[Object]] = {}
        for pdb in self.every("PodDisruptionBudget"):
            selector = selector_of(pdb.spec["selector"])
            for pod in (*self.pods(pdb.namespace, selector), *self.workloads(pdb.namespace, selector)):
                found.setdefault(pod.place, []).append(pdb)
        return found

    @cached_property
    def _pods(self) -> _Labelled:
        return _Labelled(self.every("Pod"))

    @cached_property
    def _templates(self) -> _Labelled:
        return _Labelled(self.every(*WORKLOADS))

    @cached_property
    def _slices(self) -> dict[tuple[str, str], list[Object]]:
        found: dict[tuple[str, str], list[Object]] = {}
        for each in self.every("EndpointSlice"):
            if service := each.labels.get(SERVICE_NAME):
                found.setdefault((each.namespace, service), []).append(each)
        return found

    @cached_property
    def _services(self) -> dict[int, list[Object]]:
        found: dict[int, list[Object]] = {}
        for service in self.every("Service"):
            for workload in self.workloads(service.namespace, self.selector(service)):
                found.setdefault(workload.place, []).append(service)
        return found


def _selector(service: Object) -> Selector | None:
    labels = service.spec["selector"].texts()
    return Selector(labels) if labels and service.spec["type"].text != "ExternalName" else None


def host_service(host: str, namespace: str) -> tuple[str, str] | None:
    """Namespace and name of the Service that a host of Istio means; None for one that may be anything else."""
    name, *rest = host.split(".")
    if not name or "*" in host:
        return None
    if not rest:
        return namespace, name
    is_service = len(rest) > 1 and tuple(rest[1:]) == _CLUSTER_DOMAIN[: len(rest) - 1]
    return (rest[0], name) if is_service and rest[0] else None


def host_of(host: str, namespace: str) -> object:
    """The same for each way to write one host."""
    return host_service(host, namespace) or host


def _routed_by(rollout: Object) -> Iterator[tuple[str, str, str]]:
    """Kind, namespace ("" for its own) and name of what an Argo Rollout sets the weights of."""
    routing = rollout.spec.at("strategy", "canary", "trafficRouting")
    plugin, istio = routing["plugins"]["argoproj-labs/gatewayAPI"], routing["istio"]
    for kind, field in (("HTTPRoute", "httpRoute"), ("GRPCRoute", "grpcRoute")):
        for name in (plugin[field], *(each["name"] for each in plugin[f"{field}s"].each())):
            yield kind, plugin["namespace"].text, name.text
    for name in (istio["virtualService"]["name"], *(each["name"] for each in istio["virtualServices"].each())):
        yield "VirtualService", "", name.text
    yield "TraefikService", "", routing["traefik"]["weightedTraefikServiceName"].text


def target_of(hpa: Object) -> tuple[str, str, str] | None:
    """Kind, namespace and name of what an autoscaler scales; None where it is no workload that is known here."""
    ref = hpa.spec["scaleTargetRef"]
    kind, name, group = ref["kind"].text, ref["name"].text, ref["apiVersion"].text.rpartition("/")[0]
    return (kind, hpa.namespace, name) if kind in WORKLOADS and name and group == GROUPS[kind] else None


def is_alive(pod: Object) -> bool:
    """Neither leaving nor at its end."""
    leaving = pod.root["metadata"]["deletionTimestamp"].given
    return not leaving and pod.root["status"]["phase"].text not in ("Succeeded", "Failed")


def workload_of(pod: Object) -> str | None:
    """ "Deployment shop": what makes the pod; a ReplicaSet's name less the hash is the Deployment's."""
    for owner in pod.root["metadata"]["ownerReferences"].each():
        if owner["controller"].true:
            name, suffix = owner["name"].text, f"-{pod.labels.get('pod-template-hash', '')}"
            if owner["kind"].text == "ReplicaSet" and len(suffix) > 1 and name.endswith(suffix):
                return f"Deployment {name.removesuffix(suffix)}"
            return f"{owner['kind'].text} {name}"
    return None


def objects_of(manifests: Iterable[object], namespace: str = "default") -> Iterator[Object]:
    """Those of `manifests` that can be audited. `namespace`: of objects that name none."""
    for place, manifest in enumerate(manifests):
        root = Field(manifest)
        metadata = root["metadata"]
        kind, name = root["kind"].text, metadata["name"].text
        group = root["apiVersion"].text.rpartition("/")[0]
        if GROUPS.get(kind) == group and name:
            where = metadata["namespace"].text or namespace
            yield Object(kind, where, name, place, root, root["spec"], metadata["annotations"])
