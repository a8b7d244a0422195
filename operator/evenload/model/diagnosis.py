"""What is wrong, where, and the numbers that say so."""

from __future__ import annotations

from enum import StrEnum

from evenload.model.base import Value


class Label(StrEnum):
    """The closed table of diagnoses (docs/reference/diagnoses.md)."""

    NoData = "NoData"
    BadUpdate = "BadUpdate"
    TrafficStopped = "TrafficStopped"
    RolloutInProgress = "RolloutInProgress"
    LoadBalancerSkew = "LoadBalancerSkew"
    Dependency = "Dependency"
    Surge = "Surge"
    Failing = "Failing"
    WarmUp = "WarmUp"
    Slow = "Slow"
    MemoryLeak = "MemoryLeak"
    Healthy = "Healthy"


class SkewCause(StrEnum):
    """Which skew it is."""

    WeightsWrong = "WeightsWrong"  # the commanded weights are not the desired ones: a bad update
    WeightsIgnored = "WeightsIgnored"  # the weights are right and traffic does not follow them
    NotReached = "NotReached"  # a ready pod gets next to nothing, and its siblings carry its share
    # Inside a single Service, which has no weights:
    SessionAffinity = "SessionAffinity"  # each client stays with one pod
    LongLivedConnections = "LongLivedConnections"  # the older a pod, the more it gets
    Locality = "Locality"  # requests stay in their zone or on their node
    InsideService = "InsideService"  # why is not known


INSIDE = frozenset(
    {SkewCause.SessionAffinity, SkewCause.LongLivedConnections, SkewCause.Locality, SkewCause.InsideService}
)
"""Causes that lie inside a single Service: no weight changes anything about them."""
GAIN_METRIC = "balancer_gain"  # what a backend gets over what its weight asks for
LOOKS_METRIC = "looks"  # ticks judged since the Balancer was out of sight, against those that a fault needs


class Evidence(Value, frozen=True, kw_only=True):
    """One number the diagnosis rests on. `subject` is a pod, a backend, or "" for the whole Balancer."""

    metric: str
    observed: float | None
    expected: float | None = None
    threshold: float | None = None
    subject: str = ""
    sentence: str = ""


class RuledOut(Value, frozen=True, kw_only=True):
    """A diagnosis that was considered and refuted, and why."""

    label: Label
    because: str


class Diagnosis(Value, frozen=True, kw_only=True):
    """One primary label, the others that are true beside it, whom they name, and why. `since`: seconds since epoch."""

    label: Label
    also: tuple[Label, ...] = ()
    cause: SkewCause | None = None
    manager: str | None = None  # the field manager that wrote the wrong weights
    pods: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    since: float | None = None
    sentence: str = ""

    @property
    def compensated(self) -> bool:
        """A skew that only the weights show: they lean against it, and so traffic is even."""
        skewed = self.label is Label.LoadBalancerSkew
        return skewed and any(evidence.metric == GAIN_METRIC for evidence in self.evidence)

    @property
    def blames_write(self) -> bool:
        """Whether the last write of the balancer is what is wrong."""
        return self.label is Label.BadUpdate or self.cause is SkewCause.WeightsWrong

    @property
    def early(self) -> bool:
        """The data is good, but no fault could have been confirmed yet: neither healthy nor blind."""
        return self.label is Label.NoData and any(evidence.metric == LOOKS_METRIC for evidence in self.evidence)
