"""`evenload diff` beside a real API server and a shop with traffic: what it foretells before anything is applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenload.kube.client import Client
from evenload.kube.resources import HTTPROUTES, Manifest
from tests.integration.operator.commands import answer
from tests.support.apiproxy import ApiProxy
from tests.support.town import BACKENDS, BAD, EQUAL, SICK, Shop, Town, route


@pytest.fixture
async def shop(town: Town) -> Shop:
    return await town.open_shop(mode="Observe", spec={"guard": {"mode": "Deny"}})


def as_file(weights: Mapping[str, int]) -> Manifest:
    made = route(weights)
    return {"apiVersion": HTTPROUTES.api_version, "kind": HTTPROUTES.kind, **made}


async def diffed(
    proxy: ApiProxy, folder: Path, shop: Shop, *manifests: Manifest, more: tuple[str, ...] = ()
) -> tuple[int | None, str, str]:
    return await answer(
        proxy, folder, "diff", "-f", "-", "-n", shop.namespace, *more, given=yaml.safe_dump_all(manifests), seconds=90
    )


def told(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


async def test_what_the_bad_update_would_do_is_foretold_with_numbers_and_nothing_is_written(
    town: Town, shop: Shop, proxy: ApiProxy, client: Client, tmp_path: Path
) -> None:
    before = await shop.route()
    prometheus = ("--prometheus", town.prometheus.url, "--scrape", "2s")
    code, said, complaints = await diffed(proxy, tmp_path, shop, as_file(BAD), more=(*prometheus, "-o", "json"))
    print(said, complaints)
    assert code == 1, complaints
    (found,) = told(said)["objects"]
    (outlook,) = found["outlooks"]
    backends = {each["name"]: each for each in outlook["backends"]}
    assert set(backends) == set(BACKENDS)
    assert backends[SICK]["share"] == {"before": 0.25, "after": 0.97, "shouldBe": 0.25}
    assert backends[SICK]["readyEndpoints"] == 1
    assert backends[SICK]["cpu"]["predicted"] == pytest.approx(3.88 * backends[SICK]["cpu"]["now"])
    assert outlook["failing"]["predicted"] > 0.3
    rules = {each["rule"] for each in found["findings"] if each["severity"] == "error"}
    assert {"guard", "overload"} <= rules
    after = await client.get(HTTPROUTES, shop.namespace, "shop")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_text_and_markdown(town: Town, shop: Shop, proxy: ApiProxy, tmp_path: Path) -> None:
    prometheus = ("--prometheus", town.prometheus.url, "--scrape", "2s")
    for more in (prometheus, (*prometheus, "-o", "markdown"), ()):
        print(*(await diffed(proxy, tmp_path, shop, as_file(BAD), more=more)), sep="\n")
    extra = as_file({**EQUAL, "shop-x": 100})
    print(*(await diffed(proxy, tmp_path, shop, extra, more=prometheus)), sep="\n")
    print(*(await diffed(proxy, tmp_path, shop, as_file({"shop-a": 250, "shop-b": 250}), more=prometheus)), sep="\n")
    print(*(await diffed(proxy, tmp_path, shop, await shop.route(), more=prometheus)), sep="\n")
    bad = as_file(EQUAL)
    bad["spec"]["rules"][0]["timeouts"] = {"request": "nonsense"}
    print(*(await diffed(proxy, tmp_path, shop, bad, more=())), sep="\n")
    bad["spec"]["rules"][0]["timeouts"] = {"request": "10s"}
    print(*(await diffed(proxy, tmp_path, shop, bad, more=())), sep="\n")
    bad["metadata"]["name"] = "other"
    print(*(await diffed(proxy, tmp_path, shop, bad, more=())), sep="\n")
    raise AssertionError
