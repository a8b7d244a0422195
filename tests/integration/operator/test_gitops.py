"""A GitOps tool that owns the route, with the rules that `evenload gitops` prints for it, and without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from evenload.kube.client import Client
from evenload.kube.resources import HTTPROUTES, Manifest
from tests.integration.operator.commands import answer
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.gitops import GitOps, Ignored, as_argocd, as_flux, nothing
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, EQUAL, Shop, Town, route
from tests.support.wait import PATIENCE_SECONDS

MANAGERS = {"argocd": "argocd-controller", "flux": "kustomize-controller"}
READS: Mapping[str, Callable[[Mapping[str, Any]], Ignored]] = {"argocd": as_argocd, "flux": as_flux}


def repository(shop: Shop, weights: Mapping[str, int]) -> Manifest:
    """The route as Git holds it."""
    manifest = route(weights)
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": HTTPROUTES.kind,
        "metadata": {**manifest["metadata"], "namespace": shop.namespace},
        "spec": manifest["spec"],
    }


async def with_rules(shop: Shop, proxy: ApiProxy, folder: Path, tool: str) -> None:
    """The whole remediation goes through, and a commit in the middle of it changes no weight."""
    code, text, complaints = await answer(proxy, folder, "gitops", tool, "shop", "-n", shop.namespace)
    assert (code, complaints) == (0, "")
    rules = READS[tool](yaml.safe_load(text)["spec"])
    async with (
        Client(shop.client.connection, field_manager=MANAGERS[tool], timeout_seconds=PATIENCE_SECONDS) as client,
        GitOps(client, HTTPROUTES, repository(shop, EQUAL), rules).reconciling() as writer,
    ):
        await shop.set_weights(BAD)
        await shop.until(lambda: touched(proxy.writes(), shop), what="the restored weights")
        before = writer.applied
        writer.git["spec"]["hostnames"] = ["new.example"]
        await shop.until(lambda: writer.applied > before, what="the commit, applied")
        await shop.until(shop.closed)
    assert (await shop.route())["spec"]["hostnames"] == ["new.example"]
    assert await shop.phase() == "Succeeded"
    assert await shop.even()
    assert "Overwritten" not in {state for _, _, state in await shop.steps()}
    await shop.until(shop.healthy)
    _, listed, _ = await answer(proxy, folder, "changes", "shop", "-n", shop.namespace, "-o", "json")
    log = json.loads(listed)
    assert [(each["before"], each["after"]) for each in log if each["manager"] == "kubectl-edit"] == [(EQUAL, BAD)]
    assert [each["elsewhere"] for each in log if each["manager"] == MANAGERS[tool]] == [["/spec/hostnames"]]
    ours = [each for each in log if each.get("remediation") == (await shop.remediation())["metadata"]["name"]]
    assert BAD in [each["before"] for each in ours]


async def without_rules(shop: Shop, proxy: ApiProxy, folder: Path, operator: OperatorProcess) -> None:
    """Bad weights in Git: it stops, names the tool, and says how to get out of it."""
    shop.fragile = False
    async with (
        Client(shop.client.connection, field_manager=MANAGERS["argocd"], timeout_seconds=PATIENCE_SECONDS) as client,
        GitOps(client, HTTPROUTES, repository(shop, BAD), nothing).reconciling(),
    ):
        await shop.until(lambda: _contested(shop), what="the condition Contested")
        before = len(touched(proxy.writes(), shop))
        await operator.ticked(6)
        assert len(touched(proxy.writes(), shop)) == before
    assert "argocd-controller" in await shop.message("Contested")
    _, said, _ = await answer(proxy, folder, "why", "shop", "-n", shop.namespace)
    assert f"evenload gitops argocd shop -n {shop.namespace}" in said


async def test_with_the_printed_rules_there_is_no_fight_and_without_them_there_is_a_way_out(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shops = await asyncio.gather(*(town.open_shop() for _ in range(3)))
    operator = start(*shops)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights) for shop in shops))
    argocd, flux, alone = shops
    await side_by_side(
        argocd=with_rules(argocd, proxy, tmp_path, "argocd"),
        flux=with_rules(flux, proxy, tmp_path, "flux"),
        without_rules=without_rules(alone, proxy, tmp_path, operator),
    )


async def _contested(shop: Shop) -> bool:
    return (await shop.condition("Contested"))[0] == "True"
