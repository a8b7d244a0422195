"""Between the engine's floats and what the API holds: decimal strings and RFC 3339 times."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def number(value: float | None, digits: int = 6) -> str | None:
    """A decimal string of at most `digits` significant digits; None for None and for what is no number (NaN, ±inf)."""
    if value is None or not math.isfinite(value):
        return None
    return f"{value:.{digits}g}"


def from_number(text: str | None) -> float | None:
    """The float of a decimal string of `number`."""
    return None if text is None else float(text)


def moment(epoch_seconds: float) -> datetime:
    """Seconds since the epoch as an aware UTC time; microseconds are kept (MicroTime)."""
    return datetime.fromtimestamp(epoch_seconds, UTC)


def epoch_seconds(time: datetime) -> float:
    """The inverse of `moment`."""
    return time.timestamp()
