"""The real controller of Argo Rollouts moves weights of a TraefikService step by step; Evenload leaves them alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from evenload.kube.client import Client
from evenload.kube.resources import ARGO_ROLLOUTS, SERVICES, Manifest
from lab import parts
from lab.control_plane import free_ports
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.support.apiproxy import ApiProxy
from tests.support.kinds import install, install_argo_rollouts, install_traefik
from tests.support.namespaces import create_namespace
from tests.support.town import HASTE, ROLLOUT, Shop, Town, deployment

STABLE, CANARY = "shop-stable", "shop-canary"
CONTROLLER = "rollouts-controller"  # as it is called, and writes
STEPS = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}}]
DEADLINE_SECONDS = 120.0


@pytest.fixture
async def town(client: Client) -> AsyncIterator[Town]:
    await install(client)
    await install_traefik(client)
    await install_argo_rollouts(client)
    async with Town(client) as town:
        yield town


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[None]:
    """Argo Rollouts, as it comes."""
    metrics, health = free_ports(2)
    program = parts.folder("argo-rollouts") / CONTROLLER
    log = tmp_path / f"{CONTROLLER}.log"
    arguments = [
        f"--kubeconfig={os.environ['KUBECONFIG']}",
        f"--metricsPort={metrics}",
        f"--healthzPort={health}",
        "--leader-elect=false",
        "--traefik-api-group=traefik.io",
        "--traefik-api-version=traefik.io/v1alpha1",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    yield
    process.kill()
    process.wait(60)
    print(log.read_text()[-20000:])  # noqa: T201


def rollout(image: str) -> Manifest:
    """Two pods of that image, brought by canary steps that wait for a person."""
    spec = deployment("shop", 2)["spec"]
    spec["template"]["spec"]["containers"][0]["image"] = image
    routing = {"traefik": {"weightedTraefikServiceName": "shop"}}
    canary = {"stableService": STABLE, "canaryService": CANARY, "trafficRouting": routing, "steps": STEPS}
    return {
        "apiVersion": ARGO_ROLLOUTS.api_version,
        "kind": ARGO_ROLLOUTS.kind,
        "metadata": {"name": "shop"},
        "spec": {**spec, "strategy": {"canary": canary}},
    }


async def open_shop(town: Town) -> Shop:
    namespace = f"rollout-{os.urandom(4).hex()}"
    await create_namespace(town.client, namespace)
    shop = Shop(town, namespace, (STABLE, CANARY), town.prometheus, fragile=False, plane=ROLLOUT)
    town.shops[namespace] = shop
    for name in shop.backends:
        service = {"metadata": {"name": name}, "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}}
        await town.client.create(SERVICES, namespace, service)
    await shop.create_route({STABLE: 100, CANARY: 0})
    await town.client.create(ARGO_ROLLOUTS, namespace, rollout("shop.example/server:1"))
    return shop


async def phase(shop: Shop) -> tuple[str, int]:
    """Of the Rollout: its phase, and the step it stands at."""
    status = (await shop.client.get(ARGO_ROLLOUTS, shop.namespace, "shop")).get("status", {})
    return str(status.get("phase", "")), int(status.get("currentStepIndex", -1))


async def stands_at(shop: Shop, wanted: str, step: int) -> bool:
    return await phase(shop) == (wanted, step)


async def promote(shop: Shop) -> None:
    """As `kubectl argo rollouts promote` does at a pause."""
    patch = {"status": {"pauseConditions": None}}
    await shop.client.patch_merge(ARGO_ROLLOUTS, shop.namespace, "shop", patch, subresource="status")


@pytest.mark.usefixtures("controller")
async def test_the_weights_of_a_canary_are_left_alone_from_its_first_step_to_its_end(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await open_shop(town)
    await shop.until(lambda: stands_at(shop, "Healthy", len(STEPS)), seconds=DEADLINE_SECONDS, what="a healthy Rollout")
    await shop.create_balancer({**HASTE, "mode": "Auto"})
    operator = start(shop)
    await shop.until(
        lambda: shop.says("Balanced", "Argo Rollout shop sets the weights"), what="the owner of the weights"
    )
    await shop.client.patch_merge(
        ARGO_ROLLOUTS, shop.namespace, "shop", {"spec": rollout("shop.example/server:2")["spec"]}
    )
    for step, weight in ((1, 20), (3, 40)):
        await shop.until(partial(stands_at, shop, "Paused", step), seconds=DEADLINE_SECONDS, what=f"step {step}")
        await shop.until(lambda: shop.says("Balanced", "the Rollout is Paused"), what="the canary's word")
        await operator.ticked(10)
        assert await shop.weights() == {STABLE: 100 - weight, CANARY: weight}
        await promote(shop)
    await shop.until(lambda: stands_at(shop, "Healthy", len(STEPS)), seconds=DEADLINE_SECONDS, what="the canary's end")
    await shop.until(lambda: shop.says("Balanced", "they are left alone"), what="the owner of the weights")
    await operator.ticked(10)
    assert await shop.weights() == {STABLE: 100, CANARY: 0}
    assert touched(proxy.writes(), shop) == []
    assert await shop.remediations() == []
    changes = [each for each in (await shop.balancer())["status"]["changes"] if "before" in each]
    assert {each["manager"] for each in changes} == {CONTROLLER}
