"""Pods, samples and the route's weights, joined to one Snapshot. Pure.

What it guards: an absent number must not become zero, nor a zero absent.

- requests: 0 only for a pod that Prometheus says it scraped within the window and that has no request counter yet
  (presets.py, idle rows). A pod with a counter and too few samples to tell an increase is absent.
- errors: 0 for a pod whose requests are known and that has no failing series; never more than the requests.
- latency: absent where there were no requests, and not missed there.
- a stale signal is absent on every pod; so is what is not a finite number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from evenload.drivers.base import RouteView
from evenload.model.base import Value
from evenload.model.episode import Disruption, Episode
from evenload.model.snapshot import SIGNALS, Backend, Hold, Pod, RouteWrite, Signal, SignalName, SignalState, Snapshot
from evenload.model.spec import Mode
from evenload.observe.cluster import Fleet, Member
from evenload.observe.prometheus import Reading, Samples

Numbers = dict[str, float]
"""Pod's uid -> number. NaN where it is not one."""


class Measured(Value, frozen=True, kw_only=True):
    """One signal of one Balancer."""

    signal: Signal
    numbers: Numbers


def snapshot_of(
    *,
    time: float,
    weights: Mapping[str, int],
    fleet: Fleet,
    samples: Samples,
    max_age_seconds: float,
    last_write: RouteWrite | None = None,
    known_good: dict[str, int] | None = None,
    episode: Episode | None = None,
    ledger: tuple[Disruption, ...] = (),
    holds: tuple[Hold, ...] = (),
    max_mode: Mode = Mode.Auto,
) -> Snapshot:
    """`time` in seconds since the epoch. `holds` are added to those of the fleet."""
    measured = measure(list(_members(fleet)), samples, max_age_seconds)
    numbers = {name: each.numbers for name, each in measured.items()}
    return Snapshot(
        time=time,
        window=samples.source.span_seconds,
        backends={
            backend: Backend(
                weight=weights[backend],
                pods={name: _pod(member, numbers, time) for name, member in sorted(members.items())},
            )
            for backend, members in sorted(fleet.backends.items())
        },
        signals={name: each.signal for name, each in measured.items()},
        last_write=last_write,
        known_good=known_good,
        episode=episode,
        ledger=ledger,
        holds=(*fleet.holds, *holds),
        max_mode=max_mode,
    )


def last_write(now: RouteView, before: RouteView | None) -> RouteWrite | None:
    """Who wrote the weights last, and over what, if that was seen."""
    if now.writer is None:
        return None
    return RouteWrite(manager=now.writer.manager, time=now.writer.time, before=before.weights if before else None)


def measure(members: list[Member], samples: Samples, max_age_seconds: float) -> dict[SignalName, Measured]:
    """Each signal's numbers on these pods, and how good it is."""
    found: dict[SignalName, Measured] = {}
    for name in _ORDER:
        reading = samples.readings.get(name) or Reading(problem="it was not asked for")
        raw = _RAW[name](members, reading, samples, found)
        found[name] = _judged(members, raw, reading, max_age_seconds, _expected(name, members, found))
    return found


def _members(fleet: Fleet) -> Iterator[Member]:
    for members in fleet.backends.values():
        yield from members.values()


def _lookup(reading: Reading, member: Member) -> float | None:
    """A person's query may leave the namespace out."""
    pod = member.facts
    values = reading.values.get(pod.namespace) or reading.values.get("", {})
    return values.get(pod.name)


def _gauge(members: list[Member], reading: Reading, samples: Samples, found: Mapping[SignalName, Measured]) -> Numbers:
    values = ((member.facts.uid, _lookup(reading, member)) for member in members)
    return {uid: value for uid, value in values if value is not None}


def _requests(
    members: list[Member], reading: Reading, samples: Samples, found: Mapping[SignalName, Measured]
) -> Numbers:
    source = samples.source
    numbers = _shrunk(_gauge(members, reading, samples, found), samples)
    for member in members:
        scraped = reading.idle.get(member.facts.namespace, {}).get(member.facts.name, math.inf)
        if member.facts.uid not in numbers and scraped <= source.window_seconds:
            numbers[member.facts.uid] = 0.0
    return numbers


def _errors(members: list[Member], reading: Reading, samples: Samples, found: Mapping[SignalName, Measured]) -> Numbers:
    if reading.problem:
        return {}
    failed = _shrunk(_gauge(members, reading, samples, found), samples)
    return {uid: min(failed.get(uid, 0.0), requests) for uid, requests in found["requests"].numbers.items()}


def _shrunk(numbers: Numbers, samples: Samples) -> Numbers:
    """Undo increase()'s stretching: see Source.span_seconds."""
    ratio = samples.source.span_seconds / samples.source.window_seconds
    return {uid: number * ratio for uid, number in numbers.items()}


_RAW: Mapping[SignalName, Callable[[list[Member], Reading, Samples, Mapping[SignalName, Measured]], Numbers]] = {
    "requests": _requests,
    "errors": _errors,
    "latency": _gauge,
    "cpu": _gauge,
    "memory": _gauge,
    "inFlight": _gauge,
}
_ORDER: tuple[SignalName, ...] = ("requests", *(name for name in SIGNALS if name != "requests"))


def _expected(name: SignalName, members: list[Member], found: Mapping[SignalName, Measured]) -> list[Member]:
    """The pods that should have a number: ready ones; for latency, ready ones that had requests."""
    ready = [member for member in members if member.ready]
    if name != "latency":
        return ready
    requests = found["requests"].numbers
    return [member for member in ready if requests.get(member.facts.uid, 1.0) > 0]


def _judged(
    members: list[Member], raw: Numbers, reading: Reading, max_age_seconds: float, expected: list[Member]
) -> Measured:
    age = _age(members, reading)
    state, detail = _state(raw, reading, age, max_age_seconds, expected)
    usable = state in (SignalState.Fresh, SignalState.Partial, SignalState.NaN)
    numbers = {uid: number for uid, number in raw.items() if math.isfinite(number)} if usable else {}
    return Measured(signal=Signal(state=state, age=age, detail=detail), numbers=numbers)


def _age(members: Iterable[Member], reading: Reading) -> float | None:
    """Of the newest sample in these pods' namespaces."""
    ages = (reading.ages.get(namespace) for namespace in {member.facts.namespace for member in members})
    known = [max(0.0, age) for age in ages if age is not None and math.isfinite(age)]
    return min(known, default=None)


def _state(
    raw: Numbers, reading: Reading, age: float | None, max_age_seconds: float, expected: list[Member]
) -> tuple[SignalState, str]:
    if reading.problem:
        return SignalState.Missing, reading.problem
    if age is not None and age > max_age_seconds:
        return SignalState.Stale, f"the newest sample is {age:.0f}s old; {max_age_seconds:g}s are allowed"
    if not raw and (expected or age is None):
        newest = "" if age is None else f"; the newest sample is {age:.0f}s old"
        return SignalState.Missing, f"Prometheus has no series of any of these pods{newest}"
    if not all(map(math.isfinite, raw.values())):
        return SignalState.NaN, "Prometheus answered something that is not a number"
    return _coverage(raw, reading, expected)


def _coverage(raw: Numbers, reading: Reading, expected: list[Member]) -> tuple[SignalState, str]:
    without = [member.facts.name for member in expected if member.facts.uid not in raw]
    if not without:
        return SignalState.Fresh, "; ".join(reading.warnings)
    names = ", ".join(sorted(without)[:5]) + (" ..." if len(without) > 5 else "")
    return SignalState.Partial, f"{len(without)} of {len(expected)} ready pods have no series: {names}"


def _pod(member: Member, numbers: Mapping[SignalName, Numbers], time: float) -> Pod:
    facts, uid = member.facts, member.facts.uid
    return Pod(
        ready=member.ready,
        age=None if facts.started_at is None else max(0.0, time - facts.started_at),
        uid=uid,
        node=facts.node,
        zone=facts.zone,
        workload=member.workload,
        terminating=facts.terminating,
        protected=facts.protected,
        pre_stop_seconds=facts.pre_stop_seconds,
        capacity=facts.capacity,
        requests=numbers["requests"].get(uid),
        errors=numbers["errors"].get(uid),
        latency=numbers["latency"].get(uid),
        cpu=numbers["cpu"].get(uid),
        cpu_limit=facts.cpu_limit,
        memory=numbers["memory"].get(uid),
        memory_limit=facts.memory_limit,
        in_flight=numbers["inFlight"].get(uid),
    )
