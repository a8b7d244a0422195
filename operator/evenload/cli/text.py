"""Text for terminals: untrusted words made harmless, times and ages as kubectl writes them."""

from __future__ import annotations

from datetime import datetime

from evenload import clock
from evenload.api.values import moment
from evenload.model.wording import printable


def plain(text: str) -> str:
    """`text` as one line that commands no terminal: every control character shows as its escape, a line break too."""
    return printable(text)


def age(since: datetime | None) -> str:
    """ "42s", "7m", "3h", "12d", as kubectl has it; "<unknown>" where there is no time."""
    if since is None:
        return "<unknown>"
    return short_duration(clock.now() - since.timestamp())


def short_duration(seconds: float) -> str:
    """The two forms of kubectl: "95s" below two minutes, then the largest unit that says enough."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 48 * 3600:
        return f"{whole // 3600}h"
    return f"{whole // 86400}d"


def other_clock() -> tuple[str, ...]:
    """A line for screens that quote the operator, whose sentences are in UTC, where the terminal's time is another."""
    here = moment(clock.now()).astimezone()
    return ("Times without a zone are in UTC.",) if here.utcoffset() else ()


def local_time(time: datetime | None) -> str:
    """ "10:05:02 CET", in the terminal's time zone; with the date where it is not today: "2026-11-23 10:05:02 CET"."""
    if time is None:
        return "unknown"
    here, today = time.astimezone(), moment(clock.now()).astimezone().date()
    return here.strftime("%H:%M:%S %Z" if here.date() == today else "%Y-%m-%d %H:%M:%S %Z")
