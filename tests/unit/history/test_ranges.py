"""Range answers, moment by moment, are what instant queries would have answered; and what is none is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.errors import SignalsUnavailable
from evenload.history.ranges import Grid, parse_range, pieces
from evenload.observe.prometheus import parse
from evenload.observe.queries import PodLabels

LABELS = PodLabels("namespace", "pod")
GRID = Grid(1000.0, 15.0, 4)

Cells = dict[tuple[str, str, str], list[float | None]]
"""(kind of row, namespace, pod) -> a number a moment; None: no sample."""

moments = st.lists(st.none() | st.floats(), min_size=4, max_size=4)
keys = st.tuples(
    st.sampled_from(["value", "idle", "uncoded", "coded"]),
    st.sampled_from(["shop", "till"]),
    st.sampled_from(["a", "b", "c"]),
)
tables = st.dictionaries(keys, moments, max_size=8)


def _metric(kind: str, namespace: str, pod: str) -> dict[str, str]:
    labels = {"__name__": "x", f"status_of_{pod}": "503"} if kind == "uncoded" else {}
    return {"evenload": kind, "namespace": namespace, "pod": pod, **labels}


def _text(number: float) -> str:
    return {math.inf: "+Inf", -math.inf: "-Inf"}.get(number, "NaN" if math.isnan(number) else repr(number))


def over(table: Cells) -> bytes:
    rows = [
        {
            "metric": _metric(*key),
            "values": [
                [time, _text(number)] for time, number in zip(GRID.times, numbers, strict=True) if number is not None
            ],
        }
        for key, numbers in table.items()
    ]
    answer = {"data": {"result": [row for row in rows if row["values"]]}}
    return json.dumps(answer, separators=(",", ":")).encode()


def instant(table: Cells, index: int) -> bytes:
    rows = [
        {"metric": _metric(*key), "value": [GRID.times[index], _text(number)]}
        for key, numbers in sorted(table.items())  # the order of rows means nothing
        if (number := numbers[index]) is not None
    ]
    return json.dumps({"data": {"result": rows}}).encode()


@given(tables)
def test_each_moment_is_what_an_instant_query_would_have_answered(table: Cells) -> None:
    answer = parse_range(over(table), LABELS, GRID)
    for index in range(GRID.moments):
        expected = parse(instant(table, index), LABELS)
        assert repr(answer.at(index)) == repr(expected)  # repr: a NaN equals no NaN


def test_of_a_pod_whose_counter_carries_no_status_any_series_may_be_answered_at_a_moment() -> None:
    rows = [
        {"metric": _metric("uncoded", "shop", "a") | {label: "x"}, "values": [[time, "1"] for time in times]}
        for label, times in (("method", (1000, 1015)), ("path", (1045,)))
    ]
    answer = parse_range(json.dumps({"data": {"result": rows}}).encode(), LABELS, GRID)
    found = [answer.at(index).uncoded.get("shop", {}).get("a") for index in range(4)]
    assert found == [("method", "status_of_a"), ("method", "status_of_a"), None, ("path", "status_of_a")]


def test_ages_are_by_namespace() -> None:
    row = {"metric": {"evenload": "age", "namespace": "shop"}, "values": [[1000, "3.5"], [1030, "4"]]}
    answer = parse_range(json.dumps({"data": {"result": [row]}}).encode(), LABELS, GRID)
    assert [answer.at(index).ages for index in range(4)] == [{"shop": 3.5}, {}, {"shop": 4.0}, {}]


def test_samples_outside_the_grid_are_left_out() -> None:
    row = {"metric": _metric("value", "shop", "a"), "values": [[985, "1"], [1000, "2"], [1060, "3"]]}
    answer = parse_range(json.dumps({"data": {"result": [row]}}).encode(), LABELS, GRID)
    assert [answer.at(index).values for index in range(4)] == [{"shop": {"a": 2.0}}, {}, {}, {}]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>Please sign in</html>", "a web page instead of numbers"),
        (b"", "nothing"),
        (b'{"data": {"result": [{"metric": {}, "values": [[1, "2"]]}]}}', "has not one row"),
        (b'{"data": {"result": [{"metric": {"pod": "a"}, "values": [[1, "two"]]}]}}', "could not convert"),
        (b'{"data": {"result": [{"metric": {"pod": "a"}, "values": 7}]}}', "not a list of series"),
    ],
)
def test_what_is_no_list_of_series_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(SignalsUnavailable, match=complaint):
        parse_range(body, LABELS, GRID)


@pytest.mark.parametrize("number", ["1,2", "", "two", "null"])
def test_a_whole_row_is_refused_for_one_number_that_is_none(number: str) -> None:
    row = {"metric": _metric("value", "shop", "a"), "values": [[time, "1"] for time in GRID.times[:-1]]}
    row["values"].append([GRID.times[-1], number])  # type: ignore[attr-defined]
    with pytest.raises(SignalsUnavailable, match="could not convert"):
        parse_range(json.dumps({"data": {"result": [row]}}, separators=(",", ":")).encode(), LABELS, GRID)


def test_two_rows_of_one_pod_are_refused() -> None:
    rows = [{"metric": _metric("value", "shop", "a") | {"job": job}, "values": [[1000, "1"]]} for job in "xy"]
    with pytest.raises(SignalsUnavailable, match="has not one row"):
        parse_range(json.dumps({"data": {"result": rows}}).encode(), LABELS, GRID)


@given(
    start=st.floats(0, 1e9),
    seconds=st.floats(0, 5000),
    step=st.sampled_from([0.5, 1.0, 2.5, 5.0, 10.0, 15.0]),
    most=st.integers(2, 500),
)
def test_pieces_are_the_whole_grid_and_begin_on_whole_seconds(
    start: float, seconds: float, step: float, most: int
) -> None:
    grid = Grid.between(start, start + seconds, step)
    parts = list(pieces(grid, most))
    assert [time for part in parts for time in part.times] == list(grid.times)
    assert all(part.moments <= most and part.start.is_integer() for part in parts)
    assert all(start <= time <= start + seconds + 1e-6 for time in grid.times)
