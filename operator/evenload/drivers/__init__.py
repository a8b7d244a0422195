"""Data planes, one file each. Adding one is a file, a row in this table, and a case in the conformance suite."""

from __future__ import annotations

from types import MappingProxyType

from evenload.drivers.base import Driver
from evenload.drivers.gateway import RouteDriver
from evenload.errors import InputError
from evenload.kube.resources import HTTPROUTES

DRIVERS: MappingProxyType[str, Driver] = MappingProxyType(
    {driver.kind: driver for driver in (RouteDriver(HTTPROUTES),)}
)


def driver_of(kind: str) -> Driver:
    """The driver of a targetRef.kind. Raises InputError naming those there are."""
    if kind not in DRIVERS:
        raise InputError(f'spec.targetRef.kind: "{kind}" has no driver; use {", ".join(sorted(DRIVERS))}')
    return DRIVERS[kind]
