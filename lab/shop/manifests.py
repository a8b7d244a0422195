"""The shop as Kubernetes objects: four servers, each a Deployment and a Service of its own, behind one HTTPRoute.

Pure: `objects()` returns plain dictionaries; `python3 -m lab.shop.manifests | kubectl apply -f -` installs them. Each
server is a Service of its own because a Service is what a route can give a weight to.

Needs Kubernetes 1.30 or later (`preStop.sleep`), and a Gateway in the namespace `gateway` that admits routes from all
namespaces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from lab.shop.settings import Settings

Manifest = dict[str, Any]

NAMESPACE: Final = "shop"
SERVERS: Final = ("shop-a", "shop-b", "shop-c", "shop-d")
NEXT: Final = "shop-next"
IMAGE: Final = "evenload-shop:lab"
HOSTNAME: Final = "shop.example"
ROUTE: Final = "shop"
GATEWAY: Final = "traefik"
GATEWAY_NAMESPACE: Final = "gateway"

EQUAL_WEIGHT: Final = 100
"""Only the ratio counts; 100 leaves room to go down in steps of a hundredth."""
CPU_LIMIT: Final = "250m"
"""16 requests a second of ~7 CPU ms take half of it; four such limits leave one core of two to everything else."""
MEMORY_LIMIT: Final = "128Mi"
"""A healthy server holds 40 MB, a sick one 44 MB."""
PRE_STOP_SLEEP_SECONDS: Final = 4
"""Above the 2 s that a busy Traefik may take to see that a pod leaves; without it, requests fail."""
LONGEST_REQUEST_SECONDS: Final = 5
"""A full queue of 17 at the sick cost of 31 ms takes 17 x 0.031 / 0.25 = 2.1 s; 3.4 s were seen on a busy machine."""
SPARE_SECONDS: Final = 3


def objects(gateway: str = GATEWAY) -> list[Manifest]:
    """All of the shop, in the order to create it in."""
    servers = (made for server in SERVERS for made in (deployment(server), service(server)))
    return [namespace(), *servers, _route(gateway)]


def next_release(failure_share: float) -> list[Manifest]:
    """A fifth server, NEXT, of a release that fails so many of its requests; no route leads to it yet."""
    failing = {"name": "SHOP_FAILURE_SHARE", "value": str(failure_share)}
    return [deployment(NEXT, [failing]), service(NEXT)]


def render() -> str:
    """The objects as one YAML text."""
    text: str = yaml.safe_dump_all(objects(), sort_keys=False)
    return text


def weights(route: Manifest) -> dict[str, int]:
    """The weight of each backend of a route such as ours; a backend without one has 1 (Gateway API's default)."""
    return {
        backend["name"]: backend.get("weight", 1) for rule in route["spec"]["rules"] for backend in rule["backendRefs"]
    }


def namespace() -> Manifest:
    """The shop's."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def labels(server: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": server}


def metadata(name: str, labels: dict[str, str]) -> Manifest:
    return {"name": name, "namespace": NAMESPACE, "labels": labels}


def deployment(server: str, environment: Sequence[Manifest] = ()) -> Manifest:
    """One pod of a server; `environment` is its container's, and replaces ours of the same name."""
    # No PodDisruptionBudget: with one replica, it would either forbid every eviction or say nothing.
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(server, labels(server)),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels(server)},
            "template": {
                "metadata": {"labels": labels(server), "annotations": _scraped()},
                "spec": _pod(server, environment),
            },
        },
    }


def _scraped() -> dict[str, str]:
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(Settings().port),
        "prometheus.io/path": "/metrics",
    }


def _pod(server: str, environment: Sequence[Manifest]) -> Manifest:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": PRE_STOP_SLEEP_SECONDS + LONGEST_REQUEST_SECONDS + SPARE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532},
        "containers": [_container(server, environment)],
    }


def _container(server: str, environment: Sequence[Manifest]) -> Manifest:
    resources = {"cpu": CPU_LIMIT, "memory": MEMORY_LIMIT}
    grace_seconds = LONGEST_REQUEST_SECONDS + SPARE_SECONDS - 1  # leaves by itself before the kubelet kills it
    ours = ({"name": "SHOP_NAME", "value": server}, {"name": "SHOP_GRACE_SECONDS", "value": str(grace_seconds)})
    return {
        "name": "shop",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-m", "lab.shop"],  # the image sets PYTHONPATH
        "env": list({each["name"]: each for each in (*ours, *environment)}.values()),
        "ports": [{"name": "http", "containerPort": Settings().port}],
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 1},
        "livenessProbe": _liveness(),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SLEEP_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _liveness() -> Manifest:
    # Patient: a server that its limit throttles must not be restarted for being slow; that is for Evenload to judge.
    return {
        "httpGet": {"path": "/livez", "port": "http"},
        "initialDelaySeconds": 10,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 6,
    }


def service(server: str) -> Manifest:
    """The Service of a server's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(server, labels(server)),
        "spec": {"selector": labels(server), "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def _route(gateway: str) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(ROUTE, {"app.kubernetes.io/name": "shop"}),
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": GATEWAY_NAMESPACE}],
            "hostnames": [HOSTNAME],
            "rules": [{"backendRefs": list(_backends())}],
        },
    }


def _backends() -> Iterator[Manifest]:
    # Equal: each server is as strong as the next. The incident is an update of these numbers.
    for server in SERVERS:
        yield {"name": server, "port": 80, "weight": EQUAL_WEIGHT}


if __name__ == "__main__":
    sys.stdout.write(render())
