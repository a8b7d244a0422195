"""May these numbers be believed? Missing, stale, partial, NaN, too few: each is told apart, and none is acted on."""

from __future__ import annotations

import math

import numpy as np

from evenload.model.fleet import Bools, Fleet, some
from evenload.model.policy import Policy
from evenload.model.shares import shares_problem
from evenload.model.snapshot import Signal, SignalState, Snapshot
from evenload.model.wording import duration

WARM_UP_READS = 2  # a pod has a rate only after two scrapes: so long it is not missing, it is new
TOLERATED_MISSING_RATIO = 0.02  # of the ready pods; in a fleet below 50 that is nobody
MISSED_RATIO = 0.1  # of the ready pods may have missed scrapes: of every ten scrapes one may fail (measured)
BROKEN_ERROR_STATES = frozenset({SignalState.Stale, SignalState.NaN})


class Heard:
    """When pods that have no count now last had one. Bounded: the pods of one tick, and those silent since."""

    def __init__(self) -> None:
        self._time = -math.inf
        self._names: list[str] = []
        self._told: Bools = np.zeros(0, dtype=bool)
        self._silent: dict[str, float] = {}

    def last(self, names: list[str], missing: Bools) -> list[float]:
        """Of the pods in `missing`, in seconds since the epoch; -inf: never."""
        lately = dict.fromkeys((self._names[index] for index in np.flatnonzero(self._told).tolist()), self._time)
        known = self._silent | lately
        return [known.get(names[index], -math.inf) for index in np.flatnonzero(missing).tolist()]

    def listen(self, time: float, fleet: Fleet) -> None:
        """Count this tick in."""
        missing = np.isnan(fleet.requests)
        silent = [fleet.names[index] for index in np.flatnonzero(missing).tolist()]
        self._silent = dict(zip(silent, self.last(fleet.names, missing), strict=True)) if silent else {}
        self._time, self._names, self._told = time, fleet.names, ~missing


def problem(snapshot: Snapshot, fleet: Fleet, policy: Policy, heard: Heard) -> str | None:
    """A sentence that says why this Snapshot cannot be judged, or None."""
    return (
        _impossible(snapshot)
        or _nobody(fleet)
        or shares_problem(policy, fleet.backends)
        or _unfit("request", snapshot.signals.get("requests"), policy)
        or _unfit_errors(snapshot.signals.get("errors"), policy)
        or _partial(snapshot, fleet, policy, heard)
    )


def too_few(snapshot: Snapshot, fleet: Fleet, policy: Policy) -> str | None:
    """A sentence if there are too few requests to tell chance from fault (sum n < 20 N), or None."""
    least = policy.min_requests_per_pod * fleet.ready_count
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
