"""Our own metrics, in a registry of our own: what `/metrics` shows. `names()` is the reference of them.

Gauges of Balancers are kept as plain numbers and turned into series only when someone scrapes: a tick costs little, and
what is gone (a backend, a diagnosis, a whole Balancer) has no series left behind. Their `namespace` label is the
Balancer's, so scrape with honorLabels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from evenload.api.v1alpha1 import ConditionStatus, Outcome, Remediation, StepRecord
from evenload.audit.finding import Severity
from evenload.model.decision import Decision
from evenload.model.episode import Phase, StepState
from evenload.model.forecast import Forecast
from evenload.model.plan import POD_ACTIONS
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.record.conditions import Facts, budgets, findings

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
        "saturation_eta_seconds": ("Until the first pod has no CPU left, if traffic grows on like this.", ()),
        "saturation_eta_soonest_seconds": ("The lower bound of saturation_eta_seconds.", ()),
        "memory_eta_seconds": ("Until the first leaking pod's memory is at its limit.", ()),
        "memory_eta_soonest_seconds": ("The lower bound of memory_eta_seconds.", ()),
        "backend_share_ratio": ("A backend's share of the requests, from 0 to 1.", ("backend", "state")),
        "backend_weight": ("A backend's weight; desired is scaled to the actual sum.", ("backend", "state")),
        "signal_age_seconds": ("Age of a signal's newest sample.", ("signal",)),
        "budget_remaining": ("What is left of a budget in the running hour.", ("action",)),
        "approvals_pending": ("Remediations that wait for a person.", ()),
        "audit_findings": ("Misconfigurations that the audit finds in the balancer's object.", ("severity",)),
    }
)


class BalancerGauges(Collector):
    """The newest numbers of every Balancer."""

    def __init__(self) -> None:
        self._newest: dict[Key, Samples] = {}

    def observe(self, key: Key, facts: Facts) -> None:
        """The numbers of one tick. What it cannot tell has no series, not an old one."""
        self._newest[key] = {**_told(facts), **_measured(facts)}

    def forget(self, key: Key) -> None:
        self._newest.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        for name, (meaning, labels) in BALANCER_GAUGES.items():
            family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=[*KEY_LABELS, *labels])
            for key, samples in self._newest.items():
                for values, number in samples.get(name, ()):
                    if number is not None:
                        family.add_metric([*key, *values], number)
            yield family


def _told(facts: Facts) -> Samples:
    return {
        "balancer_info": [((facts.mode.value, facts.resolved.signals if facts.resolved else ""), 1.0)],
        "balancer_condition": [
            ((kind.value, word.value), float(finding.status is word))
            for kind, finding in findings(facts).items()
            for word in ConditionStatus
        ],
        "budget_remaining": [((budget.action,), float(budget.remaining)) for budget in budgets(facts)],
        "audit_findings": _audit_findings(facts),
    }


def _audit_findings(facts: Facts) -> list[Sample]:
    if facts.audited is None:
        return []
    counts = facts.audited.counts
    return [((each.value,), float(counts[each])) for each in Severity]


def _measured(facts: Facts) -> Samples:
    snapshot, decision = facts.snapshot, facts.decision
    if snapshot is None or decision is None:
        return {}
    return {
        "diagnosis": [((decision.diagnosis.label.value,), 1.0)],
        "balancer_worst_share_ratio": [((), decision.worst_ratio)],
        "balancer_headroom_ratio": [((), _headroom(snapshot))],
        "balancer_error_ratio": [((), decision.error_ratio)],
        "balancer_requests_per_second": [((), decision.requests_per_second)],
        **_forecast("saturation", decision.saturation),
        **_forecast("memory", decision.out_of_memory),
        "backend_share_ratio": list(_shares(decision)),
        "backend_weight": list(_weights(snapshot, decision)),
        "signal_age_seconds": [((name,), signal.age) for name, signal in snapshot.signals.items()],
        "approvals_pending": [((), float(decision.phase is Phase.AwaitingApproval))],
    }


def _forecast(what: str, forecast: Forecast | None) -> Samples:
    if forecast is None:
        return {}
    likely, soonest = forecast.seconds, forecast.soonest
    return {f"{what}_eta_seconds": [((), likely)], f"{what}_eta_soonest_seconds": [((), soonest)]}


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


OTHER_MANAGER = "other"
KNOWN_MANAGERS = frozenset(
    {
        "evenload",
        "kubectl",
        "kubectl-annotate",
        "kubectl-apply",
        "kubectl-client-side-apply",
        "kubectl-create",
        "kubectl-edit",
        "kubectl-label",
        "kubectl-patch",
        "kubectl-replace",
        "argocd",
        "argocd-application-controller",
        "argocd-controller",
        "argocd-server",
        "flagger",
        "flux",
        "helm",
        "helm-controller",
        "HashiCorp",
        "k9s",
        "kustomize-controller",
        "lens",
        "node-fetch",
        "OpenAPI-Generator",
        "pulumi-kubernetes",
        "rancher",
        "rollouts-controller",
        "Terraform",
    }
)
"""Field managers that a metric names. Anybody may write under any name, so the rest are one series together; the very
name of the last one is in the Balancer's status, in Events and in Remediations."""


class _RouteChanges(Counter):
    """Counts by field manager, of which it tells apart the known ones."""

    def labels(self, *values: object, **named: object) -> _RouteChanges:
        """As Counter's; `manager`, the last label, is one of a bounded set."""
        if "manager" in named:
            return super().labels(*values, **(named | {"manager": known_manager(str(named["manager"]))}))
        *others, manager = values
        return super().labels(*others, known_manager(str(manager)))


def known_manager(manager: str) -> str:
    """The field manager's name as a metric tells it."""
    return manager if manager in KNOWN_MANAGERS else OTHER_MANAGER


class _Known(NamedTuple):
    """Of the tick before, to count changes."""

    held: frozenset[str] = frozenset()
    write: RouteWrite | None = None


class Metrics:
    """All metrics of one operator. Those of the process are set by whoever measures them."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.gauges = BalancerGauges()
        self._known: dict[Key, _Known] = {}
        self.registry.register(self.gauges)
        self._make_counts()
        self._make_operator()
        self.build_info.labels(version).set(1)

    def _make_counts(self) -> None:
        self.route_changes = _RouteChanges(
            f"{PREFIX}_route_changes",
            "Changes of the route's weights, ours included; manager is a well-known one or `other`.",
            (*KEY_LABELS, "kind", "manager"),
            registry=self.registry,
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
        self.unreadable_objects = self._gauge(
            "unreadable_objects", "Objects of the cluster that could not be decoded and are left out.", "kind"
        )
        self.tick_lag = self._gauge("tick_lag_seconds", "How late the last tick began.")
        self.tick_duration = self._histogram("tick_duration_seconds", "One tick of all Balancers.", _QUICK)
        self.query_duration = self._histogram(
            "prometheus_query_duration_seconds", "A query to Prometheus.", _QUICK, "result"
        )
        self.request_duration = self._histogram(
            "kube_request_duration_seconds", "A request to the API server.", _QUICK, "verb", "code"
        )
        self.reconcile_errors = self._counter("reconcile_errors", "Runs of a Balancer that failed.", "error")
        self.audit_failures = self._counter(
            "audit_failures", "Rules of the audit that failed on an object, all where it is the audit.", "rule"
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

    def tell(self, namespace: str, balancer: str, facts: Facts) -> None:
        """One tick of one Balancer, also one that found only a trouble."""
        key = (namespace, balancer)
        self.gauges.observe(key, facts)
        known = self._known.get(key, _Known())
        held = frozenset(one.reason.value for one in facts.decision.held) if facts.decision else frozenset()
        for reason in held - known.held:
            self.held.labels(*key, reason).inc()
        write = (facts.snapshot.last_write if facts.snapshot else None) or known.write
        if write and known.write and (write.manager, write.time) != (known.write.manager, known.write.time):
            self.route_changes.labels(*key, facts.subject.partition(" ")[0], write.manager).inc()
        self._known[key] = _Known(held, write)

    def closed(self, namespace: str, balancer: str, remediation: Remediation) -> None:
        """A Remediation came to its end."""
        key, status = (namespace, balancer), remediation.status
        result = status.phase.value if status.phase else ""
        label = remediation.spec.diagnosis.label.value
        self.remediations.labels(*key, _strongest(status.steps), label, result).inc()
        outcome = status.outcome or Outcome()
        if outcome.time_to_detect_seconds is not None:
            self.time_to_detect.labels(*key).observe(outcome.time_to_detect_seconds)
        if outcome.time_to_mitigate_seconds is not None:
            self.time_to_restore.labels(*key).observe(outcome.time_to_mitigate_seconds)

    @property
    def balancers(self) -> tuple[Key, ...]:
        """Those that have series: some of them may be gone without anybody having said so."""
        return tuple(self._known)

    def failed(self, error: str) -> None:
        """A run of a Balancer ended in this exception."""
        self.reconcile_errors.labels(error).inc()

    def audit_failed(self, rule: str) -> None:
        """A rule of the audit raised on an object."""
        self.audit_failures.labels(rule).inc()

    def tick(self, *, seconds: float, lag: float, depth: int) -> None:
        """A tick over all Balancers took `seconds`, began `lag` late, and left `depth` of them waiting."""
        self.tick_duration.observe(seconds)
        self.tick_lag.set(max(0.0, lag))
        self.queue_depth.set(depth)

    def kube_request(self, verb: str, code: str, seconds: float) -> None:
        """As kube.client.Observer."""
        self.request_duration.labels(verb, code).observe(seconds)

    def prometheus_query(self, result: str, seconds: float) -> None:
        """As observe.prometheus.Observer."""
        self.query_duration.labels(result).observe(seconds)

    def forget(self, namespace: str, balancer: str) -> None:
        """Drop all series of a Balancer that is gone."""
        key = (namespace, balancer)
        self.gauges.forget(key)
        self._known.pop(key, None)
        for metric in (self.route_changes, self.remediations, self.held, self.time_to_detect, self.time_to_restore):
            metric.remove_by_labels(dict(zip(KEY_LABELS, key, strict=True)))


def _strongest(steps: Iterable[StepRecord]) -> str:
    done = {step.action for step in steps if step.state not in (StepState.Planned, StepState.Abandoned)}
    return "Restart" if done & POD_ACTIONS else "Reweight" if done else "None"


def names() -> dict[str, tuple[str, ...]]:
    """Every metric as a query names it (a histogram without its suffixes), and its labels."""
    found = {f"{PREFIX}_{name}": (*KEY_LABELS, *labels) for name, (_, labels) in BALANCER_GAUGES.items()}
    for metric in vars(Metrics("")).values():
        if isinstance(metric, Gauge | Counter | Histogram):
            (family,) = metric.describe()
            found[family.name + ("_total" if family.type == "counter" else "")] = tuple(metric._labelnames)
    return found
