"""Small servers in pods of a lab, routes that lead to them, and how requests through a gateway fall to them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import clients, images
from lab.state import LabState

_SERVER = """
import http.server, os
NAME = os.environ["NAME"].encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(NAME)))
        self.end_headers()
        self.wfile.write(NAME)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Site:
    """A namespace of a lab with such servers, and the gateway at `url` that leads to them by the name of a host."""

    lab: LabState
    namespace: str
    url: str

    @property
    def host(self) -> str:
        return f"{self.namespace}.test"

    def ask(self) -> str:
        """Which Service answered; "" where none did."""
        try:
            return ask(f"{self.url}/", self.host)[1]
        except urllib.error.URLError:
            return ""  # it is not there yet

    def spread(self, requests: int) -> Counter[str]:
        """How so many requests fall to the Services."""
        return Counter(self.ask() for _ in range(requests))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return clients.kubectl(self.lab, "--namespace", self.namespace, *arguments, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        deploy(self.lab, self.namespace, *objects)

    def serve(self, *names: str) -> None:
        """A Service with one pod for each name, which is what it answers; returns when all are ready."""
        command = ["python3", "-c", _SERVER]
        self.apply(*(each for name in names for each in server(name, command, env={"NAME": name})))

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """As the API server has it, with its managed fields."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json", "--show-managed-fields"))
        return found


def ask(url: str, host: str) -> tuple[int, str]:
    """The status, and what a server answered; "" with a status that is an error. Raises URLError."""
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            said: bytes = answer.read()
            return answer.status, said.decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""


def http_route(name: str, gateway: str | None, host: str, backends: list[dict[str, Any]]) -> dict[str, Any]:
    """A route of one rule, from a gateway of the lab to these backends."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": "gateway"}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


def weighted(**weights: int) -> list[dict[str, Any]]:
    """References to such Services with these weights, as a route has them."""
    return [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]


def server(
    name: str,
    command: list[str],
    *,
    replicas: int = 1,
    path: str = "/",
    env: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """A Deployment of what listens at port 8080, and its Service. `path`: what it answers once it is ready."""
    container = {
        "name": "server",
        "image": images.SHOP.reference,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "readinessProbe": {"httpGet": {"port": 8080, "path": path}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {"app": name}, "annotations": dict(annotations or {})},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    ports = [{"port": 80, "targetPort": 8080}]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": ports},
        },
    ]


def deploy(lab: LabState, namespace: str, *objects: dict[str, Any]) -> None:
    """Apply them, and wait until all pods of the Deployments among them are ready."""
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    here = ("--namespace", namespace)
    clients.kubectl(lab, *here, "apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=content)
    for each in objects:
        if each["kind"] == "Deployment":
            name = each["metadata"]["name"]
            clients.kubectl(lab, *here, "rollout", "status", f"deployment/{name}", "--timeout=120s")
