"""How numbers and untrusted text are told to people. One way each, so that the same reads the same everywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sized
from datetime import UTC, datetime

_LAST_TIME = 1e11  # the year 5138: a clock that says more is broken

# Control, format (the direction of reading, what has no width), surrogate, private and unassigned characters, and the
# two separators that end a line or a paragraph.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """`text` on one line, without anything that commands a terminal: such characters as Python escapes them.

    "a\\nb" shows its line break as a backslash and an n, so no text from an object can begin a line of its own, colour
    what follows, or turn it round.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNPRINTABLE else letter


def percent(ratio: float) -> str:
    """0.9712 -> "97%", 0.0042 -> "0.42%"."""
    value = 100 * ratio
    return f"{value:.0f}%" if value >= 10 or value == 0 else f"{value:.2g}%"


def rate(per_second: float) -> str:
    """64.2 -> "64", 0.53 -> "0.5"."""
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.1f}"


def times(ratio: float) -> str:
    """3.88 -> "3.9x"."""
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.2g}x"


def milliseconds(seconds: float) -> str:
    """0.0213 -> "21 ms"."""
    return f"{1000 * seconds:.0f} ms"


def duration(seconds: float) -> str:
    """95 -> "95 s", 600 -> "10 min"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def clock(time: float) -> str:
    """Seconds since the epoch as UTC time of day: "04:12:09"."""
    if not 0 <= time < _LAST_TIME:
        return "an unknown time"
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S")


def weights(by_backend: Mapping[str, int]) -> str:
    """{"a": 100, "b": 50} -> "100/50", in the order of names."""
    return "/".join(str(by_backend[name]) for name in sorted(by_backend))


def reweighting(before: Mapping[str, int], after: Mapping[str, int], most: int | None = None) -> str:
    """{"a": 30, "b": 10} to {"a": 10, "b": 10} -> "a 30 -> 10 (75% -> 50%)": the weights that change, by name.

    The percentages are of all weights. With `most`, the backends that change most, and how many more there are.
    """
    shares = {name: (_part(before, name), _part(after, name)) for name in after if before.get(name, 0) != after[name]}
    moved = sorted(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))
    shown = sorted(moved[:most])
    changes = [
        f"{name} {before.get(name, 0)} -> {after[name]} ({percent(shares[name][0])} -> {percent(shares[name][1])})"
        for name in shown
    ]
    more = f" and {len(moved) - len(shown)} more" if len(moved) > len(shown) else ""
    return f"{', '.join(changes) or 'no weight changes'}{more}"


def changed(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None, elsewhere: Iterable[str] = ()
) -> Iterator[str]:
    """What an update of a balancer did, a phrase each; `elsewhere`: what else of its spec changed. None is unknown."""
    after = after or {}
    if before is None:
        yield f"weights now {', '.join(f'{name} {weight}' for name, weight in sorted(after.items()))}"
    else:
        if added := sorted(after.keys() - before.keys()):
            yield f"added {listing(added)}"
        if gone := sorted(before.keys() - after.keys()):
            yield f"took out {listing(gone)}"
        if any(before.get(name, 0) != weight for name, weight in after.items()):
            yield reweighting(before, after)
    if places := list(elsewhere):
        yield f"changed {listing(places)}"
    elif before == after:
        yield "the same weights"


def _part(weights: Mapping[str, int], name: str) -> float:
    return weights.get(name, 0) / max(1, sum(weights.values()))


def listing(names: Iterable[str], most: int = 3) -> str:
    """At most `most` names, then how many more."""
    known = list(names)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


def number(names: Sized, one: str, many: str) -> str:
    """`one` or `many`, as these names ask for: ["a"] -> "has", ["a", "b"] -> "have"."""
    return one if len(names) == 1 else many
