"""Balancers that run and get no fixes any more, or lack one that matters: their images' tags, against a dated table.

Nothing is said of what the table (`versions.py`) does not know: a newer version, a tag without a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.versions import Balancer, Version, numbers, version_in
from evenload.audit.world import WORKLOADS, Object, World
from evenload.model.wording import listing

MOST_ADVISORIES: Final = 4


def _running(workload: Object, world: World) -> Iterator[tuple[Field, Balancer, Version | None]]:
    """The containers that are balancers, with their version."""
    for container in workload.template["spec"]["containers"].each():
        field = container["image"]
        repository, tag = _parts(field.text)
        for each in world.versions.balancers:
            if f"/{repository}".endswith(f"/{each.image}"):
                yield field, each, version_in(tag)


def _parts(image: str) -> tuple[str, str]:
    """Repository and tag of "registry:5000/traefik:v3.1@sha256:...", which may be ""."""
    named = image[:1000].partition("@")[0]
    repository, colon, tag = named.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (named, "")


def _retired(workload: Object, world: World) -> Iterator[Hit]:
    for field, balancer, _ in _running(workload, world):
        if balancer.retired and balancer.retired <= world.today:
            yield Hit(field, f"{field.text}: {balancer.name} is retired since {balancer.retired} ({balancer.source})")


def _ended(workload: Object, world: World) -> Iterator[Hit]:
    for field, balancer, version in _running(workload, world):
        if version is None or not balancer.ended:
            continue
        number, oldest = f"{version.major}.{version.minor}", min(balancer.ended, key=numbers)
        day, source = balancer.ended.get(number), balancer.source
        if day and day <= world.today:
            as_of = f"{source}, as of {world.versions.as_of}"
            yield Hit(field, f"{balancer.name} {number} got its last fix by {day} ({as_of})")
        elif world.today and version.line < numbers(oldest):
            yield Hit(
                field,
                f"{balancer.name} {number} is older than {oldest}, which got its last fix by "
                f"{balancer.ended[oldest]} ({source})",
            )


def _vulnerable(workload: Object, world: World) -> Iterator[Hit]:
    for field, balancer, version in _running(workload, world):
        found = [(each, each.fixed(version)) for each in balancer.advisories] if version else []
        open_ = [(each, fix) for each, fix in found if fix]
        if open_:
            newest = max((fix for _, fix in open_), key=numbers)
            known = listing([f"{each.id}: {each.sentence} ({each.source})" for each, _ in open_], most=MOST_ADVISORIES)
            yield Hit(field, f"{balancer.name} {version} is fixed in {newest}; {known}")


RULES = (
    Rule(
        "balancer-retired",
        Severity.warning,
        WORKLOADS,
        "A balancer runs that its project has given up: no fault and no vulnerability of it is fixed any more.",
        "Move to one that is looked after; ingress2gateway translates Ingresses into routes of the Gateway API.",
        _retired,
    ),
    Rule(
        "balancer-end-of-life",
        Severity.warning,
        WORKLOADS,
        "A balancer runs in a version that gets no fixes any more.",
        "Update it to a version that is supported.",
        _ended,
    ),
    Rule(
        "balancer-vulnerable",
        Severity.warning,
        WORKLOADS,
        "A balancer runs in a version with a serious vulnerability that is known and fixed.",
        "Update it to the version that is named, or a later one that is supported.",
        _vulnerable,
    ),
)
