"""The script of the incident: who comes to the shop, what the bad release changes, how long each scene lasts. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.load.schedule import poisson
from lab.shop import manifests as shop
from lab.shop.manifests import Manifest

BALANCER: Final = "shop"
RELEASE: Final = "shop-release"
"""The field manager of the shop's release pipeline: the one whose update goes wrong."""

REQUESTS_PER_SECOND: Final = 64.0
"""Half of what four servers bear (lab/shop/model.py): one of them cannot bear it alone, three can."""
SEED: Final = 7
HEALTHY_SECONDS: Final = 15.0
"""Long enough that the window before the update is clean in every plot."""
PERIOD_SECONDS: Final = 90.0
"""After the update, in both arms: over this period the failures are compared."""
TIMEOUT_SECONDS: Final = 180.0
"""The arm with Evenload ends here even if the Remediation is still open."""
TAIL_SECONDS: Final = 6.0
"""Load after the Remediation closed: a whole window of five seconds that shows it stays well."""

FLOODED: Final = shop.SERVERS[0]
GOOD_WEIGHTS: Final = dict.fromkeys(shop.SERVERS, shop.EQUAL_WEIGHT)
BAD_WEIGHTS: Final = {server: 970 if server == FLOODED else 10 for server in shop.SERVERS}


NEXT_WEIGHTS: Final = {**GOOD_WEIGHTS, shop.NEXT: shop.EQUAL_WEIGHT}
"""A later update: a new server gets its fair share, so nothing is wrong with the weights, but with the server."""
NEXT_FAILURE_SHARE: Final = 0.8
ROLLBACK_SECONDS: Final = 120.0
"""So long the update of the new server may take to be taken back, before the demo goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One run of the incident; `mode` is what Evenload may do in it."""

    name: str
    title: str
    mode: str

    @property
    def acts(self) -> bool:
        return self.mode == "Auto"


ALONE: Final = Arm(name="alone", title="left alone: Evenload may only watch", mode="Observe")
EVENLOAD: Final = Arm(name="evenload", title="with Evenload in Auto mode", mode="Auto")


def schedule(seed: int) -> tuple[float, ...]:
    """When each request of an arm is due, in seconds from its start; longer than any arm, which stops it."""
    seconds = HEALTHY_SECONDS + TIMEOUT_SECONDS + TAIL_SECONDS
    return poisson(rate=REQUESTS_PER_SECOND, duration_seconds=seconds, seed=seed)


def earlier_customers(seed: int, limit_seconds: float) -> tuple[float, ...]:
    """Those who come between the arms and are not counted."""
    return poisson(rate=REQUESTS_PER_SECOND, duration_seconds=limit_seconds, seed=seed + 1)


def balancer(mode: str, guard: str = "Warn") -> Manifest:
    """What the shop's owner writes: the reference, the mode, and shorter windows than the defaults."""
    return {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {"name": BALANCER, "namespace": shop.NAMESPACE},
        "spec": {
            "targetRef": {"kind": "HTTPRoute", "name": shop.ROUTE},
            "mode": mode,
            "guard": {"mode": guard},
            "signals": {"window": "15s"},
            "restart": {"rampWindow": "20s", "drainTimeout": "15s"},
        },
    }


def release(weights: Mapping[str, int], gateway: str = shop.GATEWAY) -> Manifest:
    """The route as the release pipeline applies it, with these weights."""
    route = copy.deepcopy(next(each for each in shop.objects(gateway) if each["kind"] == "HTTPRoute"))
    for rule in route["spec"]["rules"]:
        rule["backendRefs"] = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return route
