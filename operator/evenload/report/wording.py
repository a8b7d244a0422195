"""Numbers as a tired person reads them. Nothing here knows what the numbers are of.

An absent number is written "unknown", never 0: a report that rounds ignorance to zero is a wrong report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

UNKNOWN = "unknown"


def duration(seconds: float | None) -> str:
    """ "850 ms", "12.4 s", "3 min 5 s", "1 h 4 min"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    return _long_duration(round(seconds))


def _long_duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1 as per cent: "0.4%", "35%"; one digit after the point where it says something."""
    if ratio is None:
        return UNKNOWN
    value = 100 * ratio
    return f"{value:.1f}%" if 0 < abs(value) < 9.95 else f"{value:.0f}%"


def count(number: float | None) -> str:
    """ "12,345"."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def number(value: float | None) -> str:
    """Three significant digits, without an exponent for what people meet: "0.0213", "8.1", "940"."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def clock_time(seconds: float | None) -> str:
    """ "10:05:02", UTC."""
    return UNKNOWN if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def day(seconds: float | None) -> str:
    """ "2026-11-23", UTC."""
    return UNKNOWN if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def weights_changed(before: Mapping[str, int] | None, after: Mapping[str, int] | None, most: int = 8) -> str:
    """Only what differs: "shop-a 970 to 250, shop-b 10 to 250"; "" where nothing does or nothing is known.

    Of more than `most` changes the largest are told, and how many there are besides.
    """
    if not after:
        return ""
    known = before or {}
    changed = {name: (known.get(name, 0), after.get(name, 0)) for name in sorted({*known, *after})}
    different = [name for name, (old, new) in changed.items() if before is None or old != new]
    if len(different) > most:
        different.sort(key=lambda name: abs(changed[name][1] - changed[name][0]), reverse=True)
    told = [_change(name, *changed[name], known=before is not None) for name in different[:most]]
    more = [f"{len(different) - most} more"] if len(different) > most else []
    return ", ".join([*told, *more])


def _change(name: str, old: int, new: int, *, known: bool) -> str:
    return f"{name} {old} to {new}" if known else f"{name} to {new}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """ "a, b and c"; "a, b, c and 9 more" where they are many."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
