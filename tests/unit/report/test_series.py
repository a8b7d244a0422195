from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from evenload.model.decision import Decision
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.snapshot import Backend, Pod, Snapshot
from evenload.report.client import ClientBin, ClientRecord
from evenload.report.series import failed_requests, series


def tick(time: float, **backends: Backend) -> tuple[Snapshot, Decision]:
    decision = Decision(time=time, diagnosis=Diagnosis(label=Label.Healthy))
    return Snapshot(time=time, window=10, backends=backends), decision


def backend(weight: int = 100, requests: float | None = None, errors: float | None = None) -> Backend:
    return Backend(weight=weight, pods={"pod": Pod(ready=True, requests=requests, errors=errors)})


def test_shares_are_of_all_requests() -> None:
    lines = series([tick(0, a=backend(requests=30), b=backend(requests=10))])
    assert lines.shares == {"a": (0.75,), "b": (0.25,)}


def test_an_absent_signal_is_a_gap_never_zero() -> None:
    lines = series([tick(0, a=backend(requests=30), b=backend())])
    assert math.isnan(lines.shares["b"][0])
    assert math.isnan(lines.errors["a"][0])
    assert math.isnan(lines.latencies["a"][0])


def test_a_backend_that_comes_later_has_a_gap_before() -> None:
    lines = series([tick(0, a=backend()), tick(5, a=backend(), b=backend(weight=7))])
    assert math.isnan(lines.weights["b"][0])
    assert lines.weights["b"][1] == 7


def test_latency_is_weighted_by_requests() -> None:
    pods = {"busy": Pod(ready=True, requests=90, latency=1.0), "idle": Pod(ready=True, requests=10, latency=2.0)}
    assert series([tick(0, a=Backend(weight=1, pods=pods))]).latencies["a"][0] == pytest.approx(1.1)


def test_failed_requests_of_overlapping_windows_are_not_counted_twice() -> None:
    ticks = [tick(time, a=backend(requests=100, errors=20)) for time in (0.0, 5.0, 10.0)]
    assert failed_requests(ticks) == pytest.approx(20 + 10 + 10)


def test_failed_requests_without_error_counts_are_unknown() -> None:
    assert failed_requests([tick(0, a=backend(requests=100))]) is None


def test_a_client_record_in_longer_periods_keeps_its_sums() -> None:
    bins = tuple(ClientBin(start=float(second), requests=10, failed=second % 2) for second in range(25))
    longer = ClientRecord(bins=bins).per(10)
    assert [each.start for each in longer] == [0, 10, 20]
    assert (sum(each.requests for each in longer), sum(each.failed for each in longer)) == (250, 12)


def test_a_period_without_requests_has_no_failure_ratio() -> None:
    record = ClientRecord(bins=(ClientBin(start=0, requests=0, failed=0),))
    assert (record.failed_ratio, record.worst_ratio) == (None, None)


def test_an_empty_client_record_is_no_seconds_long() -> None:
    assert replace(ClientRecord(bins=()), bin_seconds=5.0).seconds == 0
