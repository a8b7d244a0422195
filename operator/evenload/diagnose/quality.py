"""May these numbers be believed? Missing, stale, partial, NaN, frozen, too few: each is told apart, and none is acted
on."""

from __future__ import annotations

import math

import numpy as np

from evenload.model.fleet import Bools, Fleet, Floats, some
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.snapshot import Signal, SignalState, Snapshot
from evenload.model.wording import duration

WARM_UP_READS = 2  # a pod has a rate only after two scrapes: so long it is not missing, it is new
TOLERATED_MISSING_RATIO = 0.02  # of the ready pods; in a fleet below 50 that is nobody
MISSED_RATIO = 0.1  # of the ready pods may have missed scrapes: of every ten scrapes one may fail (measured)
FROZEN_CHANCE = 1e-4  # that live traffic would look so: then it is not believed
_LARGE = 300.0  # from here on the asymptotic form is exact to a thousandth, and the exact one would overflow
BROKEN_ERROR_STATES = frozenset({SignalState.Stale, SignalState.NaN})


class Heard:
    """When pods that have no count now last had one, and since when all counts have been the same.

    Bounded: the pods of one tick, and those silent since.
    """

    def __init__(self) -> None:
        self._time = -math.inf
        self._same_since = -math.inf  # by the time of the newest sample
        self._counts: tuple[Floats, ...] = ()
        self._names: list[str] = []
        self._told: Bools = np.zeros(0, dtype=bool)
        self._silent: dict[str, float] = {}

    def last(self, names: list[str], missing: Bools) -> list[float]:
        """Of the pods in `missing`, in seconds since the epoch; -inf: never."""
        lately = dict.fromkeys((self._names[index] for index in np.flatnonzero(self._told).tolist()), self._time)
        known = self._silent | lately
        return [known.get(names[index], -math.inf) for index in np.flatnonzero(missing).tolist()]

    def same_seconds(self, snapshot: Snapshot, fleet: Fleet) -> float:
        """For how long new samples have told the same of every pod, this tick included; 0 if they do not."""
        same = len(self._counts) and self._names == fleet.names and all(map(_equal, self._counts, _counts(fleet)))
        return max(0.0, _sampled_at(snapshot) - self._same_since) if same else 0.0

    def listen(self, snapshot: Snapshot, fleet: Fleet) -> None:
        """Count this tick in."""
        time = snapshot.time
        if not self.same_seconds(snapshot, fleet):
            self._same_since, self._counts = _sampled_at(snapshot), _counts(fleet)
        missing = np.isnan(fleet.requests)
        silent = [fleet.names[index] for index in np.flatnonzero(missing).tolist()]
        self._silent = dict(zip(silent, self.last(fleet.names, missing), strict=True)) if silent else {}
        self._time, self._names, self._told = time, fleet.names, ~missing


def _counts(fleet: Fleet) -> tuple[Floats, ...]:
    return fleet.requests, fleet.errors, fleet.latency


def _equal(before: Floats, now: Floats) -> bool:
    return np.array_equal(before, now, equal_nan=True)


def _sampled_at(snapshot: Snapshot) -> float:
    """When the newest request count was taken; where that is not told, now."""
    signal = snapshot.signals.get("requests")
    age = signal.age if signal is not None else None
    return snapshot.time - (age if age is not None and math.isfinite(age) else 0.0)


def log_chance_of_repetition(counts: Floats) -> float:
    """Natural logarithm of the chance that each pod's next window holds just as many requests again.

    Arrivals are taken as Poisson's, the kind that repeats itself least unlikely: the difference of two of mean n is 0
    with the chance exp(-2n) I0(2n), about 1 / sqrt(4 pi n) (Skellam 1946). Pods without requests prove nothing.
    """
    twice = 2 * counts[counts > 0]
    few, many = twice[twice < _LARGE], twice[twice >= _LARGE]
    return float((np.log(np.i0(few)) - few).sum() - 0.5 * np.log(2 * math.pi * many).sum())


def problem(snapshot: Snapshot, fleet: Fleet, policy: Policy, heard: Heard) -> str | None:
    """A sentence that says why this Snapshot cannot be judged, or None."""
    return (
        _impossible(snapshot)
        or _nobody(fleet)
        or shares_problem(policy, fleet.backends)
        or _unfit("request", snapshot.signals.get("requests"), policy)
        or _unfit_errors(snapshot.signals.get("errors"), policy)
        or _partial(snapshot, fleet, policy, heard)
        or _frozen(snapshot, fleet, heard)
    )


def too_few(snapshot: Snapshot, fleet: Fleet, policy: Policy) -> str | None:
    """A sentence if there are too few requests to tell chance from fault (sum n < 20 N), or None."""
    least = policy.min_requests_per_pod * fleet.ready_witnesses
    if fleet.total_requests >= least:
        return None
    return (
        f"only {fleet.total_requests:.0f} requests in {duration(snapshot.window)}; "
        f"{least:.0f} are needed to tell chance from fault"
    )


def _impossible(snapshot: Snapshot) -> str | None:
    if not 0 <= snapshot.time < 1e11:
        return f"the time of this snapshot cannot be ({snapshot.time})"
    if not (snapshot.window > 0 and math.isfinite(snapshot.window)):
        return f"a window of {snapshot.window} seconds holds no requests"
    return None


def _nobody(fleet: Fleet) -> str | None:
    if not fleet.backends:
        return "the balancer has no backends"
    return None if fleet.ready_count else "no backend has a ready pod"


def _unfit(what: str, signal: Signal | None, policy: Policy) -> str | None:
    if signal is None:
        return None
    detail = f": {signal.detail}" if signal.detail else ""
    if signal.state not in (SignalState.Fresh, SignalState.Partial):
        return f"the {what} signal is {signal.state}{detail}"
    if signal.age is not None and not signal.age <= policy.max_age_seconds:
        return f"the newest {what} sample is {duration(signal.age)} old (at most {duration(policy.max_age_seconds)})"
    return None


def _unfit_errors(signal: Signal | None, policy: Policy) -> str | None:
    """No error series at all disables the rules that need them; broken ones make all doubtful."""
    if signal is None or signal.state is SignalState.Missing:
        return None
    return _unfit("error", signal, policy)


def _partial(snapshot: Snapshot, fleet: Fleet, policy: Policy, heard: Heard) -> str | None:
    """A pod whose scrapes fail may be the hot one. Who missed a scrape or two is not judged for so long."""
    if not some(fleet.ready & np.isnan(fleet.requests)):
        return None
    settled = ~(fleet.age < WARM_UP_READS * snapshot.window)  # an unknown age is no excuse
    expected = fleet.ready & settled
    missing = expected & np.isnan(fleet.requests)
    count, of = int(missing.sum()), int(expected.sum())
    if count <= TOLERATED_MISSING_RATIO * of:
        return None
    silent = sum(snapshot.time - when > policy.max_age_seconds for when in heard.last(fleet.names, missing))
    if silent <= TOLERATED_MISSING_RATIO * of and count <= MISSED_RATIO * of:
        return None
    first = fleet.names[int(np.argmax(missing))]
    return f"{count} of {of} ready pods have no request count ({first})"


def _frozen(snapshot: Snapshot, fleet: Fleet, heard: Heard) -> str | None:
    """A cache before Prometheus that is stuck answers the same for ever, with new times on it.

    Windows overlap, and a scrape interval may be as long as what a window spans: only after a whole one has every pod
    told something new.
    """
    windows = heard.same_seconds(snapshot, fleet) // snapshot.window
    counts = fleet.witnesses.sums(fleet.requests)
    if not windows or windows * log_chance_of_repetition(counts) > math.log(FROZEN_CHANCE):
        return None
    return (
        "the counts of every pod have been the same on newer and newer samples, which live traffic cannot be; is a "
        "cache or a proxy in front of Prometheus stuck?"
    )
