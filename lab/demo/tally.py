"""Counts the customers' answers as they come, for the screen. Pure: time is an argument, in Unix seconds."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.load.analysis import percentile
from lab.load.record import Record

RECENT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The answers of the last seconds, of one server or of all; None where there were none."""

    requests: int
    share: float | None
    failed_share: float | None
    latency_p95: float | None
    """Of those that were served: a quick refusal is no quick answer."""


@dataclass
class Tally:
    """Fed by the load generator; asked by the screen."""

    records: list[Record] = field(default_factory=list)
    _recent: deque[tuple[float, Record]] = field(default_factory=deque)
    _seconds: dict[int, list[int]] = field(default_factory=dict)
    _failures: list[float] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take in one answer."""
        self.records.append(record)
        if record.counts:
            self._recent.append((record.scheduled + record.latency_seconds, record))
            count = self._seconds.setdefault(int(record.scheduled), [0, 0])
            count[0] += 1
            count[1] += record.failed
            if record.failed:
                insort(self._failures, record.scheduled)

    def recent(self, now: float) -> list[Record]:
        """Answers that came in the last `RECENT_SECONDS`."""
        while self._recent and self._recent[0][0] < now - RECENT_SECONDS:
            self._recent.popleft()
        return [record for answered, record in self._recent if answered >= now - RECENT_SECONDS]

    def failed_since(self, start: float, end: float) -> int:
        """Failed requests that were due in [start, end)."""
        return bisect_left(self._failures, end) - bisect_left(self._failures, start)

    def failed_history(self, now: float, seconds: int) -> tuple[float | None, ...]:
        """The failed share of each of the last whole seconds, oldest first."""
        counts = (self._seconds.get(second) for second in range(int(now) - seconds, int(now)))
        return tuple(count[1] / count[0] if count else None for count in counts)


def of_server(records: Sequence[Record], server: str | None = None) -> Recent:
    """Figures of one server's answers among these; of all without a server."""
    chosen = [record for record in records if server is None or record.server == server]
    latencies = sorted(record.latency_seconds for record in chosen if not record.failed)
    return Recent(
        requests=len(chosen),
        share=len(chosen) / len(records) if records else None,
        failed_share=_share(record.failed for record in chosen),
        latency_p95=percentile(latencies, 95),
    )


def _share(flags: Iterable[bool]) -> float | None:
    found = list(flags)
    return sum(found) / len(found) if found else None
