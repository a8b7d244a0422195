"""The table of balancers that are known by their images: until when each version gets fixes, and serious advisories.

It is data, read from a file by the caller of the audit (`evenload audit --versions`), and pure here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from evenload.errors import InputError
from evenload.model.base import Value

STALE_DAYS: Final = 180
"""A table that is older says little of what runs today."""

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Minor = Annotated[str, Meta(pattern=r"^\d{1,4}\.\d{1,4}$")]
Release = Annotated[str, Meta(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")]
Line = Annotated[str, Meta(pattern=r"^[ -~]+$", max_length=300)]
Link = Annotated[str, Meta(pattern=r"^https://[!-~]+$", max_length=300)]


class Version(NamedTuple):
    """What a tag says. `patch`: None where it does not say it."""

    major: int
    minor: int
    patch: int | None = None

    @property
    def line(self) -> tuple[int, int]:
        return self.major, self.minor

    def __str__(self) -> str:
        return ".".join(str(part) for part in self if part is not None)


class Affected(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `since` on, below `before`, which has the fix."""

    since: Release = "0.0.0"
    before: Release

    def __contains__(self, version: Version) -> bool:
        """Of a version without a patch: whatever it is."""
        first, last = (0, _NEWEST_PATCH) if version.patch is None else (version.patch, version.patch)
        return numbers(self.since) <= (*version.line, first) and (*version.line, last) < numbers(self.before)


class Advisory(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vulnerability that was published. `sentence`: what it lets whom do."""

    id: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z0-9-]+$", max_length=64)]
    affected: Annotated[tuple[Affected, ...], Meta(min_length=1, max_length=32)]
    sentence: Line
    source: Link

    def fixed(self, version: Version) -> str | None:
        """The version that has the fix; None where `version` is not known to be affected."""
        return next((each.before for each in self.affected if version in each), None)


class Balancer(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`image`: the end of the repository's path. `ended`: minor version -> the day of its last fix; older ones ended
    before. `retired`: the day since which there are no fixes at all."""

    name: Line
    image: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._/-]*$", max_length=200)]
    source: Link
    ended: Annotated[dict[Minor, Day], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    retired: Day | None = None
    advisories: Annotated[tuple[Advisory, ...], Meta(max_length=100)] = ()


class Versions(Value, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`as_of`: the day on which the days of the last fixes were looked up."""

    as_of: Day
    balancers: Annotated[tuple[Balancer, ...], Meta(max_length=100)]

    def age_days(self, today: str) -> int:
        """`today` as "2026-11-28"."""
        return (date.fromisoformat(today) - date.fromisoformat(self.as_of)).days


UNKNOWN: Final = Versions(as_of="1970-01-01", balancers=())
"""Nothing is said of any balancer."""

_NEWEST_PATCH: Final = 9999
_TAG: Final = re.compile(r"(?:^|-)v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[.-]|$)")


def versions_of(document: object) -> Versions:
    """The table as a file has it. Raises InputError naming the field."""
    try:
        found = msgspec.convert(document, Versions)
    except msgspec.ValidationError as error:
        raise InputError(str(error)) from error
    if complaint := next(_complaints(found), ""):
        raise InputError(complaint)
    return found


def _complaints(versions: Versions) -> Iterator[str]:
    """What types do not say."""
    days = {"asOf": versions.as_of}
    for index, balancer in enumerate(versions.balancers):
        place = f"balancers[{index}]"
        days |= {f"{place}.ended.{minor}": day for minor, day in balancer.ended.items()}
        days |= {f"{place}.retired": balancer.retired} if balancer.retired else {}
        for number, advisory in enumerate(balancer.advisories):
            for each in advisory.affected:
                if numbers(each.since) >= numbers(each.before):
                    where = f"{place}.advisories[{number}].affected"
                    yield f"{where}: since {each.since} must be older than before {each.before}"
        yield from _twice(f"{place}.advisories: id", [each.id for each in balancer.advisories])
    yield from _twice("balancers: image", [each.image for each in versions.balancers])
    for field, day in days.items():
        try:
            date.fromisoformat(day)
        except ValueError:
            yield f"{field}: {day} is no day; write it as 2026-08-22"


def _twice(what: str, values: list[str]) -> Iterator[str]:
    yield from (f"{what} {value} stands there twice" for value, count in Counter(values).items() if count > 1)


def numbers(text: str) -> tuple[int, ...]:
    """ "1.12.1" as numbers, to be compared."""
    return tuple(map(int, text.split(".")))


def version_in(tag: str) -> Version | None:
    """What version a tag names: "v3.7.4-alpine", "distroless-v1.34.1"."""
    found = _TAG.search(tag)
    return Version(int(found[1]), int(found[2]), int(found[3]) if found[3] else None) if found else None
