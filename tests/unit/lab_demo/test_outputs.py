"""What is written at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.demo import incident, outputs
from lab.demo.script import Script
from lab.demo.stories import STORIES
from lab.demo.summary import Run, Updates, figures
from lab.load.record import Record

ONSET = 1_000.0


def records() -> list[Record]:
    """Two a second from five seconds before the onset; all fail in the first ten seconds after it."""
    times = [ONSET - 5 + n / 2 for n in range(2 * 130)]
    return [
        Record(number=n, scheduled=at, latency_seconds=0.1, status=503 if 0 <= at - ONSET < 10 else 200)
        for n, at in enumerate(times)
    ]


def test_the_report_gets_the_customers_of_the_period_by_the_second() -> None:
    record = outputs.callers(Run(records=records(), onset=ONSET), incident.PERIOD_SECONDS)
    assert len(record.bins) == incident.PERIOD_SECONDS
    assert record.bins[0].start == ONSET
    assert (record.requests, record.failed) == (2 * 90, 20)
    assert record.time_to_mitigate_seconds == 10.0
    assert record.bins[0].latency_p95 is None, "no request of that second was served"
    assert record.bins[20].latency_p95 == 0.1


def test_clearing_removes_our_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "thesis.md").write_text("years of work")
    outputs.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]


def test_the_later_updates_are_told_with_what_came_of_them() -> None:
    good = Updates(refusal="the guard says no", rolled_back_seconds=12.34, requests=5_000, failed=40)
    assert list(outputs.described(good)) == [
        "The same update with the guard on was refused by the API server: the guard says no",
        "An update that gave shop-next, which fails, its fair share was taken back after 12.3 s: 40 of 5,000 requests "
        "failed.",
    ]
    bad = Updates(refusal=None, rolled_back_seconds=None, requests=5_000, failed=900)
    assert all("NOT" in line for line in outputs.described(bad))


@pytest.mark.parametrize("script", STORIES.values(), ids=STORIES)
def test_every_row_of_a_storys_table_has_a_figure_of_either_arm(script: Script) -> None:
    found = figures(Run(records=records(), onset=ONSET), script.period_seconds)
    assert all(outputs.ROWS[name](found) for name in script.rows)


def test_what_was_found_before_the_fault_is_said_so() -> None:
    early = figures(Run(records=records(), onset=ONSET, detected=ONSET - 2.5), 60.0)
    assert outputs.ROWS["time to detect"](early) == "2.5 s before it"
    assert outputs.ROWS["time to resolve"](early) == "never"
