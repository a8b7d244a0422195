"""Servers in pods that answer with their own name, and how requests through a gateway fall to them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
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
        request = urllib.request.Request(f"{self.url}/", headers={"Host": self.host})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                name: bytes = answer.read()
                return name.decode()
        except urllib.error.HTTPError as error:
            error.close()
            return ""
        except urllib.error.URLError:
            return ""  # it is not there yet

    def spread(self, requests: int) -> Counter[str]:
        """How so many requests fall to the Services."""
        return Counter(self.ask() for _ in range(requests))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return clients.kubectl(self.lab, "--namespace", self.namespace, *arguments, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=content)

    def serve(self, *names: str) -> None:
        """A Service with one pod for each name; returns when all are ready."""
        self.apply(*(each for name in names for each in _server(name)))
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """As the API server has it, with its managed fields."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json", "--show-managed-fields"))
        return found


def weighted(**weights: int) -> list[dict[str, Any]]:
    """References to such Services with these weights, as a route has them."""
    return [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]


def _server(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    container = {
        "name": "server",
        "image": images.SHOP.reference,
        "command": ["python3", "-c", _SERVER],
        "env": [{"name": "NAME", "value": name}],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
