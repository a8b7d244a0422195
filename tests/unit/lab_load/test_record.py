"""Records survive the file, and a file survives a kill."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.record import STOPPED, Record, from_line, read, to_line

outcomes = st.one_of(
    st.tuples(st.integers(100, 599), st.none()),
    st.tuples(st.none(), st.sampled_from(["timeout", "connect", "disconnected", STOPPED])),
)
records = st.builds(
    lambda number, scheduled, latency, outcome, server: Record(
        number=number,
        scheduled=round(scheduled, 6),
        latency_seconds=round(latency, 6),
        status=outcome[0],
        error=outcome[1],
        server=server,
    ),
    st.integers(0, 10**6),
    st.floats(1e9, 2e9),
    st.floats(0, 60),
    outcomes,
    st.none() | st.text(min_size=1),
)


@given(records)
def test_a_record_comes_back_from_its_line(record: Record) -> None:
    line = to_line(record)
    assert len(line.splitlines()) == 1
    assert from_line(line) == record


@given(st.lists(records, min_size=1), st.data())
def test_a_file_cut_off_anywhere_loses_only_the_line_that_was_cut(made: list[Record], data: st.DataObject) -> None:
    text = "".join(to_line(record) + "\n" for record in made)
    cut = text[: data.draw(st.integers(0, len(text)))]
    kept = list(read(cut.splitlines()))
    assert kept == made[: len(kept)]
    assert len(kept) >= cut.count("\n")


def test_a_broken_line_in_the_middle_is_named() -> None:
    good = to_line(Record(number=0, scheduled=1.0, latency_seconds=0.1, status=200))
    with pytest.raises(ValueError, match="line 2 is no record"):
        list(read([good, good[:9], good]))


def test_a_record_needs_a_status_or_an_error_and_not_both() -> None:
    for status, error in ((None, None), (200, "timeout")):
        with pytest.raises(ValueError, match="status or an error"):
            Record(number=0, scheduled=0, latency_seconds=0, status=status, error=error)


@pytest.mark.parametrize(
    ("status", "error", "failed", "counts"),
    [
        (200, None, False, True),
        (304, None, False, True),
        (404, None, True, True),
        (503, None, True, True),
        (None, "timeout", True, True),
        (None, STOPPED, False, False),
    ],
)
def test_a_customer_without_a_page_counts_as_failed_but_our_own_stop_does_not(
    status: int | None, error: str | None, failed: bool, counts: bool
) -> None:
    record = Record(number=0, scheduled=0, latency_seconds=0, status=status, error=error)
    assert (record.failed, record.counts) == (failed, counts)
