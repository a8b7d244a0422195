"""A closed Remediation, taken back as a person asks on the command line; or not, and then it says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

from evenload.kube.resources import REMEDIATIONS, Manifest
from tests.integration.operator.commands import command
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import purposes, touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, shares

OTHER = {**EQUAL, "shop-a": 255}  # so near that there is nothing to mend


class Person:
    """Asks for what was done to be undone."""

    def __init__(self, shop: Shop, operator: OperatorProcess, proxy: ApiProxy, folder: Path) -> None:
        self.shop, self.operator, self.proxy, self.folder = shop, operator, proxy, folder

    async def mended(self) -> Manifest:
        """The closed Remediation of a bad update; nobody was made sick by it."""
        self.shop.fragile = False
        await self.shop.set_weights(BAD)
        await self.shop.until(self.shop.closed)
        await self.shop.until(self.shop.rests)
        return await self.shop.remediation()

    async def undo(self, remediation: Manifest) -> str:
        """The name of the Remediation that asks for it."""
        name = remediation["metadata"]["name"]
        async with command(self.proxy, self.folder, "undo", name, "-n", self.shop.namespace) as process:
            said, complaints = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, complaints.decode()
        return said.decode().splitlines()[0].rpartition(" ")[2].rstrip(".")

    async def closed(self, name: str) -> Manifest:
        found: list[Manifest] = []

        async def ended() -> bool:
            found[:] = [await self.shop.client.get(REMEDIATIONS, self.shop.namespace, name)]
            return "closedAt" in found[0].get("status", {})

        await self.shop.until(ended, what=f"the end of {name}")
        return found[0]


async def taken_back(person: Person) -> None:
    shop = person.shop
    mended = await person.mended()
    assert shares(await shop.weights()) == shares(EQUAL)
    # when a person wants the weights back that it found
    wish = await person.closed(await person.undo(mended))
    # then they are there, in one step that traffic was seen to follow, and stay
    assert await shop.weights() == BAD
    assert (wish["spec"]["undoes"], wish["status"]["phase"]) == (mended["metadata"]["name"], "Succeeded")
    assert purposes(wish) == ["Revert"]
    assert wish["status"]["steps"][0]["state"] == "Verified"
    written, known = len(touched(person.proxy.writes(), shop)), len(await shop.remediations())
    await shop.until(lambda: _uneven(shop), what="the diagnosis of what is there now")
    await person.operator.ticked(6)
    assert len(touched(person.proxy.writes(), shop)) == written
    assert len(await shop.remediations()) == known  # nothing is proposed again so soon
    # and the record of what was undone is as it was
    assert await shop.client.get(REMEDIATIONS, shop.namespace, mended["metadata"]["name"]) == mended


async def refused(person: Person) -> None:
    """Somebody has chosen other weights since: those are not Evenload's to take away."""
    shop = person.shop
    mended = await person.mended()
    await shop.set_weights(OTHER)
    written = len(touched(person.proxy.writes(), shop))
    wish = await person.closed(await person.undo(mended))
    assert wish["status"]["phase"] == "Expired"
    (end,) = [entry["detail"] for entry in wish["status"]["timeline"] if entry["event"] == "Unresolved"]
    assert "is not undone: it left the weights" in end
    assert await shop.weights() == OTHER
    assert len(touched(person.proxy.writes(), shop)) == written


async def paused(person: Person) -> None:
    shop = person.shop
    mended = await person.mended()
    await shop.patch_balancer({"metadata": {"annotations": {"evenload.dev/paused": "true"}}})
    name = await person.undo(mended)

    async def waits() -> bool:
        wish = await shop.client.get(REMEDIATIONS, shop.namespace, name)
        return "Paused" in str(wish.get("status", {}).get("held"))

    await shop.until(waits, what="a wish that waits")
    assert shares(await shop.weights()) == shares(EQUAL)
    await shop.patch_balancer({"metadata": {"annotations": {"evenload.dev/paused": None}}})
    wish = await person.closed(name)
    assert (wish["status"]["phase"], await shop.weights()) == ("Succeeded", BAD)


async def test_a_person_takes_back_what_a_closed_remediation_changed(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    scenarios = {each.__name__: each for each in (taken_back, refused, paused)}
    shops = await asyncio.gather(*(town.open_shop() for _ in scenarios))
    operator = start(*shops)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights) for shop in shops))
    people = [Person(shop, operator, proxy, tmp_path) for shop in shops]
    await side_by_side(**{name: act(person) for (name, act), person in zip(scenarios.items(), people, strict=True)})


async def _uneven(shop: Shop) -> bool:
    return await shop.condition("Balanced") == ("False", "LoadBalancerSkew")
