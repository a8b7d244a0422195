"""A VirtualService of Istio over subsets, with Istio's own CRDs, from end to end. No Istio proxy runs here: who gets
which requests is played by the town, as a proxy would split them by the weights."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from evenload.kube.resources import DESTINATIONRULES, REMEDIATIONS, VIRTUALSERVICES, Manifest
from tests.integration.operator.commands import command
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import evictions, purposes
from tests.support.apiproxy import ApiProxy
from tests.support.town import BACKENDS, MESH, SICK, Shop, Town

pytestmark = pytest.mark.usefixtures("istio_kinds")

EQUAL = dict.fromkeys(BACKENDS, 25)
BAD = {**dict.fromkeys(BACKENDS, 1), SICK: 97}


@pytest.mark.timeout(600)
async def test_a_skewed_virtual_service_is_mended_in_whole_per_cent_and_the_undo_gives_back_what_stood(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shop = await town.open_shop(plane=MESH)
    shop.fragile = False
    start(shop)
    await shop.until(shop.remembers_good_weights, seconds=90)
    balancer = await shop.balancer()
    assert balancer["status"]["resolved"]["handles"] == ["Weights", "Isolate", "Restart"]
    before = await shop.route()
    # when an update gives one subset nearly everything
    await shop.set_weights(BAD, manager="ci-deploy")
    await shop.until(shop.closed, seconds=120)
    # then the weights are back, to the digit, and nothing else of the object was changed
    after = await shop.route()
    assert after["spec"] == before["spec"]
    remediation = await shop.remediation()
    assert (remediation["status"]["phase"], purposes(remediation)) == ("Succeeded", ["Restore"])
    written = remediation["status"]["steps"][0]["after"]
    assert sum(written.values()) == 100
    assert written == {f"shop/{name}": weight for name, weight in EQUAL.items()}
    # and a person who wants them as they were found gets them
    await shop.until(shop.rests, seconds=90)
    name = remediation["metadata"]["name"]
    async with command(proxy, tmp_path, "undo", name, "-n", shop.namespace) as process:
        said, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, complaints.decode()
    wish = said.decode().splitlines()[0].rpartition(" ")[2].rstrip(".")

    async def undone() -> bool:
        found = await shop.client.get(REMEDIATIONS, shop.namespace, wish)
        return "closedAt" in found.get("status", {})

    await shop.until(undone, seconds=120, what="the end of the undo")
    assert await shop.weights() == BAD


@pytest.mark.timeout(600)
async def test_what_is_wrong_with_a_virtual_service_stands_in_the_balancer_and_goes_once_it_is_right(
    town: Town, start: Start
) -> None:
    shop = await town.open_shop(plane=MESH, backends=BACKENDS[:2])
    good = await shop.client.get(DESTINATIONRULES, shop.namespace, "shop")
    start(shop)
    await says(shop, "True", "Watching", "")
    # no DestinationRule, one without the subset, and it is back
    await shop.client.delete(DESTINATIONRULES, shop.namespace, "shop")
    await says(shop, "False", "SubsetUnknown", "no DestinationRule of namespace")
    one = {**bare(good), "spec": {**good["spec"], "subsets": good["spec"]["subsets"][:1]}}
    await shop.client.create(DESTINATIONRULES, shop.namespace, one)
    await says(shop, "False", "SubsetUnknown", "DestinationRule shop has no such subset, only shop-a")
    await describe(shop, good["spec"]["subsets"])
    await says(shop, "True", "Watching", "")
    # a subset without pods is said, and does not keep the other from being looked after
    await describe(shop, [good["spec"]["subsets"][0], {"name": "shop-b", "labels": {"app": "nobody"}}])
    await says(shop, "True", "Limited", "subset shop-b of Service")
    await describe(shop, [{"name": name, "labels": {"app": "nobody"}} for name in shop.backends])
    await says(shop, "False", "NoPods", "has no pods: none of the Service's 2 has its labels (app=nobody)")
    await describe(shop, good["spec"]["subsets"])
    # weights that come to something else are looked after, and noted
    await split(shop, [{**to("shop-a"), "weight": 1}, {**to("shop-b"), "weight": 1}])
    await says(shop, "True", "Limited", "the weights of rule 0 come to 2, not to 100")
    # and what cannot be weighted is refused
    await split(shop, [{**to("shop-a"), "weight": 50}, {**to("shop-a"), "weight": 50}])
    await says(shop, "False", "BackendRepeated", "names destination shop (subset shop-a) twice")
    await split(
        shop, [{**to("shop-a"), "weight": 50}, {"destination": {"host": "b.far.svc.cluster.local"}, "weight": 50}]
    )
    await says(shop, "False", "ForeignBackend", "Service far/b, which is in another namespace")
    await shop.client.patch_merge(
        VIRTUALSERVICES, shop.namespace, "shop", {"spec": {"http": [{"delegate": {"name": "inner"}}]}}
    )
    await says(shop, "False", "BackendUnsupported", "delegates to VirtualService")


@pytest.mark.timeout(600)
async def test_the_pod_of_a_subset_that_stays_sick_is_drained_and_restarted(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    shop = await town.open_shop(plane=MESH)
    start(shop)
    await shop.until(shop.remembers_good_weights, seconds=90)
    await shop.set_weights(BAD, manager="ci-deploy")
    await shop.until(shop.closed)
    assert await shop.phase() == "Succeeded"
    assert "RestartPod" in purposes(await shop.remediation())
    assert len(evictions(proxy.writes(), shop)) == 1
    assert await shop.weights() == EQUAL


async def test_of_a_route_and_a_virtual_service_over_the_same_services_the_older_balancer_works(
    town: Town, start: Start
) -> None:
    shop = await town.open_shop(backends=BACKENDS[:2])
    await asyncio.sleep(1.1)  # creation times are whole seconds
    whole = {"host": "shop-a"}, {"host": "shop-b"}
    mesh = MESH.route({}) | {"spec": {"http": [{"route": [{"destination": each, "weight": 50} for each in whole]}]}}
    await shop.client.create(VIRTUALSERVICES, shop.namespace, mesh)
    await shop.create_balancer(
        {"targetRef": {"kind": "VirtualService", "name": "shop"}, "mode": "Observe"}, name="mesh"
    )
    start(shop)
    await says(shop, "False", "RouteTaken", "(of HTTPRoute shop), which is older", balancer="mesh")
    await says(shop, "True", "Watching", "")
    await shop.delete_balancer()
    await says(shop, "True", "Watching", "", balancer="mesh")


async def says(shop: Shop, status: str, reason: str, text: str, balancer: str = "shop") -> None:
    """Wait until the Balancer is Ready or not for that reason, with that text in its message."""

    async def said() -> bool:
        conditions: list[dict[str, Any]] = (await shop.balancer(balancer)).get("status", {}).get("conditions", [])
        ready = next((each for each in conditions if each["type"] == "Ready"), {})
        return (ready.get("status"), ready.get("reason")) == (status, reason) and text in ready["message"]

    await shop.until(said, seconds=60, what=f"{reason} in the Balancer's status")


def bare(manifest: Manifest) -> Manifest:
    """To be created anew."""
    return {**manifest, "metadata": {"name": manifest["metadata"]["name"]}}


def to(subset: str) -> dict[str, Any]:
    return {"destination": {"host": "shop", "subset": subset}}


async def describe(shop: Shop, subsets: list[dict[str, Any]]) -> None:
    await shop.client.patch_merge(DESTINATIONRULES, shop.namespace, "shop", {"spec": {"subsets": subsets}})


async def split(shop: Shop, route: list[dict[str, Any]]) -> None:
    await shop.client.patch_merge(VIRTUALSERVICES, shop.namespace, "shop", {"spec": {"http": [{"route": route}]}})
