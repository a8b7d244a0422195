"""Text for terminals: untrusted words made harmless, times and ages as kubectl writes them."""

from __future__ import annotations

from datetime import datetime

from evenload import clock
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


def local_time(time: datetime | None) -> str:
    """ "10:05:02", in the terminal's time zone."""
    return "unknown" if time is None else time.astimezone().strftime("%H:%M:%S")
