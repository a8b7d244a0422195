"""The real istiod, as a process, and a plain Envoy that takes its routes from it.

No Istio proxy runs here: Envoy asks for the routes of port 80 by ADS, as a sidecar does, and shows what it took. The
validation is registered as Istio's own chart does it, for one namespace.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenload.errors import Conflict, KubeError
from evenload.kube.client import Client
from evenload.kube.resources import Manifest, Resource
from lab import parts
from lab.control_plane import free_ports
from tests.support.chart import rendered
from tests.support.envoy import Envoy, address_of, configured, get, listener
from tests.support.namespaces import create_namespace
from tests.support.wait import until

SYSTEM = "istio-system"
PORT = 80
HOST = "localhost"  # in istiod's own certificate, by ISTIOD_CUSTOM_HOST
WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
_VALIDATION = "templates/defaultrevision-validatingwebhookconfiguration.yaml"
_PASSED = re.compile(r'^galley_validation_passed\{[^}]*resource="virtualservices"[^}]*\} (\S+)$', re.MULTILINE)
_ENVIRONMENT = {
    "REVISION": "default",  # as its chart sets it: whose validation it looks after
    "ISTIOD_CUSTOM_HOST": HOST,
    "ENABLE_LEADER_ELECTION": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",  # or it writes to HTTPRoutes and GatewayClasses of other tests
}


@dataclass(frozen=True)
class Istiod:
    http_port: int
    webhook_port: int
    xds_port: int

    def passed(self) -> int:
        """VirtualServices that its validation was asked for and let pass."""
        return sum(int(float(number)) for number in _PASSED.findall(get(self.http_port, "/metrics")[1]))

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return get(self.http_port, "/ready")[0] == 200
        return False


@contextlib.asynccontextmanager
async def istiod(client: Client, folder: Path) -> AsyncIterator[Istiod]:
    """As it comes, of the cluster that KUBECONFIG names. What it said is shown at the end."""
    with contextlib.suppress(Conflict):
        await create_namespace(client, SYSTEM)
    http, webhook, xds, secure, control = free_ports(5)
    arguments = [
        f"--kubeconfig={os.environ['KUBECONFIG']}",
        f"--httpAddr=127.0.0.1:{http}",
        f"--httpsAddr=127.0.0.1:{webhook}",
        f"--grpcAddr=127.0.0.1:{xds}",
        f"--secureGRPCAddr=127.0.0.1:{secure}",
        f"--ctrlz_port={control}",
        "--ctrlz_address=127.0.0.1",
        "--monitoringAddr=",  # on the HTTP port
    ]
    found = Istiod(http_port=http, webhook_port=webhook, xds_port=xds)
    with _running([str(parts.folder("istiod") / "pilot-discovery"), "discovery", *arguments], folder) as process:

        def ready() -> bool:
            assert process.poll() is None, "istiod ended"
            return found.is_ready()

        await until(ready, what="a ready istiod", pause=0.1)
        yield found


@contextlib.contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "istiod.log"
    environment = os.environ | _ENVIRONMENT
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)
        print(log.read_text()[-20000:])  # noqa: T201


@contextlib.asynccontextmanager
async def validating(client: Client, istiod: Istiod, namespace: str) -> AsyncIterator[None]:
    """What is written to that namespace passes istiod's validation, or is refused."""
    url = f"base.validationURL=https://{HOST}:{istiod.webhook_port}/validate"
    options = ("--set", url, "--show-only", _VALIDATION)
    (registered,) = rendered(*options, release="istio-base", namespace=SYSTEM, chart=parts.folder("istiod") / "base")
    for webhook in registered["webhooks"]:
        webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    name = f"{registered['metadata']['name']}-{namespace}"
    registered["metadata"]["name"] = name
    await client.create(WEBHOOKS, None, registered)

    async def enforced() -> bool:
        """istiod itself adds its CA, tries, and turns the policy."""
        found: list[Manifest] = (await client.get(WEBHOOKS, None, name))["webhooks"]
        return all(each["failurePolicy"] == "Fail" and "caBundle" in each["clientConfig"] for each in found)

    try:
        await until(enforced, what="istiod's validation", pause=0.1)
        yield
    finally:
        with contextlib.suppress(KubeError):
            await client.delete(WEBHOOKS, None, name)


@dataclass(frozen=True)
class Sidecar:
    """A plain Envoy that says to istiod that it is the sidecar of a pod of `namespace`."""

    envoy: Envoy
    namespace: str

    def splits(self, service: str) -> list[dict[str, int]]:
        """Of each route to that Service of its namespace: weights by destination, "service" or "service/subset".

        As istiod sent and Envoy took it: a destination without weight is not in it, an only one has all (100).
        """
        dump = json.loads(self.envoy.says("/config_dump?resource=dynamic_route_configs"))
        domain = f"{service}.{self.namespace}.svc.cluster.local"
        return [
            _split(route["route"])
            for each in dump.get("configs", [])
            for host in each["route_config"]["virtual_hosts"]
            if domain in host["domains"]
            for route in host["routes"]
        ]


def _split(action: Mapping[str, Any]) -> dict[str, int]:
    clusters = action.get("weighted_clusters", {}).get("clusters") or [{"name": action.get("cluster"), "weight": 100}]
    return {_destination(each["name"]): each["weight"] for each in clusters}


def _destination(cluster: str) -> str:
    """("outbound|80|v1|shop.namespace.svc.cluster.local" -> "shop/v1")"""
    _, _, subset, host = cluster.split("|")
    return "/".join(filter(None, (host.partition(".")[0], subset)))


@contextlib.contextmanager
def sidecar(istiod: Istiod, namespace: str, folder: Path) -> Iterator[Sidecar]:
    def configuration(admin_port: int, port: int) -> dict[str, Any]:
        cluster = {
            "name": "istiod",
            "type": "STATIC",
            "connect_timeout": "5s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
            "load_assignment": {
                "cluster_name": "istiod",
                "endpoints": [{"lb_endpoints": [{"endpoint": address_of("127.0.0.1", istiod.xds_port)}]}],
            },
        }
        ads = {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "istiod"}}],
        }
        routes = {
            "rds": {"route_config_name": str(PORT), "config_source": {"ads": {}, "resource_api_version": "V3"}},
        }
        return {
            "admin": address_of("127.0.0.1", admin_port),
            "node": {
                "id": f"sidecar~127.0.0.1~watcher.{namespace}~{namespace}.svc.cluster.local",
                "cluster": f"watcher.{namespace}",
                "metadata": {"NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes"},
            },
            "dynamic_resources": {"ads_config": ads},
            "static_resources": {"clusters": [cluster], "listeners": [listener(port, routes)]},
        }

    with configured(configuration, folder) as envoy:
        yield Sidecar(envoy, namespace)
