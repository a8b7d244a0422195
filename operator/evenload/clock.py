"""The only place that reads the wall clock. Everything below the edge gets time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def rfc3339(seconds: float) -> str:
    """Kubernetes' MicroTime text for `seconds` since the epoch, in UTC: the API server wants all six digits."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """Seconds since the epoch of Kubernetes' Time or MicroTime text."""
    return datetime.fromisoformat(text).timestamp()
