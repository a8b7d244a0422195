"""A person's PromQL stays one argument of what wraps it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.observe.promql import problem_of

FINE = [
    "up",
    'sum by (pod) (rate(x{a="b", c=~"d|e"}[5m]))',
    'label_replace(x, "a", "b", "", "")',
    "x offset 5m",
    'x{a=")"}',
    "x{a='(\\''}",
    'x{a=`"`}',
    'x{a="\\""}',
    "x # a comment\n + y",
    '{"a.b", c="d"}',
    "(x or y)",
]


@pytest.mark.parametrize("query", FINE)
def test_an_expression_is_fine(query: str) -> None:
    assert problem_of(query) == ""


@pytest.mark.parametrize(
    ("query", "fix"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("# nothing\n", "empty"),
        ('x, "a", "b", "", "") or (secret', "comma"),
        ('x) or label_replace(secret, "a", "b", "", ""', "closes nothing"),
        ("x)", "closes nothing"),
        ("(x]", "closes nothing"),
        ("(x", "not closed"),
        ('x{a="b"', "not closed"),
        ("x[5m", "not closed"),
        ('x{a="b}', "string"),
        ("x{a='b}", "string"),
        ("x{a=`b}", "string"),
        ('x{a="\n"}', "string"),
        ('x{a="\\"}', "string"),
        ("x # hides the rest", "comment"),
        ("x, y", "comma"),
    ],
)
def test_what_could_end_or_hide_the_argument_is_refused_with_the_fix(query: str, fix: str) -> None:
    assert fix in problem_of(query)


@given(st.lists(st.sampled_from(["(", ")", "[", "]", "{", "}", ",", '"', "'", "`", "#", "\\", "\n", "x", " "])))
def test_whatever_is_let_through_leaves_the_wrapper_in_one_piece(pieces: list[str]) -> None:
    query = "".join(pieces)
    if not problem_of(query):
        assert problem_of(f'label_replace({query}, "a", "b", "", "")') == ""
        assert "comma" in problem_of(f"{query}, x")
        assert "closes nothing" in problem_of(f"{query})")


@given(st.text())
def test_any_text_has_an_answer(query: str) -> None:
    problem_of(query)
