"""Deleting a Balancer: at once, weights as they are, and its open Remediation ends, whoever is alive."""

from __future__ import annotations

import asyncio

import pytest

from evenload.errors import NotFound
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import touched
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BAD, HASTE, Shop, Town


async def test_a_deleted_balancer_is_gone_at_once_and_its_remediation_ends(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    # given a remediation in the middle
    shop = await town.open_shop()
    operator = start(shop)
    await _restored(shop, proxy)
    # when the Balancer is deleted
    await shop.delete_balancer()
    # then nothing holds it up
    with pytest.raises(NotFound):
        await shop.balancer()
    # and the record ends, while the weights stay as they are
    await shop.until(lambda: _expired(shop), what="an expired Remediation")
    before, weights = len(touched(proxy.writes(), shop)), await shop.weights()
    await operator.ticked(5)
    assert len(touched(proxy.writes(), shop)) == before
    assert await shop.weights() == weights != BAD
    assert "the Balancer was deleted" in (await shop.remediation())["status"]["held"]
    _, page = await operator.page("metrics")
    assert f'namespace="{shop.namespace}"' not in page


async def test_a_balancer_that_is_deleted_or_replaced_while_nobody_looks_leaves_no_open_remediation(
    town: Town, start: Start, proxy: ApiProxy
) -> None:
    # given two shops in the middle of their remediations, and an operator that died
    deleted, replaced = [await town.open_shop() for _ in range(2)]
    operator = start(deleted, replaced, leader_election=False)
    await asyncio.gather(*(_restored(shop, proxy) for shop in (deleted, replaced)))
    await _killed(operator)
    weights = [await shop.weights() for shop in (deleted, replaced)]
    # when one Balancer is deleted, and the other is made anew under the same name
    await deleted.delete_balancer()
    with pytest.raises(NotFound):
        await deleted.balancer()
    await replaced.delete_balancer()
    await replaced.create_balancer({**HASTE, "mode": "Observe"})
    # then the next operator ends both records
    start(deleted, replaced, leader_election=False)
    for shop, before in zip((deleted, replaced), weights, strict=True):
        await shop.until(lambda shop=shop: _expired(shop), what="an expired Remediation")
        assert await shop.weights() == before


async def _restored(shop: Shop, proxy: ApiProxy) -> None:
    """The bad update came, and the weights are back; a restart would be next."""
    await shop.until(shop.healthy)
    await shop.set_weights(BAD)
    await shop.until(lambda: _applied(shop), what="an applied step")


async def _applied(shop: Shop) -> bool:
    steps = await shop.steps()
    return bool(steps) and steps[0][2] in ("Applied", "Verified")


async def _expired(shop: Shop) -> bool:
    oldest = (await shop.remediations())[0].get("status", {})
    return oldest.get("phase") == "Expired" and "closedAt" in oldest


async def _killed(operator: OperatorProcess) -> None:
    operator.kill()
    await operator.gone()
