"""How numbers are told."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text())
def test_no_text_brings_a_control_character_or_a_second_line(text: str) -> None:
    shown = wording.printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown.encode()  # a lone surrogate could not even be printed


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_text_that_commands_nothing_is_shown_as_it_is(text: str) -> None:
    assert wording.printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("well\nforged", r"well\nforged"),
        ("\rover", r"\rover"),
        ("\x1b[31mred\x9b", r"\x1b[31mred\x9b"),
        ("\u202eback\u2066", r"\u202eback\u2066"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("größer als 1 日本", "größer als 1 日本"),
    ],
)
def test_what_commands_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert wording.printable(text) == shown


def test_a_verb_agrees_with_how_many_are_named() -> None:
    assert [wording.number(names, "has", "have") for names in (["a"], ["a", "b"])] == ["has", "have"]
