"""Data planes, one file each. Adding one is a file, a row in this table, and a case in the conformance suite."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from evenload.drivers.base import Driver
from evenload.drivers.gateway import RouteDriver
from evenload.drivers.ingressroute import IngressRouteDriver
from evenload.drivers.service import ServiceDriver
from evenload.drivers.traefikservice import TraefikServiceDriver
from evenload.drivers.virtualservice import VirtualServiceDriver
from evenload.errors import InputError
from evenload.kube.resources import GRPCROUTES, HTTPROUTES

DRIVERS: MappingProxyType[str, Driver] = MappingProxyType(
    {
        driver.kind: driver
        for driver in (
            RouteDriver(HTTPROUTES),
            RouteDriver(GRPCROUTES),
            TraefikServiceDriver(),
            IngressRouteDriver(),
            VirtualServiceDriver(),
            ServiceDriver(),
        )
    }
)

PLANES = frozenset(driver.plane for driver in DRIVERS.values())


def name_of(driver: Driver) -> str:
    """What the chart calls it: drivers.<name>.enabled."""
    return driver.kind.lower()


def enabled(disabled: Iterable[str]) -> tuple[Driver, ...]:
    """All drivers but the `disabled` ones, by name. Raises InputError for a name that none has."""
    by_name = {name_of(driver): driver for driver in DRIVERS.values()}
    if unknown := sorted(set(disabled) - by_name.keys()):
        raise InputError(f"disabled drivers: there is no {', '.join(unknown)}; there are {', '.join(sorted(by_name))}")
    return tuple(driver for name, driver in by_name.items() if name not in set(disabled))


def driver_of(kind: str) -> Driver:
    """The driver of a targetRef.kind. Raises InputError naming those there are."""
    if kind not in DRIVERS:
        raise InputError(f'spec.targetRef.kind: "{kind}" has no driver; use {", ".join(sorted(DRIVERS))}')
    return DRIVERS[kind]
