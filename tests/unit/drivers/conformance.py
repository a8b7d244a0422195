"""What every driver must promise, checked over generated balancers.

To have a driver join: add a `Case` of it to CASES; test_conformance.py fails as long as a driver has none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonpatch
from hypothesis import strategies as st

from evenload.drivers import DRIVERS
from evenload.drivers.base import Driver, Handle, JsonPatchOp
from evenload.model.spec import TargetRef
from tests.unit.drivers import istio, routes, services, traefik


@dataclass(frozen=True)
class Case:
    """A driver with a way to make balancers it can act on.

    `balancers` draws (manifest, target); `strip` removes all that the driver may change, so that what is left must
    be untouched; `foreign_write` makes another manager the last writer.
    """

    driver: Driver
    balancers: st.SearchStrategy[tuple[dict[str, Any], TargetRef]]
    strip: Callable[[dict[str, Any], TargetRef], dict[str, Any]]
    foreign_write: Callable[[dict[str, Any], str, str], dict[str, Any]]


CASES = {
    "HTTPRoute": Case(
        driver=DRIVERS["HTTPRoute"],
        balancers=routes.balanceable(),
        strip=routes.without_managed_weights,
        foreign_write=routes.written_by,
    ),
    "GRPCRoute": Case(
        driver=DRIVERS["GRPCRoute"],
        balancers=routes.balanceable().map(lambda drawn: (routes.as_grpc(drawn[0]), drawn[1])),
        strip=routes.without_managed_weights,
        foreign_write=routes.written_by,
    ),
    "TraefikService": Case(
        driver=DRIVERS["TraefikService"],
        balancers=traefik.balanceable(),
        strip=traefik.without_managed_weights,
        foreign_write=traefik.written_by,
    ),
    "IngressRoute": Case(
        driver=DRIVERS["IngressRoute"],
        balancers=traefik.routed(),
        strip=traefik.without_managed_weights,
        foreign_write=traefik.written_by,
    ),
    "VirtualService": Case(
        driver=DRIVERS["VirtualService"],
        balancers=istio.balanceable(),
        strip=istio.without_managed_weights,
        foreign_write=istio.written_by,
    ),
    "Service": Case(
        driver=DRIVERS["Service"],
        balancers=services.plain(),
        strip=lambda manifest, _: manifest,
        foreign_write=services.written_by,
    ),
}
WEIGHTED = {kind: case for kind, case in CASES.items() if Handle.Weights in case.driver.handles}


def apply(manifest: dict[str, Any], operations: list[JsonPatchOp]) -> dict[str, Any]:
    """What the API server makes of a JSON patch, by an implementation that is not ours."""
    patched: dict[str, Any] = jsonpatch.apply_patch(copy.deepcopy(manifest), operations)
    return patched


def weights_for(names: list[str], largest: int) -> st.SearchStrategy[dict[str, int]]:
    """Writable weights: within bounds, not all zero."""
    return st.fixed_dictionaries({name: st.integers(0, largest) for name in names}).filter(
        lambda weights: any(weights.values())
    )
