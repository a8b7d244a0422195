"""What Evenload writes to a VirtualService, before the real istiod: its validation, and the routes that it sends.

No Istio proxy runs here: a plain Envoy takes the routes, and no request is sent along them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evenload.drivers import driver_of
from evenload.errors import Refused
from evenload.kube.client import Client
from evenload.kube.resources import DESTINATIONRULES, SERVICES, VIRTUALSERVICES
from evenload.model.spec import TargetRef
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import purposes
from tests.support.istiod import Istiod, Sidecar, istiod, sidecar, validating
from tests.support.town import BACKENDS, MESH, SICK, Shop, Town
from tests.support.wait import until
from tests.unit.drivers.istio import destination_rule, rule, to, virtual_service

pytestmark = pytest.mark.usefixtures("istio_kinds")

TARGET = TargetRef(kind="VirtualService", name="shop")
DRIVER = driver_of(TARGET.kind)
SUBSETS = ("v1", "v2", "v3")
FOUND = {"web/v1": 90, "web/v2": 10, "web/v3": 0, "cart": 0}
WRITTEN = (
    {"web/v1": 25, "web/v2": 25, "web/v3": 25, "cart": 25},
    {"web/v1": 0, "web/v2": 34, "web/v3": 33, "cart": 33},
    {"web/v1": 1, "web/v2": 97, "web/v3": 1, "cart": 1},
    {"web/v1": 100, "web/v2": 0, "web/v3": 0, "cart": 0},
)
EQUAL = {f"shop/{name}": 25 for name in BACKENDS}
BAD = {**dict.fromkeys(BACKENDS, 1), SICK: 97}


@pytest.fixture
async def control(client: Client, town: Town, tmp_path: Path) -> AsyncIterator[Istiod]:
    """istiod; after `town`, which has our CRDs installed, and the module's mark, which has Istio's."""
    async with istiod(client, tmp_path) as control:
        yield control


@pytest.fixture
async def mesh(client: Client, control: Istiod, namespace: str, tmp_path: Path) -> AsyncIterator[Sidecar]:
    """Services `web`, with subsets, and `cart` behind VirtualService `shop`, two of whose rules split and one does not.

    All that is written there passes istiod's validation.
    """
    async with validating(client, control, namespace):
        for name in ("web", "cart"):
            service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
            await client.create(SERVICES, namespace, service)
        described = destination_rule("web", {name: {"version": name} for name in SUBSETS})
        await client.create(DESTINATIONRULES, namespace, described | {"metadata": {"name": "web"}})
        await client.create(VIRTUALSERVICES, namespace, three_rules() | {"metadata": {"name": "shop"}})
        with sidecar(control, namespace, tmp_path) as mesh:
            yield mesh


def three_rules() -> dict[str, Any]:
    split = [*(to("web", FOUND[f"web/{name}"], subset=name) for name in SUBSETS), to("cart", FOUND["cart"])]
    images = rule(to("cart"), match=[{"uri": {"prefix": "/images"}}])
    api = rule(*split, name="api", match=[{"uri": {"prefix": "/api"}}], timeout="3s")
    return virtual_service(images, api, rule(*split), hosts=["web"])


async def write(client: Client, namespace: str, weights: Mapping[str, int]) -> None:
    """As the operator does: what the driver makes of these weights and of what stands there."""
    route = await client.get(VIRTUALSERVICES, namespace, "shop")
    await client.patch_json(VIRTUALSERVICES, namespace, "shop", DRIVER.patch(route, TARGET, weights))


def with_weight(weights: Mapping[str, int]) -> dict[str, int]:
    """istiod leaves the others out."""
    return {name: weight for name, weight in weights.items() if weight}


async def sends(mesh: Sidecar, service: str, *splits: Mapping[str, int]) -> None:
    """Wait until these are the routes that istiod has sent."""
    wanted = [with_weight(each) for each in splits]
    await until(lambda: mesh.splits(service) == wanted, what=f"routes {wanted}", pause=0.1)


async def test_istiod_accepts_all_weights_that_the_driver_writes(
    client: Client, control: Istiod, mesh: Sidecar
) -> None:
    before = control.passed()
    for weights in WRITTEN:
        await write(client, mesh.namespace, weights)
    assert control.passed() == before + len(WRITTEN)


async def test_istiod_refuses_weights_that_come_to_nothing_and_those_before_stay(client: Client, mesh: Sidecar) -> None:
    nothing = [{"op": "replace", "path": f"/spec/http/1/route/{at}/weight", "value": 0} for at in (0, 1)]
    with pytest.raises(Refused, match=r"validation\.istio\.io.*total destination weight = 0"):
        await client.patch_json(VIRTUALSERVICES, mesh.namespace, "shop", nothing)
    route = await client.get(VIRTUALSERVICES, mesh.namespace, "shop")
    assert DRIVER.backends(route, TARGET).weights == FOUND


async def test_istiod_makes_of_each_rule_the_weights_that_the_driver_reads_and_writes(
    client: Client, mesh: Sidecar
) -> None:
    route = await client.get(VIRTUALSERVICES, mesh.namespace, "shop")
    assert DRIVER.backends(route, TARGET).weights == FOUND
    await sends(mesh, "web", {"cart": 100}, FOUND, FOUND)
    for weights in WRITTEN:
        await write(client, mesh.namespace, weights)
        await sends(mesh, "web", {"cart": 100}, weights, weights)


async def test_a_restored_split_passes_the_validation_and_is_what_istiod_sends(
    town: Town, start: Start, control: Istiod, tmp_path: Path
) -> None:
    shop = await town.open_shop(plane=MESH)
    shop.fragile = False
    async with validating(town.client, control, shop.namespace):
        with sidecar(control, shop.namespace, tmp_path) as mesh:
            await sends(mesh, "shop", EQUAL)
            start(shop)
            await shop.until(shop.remembers_good_weights, seconds=90)
            await shop.set_weights(BAD, manager="ci-deploy")
            await sends(mesh, "shop", {f"shop/{name}": weight for name, weight in BAD.items()})
            await restored(shop)
            await sends(mesh, "shop", EQUAL)


async def restored(shop: Shop) -> None:
    await shop.until(shop.closed)
    remediation = await shop.remediation()
    assert (remediation["status"]["phase"], purposes(remediation)) == ("Succeeded", ["Restore"])
    assert remediation["status"]["steps"][0]["after"] == EQUAL
