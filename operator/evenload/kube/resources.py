"""The kinds Evenload reads or writes, and where the API server keeps them."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

import msgspec

from evenload.errors import InvalidName

DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""The whole name of a Service or a namespace."""

Manifest = dict[str, Any]
"""An object as the API server's JSON has it."""


class Resource(msgspec.Struct, frozen=True):
    """A kind and its address."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    page: int = 500  # objects in one answer to a list: a few megabytes

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, or of one object in it: to be used as it is, each name is quoted.

        Raises InvalidName for a name that a path cannot hold: many come from objects, where they may be any text.
        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", segment(namespace)]
        parts.append(self.plural)
        parts += [segment(part) for part in (name, subresource) if part is not None]
        return "/" + "/".join(parts)


def segment(name: str) -> str:
    """`name` as one segment of a URL's path, which no server reads as two or as a way up. Raises InvalidName."""
    if name in ("", ".", ".."):
        raise InvalidName(f'"{name}" is no name of an object')
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise InvalidName(f"{name!r} is no name of an object") from error


PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINTSLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REPLICASETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
STATEFULSETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMONSETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
ARGO_ROLLOUTS: Final = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
CLONESETS: Final = Resource("apps.kruise.io", "v1alpha1", "clonesets", "CloneSet")
KRUISE_ROLLOUTS: Final = Resource("rollouts.kruise.io", "v1beta1", "rollouts", "Rollout")
HPAS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
PDBS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
HTTPROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPCROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute")
REFERENCEGRANTS: Final = Resource("gateway.networking.k8s.io", "v1beta1", "referencegrants", "ReferenceGrant")
GATEWAYS: Final = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
X_BACKEND_POLICIES: Final = Resource(
    "gateway.networking.x-k8s.io", "v1alpha1", "xbackendtrafficpolicies", "XBackendTrafficPolicy"
)
INGRESSES: Final = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
INGRESSROUTES: Final = Resource("traefik.io", "v1alpha1", "ingressroutes", "IngressRoute")
VIRTUALSERVICES: Final = Resource("networking.istio.io", "v1", "virtualservices", "VirtualService")
DESTINATIONRULES: Final = Resource("networking.istio.io", "v1", "destinationrules", "DestinationRule")
ENVOY_BACKEND_POLICIES: Final = Resource(
    "gateway.envoyproxy.io", "v1alpha1", "backendtrafficpolicies", "BackendTrafficPolicy"
)
TRAEFIKSERVICES: Final = Resource("traefik.io", "v1alpha1", "traefikservices", "TraefikService")
BALANCERS: Final = Resource("evenload.dev", "v1alpha1", "balancers", "Balancer")
REMEDIATIONS: Final = Resource("evenload.dev", "v1alpha1", "remediations", "Remediation", page=20)
