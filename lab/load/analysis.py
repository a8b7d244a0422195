"""What the records say: pure functions, in any order of the records, with requests placed by their scheduled time.

Times are Unix seconds, periods are half open (start <= scheduled < end). Requests that our own stop cut off are left
out of every figure. A share of no requests is None: absent, never zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lab.load.record import Record

MITIGATED_SHARE: Final = 0.01
"""Below this failure share an incident counts as over for the customers."""
WINDOW_SECONDS: Final = 5.0
"""At the demo's 64 requests a second 1% of a window is three requests: one stray failure is no relapse."""
ONSET_SHARE: Final = 0.05
ONSET_FAILURES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The requests due in one period."""

    start: float
    requests: int
    failed: int

    @property
    def failed_share(self) -> float | None:
        """0 to 1, None without requests."""
        return self.failed / self.requests if self.requests else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A period in figures; latencies in seconds, over all requests that came back with a status below 400."""

    requests: int
    failed: int
    failed_share: float | None
    outcomes: dict[str, int]
    """Requests by status code or error."""
    latency_p50: float | None
    latency_p95: float | None
    latency_max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerShare:
    """One server's part of a period; server None is what no server owned up to (the proxy's own answers, timeouts)."""

    server: str | None
    requests: int
    share: float
    failed: int


def within(records: Iterable[Record], start: float = -math.inf, end: float = math.inf) -> list[Record]:
    """The records that count and were due in the period."""
    return [record for record in records if record.counts and start <= record.scheduled < end]


def failed_share(records: Iterable[Record], start: float = -math.inf, end: float = math.inf) -> float | None:
    """Failed requests / requests due in the period; None without requests."""
    chosen = within(records, start, end)
    return sum(record.failed for record in chosen) / len(chosen) if chosen else None


def bins(records: Iterable[Record], *, seconds: float = 1.0, start: float | None = None) -> list[Bin]:
    """The records in periods of equal length from `start` (the first record's time by default), empty ones included."""
    chosen = within(records, -math.inf if start is None else start)
    if not chosen:
        return []
    origin = min(record.scheduled for record in chosen) if start is None else start
    places = [(_place(record, origin, seconds), record.failed) for record in chosen]
    requests = Counter(place for place, _ in places)
    failed = Counter(place for place, bad in places if bad)
    return [
        Bin(start=origin + place * seconds, requests=requests[place], failed=failed[place])
        for place in range(max(requests) + 1)
    ]


def onset(
    records: Iterable[Record],
    *,
    share: float = ONSET_SHARE,
    failures: int = ONSET_FAILURES,
    window_seconds: float = WINDOW_SECONDS,
) -> float | None:
    """When customers began to suffer: the scheduled time of the first failure that starts a bad window.

    A window of `window_seconds` is bad here if at least `share` of its requests, and at least `failures`, failed.
    None if there is no such window.
    """
    chosen = sorted(within(records), key=lambda record: record.scheduled)
    last = 0
    failed = 0
    for first, record in enumerate(chosen):
        while last < len(chosen) and chosen[last].scheduled < record.scheduled + window_seconds:
            failed += chosen[last].failed
            last += 1
        if record.failed and failed >= failures and failed >= share * (last - first):
            return record.scheduled
        failed -= record.failed
    return None


def time_to_mitigate(
    records: Iterable[Record],
    onset: float,
    *,
    share: float = MITIGATED_SHARE,
    window_seconds: float = WINDOW_SECONDS,
) -> float | None:
    """Seconds from the onset until the failure share is below `share` for good.

    The time from the onset on is cut into windows of `window_seconds`. A window is bad if `share` or more of the
    requests due in it failed. The answer is the *end* of the last bad window, so it errs late by at most one window;
    0 if there is no bad window; None if no whole window with requests follows the last bad one: nobody saw it end.
    """
    windows = bins(records, seconds=window_seconds, start=onset)
    bad = [
        place for place, window in enumerate(windows) if window.requests and window.failed >= share * window.requests
    ]
    if not bad:
        return 0.0 if windows else None
    whole_after = [window for window in windows[bad[-1] + 1 : -1] if window.requests]  # the last one may be cut short
    return (bad[-1] + 1) * window_seconds if whole_after else None


def totals(records: Iterable[Record], start: float = -math.inf, end: float = math.inf) -> Totals:
    """The period's figures."""
    chosen = within(records, start, end)
    latencies = sorted(record.latency_seconds for record in chosen if not record.failed)
    return Totals(
        requests=len(chosen),
        failed=sum(record.failed for record in chosen),
        failed_share=failed_share(chosen),
        outcomes=dict(sorted(Counter(str(record.status or record.error) for record in chosen).items())),
        latency_p50=percentile(latencies, 50),
        latency_p95=percentile(latencies, 95),
        latency_max=percentile(latencies, 100),
    )


def server_shares(
    records: Iterable[Record], start: float = -math.inf, end: float = math.inf
) -> dict[str | None, ServerShare]:
    """Each server's part of the period's requests; the shares sum to 1. Empty without requests."""
    chosen = within(records, start, end)
    requests = Counter(record.server for record in chosen)
    failed = Counter(record.server for record in chosen if record.failed)
    return {
        server: ServerShare(
            server=server, requests=requests[server], share=requests[server] / len(chosen), failed=failed[server]
        )
        for server in sorted(requests, key=lambda name: (name is None, name))
    }


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """Nearest-rank percentile of sorted numbers: the smallest of them that `percent` of them do not exceed."""
    if not ascending:
        return None
    rank = math.ceil(len(ascending) * percent / 100)
    return ascending[max(rank, 1) - 1]


def _place(record: Record, origin: float, seconds: float) -> int:
    return math.floor((record.scheduled - origin) / seconds)
