"""A bad and a good world for each rule: the good one differs from the bad one in what the rule is about."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from evenload.audit.world import GROUPS, Scope

Manifest = dict[str, Any]

TODAY: Final = "2026-11-28"

ALL: Final = Scope(kinds=frozenset(GROUPS))
"""Whatever is not there does not exist."""

VERSIONS: Final = {
    "XBackendTrafficPolicy": "v1alpha1",
    "ReferenceGrant": "v1beta1",
    "Rollout": "v1alpha1",
    "TraefikService": "v1alpha1",
    "IngressRoute": "v1alpha1",
    "BackendTrafficPolicy": "v1alpha1",
    "HorizontalPodAutoscaler": "v2",
}


class Case(NamedTuple):
    bad: list[Manifest]
    good: list[Manifest]
    scope: Scope = ALL


def thing(kind: str, name: str, spec: Any = None, **more: Any) -> Manifest:
    group, version = GROUPS[kind], VERSIONS.get(kind, "v1")
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    manifest = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, "metadata": metadata, **more}
    return manifest if spec is None else {**manifest, "spec": spec}


def route(*rules: Manifest, kind: str = "HTTPRoute", **more: Any) -> Manifest:
    return thing(kind, "shop", {"rules": list(rules), **more.pop("spec", {})}, **more)


def to(**weights: int) -> Manifest:
    """A rule that splits over these Services."""
    return {"backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]}


def service(name: str = "a", annotations: Any = None, **spec: Any) -> Manifest:
    given = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return thing("Service", name, given, metadata={"annotations": annotations} if annotations else {})


def pod(
    name: str = "a-1", labels: Any = None, owner: str = "", ready: bool = True, uid: str = "", **spec: Any
) -> Manifest:
    owners = {"ownerReferences": [{"kind": "StatefulSet", "name": owner, "controller": True}]} if owner else {}
    metadata = {"labels": labels or {"app": "a"}, "uid": uid or name, **owners}
    given = {"containers": [{"name": "a", "ports": [{"containerPort": 8080, "name": "http"}]}], **spec}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return thing("Pod", name, given, metadata=metadata, status={"conditions": conditions})


def deployment(
    name: str = "a", kind: str = "Deployment", container: Any = None, pod: Any = None, **spec: Any
) -> Manifest:
    first = {"name": "a", "ports": [{"containerPort": 8080, "name": "http"}], **(container or {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [first], **(pod or {})}}
    return thing(kind, name, {"replicas": 3, "template": template, **spec})


def slice_(
    *endpoints: Manifest, name: str = "a-x7k2p", managed_by: str | None = "endpointslice-controller.k8s.io"
) -> Manifest:
    labels = {"kubernetes.io/service-name": "a"}
    if managed_by:
        labels["endpointslice.kubernetes.io/managed-by"] = managed_by
    return thing("EndpointSlice", name, metadata={"labels": labels}, endpoints=list(endpoints))


def endpoint(pod_: str = "a-1", zone: str | None = None, ready: bool = True, uid: str = "", hint: str = "") -> Manifest:
    target = {"kind": "Pod", "name": pod_, "namespace": "shop", "uid": uid or pod_}
    found: Manifest = {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": target}
    if zone:
        found["zone"] = zone
    if hint:
        found["hints"] = {"forZones": [{"name": hint}]}
    return found


def condition(type_: str, status: str, observed: int = 1, reason: str = "Because") -> Manifest:
    return {"type": type_, "status": status, "reason": reason, "message": "it is so", "observedGeneration": observed}


def reported(type_: str, status: str, observed: int = 1, kind: str = "HTTPRoute") -> Manifest:
    """A route of generation 1 of which a gateway says that."""
    parent = {"parentRef": {"name": "public"}, "conditions": [condition(type_, status, observed)]}
    return route(to(a=1), kind=kind, metadata={"generation": 1}, status={"parents": [parent]})


def gateway(listeners: Any = (), **status: Any) -> Manifest:
    return thing("Gateway", "public", {"listeners": list(listeners)}, metadata={"generation": 2}, status=status)


def listener(name: str, port: int, **more: Any) -> Manifest:
    return {"name": name, "port": port, "protocol": "HTTP", **more}


def listening(**status: Any) -> Manifest:
    """A Gateway with one listener of that status."""
    return thing("Gateway", "public", {}, status={"listeners": [{"name": "http", **status}]})


def labelled(name: str, **labels: str) -> Manifest:
    """A Deployment whose pods have these labels."""
    return thing("Deployment", name, {"template": {"metadata": {"labels": labels}}})


def running(image: str) -> Manifest:
    """A workload of that image."""
    return deployment("gateway", container={"image": image})


def ingress_route(*services: Manifest) -> Manifest:
    return thing("IngressRoute", "shop", {"routes": [{"match": "PathPrefix(`/`)", "services": list(services)}]})


def pdb(name: str = "a", **spec: Any) -> Manifest:
    return thing("PodDisruptionBudget", name, {"selector": {"matchLabels": {"app": "a"}}, **spec})


def hpa(name: str = "a", conditions: Any = (), **spec: Any) -> Manifest:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    given = {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 9, **spec}
    return thing("HorizontalPodAutoscaler", name, given, status={"conditions": list(conditions)})


def traefik(*services: Manifest, **more: Any) -> Manifest:
    return thing(
        "TraefikService", "shop", {"weighted": {"services": list(services), **more.pop("weighted", {})}}, **more
    )


def named(name: str, **more: Any) -> Manifest:
    return {"name": name, "port": 80, **more}


def virtual(*http: Manifest, **more: Any) -> Manifest:
    return thing("VirtualService", "shop", {"hosts": ["shop"], "http": list(http)}, **more)


def toward(**weights: int | None) -> Manifest:
    """A route of Istio: destinations with weights, None for one that has none."""
    refs = []
    for name, weight in weights.items():
        host, _, subset = name.partition("_")
        destination = {"host": host, **({"subset": subset} if subset else {})}
        refs.append({"destination": destination, **({} if weight is None else {"weight": weight})})
    return {"route": refs}


def destination(*subsets: Manifest, host: str = "a", **policy: Any) -> Manifest:
    return thing("DestinationRule", "a", {"host": host, "subsets": list(subsets), "trafficPolicy": policy})


def subset(name: str, **labels: str) -> Manifest:
    return {"name": name, "labels": labels}


def envoy(**spec: Any) -> Manifest:
    ref = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"}
    return thing("BackendTrafficPolicy", "shop", {"targetRefs": [ref], **spec})


def ingress(backend: str = "a", port: Any = None, **annotations: str) -> Manifest:
    path = {"path": "/", "backend": {"service": {"name": backend, "port": port or {"number": 80}}}}
    prefixed = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return thing("Ingress", "shop", {"rules": [{"http": {"paths": [path]}}]}, metadata={"annotations": prefixed})


def at(path: str, **more: Any) -> Manifest:
    return {"path": {"type": "PathPrefix", "value": path}, **more}


CANARY: Final = {"ownerReferences": [{"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "shop"}]}
HEADER: Final = [{"name": "X-Tester", "value": "yes"}]
A: Final = service("a")
ONE: Final = [pod("a-1"), pod("a-2")]
PROBE: Final = {"httpGet": {"path": "/healthz", "port": 8080}}
FOREIGN: Final = {"backendRefs": [{"name": "dns", "namespace": "infra", "port": 53}]}
IGNORE: Final = "evenload.dev/audit-ignore"
CPU: Final = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}


def grant(name: str | None = None) -> Manifest:
    came = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}
    to_ = {"group": "", "kind": "Service", **({"name": name} if name else {})}
    return thing("ReferenceGrant", "shop", {"from": [came], "to": [to_]}, metadata={"namespace": "infra"})


def localities(**to_: int) -> Manifest:
    return {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "eu/*", "to": to_}]}}}


SPREAD: Final = slice_(endpoint("a-1", "z1"), endpoint("a-2", "z1"), endpoint("a-3", "z2"))
EVEN: Final = slice_(endpoint("a-1", "z1"), endpoint("a-2", "z2"))
VERSIONED: Final = [pod(f"a-{index}", {"app": "a", "version": "v1" if index == 1 else "v2"}) for index in (1, 2, 3)]

CASES: Final[dict[str, Case]] = {
    "route-no-weight": Case([route(to(a=0, b=0))], [route(to(a=0, b=1))], Scope()),
    "route-no-backend": Case([route({})], [route({"filters": [{"type": "RequestRedirect"}]})], Scope()),
    "route-all-weight-on-one": Case([route(to(a=100, b=0))], [route(to(a=100, b=0), metadata=CANARY)], Scope()),
    "route-weight-concentrated": Case([route(to(a=970, b=10, c=20))], [route(to(a=8, b=1, c=1))], Scope()),
    "route-backend-twice": Case(
        [route({"backendRefs": [named("a"), named("a")]})], [route({"backendRefs": [named("a"), named("b")]})], Scope()
    ),
    "route-backend-missing": Case([route(to(a=1))], [route(to(a=1)), A]),
    "route-backend-without-port": Case([route({"backendRefs": [{"name": "a"}]})], [route(to(a=1))], Scope()),
    "route-backend-port-missing": Case(
        [route({"backendRefs": [named("a", port=8080)]}), A], [route(to(a=1)), A], Scope()
    ),
    "route-weight-on-empty-service": Case(
        [route(to(a=1)), A, slice_(endpoint(ready=False))], [route(to(a=1)), A, slice_(endpoint())]
    ),
    "route-backend-not-granted": Case([route(FOREIGN), grant("web")], [route(FOREIGN), grant()]),
    "route-gateway-missing": Case(
        [route(to(a=1), spec={"parentRefs": [{"name": "public"}]})],
        [route(to(a=1), spec={"parentRefs": [{"name": "public"}]}), gateway()],
    ),
    "route-listener-missing": Case(
        [route(spec={"parentRefs": [{"name": "public", "sectionName": "web"}]}), gateway([listener("http", 80)])],
        [route(spec={"parentRefs": [{"name": "public", "sectionName": "http"}]}), gateway([listener("http", 80)])],
        Scope(),
    ),
    "route-not-accepted": Case([reported("Accepted", "False")], [reported("Accepted", "True")]),
    "route-refs-not-resolved": Case(
        [reported("ResolvedRefs", "False", kind="GRPCRoute")], [reported("ResolvedRefs", "False", observed=0)]
    ),
    "route-partially-invalid": Case([reported("PartiallyInvalid", "True")], [reported("PartiallyInvalid", "False")]),
    "route-status-stale": Case([reported("Accepted", "True", observed=0)], [reported("Accepted", "True")]),
    "route-not-attached": Case(
        [route(spec={"parentRefs": [{"name": "public"}]}, metadata={"uid": "1"})],
        [route(spec={"parentRefs": [{"name": "public"}]})],
    ),
    "route-rule-unreachable": Case(
        [route({"matches": [at("/")], **to(a=1)}, to(b=1))], [route({"matches": [at("/x")], **to(a=1)}, to(b=1))]
    ),
    "route-match-past-split": Case(
        [route({"matches": [at("/", headers=HEADER)], **to(b=1)}, to(a=9, b=1))],
        [route({"matches": [at("/x", headers=HEADER)], **to(b=1)}, to(a=9, b=1))],
    ),
    "route-session-persistence": Case(
        [route({**to(a=1), "sessionPersistence": {"type": "Cookie"}})], [route(to(a=1))], Scope()
    ),
    "route-timeouts-contradict": Case(
        [route({**to(a=1), "timeouts": {"request": "900ms", "backendRequest": "1s"}})],
        [route({**to(a=1), "timeouts": {"request": "0s", "backendRequest": "1s"}})],
        Scope(),
    ),
    "route-owned-by-canary": Case([route(to(a=1), metadata=CANARY)], [route(to(a=1))], Scope()),
    "backend-policy-session-persistence": Case(
        [thing("XBackendTrafficPolicy", "a", {"sessionPersistence": {"type": "Header"}})],
        [thing("XBackendTrafficPolicy", "a", {"retryConstraint": {}})],
        Scope(),
    ),
    "gateway-not-accepted": Case(
        [gateway(conditions=[condition("Accepted", "False", 2)])],
        [gateway(conditions=[condition("Accepted", "True", 2)])],
    ),
    "gateway-not-programmed": Case(
        [gateway(conditions=[condition("Programmed", "False", 2)])],
        [gateway(conditions=[condition("Programmed", "True", 2)])],
    ),
    "gateway-status-stale": Case(
        [gateway(conditions=[condition("Programmed", "True", 1)])],
        [gateway(conditions=[condition("Programmed", "True", 2)])],
    ),
    "gateway-listener-conflict": Case(
        [listening(conditions=[condition("Conflicted", "True")])],
        [listening(conditions=[condition("Conflicted", "False")])],
    ),
    "gateway-listener-refs-not-resolved": Case(
        [listening(conditions=[condition("ResolvedRefs", "False")])],
        [listening(conditions=[condition("ResolvedRefs", "True")])],
    ),
    "gateway-listener-repeated": Case(
        [gateway([listener("a", 80), listener("b", 80)])],
        [gateway([listener("a", 80), listener("b", 80, hostname="b")])],
    ),
    "gateway-listener-unused": Case([listening(attachedRoutes=0)], [listening(attachedRoutes=1)]),
    "service-session-affinity": Case([service(sessionAffinity="ClientIP")], [service(sessionAffinity="None")]),
    "service-internal-traffic-local": Case(
        [service(internalTrafficPolicy="Local")], [service(internalTrafficPolicy="Cluster")]
    ),
    "service-external-traffic-local": Case(
        [service(externalTrafficPolicy="Local", type="LoadBalancer")],
        [service(externalTrafficPolicy="Cluster", type="LoadBalancer")],
    ),
    "service-zones-uneven": Case(
        [service(trafficDistribution="PreferClose"), SPREAD], [service(trafficDistribution="PreferClose"), EVEN]
    ),
    "service-publishes-not-ready": Case(
        [service(publishNotReadyAddresses=True)], [service(publishNotReadyAddresses=True, clusterIP="None")]
    ),
    "service-selects-one-revision": Case(
        [service(selector={"app": "a", "pod-template-hash": "5f6d"})],
        [service(selector={"app": "a", "rollouts-pod-template-hash": "5f6d"})],
        Scope(),
    ),
    "service-selects-one-pod": Case(
        [service(selector={"statefulset.kubernetes.io/pod-name": "a-0"})], [service()], Scope()
    ),
    "service-selects-part": Case(
        [A, pod("a-1", owner="a"), pod("a-2", {"app": "other"}, owner="a")],
        [A, pod("a-1", owner="a"), pod("a-2", owner="a"), pod("b-1", {"app": "other"}, owner="b")],
    ),
    "service-selects-nothing": Case([A, pod("b-1", {"app": "b"})], [A, *ONE]),
    "service-selects-several-workloads": Case(
        [service(selector={"tier": "web"}), *(labelled(name, tier="web") for name in "ab")],
        [service(selector={"tier": "web"}), labelled("a", tier="web"), labelled("b", tier="batch")],
        Scope(),
    ),
    "service-named-port-missing": Case(
        [service(ports=[{"port": 80, "targetPort": "web"}]), deployment()],
        [service(ports=[{"port": 80, "targetPort": "http"}]), deployment()],
        Scope(),
    ),
    "service-port-not-declared": Case(
        [service(ports=[{"port": 80, "targetPort": 8081}]), deployment()], [A, deployment()], Scope()
    ),
    "service-pods-not-in-slices": Case(
        [A, *ONE, slice_(endpoint("a-1"))], [A, *ONE, pod("a-3", ready=False), slice_(endpoint("a-1"), endpoint("a-2"))]
    ),
    "slice-foreign": Case([A, slice_(endpoint(), managed_by="somebody")], [A, slice_(endpoint())], Scope()),
    "slice-dead-pod": Case(
        [pod("a-1", uid="new"), slice_(endpoint("a-1", uid="old"))],
        [pod("a-1", uid="new"), slice_(endpoint("a-1", uid="new"))],
    ),
    "slice-hints-uneven": Case(
        [slice_(endpoint("a-1", hint="z1"), endpoint("a-2", hint="z1"), endpoint("a-3", hint="z2"))],
        [slice_(endpoint("a-1", hint="z1"), endpoint("a-2", hint="z2"))],
    ),
    "workload-no-readiness-probe": Case(
        [A, deployment()], [A, deployment(container={"readinessProbe": PROBE}), deployment("batch")], Scope()
    ),
    "workload-no-pre-stop": Case(
        [A, deployment()],
        [A, deployment(container={"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}})],
        Scope(),
    ),
    "workload-grace-too-short": Case(
        [deployment(container={"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 30"]}}}})],
        [deployment(container={"lifecycle": {"preStop": {"sleep": {"seconds": 10}}}})],
        Scope(),
    ),
    "workload-same-probes": Case(
        [A, deployment(container={"readinessProbe": PROBE, "livenessProbe": PROBE})],
        [A, deployment(container={"readinessProbe": PROBE, "livenessProbe": {**PROBE, "failureThreshold": 9}})],
        Scope(),
    ),
    "workload-one-replica": Case([A, deployment(replicas=1)], [A, deployment(replicas=1), hpa()], Scope()),
    "workload-rollout-stops-all": Case(
        [A, deployment(strategy={"type": "Recreate"})],
        [A, deployment(strategy={"rollingUpdate": {"maxUnavailable": 1}})],
        Scope(),
    ),
    "pdb-never-allows": Case(
        [pdb(minAvailable=3), deployment(replicas=3)], [pdb(minAvailable=2), deployment(replicas=3)], Scope()
    ),
    "pdb-exhausted": Case(
        [{**pdb(maxUnavailable=1), "status": {"disruptionsAllowed": 0, "expectedPods": 3, "currentHealthy": 2}}],
        [{**pdb(maxUnavailable=1), "status": {"disruptionsAllowed": 1, "expectedPods": 3, "currentHealthy": 3}}],
    ),
    "pdb-overlap": Case(
        [pdb("a"), pdb("b", selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]}), *ONE],
        [pdb("a"), pdb("b", selector={"matchLabels": {"app": "b"}}), *ONE],
    ),
    "pdb-selects-nothing": Case([pdb(), pod("b-1", {"app": "b"})], [pdb(), *ONE]),
    "pdb-keeps-unhealthy-pods": Case([pdb()], [pdb(unhealthyPodEvictionPolicy="AlwaysAllow")], Scope()),
    "hpa-target-missing": Case([hpa()], [hpa(), deployment()]),
    "hpa-target-twice": Case([hpa("a"), hpa("b")], [hpa("a")], Scope()),
    "hpa-min-above-max": Case([hpa(minReplicas=10)], [hpa()], Scope()),
    "hpa-fixed": Case([hpa(maxReplicas=2)], [hpa()], Scope()),
    "hpa-replicas-in-file": Case(
        [hpa(), deployment()], [hpa(), {**deployment(), "metadata": {"name": "a", "namespace": "shop", "uid": "1"}}]
    ),
    "hpa-no-request": Case(
        [hpa(metrics=[CPU]), deployment()],
        [hpa(metrics=[CPU]), deployment(container={"resources": {"requests": {"cpu": "1"}}})],
        Scope(),
    ),
    "hpa-cannot-scale": Case(
        [hpa(conditions=[condition("ScalingActive", "False")])],
        [hpa(conditions=[condition("ScalingActive", "False", reason="ScalingDisabled")])],
    ),
    "hpa-at-maximum": Case(
        [hpa(conditions=[condition("ScalingLimited", "True", reason="TooManyReplicas")])],
        [hpa(conditions=[condition("ScalingLimited", "True", reason="TooFewReplicas")])],
    ),
    "traefik-no-weight": Case(
        [traefik(named("a", weight=0), named("b", weight=0))],
        [traefik(named("a")), ingress_route(named("a", weight=0))],
        Scope(),
    ),
    "traefik-all-weight-on-one": Case(
        [traefik(named("a"), named("b", weight=0))], [traefik(named("a"), named("b"))], Scope()
    ),
    "traefik-weight-concentrated": Case(
        [traefik(named("a", weight=97), named("b"), named("c"))], [traefik(named("a"), named("b"), named("c"))], Scope()
    ),
    "traefik-owned-by-canary": Case([traefik(named("a"), metadata=CANARY)], [traefik(named("a"))], Scope()),
    "traefik-sticky": Case([traefik(named("a"), weighted={"sticky": {"cookie": {}}})], [traefik(named("a"))], Scope()),
    "traefik-hash": Case([traefik(named("a", strategy="hrw"))], [traefik(named("a", strategy="p2c"))], Scope()),
    "traefik-native-lb": Case([traefik(named("a", nativeLB=True))], [traefik(named("a", nativeLB=False))], Scope()),
    "traefik-service-missing": Case(
        [ingress_route(named("a"))], [ingress_route(named("a"), named("shop@file", kind="TraefikService")), A]
    ),
    "traefik-port-missing": Case([ingress_route(named("a", port=8080)), A], [ingress_route(named("a", port="80")), A]),
    "service-traefik-sticky": Case(
        [service(annotations={"traefik.ingress.kubernetes.io/service.sticky.cookie": "true"})],
        [service(annotations={"traefik.ingress.kubernetes.io/service.sticky.cookie": "false"})],
        Scope(),
    ),
    "service-traefik-native-lb": Case(
        [service(annotations={"traefik.ingress.kubernetes.io/service.nativelb": "true"})], [service()], Scope()
    ),
    "istio-no-weight": Case([virtual(toward(a=None, b=None))], [virtual(toward(a=None))], Scope()),
    "istio-all-weight-on-one": Case([virtual(toward(a=100, b=0))], [virtual(toward(a=90, b=10))], Scope()),
    "istio-weight-concentrated": Case([virtual(toward(a=96, b=2, c=2))], [virtual(toward(a=50, b=25, c=25))], Scope()),
    "istio-owned-by-canary": Case([virtual(toward(a=1), metadata=CANARY)], [virtual(toward(a=1))], Scope()),
    "istio-one-subset": Case(
        [virtual(toward(a_v1=None)), destination(subset("v1"), subset("v2"))],
        [virtual(toward(a_v1=None)), destination(subset("v1"))],
        Scope(),
    ),
    "istio-subset-unknown": Case(
        [virtual(toward(a_v3=None)), destination(subset("v1"))],
        [virtual(toward(a_v1=None)), destination(subset("v1"), host="a.shop.svc.cluster.local")],
    ),
    "istio-host-missing": Case(
        [virtual(toward(a=None))], [virtual(toward(a=None), {"route": [{"destination": {"host": "example.com"}}]}), A]
    ),
    "istio-rule-unreachable": Case(
        [virtual(toward(a=None), toward(b=None))], [virtual({"match": [{}], **toward(a=None)}, toward(b=None))], Scope()
    ),
    "istio-fault-injection": Case(
        [virtual({**toward(a=None), "fault": {"abort": {"httpStatus": 500}}})], [virtual(toward(a=None))], Scope()
    ),
    "istio-consistent-hash": Case(
        [destination(loadBalancer={"consistentHash": {"httpHeaderName": "x-user"}})],
        [destination(loadBalancer={"simple": "LEAST_REQUEST"})],
        Scope(),
    ),
    "istio-passthrough": Case(
        [destination(loadBalancer={"simple": "PASSTHROUGH"})], [destination(loadBalancer={"simple": "RANDOM"})], Scope()
    ),
    "istio-distribute-sum": Case(
        [destination(**localities(**{"eu/z1": 80, "eu/z2": 10}))],
        [destination(**localities(**{"eu/z1": 80, "eu/z2": 20}))],
        Scope(),
    ),
    "istio-distribute-omits-zone": Case(
        [A, EVEN, destination(**localities(**{"eu/z1/*": 100}))],
        [A, EVEN, destination(**localities(**{"eu/z1/*": 60, "eu/z2/*": 40}))],
    ),
    "istio-failover-without-outlier-detection": Case(
        [destination(loadBalancer={"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}})],
        [
            destination(
                loadBalancer={"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}},
                outlierDetection={"interval": "5s"},
            )
        ],
        Scope(),
    ),
    "istio-ejects-all": Case(
        [destination(outlierDetection={"maxEjectionPercent": 100})],
        [destination(outlierDetection={"maxEjectionPercent": 100, "minHealthPercent": 50})],
        Scope(),
    ),
    "istio-subset-empty": Case(
        [A, *VERSIONED, destination(subset("v3", version="v3"))],
        [A, *VERSIONED, destination(subset("v2", version="v2"))],
    ),
    "istio-subset-of-one-pod": Case(
        [A, *VERSIONED, destination(subset("v1", version="v1"))],
        [A, *VERSIONED, destination(subset("v2", version="v2"))],
    ),
    "envoy-consistent-hash": Case(
        [envoy(loadBalancer={"type": "ConsistentHash", "consistentHash": {"type": "SourceIP"}})],
        [envoy(loadBalancer={"type": "LeastRequest"})],
        Scope(),
    ),
    "envoy-endpoint-override": Case(
        [envoy(loadBalancer={"type": "Random", "endpointOverride": {"extractFrom": [{"header": "x-pod"}]}})],
        [envoy(loadBalancer={"type": "Random"})],
        Scope(),
    ),
    "envoy-zone-aware": Case(
        [envoy(loadBalancer={"zoneAware": {"preferLocal": {}, "weightedZones": [{"zone": "z1", "weight": 2}]}})],
        [envoy(loadBalancer={"zoneAware": {}})],
        Scope(),
    ),
    "envoy-panic-off": Case(
        [envoy(healthCheck={"panicThreshold": 0})], [envoy(healthCheck={"panicThreshold": 50})], Scope()
    ),
    "envoy-panic-early": Case(
        [envoy(healthCheck={"panicThreshold": 90})], [envoy(healthCheck={"panicThreshold": 50})], Scope()
    ),
    "envoy-fault-injection": Case(
        [envoy(faultInjection={"abort": {"httpStatus": 503}})], [envoy(faultInjection={})], Scope()
    ),
    "envoy-policy-not-accepted": Case(
        [{**envoy(), "status": {"ancestors": [{"conditions": [condition("Accepted", "False")]}]}}],
        [{**envoy(), "status": {"ancestors": [{"conditions": [condition("Accepted", "True")]}]}}],
        Scope(),
    ),
    "envoy-policy-status-stale": Case(
        [
            thing(
                "BackendTrafficPolicy",
                "a",
                {},
                metadata={"generation": 2},
                status={"ancestors": [{"conditions": [condition("Accepted", "True")]}]},
            )
        ],
        [
            thing(
                "BackendTrafficPolicy",
                "a",
                {},
                metadata={"generation": 1},
                status={"ancestors": [{"conditions": [condition("Accepted", "True")]}]},
            )
        ],
        Scope(),
    ),
    "envoy-policy-target-missing": Case([envoy()], [envoy(), route(to(a=1))]),
    "ingress-backend-missing": Case([ingress()], [ingress(), A]),
    "ingress-port-missing": Case([ingress(port={"name": "web"}), A], [ingress(), A], Scope()),
    "ingress-nginx-affinity": Case([ingress(affinity="cookie")], [ingress()], Scope()),
    "ingress-nginx-hash": Case([ingress(upstream_hash_by="$request_uri")], [ingress()], Scope()),
    "ingress-nginx-service-upstream": Case(
        [ingress(service_upstream="true")], [ingress(service_upstream="false")], Scope()
    ),
    "ingress-nginx-canary-weight": Case(
        [ingress(canary="true", canary_weight="20")], [ingress(canary="false", canary_weight="20")], Scope()
    ),
    "ingress-nginx-canary-takes-all": Case(
        [ingress(canary="true", canary_weight="100")],
        [ingress(canary="true", canary_weight="100", canary_weight_total="200")],
        Scope(),
    ),
    "balancer-retired": Case(
        [running("registry.k8s.io/ingress-nginx/controller:v1.15.1@sha256:0")],
        [running("nginx/nginx-ingress:5.0")],
        Scope(),
    ),
    "balancer-end-of-life": Case(
        [running("docker.io/envoyproxy/envoy:distroless-v1.34.1")], [running("mirror:5000/traefik:v3.7.15")], Scope()
    ),
    "balancer-vulnerable": Case([running("traefik:v3.7.17")], [running("traefik:v3.7.18")], Scope()),
    "suppression-without-reason": Case(
        [service(annotations={IGNORE: "service-session-affinity"})],
        [service(annotations={IGNORE: "service-session-affinity: carts"})],
    ),
    "suppression-of-unknown-rule": Case(
        [service(annotations={IGNORE: "affinity: carts"})],
        [service(annotations={IGNORE: "service-session-affinity: carts"})],
    ),
}
