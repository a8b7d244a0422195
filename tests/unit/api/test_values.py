"""Numbers and times as the API holds them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.api.crd import crds
from evenload.api.values import epoch_seconds, from_number, moment, number

NUMBER = crds()["evenload.dev_balancers.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
    "status"
]["properties"]["summary"]["properties"]["worstShareRatio"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_one_that_the_schema_admits_and_comes_back_close(value: float) -> None:
    text = number(value)
    assert text is not None
    assert re.search(NUMBER["pattern"], text)
    assert len(text) <= NUMBER["maxLength"]
    assert from_number(text) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_absent(absent: float | None) -> None:
    assert number(absent) is None
    assert from_number(None) is None


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_a_time_keeps_its_microseconds(microseconds: int) -> None:
    seconds = microseconds / 1e6
    assert epoch_seconds(moment(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_a_time_is_in_utc() -> None:
    assert moment(1760089500.25) == datetime(2025, 10, 10, 9, 45, 0, 250000, UTC)
