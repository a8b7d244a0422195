"""The only place that reads the wall clock. Everything below the edge gets time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

LATEST_SECONDS: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()  # sums with it must still be dates


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def rfc3339(seconds: float) -> str:
    """Kubernetes' MicroTime text for `seconds` since the epoch, in UTC: the API server wants all six digits."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> float | None:
    """Seconds since the epoch of Kubernetes' Time or MicroTime text; None for a time that cannot be meant.

    The API server stores whatever Go can write: year 0, or a year of five digits, which Python cannot read.
    """
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < LATEST_SECONDS else None
