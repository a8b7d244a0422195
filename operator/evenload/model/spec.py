"""What a person writes in a Balancer. The CRD, its defaults and its documentation are generated from here.

Durations are Kubernetes duration texts ("30s", "5m"); `policy.py` resolves them to seconds for the engine.
Users say *what*; mechanics (gains, significance levels) are constants beside the code that uses them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from evenload.model.base import Value

Duration = Annotated[str, Meta(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=253)]


class Mode(StrEnum):
    """How far Evenload may go; ordered from the strictest."""

    Observe = "Observe"
    Approve = "Approve"
    Auto = "Auto"


class TargetRef(Value, frozen=True, kw_only=True):
    """The balancer to look after. Its kind chooses the driver."""

    kind: Annotated[str, Meta(description="Kind of the balancer.")] = "HTTPRoute"
    name: Name
    namespace: Name | None = None
    rule_name: Name | None = None


class DesiredType(StrEnum):
    Even = "Even"
    ByCapacity = "ByCapacity"
    Explicit = "Explicit"


class Share(Value, frozen=True, kw_only=True):
    """One backend's share of the traffic, relative to the others' (like a weight)."""

    backend: Name
    weight: Annotated[int, Meta(ge=0, le=1_000_000)]


class Desired(Value, frozen=True, kw_only=True):
    """The share each backend should have."""

    type: DesiredType = DesiredType.Even
    shares: Annotated[tuple[Share, ...], Meta(max_length=64)] = ()
    tolerance_percent: Annotated[int, Meta(ge=5, le=200)] = 30


class SignalLabels(Value, frozen=True, kw_only=True):
    """Label names of the application's own metrics."""

    namespace: str = "namespace"
    pod: str = "pod"
    code: str = "code"


class Query(Value, frozen=True, kw_only=True):
    """A PromQL template that overrides one signal of the preset; one series a pod."""

    signal: str
    query: Annotated[str, Meta(min_length=1, max_length=4096)]


class Signals(Value, frozen=True, kw_only=True):
    """Where the numbers come from."""

    preset: str = "app"
    labels: SignalLabels = field(default_factory=SignalLabels)
    window: Duration | None = None  # None: three scrape intervals of the installation, at least 15s
    max_age: Duration = "60s"
    min_requests_per_pod: Annotated[int, Meta(ge=1, le=100_000)] = 20
    queries: Annotated[tuple[Query, ...], Meta(max_length=16)] = ()
    prometheus_url: Annotated[str, Meta(pattern=r"^https?://", max_length=2048)] | None = None


class Guardrails(Value, frozen=True, kw_only=True):
    """Budgets that no diagnosis can talk Evenload out of."""

    max_utilization_percent: Annotated[int, Meta(ge=10, le=100)] = 85
    min_ready_percent: Annotated[int, Meta(ge=51, le=100)] = 51
    restarts_per_hour: Annotated[int, Meta(ge=0, le=60)] = 3
    pod_cooldown: Duration = "10m"
    workload_cooldown: Duration = "5m"
    min_write_interval: Duration = "2s"


class RestartWhen(StrEnum):
    Never = "Never"
    OnlyAfterOverload = "OnlyAfterOverload"
    Allowed = "Allowed"


class Restart(Value, frozen=True, kw_only=True):
    """When and how a pod may be restarted: always by eviction, always drained first."""

    when: RestartWhen = RestartWhen.Allowed
    drain_timeout: Duration = "60s"
    eviction_deadline: Duration = "5m"
    replacement_timeout: Duration = "5m"
    ramp_window: Duration = "60s"


class Actions(Value, frozen=True, kw_only=True):
    """A stricter mode for one kind of action; unset means `mode`."""

    reweight: Mode | None = None
    restart: Mode | None = None


class BalancerSpec(Value, frozen=True, kw_only=True):
    """Desired state of a Balancer. The common case is `targetRef` alone."""

    target_ref: TargetRef
    mode: Mode = Mode.Observe
    actions: Actions = field(default_factory=Actions)
    desired: Desired = field(default_factory=Desired)
    signals: Signals = field(default_factory=Signals)
    guardrails: Guardrails = field(default_factory=Guardrails)
    restart: Restart = field(default_factory=Restart)
    suspend: bool = False
    history_limit: Annotated[int, Meta(ge=1, le=500)] = 50
