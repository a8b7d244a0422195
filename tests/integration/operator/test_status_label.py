"""The application counts its requests with the status in a label of another name: what fails is unknown, not 0."""

from __future__ import annotations

from tests.integration.operator.conftest import Start
from tests.support.town import BACKENDS, BAD, EQUAL, HASTE, Shop, Town, fake_prometheus, shares
from tests.support.wait import until


async def test_nobody_says_that_nothing_fails_and_weights_are_judged_by_requests(town: Town, start: Start) -> None:
    async with fake_prometheus() as prometheus:
        shop = await town.open_shop(balancer=False)
        shop.prometheus = prometheus
        await shop.create_balancer({**HASTE, "mode": "Auto"})
        shop.fragile = False  # weights alone are enough
        await until(lambda: len(prometheus.pods) == len(BACKENDS), what="numbers of every pod")
        prometheus.uncoded = {key: {"status": "503", "method": "GET"} for key in prometheus.pods}
        start(shop, prometheus_url=prometheus.url)
        await shop.until(lambda: _told(shop), what="SignalsFresh False Missing")
        words = 'errors: no series of http_requests_total of these pods carries the label "code"'
        await shop.until(lambda: shop.says("SignalsFresh", words), what=words)
        message = await shop.message("SignalsFresh")
        assert "set spec.signals.labels.code" in message
        assert "(these series have: method, status)" in message
        await shop.until(shop.remembers_good_weights)
        await shop.set_weights(BAD)
        await shop.until(shop.closed, what="a closed Remediation")
        assert shares(await shop.weights()) == shares(EQUAL)
        summary = (await shop.balancer())["status"]["summary"]
        assert "errorPercent" not in summary
        ruled_out = (await shop.remediation())["spec"]["diagnosis"].get("ruledOut", [])
        assert not [each for each in ruled_out if each["label"] in ("Failing", "Dependency")]


async def _told(shop: Shop) -> bool:
    return await shop.condition("SignalsFresh") == ("False", "Missing")
