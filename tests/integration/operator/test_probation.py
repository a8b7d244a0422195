"""An update of the route on probation: taken back where it made things worse, named where it is no weight, passed."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

from evenload.kube.resources import PODS
from tests.integration.operator.commands import answer
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.kubectl import Kubectl
from tests.support.town import BACKENDS, SICK, TOO_SHORT, Shop, Town, timeout_of

THREE = BACKENDS[:3]
DEADLINE_SECONDS = 90.0  # alone it takes 15
MANAGER = "argocd-controller"
TIMEOUT = "/spec/rules/0/timeouts"


async def probation(shop: Shop, manager: str = MANAGER) -> dict[str, Any]:
    """The newest change by `manager`, as the status has it."""
    changes = (await shop.balancer())["status"].get("changes", ())
    return next((each for each in changes if each["manager"] == manager), {})


async def state(shop: Shop) -> str:
    return str((await probation(shop)).get("probation", ""))


async def rolled_back(shop: Shop, proxy: ApiProxy, folder: Path) -> None:
    """The addition gets nothing, though somebody edited the Balancer just before; when its pods are others it gets its
    share."""
    await shop.patch_balancer({"spec": {"guard": {"mode": "Off"}}})
    await shop.add_backend(SICK, broken=True, manager=MANAGER)
    await shop.until(lambda: _weight(shop, SICK, 0), what="no weight for what was added", seconds=DEADLINE_SECONDS)
    assert {name: (await shop.weights())[name] for name in THREE} == dict.fromkeys(THREE, 250)
    remediation = await shop.remediation()
    diagnosis = remediation["spec"]["diagnosis"]
    assert (diagnosis["label"], diagnosis["manager"], diagnosis["backends"]) == ("BadUpdate", MANAGER, [SICK])
    assert diagnosis["routeChange"]["before"] == dict.fromkeys(THREE, 250)
    await shop.until(lambda: _is(shop, "Failed"), what="the probation's end", seconds=DEADLINE_SECONDS)
    assert (await probation(shop))["remediation"] == remediation["metadata"]["name"]
    _, listed, _ = await answer(proxy, folder, "changes", "shop", "-n", shop.namespace)
    assert "failed" in listed
    shop.broken.clear()
    (pod,) = [each for each in shop.pods.values() if each["metadata"]["labels"]["app"] == SICK]
    await shop.client.delete(PODS, shop.namespace, pod["metadata"]["name"], grace_seconds=0)
    await shop.until(shop.closed, what="its share back", seconds=DEADLINE_SECONDS)
    assert await shop.even()
    assert "RestartPod" not in {action for action, _, _ in await shop.steps()}


async def proposed(shop: Shop, proxy: ApiProxy) -> None:
    """Where a person has to agree, the write is shown and not made."""
    await shop.add_backend(SICK, broken=True, manager=MANAGER)
    await shop.until(lambda: _proposal(shop), what="the proposal", seconds=DEADLINE_SECONDS)
    assert touched(proxy.writes(), shop) == []
    proposal = (await shop.remediation())["status"]["proposal"]
    assert (proposal["purpose"], proposal["after"][SICK]) == ("Rollback", 0)


async def named(shop: Shop, proxy: ApiProxy, folder: Path) -> None:
    """What is no weight is named, with a command that puts it back; nothing is written."""
    await shop.update_route([{"op": "add", "path": TIMEOUT, "value": {"request": "10s"}}], "helm")
    await shop.update_route([{"op": "replace", "path": f"{TIMEOUT}/request", "value": TOO_SHORT}], MANAGER)
    await shop.until(lambda: _is(shop, "Failed"), what="the suspicion", seconds=DEADLINE_SECONDS)
    assert touched(proxy.writes(), shop) == []
    change = await probation(shop)
    assert change["elsewhere"] == [f"{TIMEOUT}/request"]
    remediation = await shop.remediation()
    assert remediation["spec"]["diagnosis"]["label"] == "BadUpdate"
    _, said, _ = await answer(proxy, folder, "why", "shop", "-n", shop.namespace)
    assert f"By hand: {change['undo']}" in " ".join(said.split())
    await asyncio.to_thread(Kubectl(namespace=shop.namespace), *shlex.split(change["undo"])[1:])
    assert timeout_of(await shop.route()) == "10s"
    await shop.until(shop.closed, what="the end of the incident", seconds=DEADLINE_SECONDS)


async def passed(shop: Shop, proxy: ApiProxy, folder: Path) -> None:
    """A sound addition leaves one quiet word."""
    await shop.add_backend(SICK, broken=False, manager=MANAGER)
    await shop.until(lambda: _is(shop, "Passed"), what="the probation's end", seconds=DEADLINE_SECONDS)
    assert touched(proxy.writes(), shop) == []
    assert await shop.remediations() == []
    _, listed, _ = await answer(proxy, folder, "changes", "shop", "-n", shop.namespace, "-o", "json")
    assert json.loads(listed)[0]["probation"] == "Passed"


async def test_an_update_is_taken_back_proposed_named_or_passed(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shops = auto, approve, other, sound = await asyncio.gather(
        town.open_shop(backends=THREE),
        town.open_shop(backends=THREE, mode="Approve"),
        town.open_shop(backends=THREE),
        town.open_shop(backends=THREE, spec={"guard": {"probation": "15s"}}),
    )
    for shop in shops:
        shop.fragile = False
    start(*shops)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights) for shop in shops))
    await side_by_side(
        rolled_back=rolled_back(auto, proxy, tmp_path),
        proposed=proposed(approve, proxy),
        named=named(other, proxy, tmp_path),
        passed=passed(sound, proxy, tmp_path),
    )


async def _weight(shop: Shop, name: str, weight: int) -> bool:
    return (await shop.weights()).get(name) == weight


async def _is(shop: Shop, wanted: str) -> bool:
    return await state(shop) == wanted


async def _proposal(shop: Shop) -> bool:
    found = await shop.remediations()
    return bool(found) and "proposal" in found[-1].get("status", {})
