"""How numbers are told."""

from __future__ import annotations

import math

import pytest

from evenload.model import wording


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.9712, "97%"), (0.0042, "0.42%"), (0.0, "0%"), (0.1, "10%"), (0.056, "5.6%")]
)
def test_percent(ratio: float, text: str) -> None:
    assert wording.percent(ratio) == text


@pytest.mark.parametrize(("seconds", "text"), [(95, "95 s"), (600, "10 min"), (9000, "2.5 h")])
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(("ratio", "text"), [(3.88, "3.9x"), (250.0, "250x"), (1.0, "1x")])
def test_times(ratio: float, text: str) -> None:
    assert wording.times(ratio) == text


@pytest.mark.parametrize(("per_second", "text"), [(64.2, "64"), (0.53, "0.5")])
def test_rate(per_second: float, text: str) -> None:
    assert wording.rate(per_second) == text


def test_clock_is_utc_and_survives_nonsense() -> None:
    assert wording.clock(1_760_000_000.0) == "08:53:20"
    for broken in (math.nan, math.inf, -1.0, 1e300):
        assert wording.clock(broken) == "an unknown time"


def test_weights_and_names() -> None:
    assert wording.weights({"b": 50, "a": 100}) == "100/50"
    assert wording.listing(["a", "b"]) == "a, b"
    assert wording.listing("abcdef") == "a, b, c and 3 more"
    assert wording.milliseconds(0.0213) == "21 ms"
