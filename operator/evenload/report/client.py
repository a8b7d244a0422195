"""The callers' side of an incident, for those who have it: what no server and no operator can embellish."""

from __future__ import annotations

from evenload.model.base import Value


class ClientBin(Value, frozen=True, kw_only=True):
    """The requests due in one period that starts at `start` (seconds since the epoch); latency in seconds."""

    start: float
    requests: int
    failed: int
    latency_p95: float | None = None

    @property
    def failed_ratio(self) -> float | None:
        """0 to 1; None without requests."""
        return self.failed / self.requests if self.requests else None


class ClientRecord(Value, frozen=True, kw_only=True):
    """One run as the callers saw it, in periods of `bin_seconds`.

    `time_to_mitigate_seconds` is from `onset` until the failure rate stayed below 1%: None with an onset means that it
    never did within the record. `source` says in a few words how this was measured.
    """

    bins: tuple[ClientBin, ...]
    bin_seconds: float = 1.0
    onset: float | None = None
    time_to_mitigate_seconds: float | None = None
    source: str = ""

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.bins)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.bins)

    @property
    def failed_ratio(self) -> float | None:
        """Of the whole record, 0 to 1; None without requests."""
        return self.failed / self.requests if self.requests else None

    @property
    def worst_ratio(self) -> float | None:
        """The worst failure ratio of any ten seconds (one second holds too few requests to call it a rate)."""
        ratios = [each.failed_ratio for each in self.per(10.0) if each.failed_ratio is not None]
        return max(ratios, default=None)

    @property
    def seconds(self) -> float:
        """How long the record is."""
        return self.bins[-1].start + self.bin_seconds - self.bins[0].start if self.bins else 0.0

    def per(self, seconds: float) -> tuple[ClientBin, ...]:
        """The record in longer periods, which smooths it; latencies are left out, as percentiles do not add up."""
        size = max(1, round(seconds / self.bin_seconds))
        groups = [self.bins[first : first + size] for first in range(0, len(self.bins), size)]
        return tuple(
            ClientBin(
                start=group[0].start,
                requests=sum(each.requests for each in group),
                failed=sum(each.failed for each in group),
            )
            for group in groups
        )
