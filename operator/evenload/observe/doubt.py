"""Where a number is not what it seems, or its absence does not mean zero. Pure.

Failed requests are told from others by the status in a label of the request counter. Many applications give that label
another name (status, status_code), hold something else in it (gRPC's 0 and 14) or have none. The query for errors then
selects nothing, exactly as it does while all is well. So it also answers whose counter carries no status anywhere.

A person's own query for errors is taken as it is: there, no row means no errors.

Of some pods there are numbers, and nobody knows which of them count (copies.py); or each scrape is answered by another
worker process, so that every difference of two samples is nonsense. Such a pod has no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evenload.observe.crowd import Column, Crowd, listed
from evenload.observe.prometheus import LabelNames, Reading, Samples
from evenload.observe.queries import TORN_SCRAPES, Source


@dataclass(frozen=True, slots=True)
class Doubt:
    """Pods that have requests, and nobody can tell which of them fail."""

    unknown: Sequence[bool]  # by pod
    everywhere: bool  # no pod that has requests shows it
    source: Source
    labels: LabelNames  # of one such series, as far as answered

    def sentence(self, crowd: Crowd, expected: Sequence[bool]) -> str:
        """What is wrong and which field to correct. The same words as long as it is the same."""
        counter, code = self.source.templates["errors"].counter, self.source.code
        status = self.source.preset.status if self.source.preset else None
        examples = status.examples if status else ""
        who = "these pods" if self.everywhere else self._some(crowd, expected)
        if self.source.own_requests:
            return (
                f"requests come from spec.signals.queries, but errors from {counter}, and no series of {who} has a "
                f'status ({examples}) in its label "{code}"; write a query for errors beside the one for requests'
            )
        unseen = self.source.own or code in self.labels  # of a tenant's answer the names of labels are not repeated
        lacks = f'has a status ({examples}) in the label "{code}"' if unseen else f'carries the label "{code}"'
        return f"no series of {counter} of {who} {lacks}; {self._fix(code)}"

    def _fix(self, code: str) -> str:
        others = [name for name in self.labels if name != code]
        if not others and not self.source.own:
            return "they have no other label, so write a query for errors in spec.signals.queries"
        have = f" (these series have: {', '.join(others)})" if others else ""
        return (
            "set spec.signals.labels.code to the one that holds the status, or write a query for errors in "
            f"spec.signals.queries{have}"
        )

    def _some(self, crowd: Crowd, expected: Sequence[bool]) -> str:
        table = zip(crowd.names, self.unknown, expected, strict=True)
        names = [name for name, unknown, wanted in table if unknown and wanted]
        return f"{len(names)} of {sum(expected)} ready pods ({listed(names)})"


@dataclass(frozen=True, slots=True)
class Refused:
    """Pods that have numbers which must not be used."""

    unknown: Sequence[bool]  # by pod
    everywhere: bool  # no other pod has a number
    reasons: Sequence[str | None]  # by pod

    def sentence(self, crowd: Crowd, expected: Sequence[bool]) -> str:
        """What is wrong and how to mend it. The same words as long as it is the same."""
        reason = next(reason for reason in self.reasons if reason)
        if self.everywhere:
            return reason
        table = zip(crowd.names, self.unknown, expected, strict=True)
        names = [name for name, unknown, wanted in table if unknown and wanted]
        return f"of {len(names)} of {sum(expected)} ready pods ({listed(names)}): {reason}"


TORN: Final = (
    "a pod's counters begin anew at many scrapes although its containers do not restart, as where several worker "
    "processes answer by turns; have one page tell the sum of all workers (the multiprocess mode of its client "
    "library), or count requests elsewhere by spec.signals.queries"
)


def refused_of(crowd: Crowd, reading: Reading, numbers: Column, source: Source, time: float) -> Refused | None:
    """None where every number may be used: nearly always. `time`: of the Snapshot, seconds since the epoch."""
    if not (reading.refused or reading.torn):
        return None
    reasons: list[str | None] = list(crowd.look_up(reading.refused, {}))
    torn, latest = crowd.look_up(reading.torn, {}), time - TORN_SCRAPES * source.scrape_seconds
    for index, (times, started_at) in enumerate(zip(torn, crowd.started_at, strict=True)):
        if times is not None and (started_at is None or started_at < latest):
            reasons[index] = TORN
    if not any(reasons):
        return None
    unknown = [reason is not None for reason in reasons]
    usable = zip(numbers, unknown, strict=True)
    return Refused(unknown, not any(number is not None and not refused for number, refused in usable), reasons)


def doubt_of(crowd: Crowd, failed: Column, requests: Column, samples: Samples) -> Doubt | None:
    """None where every pod that has requests shows which of them fail: nearly always.

    `failed` are the rows as answered, by pod: one that is there is a status too.
    """
    reading, source = samples.readings.get("errors", Reading()), samples.source
    if not (reading.uncoded or source.own_requests) or not source.templates["errors"].counter:
        return None
    labels = crowd.look_up(reading.uncoded, {})
    coded = _coded(crowd, labels, samples)
    carries = [known or number is not None for known, number in zip(coded, failed, strict=True)]
    unknown = [not each and bool(total) for each, total in zip(carries, requests, strict=True)]
    if not any(unknown):
        return None
    return Doubt(
        unknown=unknown,
        everywhere=not any(each and total is not None for each, total in zip(carries, requests, strict=True)),
        source=source,
        labels=next((names for names, mine in zip(labels, unknown, strict=True) if mine and names), ()),
    )


def _coded(crowd: Crowd, uncoded: Sequence[LabelNames | None], samples: Samples) -> Sequence[bool]:
    """Whether each pod's counter carries the status. A person's own count of requests says nothing about it."""
    if samples.source.own_requests:
        return [each is not None for each in crowd.look_up(samples.readings["errors"].coded, {})]
    idle = (
        crowd.look_up(samples.readings["requests"].idle, {})
        if "requests" in samples.readings
        else [None] * len(uncoded)
    )
    return [labels is None and scraped is None for labels, scraped in zip(uncoded, idle, strict=True)]
