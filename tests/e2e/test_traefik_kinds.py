"""Traefik's own kinds on a real Traefik: what Evenload's drivers write moves real requests.

The lab's Traefik reads routes of the Gateway API; another one runs here for a while, beside it, and reads Traefik's own
kinds. Run inside a lab: `python -m lab run --build traefik-crds -- pytest tests/e2e/test_traefik_kinds.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evenload.drivers import driver_of
from evenload.model.spec import TargetRef
from lab import clients, parts, state
from lab.components import command
from lab.control_plane import free_ports
from tests.support.naming import Site, weighted
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

API = "traefik.io/v1alpha1"


@pytest.fixture
def traefik(lab: state.LabState, tmp_path: Path) -> Iterator[Site]:
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
    yield Site(lab, namespace, f"http://127.0.0.1:{web}")
    process.terminate()
    process.wait(60)
    clients.kubectl(lab, "delete", "namespace", namespace, "--wait=false")
    clients.kubectl(lab, "delete", f"--filename={crds}", "--wait=false")


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


async def opened(traefik: Site, objects: list[dict[str, Any]], expected: dict[str, int]) -> None:
    """Two Services behind these objects, once ten requests fall to them as expected."""
    traefik.serve("many", "few")
    traefik.apply(*objects)
    await until(lambda: traefik.spread(10) == expected, seconds=120, what=f"a spread of {expected}")


@pytest.mark.parametrize("kind", ["IngressRoute", "TraefikService"])
async def test_weights_that_the_driver_writes_move_requests(traefik: Site, kind: str) -> None:
    driver, shop = driver_of(kind), TargetRef(kind=kind, name="shop")
    await opened(traefik, split(kind, traefik.namespace), {"many": 5, "few": 5})
    live = traefik.read(kind, "shop")
    assert driver.backends(live, shop).weights == {"many": 1, "few": 1}
    patch = json.dumps(driver.patch(live, shop, {"many": 9, "few": 1}))
    traefik.kubectl("patch", kind, "shop", "--type=json", f"--patch={patch}")
    # Traefik begins to count anew whenever it hears of a change, so one hundred requests may be one off.
    written = {"many": 90, "few": 10}
    await until(lambda: traefik.spread(100) == written, seconds=120, what="the split that was written")


async def test_the_weight_of_a_single_service_in_a_route_counts_for_nothing(traefik: Site) -> None:
    await opened(traefik, [ingress_route(traefik.namespace, "shop", weighted(few=0))], {"few": 10})
