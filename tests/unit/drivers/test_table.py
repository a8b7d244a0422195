"""The table of drivers: what an installation may switch off."""

from __future__ import annotations

import pytest

from evenload.drivers import DRIVERS, enabled, name_of
from evenload.errors import InputError


def test_all_drivers_are_enabled_unless_named() -> None:
    assert enabled(()) == tuple(DRIVERS.values())
    assert [name_of(driver) for driver in enabled(["httproute"])] == [
        name_of(driver) for driver in DRIVERS.values() if driver.kind != "HTTPRoute"
    ]


def test_a_name_that_no_driver_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no ingress; there are .*httproute"):
        enabled(["httproute", "ingress"])


def test_no_two_drivers_answer_for_the_same_resource() -> None:
    assert len({(driver.resource.group, driver.resource.plural) for driver in DRIVERS.values()}) == len(DRIVERS)
