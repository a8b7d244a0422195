"""Pods, samples and the route's weights, joined to one Snapshot. Pure.

What it guards: an absent number must not become zero, nor a zero absent.

- requests: 0 only for a pod that Prometheus says it scraped within the window and that has no request counter yet
  (queries.py, idle rows). A pod with a counter and too few samples to tell an increase is absent, and so is one of
  whose numbers nobody knows which one counts (doubt.py).
- errors: 0 for a pod whose requests are known and that has no failing series; never more than the requests. Absent
  where none of its series carries the status: nobody can tell what fails there (doubt.py).
- latency: absent where there were no requests, and not missed there.
- what is counted by Service: each ready pod of a backend has an equal part of its requests and errors, and its latency.
  A Service of which there is no counter has had no request if another one behind the same balancer has a counter: the
  proxies that serve both were scraped. Where none has, nothing is known.
- a stale signal is absent on every pod; so is what is not a finite number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from evenload.model.base import Value
from evenload.model.episode import Disruption, Episode
from evenload.model.snapshot import SIGNALS, Backend, Hold, Pod, RouteWrite, Signal, SignalName, SignalState, Snapshot
from evenload.model.spec import Mode
from evenload.observe.cluster import Fleet, Member
from evenload.observe.crowd import Column, Crowd, listed
from evenload.observe.doubt import Doubt, Refused, doubt_of, refused_of
from evenload.observe.pods import PodFacts
from evenload.observe.prometheus import Reading, Samples
from evenload.observe.queries import Source, looked_for, service_key

CLOCK_SKEW_SECONDS = 10.0  # by which the API server's clock may be ahead of ours without anybody noticing


class Isolated(Value, frozen=True, kw_only=True):
    """A pod that a step of ours keeps out of every Service, and the workload that it was of."""

    facts: PodFacts
    workload: str


class Measured(Value, frozen=True, kw_only=True):
    """One signal of one Balancer."""

    signal: Signal
    numbers: Column


def snapshot_of(
    *,
    time: float,
    weights: Mapping[str, int],
    fleet: Fleet | Lineup,
    samples: Samples,
    max_age_seconds: float,
    isolated: Sequence[Isolated] = (),
    last_write: RouteWrite | None = None,
    known_good: dict[str, int] | None = None,
    episode: Episode | None = None,
    ledger: tuple[Disruption, ...] = (),
    holds: tuple[Hold, ...] = (),
    max_mode: Mode = Mode.Auto,
    weights_total: int | None = None,
) -> Snapshot:
    """`time` in seconds since the epoch. `holds` are added to those of the fleet."""
    lineup = fleet if isinstance(fleet, Lineup) else Lineup.of(fleet)
    measured = measure(lineup.crowd, samples, max_age_seconds, time)
    pods = _pods(lineup, {name: each.numbers for name, each in measured.items()}, time)
    return Snapshot(
        time=time,
        window=samples.source.span_seconds,
        backends=_backends(lineup, weights, pods, by_service=samples.source.counts_by_service),
        isolated=_isolated(isolated, samples, measured, time),
        signals={name: each.signal for name, each in measured.items()},
        last_write=last_write,
        known_good=known_good,
        episode=episode,
        ledger=ledger,
        holds=(*lineup.fleet.holds, *holds),
        max_mode=max_mode,
        weights_total=weights_total,
    )


def without_numbers(fleet: Fleet, weights: Mapping[str, int], time: float) -> Snapshot:
    """The pods alone, where nobody measures them; of no window."""
    lineup = Lineup.of(fleet)
    return Snapshot(time=time, window=0.0, backends=_backends(lineup, weights, iter(lineup.blanks)))


def _backends(
    lineup: Lineup, weights: Mapping[str, int], pods: Iterator[Pod], *, by_service: bool = False
) -> dict[str, Backend]:
    """`pods` in the order of the lineup."""
    return {
        backend: Backend(
            weight=weights[backend],
            pods=dict(zip(of, pods, strict=False)),  # the next ones
            steering=lineup.fleet.steering.get(backend, ()),
            by_service=by_service,
        )
        for backend, of in lineup.names.items()
    }


@dataclass(frozen=True, slots=True)
class Lineup:
    """A fleet in the order of its names, and all of its Snapshot that does not change while the fleet does not.

    Made once where a fleet stays the same for thousands of moments: then of each pod only the numbers are filled in.
    """

    fleet: Fleet
    names: Mapping[str, Sequence[str]]  # of the pods, by backend
    crowd: Crowd
    blanks: Sequence[Pod]  # without age and numbers
    started_at: Sequence[float | None]

    @classmethod
    def of(cls, fleet: Fleet) -> Lineup:
        names = {backend: sorted(pods) for backend, pods in sorted(fleet.backends.items())}
        members = [fleet.backends[backend][name] for backend, of in names.items() for name in of]
        started_at = [member.facts.started_at for member in members]
        services = [_service(fleet, backend) for backend, of in names.items() for _ in of]
        return cls(fleet, names, Crowd.of(members, services), list(map(_blank, members)), started_at)


def _service(fleet: Fleet, backend: str) -> str:
    """As rows by Service name it; "" for a subset of one, whose part of the numbers nobody knows."""
    place = fleet.services.get(backend)
    return service_key(place.namespace, place.name) if place is not None and not place.subset else ""


def _blank(member: Member) -> Pod:
    facts = member.facts
    return Pod(
        ready=member.ready,
        created_at=facts.created_at,
        uid=facts.uid,
        node=facts.node,
        zone=facts.zone,
        workload=member.workload,
        terminating=facts.terminating,
        isolable_by=member.isolable_by,
        protected=facts.protected,
        pre_stop_seconds=facts.pre_stop_seconds,
        capacity=facts.capacity,
        cpu_limit=facts.cpu_limit,
        memory_limit=facts.memory_limit,
    )


def measure(crowd: Crowd, samples: Samples, max_age_seconds: float, time: float) -> dict[SignalName, Measured]:
    """Each signal's numbers on these pods, and how good it is."""
    readings = _readings(samples)

    def judged(name: SignalName, raw: Column, expected: Sequence[bool], unsure: Unsure = None) -> Measured:
        return _judged(crowd, raw, readings[name], max_age_seconds, expected, unsure)

    def refused(name: SignalName, numbers: Column) -> Refused | None:
        return refused_of(crowd, readings[name], numbers, samples.source, time)

    source = samples.source
    raw = {name: _column(crowd, reading, source, name) for name, reading in readings.items()}
    ready, counted = crowd.ready, _requests(crowd, raw["requests"], samples)
    unsure = refused("requests", counted)
    requests = judged("requests", _without(counted, unsure), ready, unsure)
    requests = _explained(requests, raw, samples) if unsure is None else requests
    doubt: Unsure = doubt_of(crowd, raw["errors"], requests.numbers, samples)
    doubt = doubt or refused("errors", requests.numbers)
    errors = _errors(raw["errors"], requests.numbers, samples, doubt)
    busy = [is_ready and number != 0 for is_ready, number in zip(ready, requests.numbers, strict=True)]
    return {
        "requests": requests,
        "errors": judged("errors", errors, ready, doubt),
        "latency": judged("latency", raw["latency"], busy),
        "cpu": judged("cpu", raw["cpu"], ready),
        "memory": judged("memory", raw["memory"], ready),
        "inFlight": judged("inFlight", raw["inFlight"], ready, refused("inFlight", raw["inFlight"])),
    }


def _readings(samples: Samples) -> Mapping[SignalName, Reading]:
    source = samples.source
    if source.preset is None:
        problem = next((each.problem for each in samples.readings.values() if each.problem), looked_for(source))
        return dict.fromkeys(SIGNALS, Reading(problem=problem))
    without = Reading(
        problem=f"the preset {source.preset.name} has no such metric; write a query in spec.signals.queries"
    )
    return {name: samples.readings.get(name, without) for name in SIGNALS}


Unsure = Doubt | Refused | None
_NOT_ASKED = Reading(problem="it was not asked for")


def _column(crowd: Crowd, reading: Reading, source: Source, signal: SignalName) -> Column:
    if source.by_address(signal):
        return crowd.at_addresses(reading.values.get("", {}))
    if source.by_service(signal):
        numbers = reading.values.get("", {})
        if signal == "latency":
            return crowd.behind_services(numbers)
        if signal == "requests" and any(service in numbers for service in crowd.services if service):
            numbers = dict.fromkeys(crowd.services, 0.0) | numbers
        return crowd.parts_of_services(numbers)
    return crowd.look_up(reading.values, reading.values.get("", {}))  # a person's query may leave the namespace out


def _requests(crowd: Crowd, raw: Column, samples: Samples) -> Column:
    shrink = _shrink(samples)
    stretched = [None if number is None else number * shrink for number in raw]
    idle = samples.readings.get("requests", _NOT_ASKED).idle
    if not idle:
        return stretched
    # Seconds since each pod without a request counter was scraped.
    window, scraped = samples.source.window_seconds, crowd.look_up(idle, {})
    return [
        0.0 if number is None and age is not None and age <= window else number
        for number, age in zip(stretched, scraped, strict=True)
    ]


def _explained(requests: Measured, raw: Mapping[SignalName, Column], samples: Samples) -> Measured:
    """Where the same scrape's gauge is there, the pods do have series: it is the window that is too short."""
    signal, source = requests.signal, samples.source
    answered = not samples.readings.get("requests", _NOT_ASKED).problem
    scraped = any(number is not None for number in raw["inFlight"])
    if signal.state is not SignalState.Missing or not (answered and scraped) or source.own_requests:
        return requests
    detail = (
        f"these pods are scraped, but no window of {source.window_seconds:g}s holds two samples of their counters: "
        f"Evenload was told that scrapes are {source.scrape_seconds:g}s apart; set prometheus.scrapeSeconds of the "
        "installation to what Prometheus does, or spec.signals.window to three times that"
    )
    return replace(requests, signal=replace(signal, detail=detail))


def _errors(raw: Column, requests: Column, samples: Samples, doubt: Unsure) -> Column:
    """Of pods whose requests are known; no row means no errors, unless nothing was answered or it is in doubt."""
    if samples.readings.get("errors", _NOT_ASKED).problem or (doubt is not None and doubt.everywhere):
        return [None] * len(raw)
    shrink = _shrink(samples)
    errors = [
        None if total is None else min((failed or 0.0) * shrink, total)
        for failed, total in zip(raw, requests, strict=True)
    ]
    return _without(errors, doubt)


def _without(numbers: Column, unsure: Unsure) -> Column:
    """Absent where it is in doubt."""
    if unsure is None:
        return numbers
    return [None if unknown else number for unknown, number in zip(unsure.unknown, numbers, strict=True)]


def _shrink(samples: Samples) -> float:
    """Undoes increase()'s stretching: see Source.span_seconds."""
    return samples.source.span_seconds / samples.source.window_seconds


def _judged(
    crowd: Crowd,
    raw: Column,
    reading: Reading,
    max_age_seconds: float,
    expected: Sequence[bool],
    doubt: Unsure,
) -> Measured:
    age = _age(crowd, reading)
    state, detail = _state(crowd, raw, reading, age, max_age_seconds, expected, doubt)
    return Measured(signal=Signal(state=state, age=age, detail=detail), numbers=_usable(raw, state))


def _usable(raw: Column, state: SignalState) -> Column:
    if state in (SignalState.Fresh, SignalState.Partial):
        return raw
    if state is SignalState.NaN:
        return [number if number is not None and math.isfinite(number) else None for number in raw]
    return [None] * len(raw)


def _age(crowd: Crowd, reading: Reading) -> float | None:
    """Of the newest sample in these pods' namespaces, or of all that has none."""
    ages = (reading.ages.get(space, reading.ages.get("")) for space in crowd.spaces)
    known = [max(0.0, age) for age in ages if age is not None and math.isfinite(age)]
    return min(known, default=None)


def _state(
    crowd: Crowd,
    raw: Column,
    reading: Reading,
    age: float | None,
    max_age_seconds: float,
    expected: Sequence[bool],
    doubt: Unsure,
) -> tuple[SignalState, str]:
    if reading.problem:
        return SignalState.Missing, reading.problem
    if age is not None and age > max_age_seconds:
        return SignalState.Stale, f"the newest sample is {age:.0f}s old; {max_age_seconds:g}s are allowed"
    if doubt is not None and doubt.everywhere:
        return SignalState.Missing, doubt.sentence(crowd, expected)
    numbers = [number for number in raw if number is not None]
    if not numbers and (any(expected) or age is None):
        newest = "" if age is None else f"; the newest sample is {age:.0f}s old"
        return SignalState.Missing, f"Prometheus has no series of any of these pods{newest}"
    # One that is not finite makes the sum so; to look at each is only for sums that overflow.
    if not math.isfinite(sum(numbers)) and not all(map(math.isfinite, numbers)):
        return SignalState.NaN, "Prometheus answered something that is not a number"
    if len(numbers) == len(raw):
        return SignalState.Fresh, "; ".join(reading.warnings)
    return _coverage(crowd, raw, reading, expected, doubt)


def _coverage(
    crowd: Crowd, raw: Column, reading: Reading, expected: Sequence[bool], doubt: Unsure
) -> tuple[SignalState, str]:
    table = zip(crowd.names, raw, expected, strict=True)
    without = [name for name, number, wanted in table if wanted and number is None]
    if not without:
        return SignalState.Fresh, "; ".join(reading.warnings)
    if doubt is not None and any(mine and wanted for mine, wanted in zip(doubt.unknown, expected, strict=True)):
        return SignalState.Partial, doubt.sentence(crowd, expected)
    return SignalState.Partial, f"{len(without)} of {sum(expected)} ready pods have no series: {listed(without)}"


def _pods(lineup: Lineup, columns: Mapping[SignalName, Column], time: float) -> Iterator[Pod]:
    table = zip(lineup.blanks, lineup.started_at, *(columns[name] for name in SIGNALS), strict=True)
    for blank, started_at, requests, errors, latency, cpu, memory, in_flight in table:
        yield replace(
            blank,
            age=_since(started_at, time),
            requests=requests,
            errors=errors,
            latency=latency,
            cpu=cpu,
            memory=memory,
            in_flight=in_flight,
        )


def _isolated(
    pods: Sequence[Isolated], samples: Samples, measured: Mapping[SignalName, Measured], time: float
) -> dict[str, Pod]:
    """With what tells whether they still have requests: the same signals as their siblings, where those are fresh."""
    if not pods:
        return {}
    members = [Member(facts=each.facts, ready=False, workload=each.workload) for each in pods]
    crowd, readings = Crowd.of(members), _readings(samples)
    fresh = (SignalState.Fresh, SignalState.Partial)

    def told(name: SignalName) -> Column:
        numbers = _column(crowd, readings[name], samples.source, name)
        usable = measured[name].signal.state in fresh
        return [each if usable and each is not None and math.isfinite(each) else None for each in numbers]

    return {
        member.facts.name: replace(
            _blank(member), age=_since(member.facts.started_at, time), requests=requests, in_flight=in_flight
        )
        for member, requests, in_flight in zip(members, told("requests"), told("inFlight"), strict=True)
    }


def _since(started_at: float | None, time: float) -> float | None:
    """How old a pod is. One that seems yet to be born was told by a clock that has been set back: nobody knows."""
    if started_at is None or started_at > time + CLOCK_SKEW_SECONDS:
        return None
    return max(0.0, time - started_at)
