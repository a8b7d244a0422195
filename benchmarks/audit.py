"""The audit of a whole cluster: `python -m benchmarks.audit [--routes 1000] [--services 10000]`.

What is counted is every rule over every object, indexes included. What is not: reading them from the API server or from
files. Each Service has a Deployment, two pods, a slice; every tenth has a budget and an autoscaler; each route splits
over four Services; fifty namespaces, one of which holds a third of all, as large clusters have it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks import yardstick
from evenload.audit.run import audit
from evenload.audit.world import GROUPS, Scope, World, objects_of
from evenload.cli.versions import shipped

NAMESPACES = 50
BACKENDS = 4
PODS = 2

Manifest = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routes", type=int, default=1000)
    parser.add_argument("--services", type=int, default=10_000)
    arguments = parser.parse_args()
    unit = yardstick.measure()
    bare = [*routes(arguments.routes, arguments.services), *services(arguments.services)]
    _report(f"{arguments.routes} routes, {arguments.services} Services", bare, unit)
    _report("the same with what stands behind them", [*bare, *behind(arguments.services)], unit)


def _report(what: str, manifests: list[Manifest], unit: float) -> None:
    mark = time.process_time()
    found = audit(World(objects_of(manifests), Scope(kinds=frozenset(GROUPS)), versions=shipped()))
    spent = time.process_time() - mark
    count = Counter(each.severity.value for each in found)
    print(f"{what} ({len(manifests)} objects): {spent:.2f} CPU-s = {spent / unit:.1f} yardsticks of {unit:.3f} CPU-s")
    print(f"  findings: {dict(count)}")


def routes(count: int, of: int) -> Iterator[Manifest]:
    for index in range(count):
        refs = [{"name": f"s{index * BACKENDS % of + each}", "port": 80, "weight": 10} for each in range(BACKENDS)]
        rules = [{"backendRefs": refs}]
        yield _object("gateway.networking.k8s.io/v1", "HTTPRoute", f"r{index}", index * BACKENDS % of, {"rules": rules})


def services(count: int) -> Iterator[Manifest]:
    for index in range(count):
        ports = [{"port": 80, "targetPort": "http"}]
        yield _object("v1", "Service", f"s{index}", index, {"selector": _labels(index), "ports": ports})


def behind(count: int) -> Iterator[Manifest]:
    for index in range(count):
        yield _object("apps/v1", "Deployment", f"s{index}", index, {"replicas": PODS, "template": _pod(index)})
        for each in range(PODS):
            pod = _object("v1", "Pod", f"s{index}-{each}", index, _pod(index)["spec"])
            pod["metadata"] |= {"labels": _labels(index), "ownerReferences": [_owner(index)]}
            yield {**pod, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        yield _slice(index)
        if index % 10 == 0:
            selector = {"matchLabels": _labels(index)}
            yield _object("policy/v1", "PodDisruptionBudget", f"s{index}", index, {"selector": selector})
            ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"s{index}"}
            spec = {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 9}
            yield _object("autoscaling/v2", "HorizontalPodAutoscaler", f"s{index}", index, spec)


def _object(version: str, kind: str, name: str, index: int, spec: Any) -> Manifest:
    number = index // BACKENDS  # so that what a route names is in its own namespace
    namespace = f"n{number % NAMESPACES if number % 3 else 0}"
    metadata = {"name": name, "namespace": namespace, "uid": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(index: int) -> dict[str, str]:
    return {"app": f"s{index}", "team": "shop"}


def _owner(index: int) -> dict[str, Any]:
    return {"kind": "ReplicaSet", "name": f"s{index}-5f6d", "controller": True}


def _pod(index: int) -> Manifest:
    probe = {"httpGet": {"path": "/healthz", "port": "http"}}
    container = {"name": "a", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe}
    return {"metadata": {"labels": _labels(index)}, "spec": {"containers": [container]}}


def _slice(index: int) -> Manifest:
    made = _object("discovery.k8s.io/v1", "EndpointSlice", f"s{index}-x7k2p", index, None)
    manager = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    made["metadata"]["labels"] = {"kubernetes.io/service-name": f"s{index}", **manager}
    targets = [{"kind": "Pod", "name": f"s{index}-{each}", "uid": f"s{index}-{each}"} for each in range(PODS)]
    return {**made, "endpoints": [{"targetRef": each, "conditions": {"ready": True}} for each in targets]}


if __name__ == "__main__":
    main()
