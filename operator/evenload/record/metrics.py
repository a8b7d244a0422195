"""Our own metrics, in a registry of our own: what `/metrics` shows. `names()` is the reference of them.

Gauges of Balancers are kept as plain numbers and turned into series only when someone scrapes: a tick costs little, and
what is gone (a backend, a diagnosis, a whole Balancer) has no series left behind. Their `namespace` label is the
Balancer's, so scrape with honorLabels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from evenload.api.v1alpha1 import BalancerStatus, ConditionStatus, Outcome
from evenload.model.decision import Decision
from evenload.model.episode import Phase, Step, StepState
from evenload.model.snapshot import Snapshot

PREFIX = "evenload"
KEY_LABELS = ("namespace", "balancer")
_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_INCIDENT = (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

Key = tuple[str, str]
"""Namespace and name of a Balancer."""
Sample = tuple[tuple[str, ...], float | None]
"""Label values, after the key's, and the value; None has no series."""
Samples = Mapping[str, Iterable[Sample]]

# Name, what it means, and its labels after namespace and balancer.
BALANCER_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "balancer_info": ("1; the mode in force and the preset of signals.", ("mode", "signals")),
        "balancer_condition": ("1 for the status a condition has, 0 for the other two.", ("condition", "status")),
        "diagnosis": ("1 for the diagnosis that holds.", ("type",)),
        "balancer_worst_share_ratio": ("The largest share a backend gets, divided by the one it should have.", ()),
        "balancer_headroom_ratio": ("What the busiest ready pod has left of its CPU limit; 1 is idle.", ()),
        "balancer_error_ratio": ("Failed requests of all, from 0 to 1.", ()),
        "balancer_requests_per_second": ("Requests over all backends.", ()),
        "backend_share_ratio": ("A backend's share of the requests, from 0 to 1.", ("backend", "state")),
        "backend_weight": ("A backend's weight; desired is scaled to the actual sum.", ("backend", "state")),
        "signal_age_seconds": ("Age of a signal's newest sample.", ("signal",)),
        "budget_remaining": ("What is left of a budget in the running hour.", ("action",)),
        "approvals_pending": ("Remediations that wait for a person.", ()),
    }
)


class BalancerGauges(Collector):
    """The newest numbers of every Balancer."""

    def __init__(self) -> None:
        self._live: dict[Key, Samples] = {}
        self._told: dict[Key, Samples] = {}

    def observe(self, key: Key, snapshot: Snapshot, decision: Decision) -> None:
        """The live numbers of one tick. What it cannot tell has no series."""
        self._live[key] = {
            "diagnosis": [((decision.diagnosis.label.value,), 1.0)],
            "balancer_worst_share_ratio": [((), decision.worst_ratio)],
            "balancer_headroom_ratio": [((), _headroom(snapshot))],
            "balancer_error_ratio": [((), decision.error_ratio)],
            "balancer_requests_per_second": [((), decision.requests_per_second)],
            "backend_share_ratio": list(_shares(decision)),
            "backend_weight": list(_weights(snapshot, decision)),
            "signal_age_seconds": [((name,), signal.age) for name, signal in snapshot.signals.items()],
            "approvals_pending": [((), float(decision.phase is Phase.AwaitingApproval))],
        }

    def tell(self, key: Key, status: BalancerStatus) -> None:
        """What the status says; called when it changes."""
        mode = status.mode.value if status.mode else ""
        signals = status.resolved.signals if status.resolved else ""
        self._told[key] = {
            "balancer_info": [((mode, signals), 1.0)],
            "balancer_condition": [
                ((condition.type, word.value), float(condition.status is word))
                for condition in status.conditions
                for word in ConditionStatus
            ],
            "budget_remaining": [((budget.action,), float(budget.remaining)) for budget in status.budgets],
        }

    def blind(self, key: Key) -> None:
        """This tick saw nothing of it: no number is better than an old one."""
        self._live.pop(key, None)

    def forget(self, key: Key) -> None:
        self._live.pop(key, None)
        self._told.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        for name, (meaning, labels) in BALANCER_GAUGES.items():
            family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=[*KEY_LABELS, *labels])
            for kept in (self._live, self._told):
                for key, samples in kept.items():
                    for values, number in samples.get(name, ()):
                        if number is not None:
                            family.add_metric([*key, *values], number)
            yield family


def _headroom(snapshot: Snapshot) -> float | None:
    used = [
        pod.cpu / pod.cpu_limit
        for backend in snapshot.backends.values()
        for pod in backend.pods.values()
        if pod.ready and pod.cpu is not None and pod.cpu_limit
    ]
    return max(0.0, 1 - max(used)) if used else None


def _shares(decision: Decision) -> Iterator[Sample]:
    yield from (((backend, "actual"), share) for backend, share in decision.shares.items())
    yield from (((backend, "desired"), share) for backend, share in decision.targets.items())


def _weights(snapshot: Snapshot, decision: Decision) -> Iterator[Sample]:
    total = sum(backend.weight for backend in snapshot.backends.values())
    yield from (((name, "actual"), float(backend.weight)) for name, backend in snapshot.backends.items())
    yield from (((name, "desired"), share * total) for name, share in decision.targets.items())


class Metrics:
    """All metrics of one operator. Those of the process are set by whoever measures them."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.gauges = BalancerGauges()
        self.registry.register(self.gauges)
        self._make_counts()
        self._make_operator()
        self.build_info.labels(version).set(1)

    def _make_counts(self) -> None:
        self.route_changes = self._counter(
            "route_changes", "Changes of the route's weights.", *KEY_LABELS, "kind", "manager"
        )
        self.remediations = self._counter(
            "remediations",
            "Remediations closed; action is the strongest they took.",
            *KEY_LABELS,
            "action",
            "diagnosis",
            "result",
        )
        self.held = self._counter("held", "Decisions to hold an action back, one a change.", *KEY_LABELS, "reason")
        self.time_to_detect = self._histogram(
            "time_to_detect_seconds", "Onset of a fault to its diagnosis.", _INCIDENT, *KEY_LABELS
        )
        self.time_to_restore = self._histogram(
            "time_to_restore_seconds", "Onset of a fault until its errors were gone.", _INCIDENT, *KEY_LABELS
        )

    def _make_operator(self) -> None:
        self.build_info = self._gauge("build_info", "1; the version that runs.", "version")
        self.leader = self._gauge("leader", "1 on the replica that leads, 0 on the others.")
        self.queue_depth = self._gauge("queue_depth", "Balancers that wait for a worker.")
        self.tick_lag = self._gauge("tick_lag_seconds", "How late the last tick began.")
        self.tick_duration = self._histogram("tick_duration_seconds", "One tick of all Balancers.", _QUICK)
        self.query_duration = self._histogram(
            "prometheus_query_duration_seconds", "A query to Prometheus.", _QUICK, "signal", "result"
        )
        self.request_duration = self._histogram(
            "kube_request_duration_seconds", "A request to the API server.", _QUICK, "verb", "code"
        )
        self.events_failed = self._counter("events_failed", "Events that could not be posted.")

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", meaning, labels, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", meaning, labels, registry=self.registry, buckets=buckets)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def closed(self, key: Key, diagnosis: str, phase: Phase, steps: Iterable[Step], outcome: Outcome) -> None:
        """A Remediation came to its end."""
        self.remediations.labels(*key, _strongest(steps), diagnosis, phase.value).inc()
        if outcome.time_to_detect_seconds is not None:
            self.time_to_detect.labels(*key).observe(outcome.time_to_detect_seconds)
        if outcome.time_to_mitigate_seconds is not None:
            self.time_to_restore.labels(*key).observe(outcome.time_to_mitigate_seconds)

    def forget(self, key: Key) -> None:
        """Drop all series of a Balancer that is gone."""
        self.gauges.forget(key)
        for metric in (self.route_changes, self.remediations, self.held, self.time_to_detect, self.time_to_restore):
            metric.remove_by_labels(dict(zip(KEY_LABELS, key, strict=True)))


def _strongest(steps: Iterable[Step]) -> str:
    done = {step.action for step in steps if step.state not in (StepState.Planned, StepState.Abandoned)}
    return "Restart" if "RestartPod" in done else "Reweight" if done else "None"


def names() -> dict[str, tuple[str, ...]]:
    """Every metric as a query names it (a histogram without its suffixes), and its labels."""
    found = {f"{PREFIX}_{name}": (*KEY_LABELS, *labels) for name, (_, labels) in BALANCER_GAUGES.items()}
    for metric in vars(Metrics("")).values():
        if isinstance(metric, Gauge | Counter | Histogram):
            (family,) = metric.describe()
            found[family.name + ("_total" if family.type == "counter" else "")] = tuple(metric._labelnames)
    return found
