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


async def test_the_object_as_it_is_stored_is_no_change(town: Town, shop: Shop, proxy: ApiProxy, tmp_path: Path) -> None:
    code, said, complaints = await diffed(proxy, tmp_path, shop, await shop.route())
    assert (code, complaints) == (0, "")
    assert said.splitlines()[0] == f"no change: HTTPRoute {shop.namespace}/shop"
    assert said.splitlines()[-1] == "No change."


async def test_without_prometheus_shares_services_and_the_api_servers_own_words_are_told(
    town: Town, shop: Shop, proxy: ApiProxy, tmp_path: Path
) -> None:
    changed = as_file({**EQUAL, "shop-x": 100})
    changed["spec"]["rules"][0]["timeouts"] = {"request": "nonsense"}
    code, said, _ = await diffed(proxy, tmp_path, shop, changed, more=("--scrape", "2s"))
    assert code == 1
    assert "CPU and errors are not predicted: spec.signals.prometheusUrl: no Prometheus is set" in said
    assert "no Service" in said
    assert (
        f"route-backend-missing: spec.rules[0].backendRefs[4].name: there is no Service {shop.namespace}/shop-x" in said
    )
    assert "the API server would not take it: " in said
    assert 'timeouts.request: Invalid value: "nonsense"' in said
    assert "also changes: /spec/rules/0/backendRefs, /spec/rules/0/timeouts" in said


async def test_a_field_that_does_not_exist_is_what_the_api_server_refuses(
    town: Town, shop: Shop, proxy: ApiProxy, tmp_path: Path
) -> None:
    changed = as_file(EQUAL)
    changed["spec"]["rules"][0]["backendRef"] = []
    code, said, complaints = await diffed(proxy, tmp_path, shop, changed, more=("--scrape", "2s"))
    assert code == 1, complaints
    assert "the API server would not take it: " in said
    assert ".backendRef: field not declared in schema" in said


async def test_a_signal_source_that_does_not_answer_is_not_passed_over(
    town: Town, shop: Shop, proxy: ApiProxy, tmp_path: Path
) -> None:
    changed = as_file({**EQUAL, SICK: 260})
    nobody = ("--prometheus", "http://127.0.0.1:9", "--scrape", "2s")
    code, said, _ = await diffed(proxy, tmp_path, shop, changed, more=nobody)
    assert code == 3, said
    assert "250 -> 260" in said
    assert "CPU and errors are not predicted: " in said
