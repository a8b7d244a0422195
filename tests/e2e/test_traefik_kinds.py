"""Traefik's own kinds on a real Traefik: what Evenload's drivers write moves real requests.

The lab's Traefik reads routes of the Gateway API; another one runs here for a while, beside it, and reads Traefik's own
kinds. Run inside a lab: `python -m lab run --build traefik-crds -- pytest tests/e2e/test_traefik_kinds.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evenload.drivers import driver_of
from evenload.model.spec import TargetRef
from lab import clients, images, parts, state
from lab.components import command
from lab.control_plane import free_ports
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

API = "traefik.io/v1alpha1"
SERVER = """
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
class Traefik:
    """One that reads Traefik's own kinds."""

    lab: state.LabState
    namespace: str
    url: str

    def ask(self) -> str:
        """Which Service answered; "" where none did."""
        request = urllib.request.Request(f"{self.url}/", headers={"Host": f"{self.namespace}.test"})
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


@pytest.fixture
def traefik(lab: state.LabState, tmp_path: Path) -> Iterator[Traefik]:
    namespace = f"traefik-{os.urandom(4).hex()}"
    crds = parts.folder("traefik-crds") / "crds.yaml"
    clients.kubectl(lab, "apply", "--server-side", f"--filename={crds}")
    clients.kubectl(lab, "create", "namespace", namespace)
    [web] = free_ports(1)
    options = {
        "entrypoints.web.address": f"127.0.0.1:{web}",
        "providers.kubernetescrd": "true",
        "providers.kubernetescrd.namespaces": namespace,
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
    }
    started = [*lab.entering, *command(parts.folder("traefik") / "traefik", options)]
    with (tmp_path / "traefik.log").open("w") as log:
        process = subprocess.Popen(started, env={**os.environ, "KUBECONFIG": str(lab.kubeconfig)}, stdout=log)
    yield Traefik(lab, namespace, f"http://127.0.0.1:{web}")
    process.terminate()
    process.wait(60)
    clients.kubectl(lab, "delete", "namespace", namespace, "--wait=false")
    clients.kubectl(lab, "delete", f"--filename={crds}", "--wait=false")


def server(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    container = {
        "name": "server",
        "image": images.SHOP.reference,
        "command": ["python3", "-c", SERVER],
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


def weighted(**weights: int) -> list[dict[str, Any]]:
    return [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]


def ingress_route(namespace: str, name: str, services: list[dict[str, Any]]) -> dict[str, Any]:
    route = {"kind": "Rule", "match": f"Host(`{namespace}.test`)", "services": services}
    spec = {"entryPoints": ["web"], "routes": [route]}
    return {"apiVersion": API, "kind": "IngressRoute", "metadata": {"name": name}, "spec": spec}


def split(kind: str, namespace: str) -> list[dict[str, Any]]:
    """The object `shop` of that kind, even over two Services, and what leads to it."""
    services = weighted(many=1, few=1)
    if kind == "IngressRoute":
        return [ingress_route(namespace, "shop", services)]
    spec = {"weighted": {"services": services}}
    return [
        {"apiVersion": API, "kind": kind, "metadata": {"name": "shop"}, "spec": spec},
        ingress_route(namespace, "web", [{"kind": kind, "name": "shop"}]),
    ]


async def opened(traefik: Traefik, objects: list[dict[str, Any]], expected: dict[str, int]) -> None:
    """Two Services behind these objects, once ten requests fall to them as expected."""
    traefik.apply(*server("many"), *server("few"), *objects)
    for name in ("many", "few"):
        traefik.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
    await until(lambda: traefik.spread(10) == expected, seconds=120, what=f"a spread of {expected}")


@pytest.mark.parametrize("kind", ["IngressRoute", "TraefikService"])
async def test_weights_that_the_driver_writes_move_requests(traefik: Traefik, kind: str) -> None:
    driver, shop = driver_of(kind), TargetRef(kind=kind, name="shop")
    await opened(traefik, split(kind, traefik.namespace), {"many": 5, "few": 5})
    live = json.loads(traefik.kubectl("get", kind, "shop", "--output=json", "--show-managed-fields"))
    assert driver.backends(live, shop).weights == {"many": 1, "few": 1}
    patch = json.dumps(driver.patch(live, shop, {"many": 9, "few": 1}))
    traefik.kubectl("patch", kind, "shop", "--type=json", f"--patch={patch}")
    # Traefik begins to count anew whenever it hears of a change, so one hundred requests may be one off.
    written = {"many": 90, "few": 10}
    await until(lambda: traefik.spread(100) == written, seconds=120, what="the split that was written")


async def test_the_weight_of_a_single_service_in_a_route_counts_for_nothing(traefik: Traefik) -> None:
    await opened(traefik, [ingress_route(traefik.namespace, "shop", weighted(few=0))], {"few": 10})
