from __future__ import annotations

import pytest

from evenload.report import wording
from evenload.report.drawing import minutes_and_seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0, "0 ms"),
        (0.85, "850 ms"),
        (12.4, "12.4 s"),
        (11.0, "11 s"),
        (59.96, "1 min"),
        (65, "1 min 5 s"),
        (118, "1 min 58 s"),
        (3600, "1 h"),
        (6300, "1 h 45 min"),
        (-3, "-3 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, "unknown"), (0, "0%"), (0.004, "0.4%"), (0.0996, "10%"), (0.352, "35%"), (1.0, "100%")],
)
def test_percents(ratio: float | None, text: str) -> None:
    assert wording.percent(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (970.0, "970"), (0.0213, "0.0213"), (8.123, "8.12"), (12345.6, "12,346")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert wording.number(value) == text


def test_only_what_changed_is_told_of_weights() -> None:
    assert wording.weights_changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == "b 2 to 3, c 0 to 4"


def test_weights_from_an_unknown_state_tell_what_they_became() -> None:
    assert wording.weights_changed(None, {"a": 1}) == "a to 1"


def test_of_many_changed_weights_the_largest_are_told() -> None:
    before = {f"pool-{place:02d}": 100 for place in range(12)}
    after = {**before, **{f"pool-{place:02d}": 90 for place in range(10)}, "pool-11": 900}
    text = wording.weights_changed(before, after, most=2)
    assert text == "pool-11 100 to 900, pool-00 100 to 90, 9 more"


@pytest.mark.parametrize(
    ("names", "text"),
    [((), ""), (("a",), "a"), (("a", "b", "c"), "a, b and c"), (tuple("abcdefgh"), "a, b, c, d, e, f and 2 more")],
)
def test_lists(names: tuple[str, ...], text: str) -> None:
    assert wording.listed(names) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (-0.2, "0:00"), (-30, "-0:30"), (65, "1:05")])
def test_the_plots_clock(seconds: float, text: str) -> None:
    assert minutes_and_seconds(seconds) == text
