"""Balancers that run and get no fixes any more: their images' tags, against a dated table.

The table is of `AS_OF`, from the projects' own pages and, for Traefik, Istio and Envoy, from endoflife.date. Nothing is
said of what it does not know: a newer version, a tag without a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import WORKLOADS, Object, World

AS_OF: Final = "2026-08-22"

Version = tuple[int, int]


class Balancer(NamedTuple):
    """`image`: the end of the repository's path. `ended`: minor version -> the day of its last fix; older ones ended
    before. `retired`: the day since which there are no fixes at all."""

    name: str
    image: str
    source: str
    ended: Mapping[Version, str]
    retired: str = ""


BALANCERS: Final = (
    Balancer(
        "ingress-nginx",
        "ingress-nginx/controller",
        "https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/",
        {},
        retired="2026-03-31",
    ),
    Balancer(
        "Traefik",
        "traefik",
        "https://doc.traefik.io/traefik/deprecation/releases/",
        {
            (3, 6): "2026-08-16",
            (3, 5): "2025-11-07",
            (3, 4): "2025-07-23",
            (3, 3): "2025-05-05",
            (3, 2): "2025-01-06",
            (3, 1): "2024-10-28",
            (3, 0): "2024-07-15",
            (2, 11): "2026-02-01",
            (2, 10): "2024-02-12",
        },
    ),
    Balancer(
        "Envoy Gateway",
        "envoyproxy/gateway",
        "https://gateway.envoyproxy.io/news/releases/matrix/",
        {
            (1, 9): "2027-02-14",
            (1, 8): "2026-11-08",
            (1, 7): "2026-08-05",
            (1, 6): "2026-05-13",
            (1, 5): "2026-02-13",
            (1, 4): "2025-11-13",
            (1, 3): "2025-07-30",
        },
    ),
    Balancer(
        "Envoy",
        "envoyproxy/envoy",
        "https://endoflife.date/envoy",
        {
            (1, 39): "2027-07-14",
            (1, 38): "2027-04-23",
            (1, 37): "2027-01-13",
            (1, 36): "2026-10-14",
            (1, 35): "2026-07-23",
            (1, 34): "2026-04-15",
            (1, 33): "2026-01-14",
        },
    ),
    Balancer(
        "Istio",
        "istio/pilot",
        "https://istio.io/latest/docs/releases/supported-releases/",
        {
            (1, 30): "2026-11-30",
            (1, 29): "2026-08-31",
            (1, 28): "2026-07-01",
            (1, 27): "2026-04-07",
            (1, 26): "2025-12-22",
            (1, 25): "2025-09-30",
        },
    ),
)
_VERSION: Final = re.compile(r"(?:^|-)v?(\d{1,4})\.(\d{1,4})(?:[.-]|$)")


def _running(workload: Object) -> Iterator[tuple[Field, Balancer, Version | None]]:
    """The containers that are balancers, with their version."""
    for container in workload.template["spec"]["containers"].each():
        field = container["image"]
        repository, tag = _parts(field.text)
        for each in BALANCERS:
            if f"/{repository}".endswith(f"/{each.image}"):
                found = _VERSION.search(tag)
                yield field, each, (int(found[1]), int(found[2])) if found else None


def _parts(image: str) -> tuple[str, str]:
    """Repository and tag of "registry:5000/traefik:v3.1@sha256:...", which may be ""."""
    named = image[:1000].partition("@")[0]
    repository, colon, tag = named.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (named, "")


def _retired(workload: Object, world: World) -> Iterator[Hit]:
    for field, balancer, _ in _running(workload):
        if balancer.retired and balancer.retired <= world.today:
            yield Hit(field, f"{field.text}: {balancer.name} is retired since {balancer.retired} ({balancer.source})")


def _ended(workload: Object, world: World) -> Iterator[Hit]:
    for field, balancer, version in _running(workload):
        if version is None or not balancer.ended:
            continue
        number, oldest = f"{version[0]}.{version[1]}", min(balancer.ended)
        day = balancer.ended.get(version)
        if day and day <= world.today:
            yield Hit(field, f"{balancer.name} {number} got its last fix by {day} ({balancer.source}, as of {AS_OF})")
        elif world.today and version < oldest:
            newer = f"{oldest[0]}.{oldest[1]}"
            yield Hit(
                field,
                f"{balancer.name} {number} is older than {newer}, which got its last fix by "
                f"{balancer.ended[oldest]} ({balancer.source})",
            )


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
)
