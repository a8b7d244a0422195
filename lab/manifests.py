"""What the lab puts into its API server: rights of its own programs, the Gateway, Prometheus as a Service."""

from collections.abc import Sequence

from lab.layout import GATEWAY_PORT, PROMETHEUS_PORT, PROMETHEUS_SERVICE_ADDRESS, Layout

Object = dict[str, object]

READ = ("get", "list", "watch")
RBAC = "rbac.authorization.k8s.io"
GATEWAY_API = "gateway.networking.k8s.io"
ROUTES = ("httproutes", "grpcroutes", "tcproutes", "tlsroutes", "udproutes", "backendtlspolicies", "listenersets")


def everything(layout: Layout) -> list[Object]:
    """In the order they must be created."""
    return [
        *(_namespace(name) for name in ("gateway", "monitoring")),
        *_rights_of_api_server(),
        *_rights_of_traefik(),
        *_rights_of_prometheus(),
        *_gateway(),
        *_prometheus_service(layout),
    ]


def _rights_of_api_server() -> list[Object]:
    """It signs in to the kubelet for logs, exec and port-forward."""
    return [_binding("lab:kubelet-client", role="system:kubelet-api-admin", user="kube-apiserver-kubelet")]


def _rights_of_traefik() -> list[Object]:
    """What its documentation asks for, and no more."""
    watched = ("gatewayclasses", "gateways", "referencegrants", *ROUTES)
    reported = [f"{kind}/status" for kind in ("gatewayclasses", "gateways", *ROUTES)]
    rules = [
        _rule("", ("namespaces", "services", "secrets", "configmaps"), READ),
        _rule("discovery.k8s.io", ("endpointslices",), READ),
        _rule(GATEWAY_API, watched, READ),
        _rule(GATEWAY_API, reported, ("update",)),
    ]
    return [_role("lab:traefik", rules), _binding("lab:traefik", role="lab:traefik", user="traefik")]


def _rights_of_prometheus() -> list[Object]:
    rules = [_rule("", ("nodes/metrics",), ("get",)), _rule("", ("pods",), READ)]
    return [_role("lab:prometheus", rules), _binding("lab:prometheus", role="lab:prometheus", user="prometheus")]


def _gateway() -> list[Object]:
    listener = {
        "name": "web",
        "protocol": "HTTP",
        "port": GATEWAY_PORT,  # Traefik finds its entry point by this number
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    controller: Object = {"controllerName": "traefik.io/gateway-controller"}
    gateway: Object = {"gatewayClassName": "traefik", "listeners": [listener]}
    return [
        {
            "apiVersion": f"{GATEWAY_API}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": controller,
        },
        {
            "apiVersion": f"{GATEWAY_API}/v1",
            "kind": "Gateway",
            "metadata": {"name": "traefik", "namespace": "gateway"},
            "spec": gateway,
        },
    ]


def _prometheus_service(layout: Layout) -> list[Object]:
    """Prometheus runs on the node; a Service without a selector gives it an address that never changes."""
    port = {"name": "http", "port": PROMETHEUS_PORT, "protocol": "TCP"}
    metadata = {"name": "prometheus", "namespace": "monitoring"}
    labels = {"kubernetes.io/service-name": "prometheus", "endpointslice.kubernetes.io/managed-by": "evenload-lab"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": PROMETHEUS_SERVICE_ADDRESS, "ports": [port]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [layout.address], "conditions": {"ready": True}}],
        },
    ]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _role(name: str, rules: Sequence[Object]) -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)}


def _binding(name: str, *, role: str, user: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
