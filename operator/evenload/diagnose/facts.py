"""Everything the rules ask about one tick, measured when first asked: the rules themselves only compare.

Nothing here changes the memory; what must hold for several ticks is told apart in `hysteresis`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenload.diagnose import outliers, quality, skew
from evenload.diagnose.cold import cold
from evenload.diagnose.inside import scaled_up
from evenload.diagnose.memory import Memory
from evenload.diagnose.skew import Skew
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.fleet import Bools, Fleet, Floats, Witnesses, some
from evenload.model.once import once
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.vectors import median

YOUNG_SECONDS = 180.0
STARVED_RATIO = 0.5  # of what a backend should have
BAD_ERROR_RATIO = 0.05
BAD_ERROR_FACTOR = 5.0  # over what is usual
BUSY_UTILIZATION = 0.85
OVER_SHARE_RATIO = 1.25
SICK_LATENCY_RATIO = 2.5
STEADY_RATIO = 1.3


class Facts:
    """One tick, measured. Vectors are by pod unless named `..._by_backend`.

    `targets_by_backend` is the share each backend should have now (sum 1); `told` is when the cluster says that the
    weights changed; `ours`, that we wrote them last; `compensating`, that they lean on purpose against a balancer that
    ignores them; `overloaded` names the pods an earlier skew overloaded, with their UIDs; `held_back`, the backends
    that we keep below their share for now; `gains_by_backend`, ln of what the balancer makes of each weight, as
    measured up to the last tick (0 where nobody knows).
    """

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        fleet: Fleet,
        policy: Policy,
        targets_by_backend: Floats,
        told: float | None,
        ours: bool,
        compensating: bool,
        overloaded: dict[str, str],
        held_back: tuple[str, ...],
        gains_by_backend: Floats,
        memory: Memory,
    ) -> None:
        self.snapshot = snapshot
        self.fleet = fleet
        self.policy = policy
        self.targets_by_backend = targets_by_backend
        self.ours = ours
        self.compensating = compensating
        self.overloaded = overloaded
        self.held_back = held_back
        self.gains_by_backend = gains_by_backend
        self.memory = memory
        self.told = told
        self.time = snapshot.time
        self._rps_before = memory.rps  # of the last tick, whenever it is asked for: the memory moves on

    @once
    def problem(self) -> str | None:
        """Why this Snapshot cannot be judged at all, or None."""
        return quality.problem(self.snapshot, self.fleet, self.policy, self.memory.heard)

    @once
    def rps(self) -> float:
        """Requests a second over all pods."""
        return self.fleet.total_requests / self.snapshot.window

    @once
    def usual_rps(self) -> float | None:
        """What was usual some minutes ago; None while unknown."""
        return self.memory.baseline.traffic(self.time)

    @once
    def traffic_ratio(self) -> float | None:
        """Total against usual; None while the usual is unknown."""
        return self.rps / self.usual_rps if self.usual_rps else None

    @once
    def moved_ratio(self) -> float:
        """The total against that of a tick ago; 1 where there was none."""
        return self.rps / self._rps_before if self._rps_before else 1.0

    @once
    def steady(self) -> bool:
        """Whether the total is as a tick ago: pods are scraped in turn, so while it moves their counts differ."""
        return 1 / STEADY_RATIO <= self.moved_ratio <= STEADY_RATIO

    @once
    def error_ratio(self) -> float | None:
        """Of the whole Balancer."""
        return self.fleet.error_ratio()

    @once
    def errors_known(self) -> bool:
        """Whether every ready pod that has requests told how many failed: else "few fail" is nobody's to say."""
        return self.error_ratio is not None and not some((self.requests > 0) & np.isnan(self.fleet.errors))

    @once
    def error_ratios(self) -> Floats:
        """By pod; NaN where unknown or without requests."""
        requests: Floats = np.where(self.requests > 0, self.requests, np.nan)
        ratios: Floats = self.fleet.errors / requests
        return ratios

    @once
    def requests(self) -> Floats:
        """Of ready pods; NaN for all others."""
        return self.fleet.requests if self.fleet.all_ready else np.where(self.fleet.ready, self.fleet.requests, np.nan)

    @property
    def witnesses(self) -> Witnesses:
        """Who can say something of its own: tests that take samples for independent are asked of these alone."""
        return self.fleet.witnesses

    @once
    def counted(self) -> Floats:
        """By ready pod, the requests that what is said of it stands on; NaN for all others."""
        return self.witnesses.each(self.witnesses.sums(self.requests))

    @once
    def changed_at(self) -> float:
        """When the weights became what they are; -inf if long ago."""
        return self.memory.weights_changed_at(self.told)

    @once
    def window_start(self) -> float:
        """Everything that happened since is in the window, nothing older: samples lie within (time - window, time]."""
        return self.time - self.snapshot.window

    @once
    def clean(self) -> bool:
        """Whether the whole window lies after the last change of weights, and after the proxy followed it."""
        return self.window_start >= self.changed_at + self.policy.actuator_lag_seconds

    @once
    def cold(self) -> Bools:
        """Ready pods that get next to nothing, though we do not hold them back."""
        if not self.clean or self.weights_wrong:
            return np.zeros(len(self.fleet.names), dtype=bool)
        excused = self.sheltered
        if self.compensating:  # who leans too far is to be given back, not to be looked for
            little = self.fleet.commanded < STARVED_RATIO * self.targets_by_backend
            excused = excused | little[self.fleet.where]
        sums = self.witnesses.sums
        return self.witnesses.each(cold(sums(self.requests), sums(self.due), sums(excused.astype(np.float64)) > 0))

    @once
    def avoided(self) -> Bools:
        """Cold pods that are old enough for callers to have found them."""
        return self.cold & ~self.young if some(self.cold) else self.cold

    @once
    def pod_targets(self) -> Floats:
        """The share each pod should have; 0 for pods that are not judged: new, cold, or in a backend that just changed.

        Siblings of a cold pod carry its share: that much is theirs meanwhile.
        """
        return self._without_cold(self.due)

    def _without_cold(self, by_pod: Floats) -> Floats:
        """What cold pods should have goes to their siblings; if there are none, all others have their part of it."""
        if not some(self.cold):
            return by_pod
        warm = self.fleet.by_backend(np.where(self.fleet.ready & ~self.cold, 1.0, 0.0))
        share = self.fleet.ready_by_backend / np.maximum(warm, 1.0)
        return np.where(self.cold, 0.0, by_pod * share[self.fleet.where])

    @once
    def due_ratio(self) -> Floats:
        """The share of all requests that each pod should have, with those that it speaks with."""
        return self.witnesses.each(self.witnesses.sums(self.due)) / max(float(self.due.sum()), 1e-9)

    @once
    def due(self) -> Floats:
        """As `pod_targets`, with what cold pods should have."""
        fleet = self.fleet
        ready = np.maximum(fleet.ready_by_backend, 1.0)
        moved = self.memory.ready_moved_at + self.policy.actuator_lag_seconds > self.window_start
        by_backend = np.where(moved, 0.0, self.targets_by_backend / ready)
        new = self.witnesses.any(fleet.age < self.snapshot.window + self.policy.actuator_lag_seconds)
        return np.where(fleet.ready & ~new, by_backend[fleet.where], 0.0)

    @once
    def wrong_by_backend(self) -> Bools:
        """Backends whose weight alone commands far more than their share."""
        if self.ours and self.compensating:
            return np.zeros(len(self.fleet.backends), dtype=bool)
        much = self.fleet.commanded > self.policy.tolerance_ratio * self.targets_by_backend
        return much & (self.fleet.ready_by_backend > 0)

    @once
    def starved_by_backend(self) -> Bools:
        """Backends that we ourselves left at far too little, long ago: a restart that was given up, say."""
        if self.compensating or not self.ours:
            return np.zeros(len(self.fleet.backends), dtype=bool)
        little: Bools = np.maximum(self.fleet.commanded, self.fleet.shares) < STARVED_RATIO * self.targets_by_backend
        return little & (self.fleet.ready_by_backend > 0)

    @once
    def all_zero(self) -> bool:
        """Whether the weights send every request nowhere."""
        return not some(self.fleet.weights)

    @once
    def weights_wrong(self) -> bool:
        """Whether the weights themselves ask for the skew."""
        return self.all_zero or some(self.wrong_by_backend) or some(self.starved_by_backend)

    @once
    def skew(self) -> Skew:
        """Traffic by pod against target shares."""
        found = self._skew(explained=self.weights_wrong)
        if found.seen or len(self.fleet.backends) > 1 or (found.worst or 0.0) <= self.policy.tolerance_ratio:
            return found
        # Where half of the pods of a Service get twice their share, a window alone cannot tell that from a wide spread.
        counts = np.where(self.due > 0, self.requests, np.nan)
        return self._skew(explained=True) if scaled_up(self.fleet.pods, counts) else found

    def _skew(self, *, explained: bool) -> Skew:
        sums, each = self.witnesses.sums, self.witnesses.each
        found = skew.measure(
            sums(self.requests),
            sums(self.pod_targets),
            asked=sums(self.pod_targets if self.compensating else self._asked),
            tolerance_ratio=self.policy.tolerance_ratio,
            spread=self.memory.spread,
            explained=explained,
        )
        return found if self.witnesses.each_alone else replace(found, ratio=each(found.ratio), hot=each(found.hot))

    @property
    def undisturbed(self) -> bool:
        """Nothing from outside moves pods, or stops us."""
        return all(hold.restarts_only for hold in self.snapshot.holds)

    @property
    def _asked(self) -> Floats:
        """The share that the weights ask for, by pod; 0 for pods that are not ready."""
        by_backend = self.fleet.commanded / np.maximum(self.fleet.ready_by_backend, 1.0)
        return self._without_cold(np.where(self.fleet.ready, by_backend[self.fleet.where], 0.0))

    @once
    def failing_chance(self) -> Floats:
        """By ready pod, the chance that errors so far above the others' are none of its own; 1 where they are not."""
        sums = self.witnesses.sums
        return self.witnesses.each(outliers.failing_chance(sums(self.fleet.errors), sums(self.requests)))

    @once
    def failing(self) -> Bools:
        """Ready pods whose error ratio stands out."""
        failing: Bools = self.failing_chance < outliers.FAMILY_ERROR
        return failing

    @once
    def slow(self) -> Bools:
        """Ready pods whose latency stands out, though they get no more requests than their peers do."""
        sums, means = self.witnesses.sums, self.witnesses.means
        latency, use, cores = means(self.fleet.latency), means(self.fleet.utilization), sums(self.fleet.cpu_limit)
        found = self.witnesses.each(outliers.slow(latency, sums(self.requests), use, cores))
        if some(found):  # what fails besides is Failing's to judge
            found &= ~self.failing & (self.requests <= OVER_SHARE_RATIO * median(self.requests[self.requests > 0]))
        return found

    @once
    def young(self) -> Bools:
        """Pods that may still be warming up; not those that served well until a skew overloaded them."""
        young: Bools = (self.fleet.age < YOUNG_SECONDS) & ~self.marked
        return self.witnesses.most(young)

    @once
    def marked(self) -> Bools:
        """Pods that an earlier skew overloaded: these very pods, not others of the same name."""
        if not self.overloaded:
            return np.zeros(len(self.fleet.names), dtype=bool)
        pairs = zip(self.fleet.names, self.fleet.pods, strict=True)
        marked = np.array([self.overloaded.get(name) == pod.uid for name, pod in pairs], dtype=bool)
        return self.witnesses.any(marked)

    @once
    def undecided(self) -> Bools:
        """Marked pods that fail in a window which still holds requests from the overload: recovering or sick?"""
        if self.clean or not self.overloaded:
            return np.zeros(len(self.fleet.names), dtype=bool)
        undecided: Bools = self.failing & self.marked & ~self.sheltered
        return undecided

    @once
    def sheltered(self) -> Bools:
        """Pods of backends that we hold back: judged already."""
        held = np.array([name in self.held_back for name in self.fleet.backends], dtype=bool)
        return held[self.fleet.where]

    @once
    def error_limit(self) -> float:
        """An error ratio above this is bad whatever the peers do: max(5%, 5 x usual), at most half-way from the usual
        to all."""
        usual = self.memory.baseline.error_ratio or 0.0
        return max(BAD_ERROR_RATIO, min(BAD_ERROR_FACTOR * usual, (1 + usual) / 2))

    @once
    def bad(self) -> Bools:
        """Ready pods over the error limit."""
        return (self.error_ratios > self.error_limit) & (self.counted >= outliers.LEAST_REQUESTS)

    @once
    def bad_ratio(self) -> float:
        """Share of the ready pods with enough requests that are over the error limit."""
        if not some(self.bad):
            return 0.0
        judged = (self.counted >= outliers.LEAST_REQUESTS) & (self.error_ratios >= 0)
        return self.witnesses.count(self.bad) / self.witnesses.count(judged)

    @once
    def median_latency(self) -> float:
        """Of ready pods with traffic; NaN while unknown."""
        latency, requests = self.witnesses.means(self.fleet.latency), self.witnesses.sums(self.requests)
        return median(latency[(requests > 0) & (latency >= 0)])

    @once
    def median_utilization(self) -> float:
        """Of ready pods; NaN while unknown."""
        known = self.fleet.utilization[self.fleet.ready & ~np.isnan(self.fleet.utilization)]
        return median(known)

    @once
    def busy_cpu(self) -> Bools:
        """Pods at the limit of their CPU."""
        saturated: Bools = self.fleet.utilization > BUSY_UTILIZATION
        return saturated

    @once
    def over_share(self) -> Bools:
        """Pods that get clearly more than their share: their latency is not their fault."""
        over: Bools = self.skew.ratio > OVER_SHARE_RATIO
        return over

    @once
    def drowning(self) -> Bools:
        """Pods at the limit of their CPU, or with an answer time far above the median."""
        late: Bools = self.fleet.latency > SICK_LATENCY_RATIO * self.median_latency
        return self.busy_cpu | late

    @once
    def busy(self) -> Bools:
        """Pods that show overload: they drown, or fail too many requests."""
        failing: Bools = self.error_ratios > self.error_limit
        return self.drowning | failing

    @once
    def blind_by_backend(self) -> Bools:
        """Backends of which nobody can say which pod is sick: more than one had a part in their numbers.

        A pod that fails so badly that it is not ready any more leaves its errors to its sibling, for a window. And one
        that we have not watched for a window may have been one of several.
        """
        fleet = self.fleet
        moved = np.maximum(self.memory.ready_moved_at, self.memory.seen_since) + self.policy.actuator_lag_seconds
        alone = (fleet.ready_by_backend <= 1) & (moved <= self.window_start)
        blind: Bools = fleet.by_service & ~alone
        return blind

    @property
    def one(self) -> str:
        """What is compared with its peers, for sentences."""
        return "backend" if some(self.fleet.by_service) else "pod"

    def subjects(self, mask: Bools) -> tuple[str, ...]:
        """Names for people: of the pods in `mask`, or of backends where pods cannot be told apart."""
        return tuple(self.fleet.subject(index) for index in self.witnesses.indexes(mask).tolist())

    def names(self, mask: Bools) -> tuple[str, ...]:
        """Names of the pods in `mask`."""
        return tuple([self.fleet.names[index] for index in mask.nonzero()[0].tolist()])

    def backends_of(self, mask: Bools) -> tuple[str, ...]:
        """Names of the backends that hold these pods."""
        return tuple(self.fleet.backends[index] for index in sorted(set(self.fleet.where[mask].tolist())))

    def backends(self, mask_by_backend: Bools) -> tuple[str, ...]:
        """Names of the backends in the mask."""
        return tuple(self.fleet.backends[index] for index in np.flatnonzero(mask_by_backend))


def slowness(facts: Facts, diagnosis: Diagnosis) -> Floats:
    """By backend: the median latency of its ready pods over that of all, where that may be held against it.

    NaN where it says nothing: unknown, busy, with more than its share, or slow in a minority of its pods only.
    """
    fleet, named = facts.fleet, set(diagnosis.pods if diagnosis.label is Label.Slow else ())
    found = np.full(len(fleet.backends), np.nan)
    for index in range(len(fleet.backends)):
        pods = (fleet.where == index) & (facts.requests > 0) & ~np.isnan(fleet.latency)
        ratio = median(fleet.latency[pods]) / facts.median_latency
        blamed = bool(named & set(facts.names(pods))) and not bool((facts.busy_cpu | facts.over_share)[pods].any())
        if ratio <= outliers.LATENCY_RATIO or blamed:
            found[index] = ratio
    return found


def overloaded_pods(facts: Facts, diagnosis: Diagnosis) -> dict[str, str]:
    """Pods this skew overloads, beside those already known: if they stay sick, they may be restarted."""
    lingering = not facts.weights_wrong and diagnosis.cause is SkewCause.WeightsWrong
    reached = diagnosis.label is Label.LoadBalancerSkew and diagnosis.cause is not SkewCause.NotReached
    if not reached or not diagnosis.pods or lingering:
        return facts.overloaded
    hot = np.flatnonzero(facts.skew.hot & (facts.busy | np.isnan(facts.fleet.utilization))).tolist()
    return {
        **facts.overloaded,
        **{facts.fleet.names[i]: facts.fleet.pods[i].uid for i in hot if facts.fleet.pods[i].uid},
    }
