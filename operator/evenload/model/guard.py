"""What an update of a balancer must not do by mistake, on weights alone.

The API server asks the same in CEL (`evenload.guard.cel`), and both are held to one table of cases: what is reckoned
here is reckoned there in the same whole numbers. Only what the update brings about counts: what stood before stays.

The largest share of a backend. With `maxSharePercent`: that, but never less than the share it should have. Without: its
weight may be at most twice what it should be beside the others', so a share of x/X may become 2x / (X + x). One of two
even backends may have two thirds, one of n may have 2 / (n + 1): a backend drained from three or more leaves no other
with more. The share it should have is the larger of what `desired` gives (Explicit shares, else even) and of what the
status says it should have now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from evenload.model.base import Value


class Reference(NamedTuple):
    """One entry of a rule: the backend, and its weight."""

    backend: str
    weight: int


Rule = Sequence[Reference]


class Mistake(StrEnum):
    """What an update may do by mistake. A stable word."""

    TooMuch = "TooMuch"
    AllZero = "AllZero"
    Repeated = "Repeated"
    Dropped = "Dropped"


class Expected(Value, frozen=True, kw_only=True):
    """What a Balancer says of its backends' shares, relative to each other. Empty: nothing."""

    shares: dict[str, int]  # of desired.type Explicit
    targets: dict[str, int]  # of the status
    max_share_percent: int | None = None


def thousandths(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares of 1 as the status has them."""
    return {name: round(1000 * share) for name, share in shares.items()}


def mistakes(before: Sequence[Rule], after: Sequence[Rule], expected: Expected) -> dict[Mistake, str]:
    """What the update does wrong, each as the end of a sentence that begins "this update". At most one of each kind."""
    found = {
        Mistake.TooMuch: _first(_too_much(before, after, expected)),
        Mistake.AllZero: _first(_all_zero(before, after)),
        Mistake.Repeated: _first(_repeated(before, after)),
        Mistake.Dropped: _first(_dropped(before, after)),
    }
    return {mistake: text for mistake, text in found.items() if text}


def _first(texts: Iterator[str]) -> str:
    return next((text for text in texts if text), "")


def _too_much(before: Sequence[Rule], after: Sequence[Rule], expected: Expected) -> Iterator[str]:
    by_shares, by_targets = _covers(expected.shares, after), _covers(expected.targets, after)
    for rule in after:
        total = _total(rule)
        named = []
        for reference in rule:
            fractions = [
                (expected.shares[reference.backend], sum(expected.shares.values())) if by_shares else (1, len(rule))
            ]
            if by_targets:
                fractions.append((expected.targets[reference.backend], sum(expected.targets.values())))
            most = expected.max_share_percent
            over = all(_over(reference.weight, total, fraction, most) for fraction in fractions)
            if over and not _had_as_much(before, reference, total):
                share = -(-1000 * reference.weight // total)
                limit = max(_limit(fraction, most) for fraction in fractions)
                named.append(f"Service {reference.backend} {_tenths(share)} (at most {_tenths(limit)})")
        yield f"gives {', '.join(named)} of the traffic" if named else ""


def _covers(weights: Mapping[str, int], rules: Sequence[Rule]) -> bool:
    return any(weights.values()) and all(
        len(rule) == len(weights) and all(reference.backend in weights for reference in rule) for rule in rules
    )


def _over(weight: int, total: int, expected: tuple[int, int], max_share_percent: int | None) -> bool:
    """Whether weight / total is too large, where part / whole is expected."""
    part, whole = expected
    if max_share_percent is None:
        return weight * (whole + part) > 2 * part * total
    return weight * 100 > max_share_percent * total and weight * whole > part * total


def _limit(expected: tuple[int, int], max_share_percent: int | None) -> int:
    """In thousandths, rounded down, while shares are rounded up: one that is over its limit always shows it."""
    part, whole = expected
    if max_share_percent is None:
        return 2000 * part // (whole + part)
    return max(10 * max_share_percent, 1000 * part // whole)


def _had_as_much(before: Sequence[Rule], now: Reference, total: int) -> bool:
    return any(
        old.backend == now.backend and old.weight > 0 and old.weight * total >= now.weight * _total(rule)
        for rule in before
        for old in rule
    )


def _tenths(number: int) -> str:
    return f"{number // 10}.{number % 10}%"


def _total(rule: Rule) -> int:
    return sum(reference.weight for reference in rule)


def _all_zero(before: Sequence[Rule], after: Sequence[Rule]) -> Iterator[str]:
    if any(_total(rule) == 0 for rule in after) and not any(_total(rule) == 0 for rule in before):
        yield "gives every Service of a rule weight 0, so that each of its requests would fail"


def _repeated(before: Sequence[Rule], after: Sequence[Rule]) -> Iterator[str]:
    for rule in after:
        for backend, _ in rule:
            if _stands_twice(rule, backend) and not any(_stands_twice(old, backend) for old in before):
                yield f"names Service {backend} twice in one rule"


def _stands_twice(rule: Rule, backend: str) -> bool:
    return sum(reference.backend == backend for reference in rule) > 1


def _dropped(before: Sequence[Rule], after: Sequence[Rule]) -> Iterator[str]:
    kept = {reference.backend for rule in after for reference in rule}
    for rule in before:
        names = [f"Service {old.backend}" for old in rule if old.weight > 0 and old.backend not in kept]
        yield f"drops {', '.join(names)}, which had a share of the traffic" if names else ""
