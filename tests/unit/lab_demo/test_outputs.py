"""What is written at the end."""

from __future__ import annotations

from pathlib import Path

from lab.demo import incident, outputs
from lab.demo.summary import Run
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
    record = outputs.callers(Run(records=records(), onset=ONSET))
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
