"""A person's PromQL stays one argument of what wraps it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.errors import InputError
from evenload.observe.promql import Matcher, problem_of, read_matcher

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


names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True).filter(lambda name: name != "__name__")
values = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=40).filter(
    str.isprintable
)


@given(label=names, operator=st.sampled_from(["=", "!=", "=~", "!~"]), value=values)
def test_whatever_a_matchers_value_is_it_is_one_string(label: str, operator: str, value: str) -> None:
    matcher = Matcher(label, operator, value)
    assert read_matcher(str(matcher), "x") == matcher
    assert problem_of(f"up{{{matcher}}}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cluster",
        "cluster=east",
        'cluster=="east"',
        'a="b", c="d"',
        'a="b"} or vector(1) or x{a="',
        'a="\n"',
        '1a="b"',
        'a="' + "b" * 300 + '"',
        '{a="b"}',
        'a="\\x"',
    ],
)
def test_what_is_not_one_matcher_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r'spec\.signals\.matchers: .*cluster="east"'):
        read_matcher(text, "spec.signals.matchers")


def test_the_name_of_the_metric_cannot_be_matched() -> None:
    with pytest.raises(InputError, match="match another label"):
        read_matcher('__name__="up"', "x")
