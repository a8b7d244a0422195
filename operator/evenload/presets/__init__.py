"""Presets: which metrics tell a pod's requests, errors and latency, a file each. What is made of them: observe.queries.

A preset is names only. How they are asked for (copies, pods without traffic, windows) is the same for all of them and
written once, so that a file cannot bring a query of its own and has nothing to get wrong but its names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec

from evenload.errors import InputError
from evenload.kube.resources import DNS_LABEL
from evenload.model.base import Value
from evenload.model.spec import LabelName

MetricName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=256)]
Matcher = Annotated[str, msgspec.Meta(pattern=r'^[a-zA-Z_][a-zA-Z0-9_]*(=|!=|=~|!~)"[^"\\$]*"$', max_length=256)]
Pattern = Annotated[str, msgspec.Meta(pattern=r'^[^"\\$]+$', max_length=256)]


class Status(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a series of the counter tells whether its requests failed."""

    label: LabelName
    others: tuple[LabelName, ...] = ()  # that some applications have in its place
    values: Pattern  # a regular expression: what is a status at all
    failed: Pattern  # and which of them are failures of the server
    examples: str  # two of them, for messages: "200, 5xx"
    also: tuple[Matcher, ...] = ()  # series that failed whatever the label says

    @property
    def labels(self) -> tuple[LabelName, ...]:
        return (self.label, *self.others)


class Latency(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sum of all durations, and their number."""

    sum: MetricName
    count: MetricName
    unit: Literal["seconds", "milliseconds"] = "seconds"


class InFlight(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gauge, by any of its names; or counters of requests that began and that ended."""

    gauge: tuple[MetricName, ...] = ()
    started: MetricName | None = None
    ended: MetricName | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        counters = (self.started, self.ended)
        if bool(self.gauge) == any(counters) or (not self.gauge and not all(counters)):
            raise ValueError("give either gauge, or both started and ended")


class ByAddress(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a proxy counts for each address that it sends to: it knows no pods, and has a counter for failures."""

    label: LabelName  # that holds address:port
    failed: MetricName


class ByService(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a proxy counts for each Service that it sends to: it has no numbers of single pods.

    `names`: regular expressions of whole values of the label. The one group of each holds the namespace and the name of
    a Service, run together with "-"; of several that match, the first counts.
    """

    label: LabelName
    others: tuple[LabelName, ...] = ()  # that the label is called where the scrape has one of its name
    names: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Raises ValueError."""
        for name in self.names:
            if re.compile(name).groups != 1:
                raise ValueError(f"byService.names: {name} must have one group, which holds namespace and name")

    @property
    def labels(self) -> tuple[LabelName, ...]:
        return (self.label, *self.others)


class Preset(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `name` is the file's."""

    name: str = ""
    title: str
    source: str  # where the names are documented
    tried: str  # what answered these queries in a test
    by_proxy: bool = False  # of ours: counted by a proxy; what the application counts itself comes first
    requests: MetricName  # a counter
    status: Status | None = None
    by_address: ByAddress | None = None
    by_service: ByService | None = None
    matchers: tuple[Matcher, ...] = ()  # which series of all these metrics are of requests that the pod was asked
    latency: Latency | None = None
    in_flight: InFlight | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if (self.status is None) == (self.by_address is None):
            raise ValueError("give either status, or byAddress")
        if self.by_address and (self.latency or (self.in_flight and not self.in_flight.gauge)):
            raise ValueError("with byAddress there is no latency, and inFlight is a gauge")
        if self.by_service and (self.by_address or self.in_flight):
            raise ValueError("with byService there is neither byAddress nor inFlight")

    @property
    def findable(self) -> bool:
        """Whether it may be found by looking: who counts by address or by Service says nothing of whose pods it is."""
        return not (self.by_address or self.by_service)

    @property
    def codes(self) -> tuple[LabelName, ...]:
        """The labels that may hold a status, the usual one first."""
        return self.status.labels if self.status else ()

    @property
    def code(self) -> str:
        """The usual one; "" where none does."""
        return next(iter(self.codes), "")

    def __hash__(self) -> int:  # of two names and not of all: each tick hashes one a Balancer
        return hash((self.name, self.requests))


def read(name: str, document: object, where: str) -> Preset:
    """The preset that a YAML document holds. Raises InputError saying `where`, the field and what it should be."""
    if not DNS_LABEL.fullmatch(name):
        raise InputError(f'{where}: "{name}" is no name of a preset; use lower case letters, digits and "-"')
    try:
        preset = msgspec.convert(document, Preset)
        for pattern in (preset.status.values, preset.status.failed) if preset.status else ():
            re.compile(pattern)
    except (msgspec.ValidationError, re.error) as error:
        raise InputError(f"{where}: {name}: {error}") from error
    return msgspec.structs.replace(preset, name=name)


@functools.lru_cache(maxsize=8)
def with_own(text: str, where: str = "prometheus.presets of the installation") -> Mapping[str, Preset]:
    """Evenload's presets and a person's own, a YAML map by name; their own comes before one of ours.

    Raises InputError saying `where` the text stands: the value of the chart, or a file.
    """
    try:
        own = msgspec.yaml.decode(text, type=dict[str, Any]) if text.strip() else {}
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(f"{where}: {error}") from error
    ours = {name: preset for name, preset in PRESETS.items() if name not in own}
    return MappingProxyType({name: read(name, document, where) for name, document in own.items()} | ours)


def _ours() -> dict[str, Preset]:
    folder = resources.files(__name__)
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    presets = [read(name, msgspec.yaml.decode(file.read_bytes()), f"{name}.yaml") for name, file in files.items()]
    return {
        preset.name: preset
        for preset in sorted(presets, key=lambda each: (each.by_proxy, not each.findable, each.name))
    }


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(_ours())
"""Those that Evenload brings, by name: what applications count themselves comes before what a proxy counts."""
