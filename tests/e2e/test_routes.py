"""HTTPRoutes behind the lab's gateway, whichever it is: what Evenload's driver writes moves real requests.

A proxy may draw at random which backend a request falls to, so shares are judged by as many requests as tell them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from evenload.drivers import driver_of
from evenload.model.spec import TargetRef
from lab import clients, state
from tests.support.naming import Site, http_route, weighted
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.gateway, pytest.mark.timeout(600)]

KIND = "HTTPRoute"
SHOP = TargetRef(kind=KIND, name="shop")
DEADLINE_SECONDS = 120.0
REQUESTS = 1000
CHANCE = 0.05
"""A share so far off, over so many requests drawn at random, is three standard deviations and more from its mean."""
FEW = 100
"""Enough that a share of a tenth does not go unseen: it would, once in 37,000 times."""


@pytest.fixture
def site(lab: state.LabState) -> Iterator[Site]:
    """Two Services, with half the requests each."""
    assert lab.gateway_url is not None
    made = Site(lab, f"routes-{os.urandom(4).hex()}", lab.gateway_url)
    clients.kubectl(lab, "create", "namespace", made.namespace)
    try:
        made.serve("many", "few")
        made.apply(http_route(SHOP.name, made.lab.gateway, made.host, weighted(many=1, few=1)))
        yield made
    finally:
        clients.kubectl(lab, "delete", "namespace", made.namespace, "--wait=false")


def write(site: Site, **weights: int) -> None:
    """These weights, as Evenload writes them."""
    patch = json.dumps(driver_of(KIND).patch(site.read(KIND, SHOP.name), SHOP, weights))
    site.kubectl("patch", KIND, SHOP.name, "--type=json", f"--patch={patch}")


def falls_so(site: Site, share: float, requests: int = REQUESTS) -> bool:
    """Whether all requests are answered, and that share of them by the first Service."""
    seen = site.spread(requests)
    return not seen[""] and abs(seen["many"] / requests - share) <= CHANCE


async def test_weights_that_the_driver_writes_move_requests(site: Site) -> None:
    await until(lambda: falls_so(site, 0.5), seconds=DEADLINE_SECONDS, what="half the requests each")
    assert driver_of(KIND).backends(site.read(KIND, SHOP.name), SHOP).weights == {"many": 1, "few": 1}
    write(site, many=9, few=1)
    await until(lambda: falls_so(site, 0.9), seconds=DEADLINE_SECONDS, what="the split that was written")
    assert falls_so(site, 0.9), "and it stays"


async def test_a_backend_that_the_driver_gives_weight_0_gets_no_request(site: Site) -> None:
    await until(lambda: site.spread(FEW).keys() == {"many", "few"}, seconds=DEADLINE_SECONDS, what="requests to both")
    write(site, many=1, few=0)
    await until(lambda: site.spread(FEW) == {"many": FEW}, seconds=DEADLINE_SECONDS, what="requests to one alone")
    assert site.spread(REQUESTS) == {"many": REQUESTS}
