"""PromQL for each signal, made of a preset's names, and the one place where text of people is put into a query.

A rendered query answers rows tagged by the label `evenload`:

    value  the signal, a row a pod; of what an application counts, a row a pod and target (see `copies`)
    age    seconds since the newest sample, a row a namespace. Instant queries carry the evaluation's time, not the
           sample's, so timestamp() is asked for it, and Prometheus' own clock reckons: ours may differ
    idle   seconds since a pod was scraped that has no request counter at all: it has served nothing yet
    uncoded  one whole series, with all of its labels, of a pod whose counter nowhere carries a status: what fails
           there is unknown. No row in the usual case, so it adds nothing to the answer of a large cluster
    coded  a row a pod whose counter carries a status; asked only where requests come from a person's own query, which
           says nothing about this counter
    merged a pod some targets of which differ only in labels that no row is asked by
    torn   how often a pod's counter began anew, where that is more often than a server restarts

Where a pod has several rows, or is `merged`, a second query (`render_copies`) tells whose they are:

    target a whole series of `up`, with all of its labels
    total  the counter as it stands, a row a pod and target; of pods with several addresses only

Idle rows are what tells "no traffic" from "not scraped": a labelled counter does not exist before its first request. A
pod is idle only if its in-flight gauge, which the same scrape delivers, is there; or if all its scrape targets are up
and one of them is of a job that gives request counters of other pods. One target being up proves nothing: it may be a
sidecar's.

Latency is the mean, not a percentile: it costs two series a pod instead of one a bucket, works with histograms and
summaries alike, and has no steps where buckets end. The engine compares a pod with its siblings, where a mean shows the
same outliers.

A status is what its preset calls one: for HTTP a value such as 200 or 5xx. There gRPC's 0 to 16 and words such as OK
are none: they would never match 5.., and every error would be missed.

CPU is irate(), the last two samples, whatever the kubelet's own sampling interval is (1 to 15 s).

Latency needs no telling apart of targets: a counter told twice is so in its numerator and its denominator.

Counts: increase() stretches what the samples show to the whole window; `Source.span_seconds` undoes that (see there).
It misses what a counter held when it was seen first, so a new pod whose counters do not start at 0 is underrated for
one scrape.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from evenload.errors import InputError, InvariantBroken
from evenload.model.base import Value
from evenload.model.policy import seconds
from evenload.model.snapshot import SignalName
from evenload.model.spec import SignalLabels, Signals
from evenload.observe.address import ANY, is_allowed, normal, read_url
from evenload.observe.copies import PLACES, TARGET_LABELS
from evenload.observe.promql import Matcher, problem_of, read_matcher
from evenload.presets import PRESETS, ByAddress, ByService, InFlight, Latency, Preset

ROW: Final = "evenload"
"""The label that says what a row of an answer is."""

SHORTEST_WINDOW_SECONDS: Final = 15.0
SCRAPES_IN_WINDOW: Final = 3
TORN_SCRAPES: Final = 30
TORN_RESETS: Final = 4
"""Of two processes that answer by turns, every fourth scrape finds a smaller number: 7 of 29. Of more, up to a half."""

K = TypeVar("K")

_USUAL: Final = SignalLabels()
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:-]*")
_VARIABLE = re.compile(r"\$\(([^)]*)\)")


class PodLabels(Value, frozen=True):
    """The labels that name a pod in an answer."""

    namespace: str
    pod: str


class Template(Value, frozen=True, kw_only=True):
    """How one signal is asked for. `kubelet_labels`: pods are named as cAdvisor does, whatever the application does.

    `counter`: the metric whose label $(code) tells failed requests from others, for messages.
    """

    value: str
    age: str | None = None
    idle: str | None = None
    uncoded: str | None = None
    coded: str | None = None
    counter: str = ""
    kubelet_labels: bool = False
    by_target: str = ""  # the series of which there is a row a pod and target; "": a row a pod
    merged: str | None = None
    torn: str | None = None
    by_address: str = ""  # the label of the series that holds a pod's address; "": pods are named
    by_service: bool = False  # rows name a Service and no pod
    totals: bool = False  # whether counters at several addresses of a pod are to be compared


class Candidate(Value, frozen=True):
    """A preset that may be the one, and a label that may hold its status; "": none is looked for."""

    preset: Preset
    code: str

    @property
    def name(self) -> str:
        """Of its rows in an answer."""
        return f"{self.preset.name}/{self.code}"


class Source(Value, frozen=True, kw_only=True):
    """Everything that decides which queries a Balancer needs; Balancers with equal Sources share their queries."""

    url: str
    preset: Preset | None  # None: to be found; then it is asked which of `candidates` answers, and nothing else
    labels: SignalLabels
    window_seconds: float
    scrape_seconds: float
    overrides: tuple[tuple[SignalName, str], ...] = ()
    matchers: tuple[Matcher, ...] = ()  # the Balancer's
    everywhere: tuple[Matcher, ...] = ()  # the installation's
    candidates: tuple[Candidate, ...] = ()
    foreign: bool = False  # the address is not the installation's: no token, small answers, nothing repeated

    @property
    def own(self) -> bool:
        """Whether a tenant decides what is asked or who is: then nothing of it is shared with other tenants."""
        return self.foreign or bool(self.overrides)

    @property
    def usual(self) -> bool:
        """Whether it asks what the installation asks by itself. Anything else is a query that a tenant decided on."""
        window = usual_window(self.scrape_seconds)
        labels = self.labels
        known = (None, *self.preset.codes) if self.preset else (None,)
        usual = (labels.namespace, labels.pod) == (_USUAL.namespace, _USUAL.pod) and labels.code in known
        return usual and not (self.own or self.matchers) and self.window_seconds == window

    @property
    def code(self) -> str:
        """The label that holds the status; "" while the preset is not known."""
        return self.labels.code or (self.preset.code if self.preset else "")

    @property
    def span_seconds(self) -> float:
        """What the samples in the window really span, on average.

        A window of W holds samples that are W - scrape apart; increase() stretches what it counted between them to W.
        Numbers so stretched are noisier than counts: 10 seconds' worth shown as 15 has 1.5 times the variance of a
        Poisson count, and would fool a test for skew. So counts are shrunk to span / window, and the span is their
        window.
        """
        return self.window_seconds - self.scrape_seconds

    @property
    def lately_seconds(self) -> float:
        """How old a pod's newest sample may be for its counts to be used.

        Of a pod that is scraped no more the counts shrink for a whole window, and its siblings seem to get too much.
        A missed scrape or two must not take a pod's number away; nor must one that is a little slower than we know of.
        """
        return min(self.window_seconds, max(2.5 * self.scrape_seconds, self.window_seconds / 4))

    @property
    def templates(self) -> Mapping[SignalName, Template]:
        if self.preset is None:
            return {"requests": Template(value="")}
        found = templates_of(self.preset)
        return {**found, **{name: Template(value=query) for name, query in self.overrides}} if self.overrides else found

    @property
    def own_requests(self) -> bool:
        """Whether a person's query counts the requests: then the preset's counter may not even exist."""
        return any(name == "requests" for name, _ in self.overrides)

    def matching(self, *, application: bool) -> str:
        """The matchers, each after a comma.

        Of what is not the `application`'s own (the kubelet's CPU, kube-state-metrics) those of the Balancer count that
        say which cluster it is: its metrics have no `container` or `method` in the same sense.
        """
        mine = (each for each in self.matchers if application or each.label in PLACES)
        return "".join(f", {each}" for each in (*self.everywhere, *mine))

    def by_target(self, signal: SignalName) -> bool:
        """Whether an answer has a row a pod and target, so that several of one pod are no mistake."""
        return bool(self.templates[signal].by_target)

    def by_address(self, signal: SignalName) -> bool:
        """Whether this signal's rows name a pod's address, and no namespace."""
        template = self.templates.get(signal)
        return template is not None and bool(template.by_address)

    def by_service(self, signal: SignalName) -> bool:
        """Whether this signal's rows name a Service, as `service_key` does, and no pod."""
        template = self.templates.get(signal)
        return template is not None and template.by_service

    @property
    def counts_by_service(self) -> bool:
        """Whether any number of a pod is a part of its Service's."""
        return any(each.by_service for each in self.templates.values())

    def pod_labels(self, signal: SignalName) -> PodLabels:
        """The labels that name a pod in this signal's rows: cAdvisor's are what the kubelet calls them."""
        if self.templates[signal].kubelet_labels:
            return PodLabels("namespace", "pod")
        if self.by_address(signal):
            return PodLabels(_NO_LABEL, _ADDRESS)
        if self.by_service(signal):
            return PodLabels(_NO_LABEL, _SERVICE)
        return PodLabels(self.labels.namespace, self.labels.pod)


def usual_window(scrape_seconds: float) -> float:
    """Over which counts are taken where nobody says otherwise."""
    return max(SHORTEST_WINDOW_SECONDS, SCRAPES_IN_WINDOW * scrape_seconds)


def source_of(
    signals: Signals,
    *,
    default_url: str,
    scrape_seconds: float,
    allowed_urls: Collection[str] = (ANY,),
    own_queries: bool = True,
    matchers: tuple[Matcher, ...] = (),
    presets: Mapping[str, Preset] = PRESETS,
) -> Source:
    """What `spec.signals` asks for. Raises InputError naming the field that cannot be met.

    `allowed_urls`: prefixes of the addresses that a Balancer may name besides `default_url`; `own_queries`: whether it
    may bring PromQL. By default nothing is restricted, as for a command that a person runs with their own rights.
    `matchers`: for whatever is asked at `default_url`.
    """
    window = usual_window(scrape_seconds)
    if signals.window is not None:
        window = seconds(signals.window, "spec.signals.window")
    if window < 2 * scrape_seconds:
        raise InputError(
            f"spec.signals.window: {signals.window} holds fewer than two scrapes ({scrape_seconds:g}s apart); "
            f"use at least {2 * scrape_seconds:g}s"
        )
    url, foreign = _url(signals.prometheus_url, default_url, allowed_urls)
    labels = _checked(signals.labels)
    preset = _chosen(signals, presets)
    if signals.queries and not own_queries:
        raise InputError(
            "spec.signals.queries: this installation takes no queries from Balancers; remove them, or have "
            "prometheus.allowOwnQueries set to true in the values of its chart"
        )
    return Source(
        url=url,
        preset=preset,
        candidates=() if preset else tuple(_candidates(presets.values(), labels.code)),
        labels=labels,
        window_seconds=window,
        scrape_seconds=scrape_seconds,
        overrides=tuple(_override(query.signal, query.query) for query in signals.queries),
        matchers=_own_matchers(signals),
        everywhere=() if foreign else matchers,
        foreign=foreign,
    )


def _chosen(signals: Signals, presets: Mapping[str, Preset]) -> Preset | None:
    """None: to be found. Where a person's own query counts the requests there is nothing to look for."""
    if signals.preset is None:
        return presets["app"] if any(query.signal == "requests" for query in signals.queries) else None
    if signals.preset not in presets:
        raise InputError(f'spec.signals.preset: there is no "{signals.preset}"; there is {", ".join(sorted(presets))}')
    return presets[signals.preset]


def _candidates(presets: Iterable[Preset], code: str | None) -> Iterator[Candidate]:
    for preset in presets:
        if not preset.findable:
            continue
        for label in (code,) if code else preset.codes:
            yield Candidate(preset, label)
        yield Candidate(preset, "")


def source_seen_from_here(
    signals: Signals,
    prometheus_url: str,
    scrape_seconds: float,
    matchers: tuple[Matcher, ...] = (),
    presets: Mapping[str, Preset] = PRESETS,
) -> Source:
    """For a command: `prometheus_url`, if given, is the person's own word for whatever the Balancer names.

    Raises InputError as `source_of` does, also of an address in the Balancer that is not used: it may be recorded.
    """
    if prometheus_url:
        if signals.prometheus_url:
            read_url(signals.prometheus_url, "spec.signals.prometheusUrl")
        signals = msgspec.structs.replace(signals, prometheus_url=None)
    return source_of(
        signals, default_url=prometheus_url, scrape_seconds=scrape_seconds, matchers=matchers, presets=presets
    )


def _url(named: str | None, default: str, allowed: Collection[str]) -> tuple[str, bool]:
    """The address in the form to compare, and whether it is another than the installation's."""
    if not named and not default:
        raise InputError("spec.signals.prometheusUrl: no Prometheus is set, here or for the installation")
    if not named:
        return str(read_url(default, "prometheus.url of the installation")), False
    url = read_url(named, "spec.signals.prometheusUrl")
    if default and str(url) == normal(default):
        return str(url), False
    if not is_allowed(url, allowed):
        raise InputError(
            "spec.signals.prometheusUrl: this installation does not let Balancers name that address; remove the field "
            "to use the installation's Prometheus, or have the address added to prometheus.allowedUrls in the values "
            "of its chart"
        )
    return str(url), True


def _checked(labels: SignalLabels) -> SignalLabels:
    for field in ("namespace", "pod", "code"):
        name = getattr(labels, field)
        if name is not None and not _LABEL_NAME.fullmatch(name):
            raise InputError(f'spec.signals.labels.{field}: "{name}" is not a label name (letters, digits, _)')
    if labels.namespace == labels.pod:
        raise InputError("spec.signals.labels.pod: the same as labels.namespace; name the label that holds the pod")
    if ROW in (labels.namespace, labels.pod):
        raise InputError(f'spec.signals.labels: "{ROW}" is the label that Evenload adds itself; name another')
    return labels


@functools.lru_cache(maxsize=8)
def installation_matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    """Raises InputError naming the value of the chart."""
    return tuple(sorted({read_matcher(text, "prometheus.matchers of the installation") for text in texts}, key=str))


def _own_matchers(signals: Signals) -> tuple[Matcher, ...]:
    """In an order that does not tell equal ones apart."""
    field = "spec.signals.matchers"
    found = {read_matcher(text, field) for text in signals.matchers}
    for each in found:
        if each.label in (ROW, signals.labels.namespace, signals.labels.pod):
            raise InputError(f"{field}: the label {each.label} is matched by Evenload itself; match another")
    return tuple(sorted(found, key=str))


def _override(signal: SignalName, query: str) -> tuple[SignalName, str]:
    unknown = sorted(set(_VARIABLE.findall(query)) - OVERRIDE_VARIABLES)
    if unknown:
        known = ", ".join(f"$({name})" for name in sorted(OVERRIDE_VARIABLES))
        raise InputError(f"spec.signals.queries: {signal}: $({unknown[0]}) is not known; use {known}")
    if problem := problem_of(_VARIABLE.sub("x", query)):
        raise InputError(f"spec.signals.queries: {signal}: {problem}")
    return signal, query


def shared(query: str) -> bool:
    """Whether a query is the same for all Balancers of a Source, given their namespaces."""
    return not {"namespace", "pods"} & set(_VARIABLE.findall(query))


def render(source: Source, signal: SignalName, namespaces: Iterable[str], pods: Iterable[str] = ()) -> str:
    """The query's text. `namespaces`: of all Balancers that share it; where it is not `shared`, of the one asking."""
    if source.preset is None:
        return _search(source, signal, namespaces)
    template = source.templates[signal]
    rows = {
        "value": template.value,
        "age": template.age,
        "idle": template.idle,
        "uncoded": template.uncoded,
        "coded": template.coded if source.own_requests else None,
        # Requests that are refused take the errors with them.
        "merged": template.merged if template.totals or source.own_requests else None,
        "torn": template.torn,
    }
    return _filled(rows, _values(source, signal, namespaces, pods))


def _search(source: Source, signal: SignalName, namespaces: Iterable[str]) -> str:
    """Which pods each candidate has series of: a row a pod and candidate."""
    values = _values(source, signal, namespaces)
    rows: dict[str, str | None] = {}
    for candidate in source.candidates:
        preset = candidate.preset
        status = (f'{candidate.code}=~"{preset.status.values}"',) if candidate.code and preset.status else ()
        rows[candidate.name] = f"count $(by) ({_selected(preset.requests, preset, *status)})"
    return _filled(rows, values)


def found_in(source: Source, rows: Mapping[str, Collection[K]], pods: Collection[K] | None = None) -> Source | None:
    """The Source of whichever candidate answers for most pods, if one does: those that tell failures come first.

    `rows`: the pods that each candidate has series of, by its name. `pods`: those that count; None: all.
    """

    def answered(candidate: Candidate) -> int:
        found = rows.get(candidate.name, ())
        return len(found) if pods is None else sum(each in pods for each in found)

    best = max(source.candidates, key=lambda each: (bool(each.code) and answered(each), answered(each)), default=None)
    return found_as(source, best.preset.name, best.code) if best is not None and answered(best) else None


def found_as(source: Source, preset: str, code: str) -> Source | None:
    """The Source of the candidate that was found earlier, if it still is one. `code` may be ""."""
    found = next((each.preset for each in source.candidates if (each.preset.name, each.code) == (preset, code)), None)
    if found is None:
        return None
    labels = msgspec.structs.replace(source.labels, code=code or source.labels.code)
    return msgspec.structs.replace(source, preset=found, labels=labels, candidates=())


def looked_for(source: Source) -> str:
    """In a sentence, where none of them answers."""
    names = dict.fromkeys(f"{each.preset.requests} ({each.preset.name})" for each in source.candidates)
    return (
        f"no preset answers for these pods: there is no series of {', '.join(names)}; scrape the pods, set "
        "spec.signals.labels to how the series name them, or write queries in spec.signals.queries"
    )


def render_copies(source: Source, signal: SignalName, namespaces: Iterable[str]) -> str:
    """What tells whose the rows are where a pod has several; for a signal that is asked `by_target`."""
    template = source.templates[signal]
    several = f"count $(by) (count $(each) ({template.by_target})) > 1"
    addresses = f"count $(by) (count by ($(ns), $(pod), instance) ({template.by_target})) > 1"
    rows = {
        "target": f"up{{$(in)}} and on ($(ns), $(pod)) ({several} or {template.merged or several})",
        "total": f"sum $(each) ({template.by_target}) and on ($(ns), $(pod)) ({addresses})",
    }
    if not template.totals:
        del rows["total"]
    return _filled(rows, _values(source, signal, namespaces))


def _values(
    source: Source, signal: SignalName, namespaces: Iterable[str], pods: Iterable[str] = ()
) -> Mapping[str, str]:
    labels, template = source.pod_labels(signal), source.templates[signal]
    every = quoted(namespaces)
    matching = source.matching(application=not template.kubelet_labels)
    named = (labels.namespace, labels.pod)
    mine = f'{labels.namespace}=~"{every}", {labels.pod}!=""'
    return {
        "window": duration(source.window_seconds),
        "namespaces": every,
        "namespace": every,
        "pods": quoted(pods),
        "ns": labels.namespace,
        "pod": labels.pod,
        "code": source.code,
        "by": f"by ({', '.join(named)})",
        "each": f"by ({', '.join((*named, *_target_labels((*named, source.code))))})",
        "in": (f'{template.by_address}=~".+:[0-9]+"' if template.by_address else mine) + matching,
        "matching": matching,
        "lately": duration(source.lately_seconds),
        "long": duration(TORN_SCRAPES * source.scrape_seconds),
        "torn": str(TORN_RESETS),
    }


@functools.lru_cache(maxsize=256)
def _target_labels(others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in TARGET_LABELS if name not in others)


def _filled(rows: Mapping[str, str | None], values: Mapping[str, str]) -> str:
    return " or ".join(_tagged(row, _fill(text, values)) for row, text in rows.items() if text is not None)


def _tagged(row: str, expression: str) -> str:
    return f'label_replace({expression}, "{ROW}", "{row}", "", "")'


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def quoted(values: Iterable[str]) -> str:
    """An alternation that matches exactly these names, safe inside a quoted PromQL regular expression.

    Dots become [.] rather than \\., so that no level of quoting can take the backslash away.
    """
    return "|".join(_quoted(value) for value in sorted(set(values)))


def _quoted(value: str) -> str:
    if not _PLAIN_VALUE.fullmatch(value):
        raise InvariantBroken(f"{value!r} is no Kubernetes name and is kept out of PromQL")
    return value.replace(".", "[.]")


def duration(seconds_: float) -> str:
    """PromQL's duration text, to the millisecond."""
    milliseconds = round(seconds_ * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


OVERRIDE_VARIABLES: Final = frozenset({"window", "namespaces", "namespace", "pods"})
"""What a person's query may use. $(namespaces) is an alternation: match it with =~. With $(namespace) or $(pods) a
query is asked for each Balancer by itself."""


def _selected(metrics: str | Iterable[str], preset: Preset, *conditions: str) -> str:
    """Series of one metric, or of whichever of several names there is."""
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    metric = names[0] if len(names) == 1 else ""
    any_of = () if metric else (f'__name__=~"{"|".join(names)}"',)
    return f"{metric}{{{', '.join((*any_of, '$(in)', *preset.matchers, *conditions))}}}"


def _age(selected: str) -> str:
    return f"time() - max by ($(ns)) (timestamp({selected}))"


_MERGED = "max $(by) (count $(each) (up{$(in)})) > 1"
_CADVISOR = '{$(in), container!="", container!="POD"}'


@functools.lru_cache(maxsize=64)
def templates_of(preset: Preset) -> Mapping[SignalName, Template]:
    """How each signal is asked for that the preset has."""
    if preset.by_address:
        return MappingProxyType(_of_addresses(preset, preset.by_address) | _KUBELET)
    if preset.by_service:
        return MappingProxyType(_of_services(preset, preset.by_service) | _KUBELET)
    found: dict[SignalName, Template] = {"requests": _requests(preset), "errors": _errors(preset)}
    if preset.latency:
        found["latency"] = _latency(preset, preset.latency)
    if preset.in_flight:
        found["inFlight"] = _in_flight(preset, preset.in_flight)
    return MappingProxyType(found | _KUBELET)


def _of_addresses(preset: Preset, by: ByAddress) -> dict[SignalName, Template]:
    """A row an address, added up over all proxies and all that each of them calls it by; of copies the largest.

    A proxy has these counters from the moment on that it knows the address: there is no telling idle from unknown.
    """
    found: dict[SignalName, str] = {
        "requests": _counted(preset.requests, preset),
        "errors": _counted(by.failed, preset),
    }
    if preset.in_flight:
        found["inFlight"] = _selected(preset.in_flight.gauge, preset)
    age = f"time() - max(timestamp({_selected(preset.requests, preset)}))"
    return {
        signal: Template(
            value=(
                f"sum by ({_ADDRESS}) (label_replace(max without ({', '.join(_OF_COPIES)}) ({each}), "
                f'"{_ADDRESS}", "$1", "{by.label}", "[[]?([^]]+)[]]?:[0-9]+"))'
            ),
            age=age,
            by_address=by.label,
        )
        for signal, each in found.items()
    }


def service_key(namespace: str, name: str) -> str:
    """How a row names a Service: not where the one ends and the other begins."""
    return f"{namespace}-{name}"


def _of_services(preset: Preset, by: ByService) -> dict[SignalName, Template]:
    """A row a Service, added up over all proxies and all that each of them calls it by; of copies the largest.

    A counter does not exist before its first request, and no gauge tells that it was scraped: see join.py.
    """
    status, latency, counter = preset.status, preset.latency, preset.requests
    if status is None:
        raise InvariantBroken(f"the preset {preset.name} has no status")

    failed = f'$(code)=~"{status.failed}"'

    def added(metric: str, function: str, *conditions: str, filtered: str = "") -> str:
        """`function` of each series of the metric, by Service."""
        each = []
        for label in by.labels:
            selected = _of_a_service(metric, preset, by, label, *conditions)
            number = f"{function}({selected}[$(window)]){filtered.format(selected)}"
            for name in reversed(by.names):  # the first that matches has the last word
                number = f'label_replace({number}, "{_SERVICE}", "$1", "{label}", "{name}")'
            each.append(number)
        apart = ", ".join(dict.fromkeys((*by.labels, *_OF_COPIES)))
        return f"sum by ({_SERVICE}) (max without ({apart}) ({' or '.join(each)}))"

    def age(metric: str) -> str:
        newest = " or ".join(f"timestamp({_of_a_service(metric, preset, by, label)})" for label in by.labels)
        return f"time() - max({newest})"

    values: dict[SignalName, tuple[str, str]] = {
        "requests": (added(counter, "increase", filtered=" and last_over_time({}[$(lately)])"), counter),
        "errors": (f"{added(counter, 'increase', failed)} > 0", counter),
    }
    if latency:
        scale = " / 1000" if latency.unit == "milliseconds" else ""
        mean = f"{added(latency.sum, 'rate')} / ({added(latency.count, 'rate')} > 0){scale}"
        values["latency"] = mean, latency.count
    return {
        signal: Template(value=value, age=age(metric), by_service=True) for signal, (value, metric) in values.items()
    }


def _of_a_service(metric: str, preset: Preset, by: ByService, label: str, *conditions: str) -> str:
    """Series whose label is the name of a Service, and may be that of one of the namespaces."""
    names = "|".join(f"(?:{name})" for name in by.names)
    mine = f'{label}=~"(?:.*-)?(?:$(namespaces))-.*", {label}=~"{names}"$(matching)'
    return f"{metric}{{{', '.join((mine, *preset.matchers, *conditions))}}}"


def _counted(metric: str, preset: Preset) -> str:
    counter = _selected(metric, preset)
    return f"increase({counter}[$(window)]) and last_over_time({counter}[$(lately)])"


_ADDRESS: Final = "evenload_address"
_SERVICE: Final = "evenload_service"
_NO_LABEL: Final = "evenload_namespace"  # that no row has
_OF_COPIES: Final = tuple(name for name in TARGET_LABELS if name not in {"instance", *PLACES})
"""What tells the copies of one proxy's counter apart, and not one proxy from another."""


def _requests(preset: Preset) -> Template:
    counter = _selected(preset.requests, preset)
    flight = preset.in_flight
    gauge = flight and _selected(flight.gauge or flight.started or (), preset)
    scraped = f"max $(by) (timestamp({gauge})) or " if gauge else ""
    return Template(
        value=(
            f"sum $(each) (increase({counter}[$(window)]) and on ($(ns), $(pod)) last_over_time({counter}[$(lately)]))"
        ),
        age=_age(counter),
        idle=(
            f"time() - ({scraped}(max $(by) (timestamp(up{{$(in)}}) and on (job) {counter})"
            f" and (min $(by) (up{{$(in)}}) == 1))) unless on ($(ns), $(pod)) {counter}"
        ),
        merged=_MERGED,
        torn=f"max $(by) (resets({counter}[$(long)])) >= $(torn)",
        by_target=counter,
        totals=True,
    )


def _errors(preset: Preset) -> Template:
    """A pod without a failing series is left out, and has 0 errors if its requests are known and it is not uncoded.

    In a fleet whose counters carry the status, the left side of `unless` selects nothing.
    """
    counter, status = preset.requests, preset.status
    if status is None:
        raise InvariantBroken(f"the preset {preset.name} has no status")
    failures = (f'$(code)=~"{status.failed}"', *status.also)
    failed = " or ".join(f"increase({_selected(counter, preset, each)}[$(window)])" for each in failures)
    coded = _selected(counter, preset, f'$(code)=~"{status.values}"')
    uncoded = _selected(counter, preset, f'$(code)!~"{status.values}"')
    return Template(
        value=f"sum $(each) ({failed}) > 0",
        age=_age(_selected(counter, preset)),
        uncoded=f"topk $(by) (1, {uncoded} unless on ($(ns), $(pod)) {coded})",
        coded=f"count $(by) ({coded})",
        counter=counter,
        merged=_MERGED,
        by_target=_selected(counter, preset),
    )


def _latency(preset: Preset, latency: Latency) -> Template:
    """Without requests there is no mean: 0/0 is filtered out, not answered as NaN."""
    total, count = (_selected(metric, preset) for metric in (latency.sum, latency.count))
    scale = " / 1000" if latency.unit == "milliseconds" else ""
    return Template(
        value=f"sum $(by) (rate({total}[$(window)])) / (sum $(by) (rate({count}[$(window)])) > 0){scale}",
        age=_age(count),
    )


def _in_flight(preset: Preset, flight: InFlight) -> Template:
    if flight.started is None or flight.ended is None:
        gauge = _selected(flight.gauge, preset)
        return Template(value=f"sum $(each) ({gauge})", age=_age(gauge), by_target=gauge)
    started, ended = (_selected(metric, preset) for metric in (flight.started, flight.ended))
    return Template(
        value=f"(sum $(each) ({started}) - sum $(each) ({ended}) or sum $(each) ({started}))",
        age=_age(started),
        by_target=started,
    )


_KUBELET: Final[dict[SignalName, Template]] = {
    "cpu": Template(
        value=(
            f"sum $(by) (max by ($(ns), $(pod), container) (irate(container_cpu_usage_seconds_total{_CADVISOR}[2m])))"
        ),
        age=_age("container_cpu_usage_seconds_total{$(in)}"),
        kubelet_labels=True,
    ),
    "memory": Template(
        value=f"sum $(by) (max by ($(ns), $(pod), container) (container_memory_working_set_bytes{_CADVISOR}))",
        age=_age("container_memory_working_set_bytes{$(in)}"),
        kubelet_labels=True,
    ),
}
