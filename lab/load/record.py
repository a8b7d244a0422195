"""One line a request: the client's side of the story, which no server and no operator can embellish."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

STOPPED = "stopped"
"""The error of a request that was still out when the load was stopped: it neither succeeded nor failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one request; exactly one of status and error is there."""

    number: int
    """Place in the schedule, from 0."""
    scheduled: float
    """When it was due: Unix time in seconds."""
    latency_seconds: float
    """From the scheduled time (not the sending) to the end of the answer or to the error."""
    status: int | None = None
    error: str | None = None
    """timeout, connect, disconnected, stopped, or the name of what went wrong."""
    server: str | None = None
    """The X-Shop-Server header; absent where the proxy answered by itself or nobody did."""
    client: int | None = None
    """Which client asked, where clients keep their connections."""
    retried: bool = False
    """It met a connection that had just been closed, and was sent once more on a fresh one."""

    def __post_init__(self) -> None:
        if (self.status is None) == (self.error is None):
            raise ValueError(f"record {self.number} needs a status or an error, not both")

    @property
    def counts(self) -> bool:
        """False for a request that was cut off by our own stop."""
        return self.error != STOPPED

    @property
    def failed(self) -> bool:
        """A customer without a page: an error, or any status of 400 or more (a proxy without a route answers 404)."""
        return self.counts and (self.status is None or self.status >= 400)


def to_line(record: Record) -> str:
    """The record as one line of JSON, without the newline; absent values are absent keys."""
    fields: dict[str, Any] = {
        "n": record.number,
        "scheduled": round(record.scheduled, 6),
        "latency": round(record.latency_seconds, 6),
        "status": record.status,
        "error": record.error,
        "server": record.server,
        "client": record.client,
        "retried": record.retried or None,
    }
    return json.dumps({key: value for key, value in fields.items() if value is not None}, separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record of one line; raises ValueError or KeyError where it is none."""
    fields = json.loads(line)
    return Record(
        number=fields["n"],
        scheduled=fields["scheduled"],
        latency_seconds=fields["latency"],
        status=fields.get("status"),
        error=fields.get("error"),
        server=fields.get("server"),
        client=fields.get("client"),
        retried=fields.get("retried", False),
    )


def read(lines: Iterable[str]) -> Iterator[Record]:
    """The records of a file, in the order the answers came; a last line cut off by a kill is left out.

    Raises ValueError naming the line where any other line is no record.
    """
    broken: int | None = None
    for place, line in enumerate(lines, start=1):
        if broken is not None:
            raise ValueError(f"line {broken} is no record of a request")
        try:
            yield from_line(line)
        except (ValueError, KeyError, TypeError):
            broken = place
