"""`evenload init` on a real API server: the Balancer that it prints is accepted, and becomes ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from evenload.kube.resources import BALANCERS
from tests.integration.operator.commands import answer
from tests.integration.operator.conftest import Start
from tests.support.apiproxy import ApiProxy
from tests.support.town import BACKENDS, BAD, Shop, Town


def of(town: Town, shop: Shop, *more: str) -> tuple[str, ...]:
    return ("init", *more, "-n", shop.namespace, "--prometheus", town.prometheus.url, "--scrape", "2s")


async def unbalanced(town: Town) -> Shop:
    """A shop that nobody looks after yet."""
    return await town.open_shop(balancer=False)


async def test_what_init_prints_can_be_applied_and_becomes_ready(
    town: Town, start: Start, proxy: ApiProxy, tmp_path: Path
) -> None:
    shop = await unbalanced(town)
    code, text, complaints = await answer(proxy, tmp_path, *of(town, shop, "httproute/shop"))
    assert (code, complaints) == (0, "")
    assert proxy.writes() == []
    assert "leads to 4 backends with 4 pods" in text
    manifest: dict[str, Any] = yaml.safe_load(text)
    assert manifest["spec"] == {
        "targetRef": {"kind": "HTTPRoute", "name": "shop"},
        "mode": "Observe",
        "desired": {"type": "Even"},
        "signals": {"preset": "app"},
    }
    await town.client.create(BALANCERS, shop.namespace, manifest)
    start(shop, tick_seconds=2.0)
    await shop.until(shop.healthy)


async def test_a_plain_service_gets_a_balancer_too(town: Town, start: Start, proxy: ApiProxy, tmp_path: Path) -> None:
    shop = await town.open_shop(backends=("web",), replicas=3, balancer=False)
    code, text, complaints = await answer(proxy, tmp_path, *of(town, shop, "services/web", "--name", "shop"))
    assert (code, complaints) == (0, "")
    assert "Service web leads to 1 backend with 3 pods" in text
    await town.client.create(BALANCERS, shop.namespace, yaml.safe_load(text))
    start(shop, tick_seconds=2.0)
    await shop.until(shop.healthy)


async def test_the_same_document_tells_its_signals_before_it_is_applied(
    town: Town, proxy: ApiProxy, tmp_path: Path
) -> None:
    shop = await unbalanced(town)
    _, text, _ = await answer(proxy, tmp_path, *of(town, shop, "HTTPRoute/shop"))
    where = ("-n", shop.namespace, "--prometheus", town.prometheus.url, "--scrape", "2s")
    code, table, complaints = await answer(proxy, tmp_path, "signals", "-f", "-", *where, given=text)
    assert (code, complaints) == (0, "")
    assert 'shop: preset app (status in the label "code")' in table
    assert proxy.writes() == []


async def test_weights_that_are_not_even_are_kept_as_shares(town: Town, proxy: ApiProxy, tmp_path: Path) -> None:
    shop = await unbalanced(town)
    await shop.set_weights(BAD, manager="kubectl-edit")
    _, text, _ = await answer(proxy, tmp_path, *of(town, shop, "HTTPRoute/shop"))
    desired = yaml.safe_load(text)["spec"]["desired"]
    assert desired == {
        "type": "Explicit",
        "shares": [{"backend": name, "weight": BAD[name]} for name in sorted(BACKENDS)],
    }
    assert "If they are not, delete `desired`" in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("HTTPRoute/other",), "HTTPRoute {namespace}/other does not exist"),
        (("Ingress/shop",), "write KIND/NAME, as in HTTPRoute/shop; kinds are "),
        (("shop",), "write KIND/NAME"),
    ],
)
async def test_what_cannot_be_looked_after_is_named(
    town: Town, proxy: ApiProxy, tmp_path: Path, asked: tuple[str, ...], says: str
) -> None:
    shop = await unbalanced(town)
    code, text, complaints = await answer(proxy, tmp_path, *of(town, shop, *asked))
    assert code in (2, 3)
    assert text == ""
    assert says.format(namespace=shop.namespace) in complaints


async def test_a_route_that_has_a_balancer_is_not_given_another(town: Town, proxy: ApiProxy, tmp_path: Path) -> None:
    shop = await town.open_shop(mode="Observe")
    code, text, complaints = await answer(proxy, tmp_path, *of(town, shop, "HTTPRoute/shop", "--name", "second"))
    assert (code, text) == (3, "")
    assert f"already balanced by Balancer {shop.namespace}/shop" in complaints
