"""What becomes of CPU and errors, from the numbers of now.

What a backend would need of its CPU follows from what it needs now and from how its traffic changes (plan/headroom); of
one that has too little traffic now to tell, from what a request costs the others. Errors are those of now, what a
backend cannot serve beyond all of its CPU, and what goes to one without a ready pod. Traffic is taken to follow the
weights as it does now: a backend that gets twice its share goes on to. Just after a change of the weights that is not
known, and it is taken to follow them to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from evenload.foresight import MOST_USE, Outlook, Row, Sighting, shares_by_backend
from evenload.model.fleet import Bools, Fleet, Floats
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.snapshot import SignalName, SignalState, Snapshot
from evenload.plan.headroom import Cost, worst_use
from evenload.plan.targets import desired_shares, shares_of

NEEDED: Final[tuple[SignalName, ...]] = ("requests", "errors", "cpu")


def predicted(outlook: Outlook, before: Mapping[str, int], after: Mapping[str, int], sighting: Sighting) -> Outlook:
    due = _due(after, sighting)
    rows = tuple(replace(row, due=due.get(row.backend)) for row in outlook.rows)
    outlook = replace(outlook, rows=rows, missing=(*sighting.missing, *_missing(sighting.before)))
    if sighting.before is None or not _told(sighting.before, "requests"):
        return outlook
    seen = _Seen.of(sighting.before, sighting, before, after)
    return replace(
        outlook,
        rows=tuple(seen.filled(row) for row in rows),
        failing=seen.fleet.error_ratio() if _told(sighting.before, "errors") else None,
        failing_after=seen.failing() if _told(sighting.before, "errors") else None,
    )


def _told(snapshot: Snapshot, signal: SignalName) -> bool:
    return signal in snapshot.signals and snapshot.signals[signal].state in (SignalState.Fresh, SignalState.Partial)


def _missing(snapshot: Snapshot | None) -> Iterator[str]:
    for name in NEEDED if snapshot is not None else ():
        signal = snapshot.signals.get(name) if snapshot is not None else None
        if signal is None or signal.state is not SignalState.Fresh:
            state = signal.state.value if signal else SignalState.Missing.value
            yield f"{name}: {state}{f': {signal.detail}' if signal and signal.detail else ''}"


def _due(after: Mapping[str, int], sighting: Sighting) -> dict[str, float]:
    """The shares that the backends should have after it; empty where nobody knows."""
    if sighting.after is None or not after or shares_problem(sighting.policy, after) is not None:
        return {}
    fleet = Fleet(sighting.after)
    if sighting.targets.keys() == after.keys() and all(fleet.ready_by_backend > 0):
        return shares_by_backend(sighting.targets)  # the operator's, who has learnt what each backend bears
    shares = desired_shares(fleet, sighting.policy)
    return dict(zip(fleet.backends, shares.tolist(), strict=True)) if shares.sum() else {}


class _Seen(NamedTuple):
    """All backends there are or will be, with the numbers of now. Vectors are by backend."""

    fleet: Fleet
    shares: Floats  # of the traffic, as they would be
    use: Floats
    use_after: Floats
    guessed: Bools

    @classmethod
    def of(cls, now: Snapshot, sighting: Sighting, before: Mapping[str, int], after: Mapping[str, int]) -> _Seen:
        backends = {**(sighting.after.backends if sighting.after else {}), **now.backends}
        fleet = Fleet(replace(now, backends=backends))
        shares = shares_of(fleet, after)
        if _settled(now, sighting.policy):
            shares = _bent(fleet, shares_of(fleet, before), shares)
        own = Cost().predicted(fleet, now.window, shares, clean=True)
        guessed = np.isnan(own) & (shares > 0)
        return cls(fleet, shares, worst_use(fleet), np.where(guessed, _as_the_others(fleet, shares), own), guessed)

    def filled(self, row: Row) -> Row:
        if row.backend not in self.fleet.backends:
            return row
        at = self.fleet.backends.index(row.backend)
        return replace(
            row,
            traffic=_number(self.fleet.shares[at]) if self.fleet.told_by_backend[at] else None,
            use=_number(self.use[at]),
            use_after=_number(self.use_after[at]) if row.weight_after is not None else None,
            guessed=bool(self.guessed[at]),
        )

    def failing(self) -> float | None:
        """Of all requests, 0..1, as they would fail; None where nobody knows how many fail now."""
        fleet, overall = self.fleet, self.fleet.error_ratio()
        if overall is None or not self.shares.sum():
            return None if self.shares.sum() else 1.0
        requests, errors = fleet.requests_by_backend, fleet.by_backend(fleet.errors)
        ratio = np.where(requests > 0, errors / np.where(requests > 0, requests, 1.0), overall)
        served = np.minimum(_served(self.use_after) / _served(self.use), 1.0)  # what is lost now is in the ratio
        lost = np.where(fleet.ready_by_backend > 0, 1 - (1 - ratio) * served, 1.0)
        return float((self.shares * lost).sum())


def _served(use: Floats) -> Floats:
    """What of the requests a backend of that use can serve, 0..1; all where nobody knows."""
    return np.where(use > MOST_USE, MOST_USE / np.where(use > 0, use, 1.0), 1.0)


def _settled(now: Snapshot, policy: Policy) -> bool:
    """Whether the window lies behind the last change of the weights: then traffic shows what is made of them."""
    last = now.last_write
    return last is None or now.time - last.time > now.window + policy.actuator_lag_seconds


def _bent(fleet: Fleet, commanded: Floats, shares: Floats) -> Floats:
    """`shares` as traffic would follow them if it did as it follows `commanded` now (plan/gains, of a single look)."""
    reported = (commanded > 0) & fleet.told_by_backend & (fleet.requests_by_backend > 0)
    gains = np.where(reported, fleet.shares / np.where(reported, commanded, 1.0), 1.0)
    bent = shares * gains
    total = float(bent.sum())
    return bent / total if total else shares


def _as_the_others(fleet: Fleet, shares: Floats) -> Floats:
    """Use that each backend would have if a request cost it what it costs the others; NaN where nothing tells."""
    cpu, limit = (fleet.by_backend(np.where(fleet.ready, values, 0.0)) for values in (fleet.cpu, fleet.cpu_limit))
    telling = (fleet.requests_by_backend > 0) & (cpu > 0) & fleet.told_by_backend
    if not telling.any():
        return np.full(len(fleet.backends), np.nan)
    cost = float(np.median(cpu[telling] / fleet.requests_by_backend[telling]))
    return np.where(limit > 0, cost * shares * fleet.total_requests / np.where(limit > 0, limit, 1.0), np.nan)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
