"""A BalancerSpec with every unit resolved: what the engine computes with. Made once per spec, not once per tick."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from evenload.errors import InputError
from evenload.model.base import Value
from evenload.model.spec import BalancerSpec, DesiredType, Guard, Mode, RestartWhen, Share

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def seconds(duration: str, where: str = "duration") -> float:
    """Seconds of a Kubernetes duration text ("1m30s"). Raises InputError naming `where`."""
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise InputError(f'{where}: "{duration}" is not a duration; write it like "30s", "5m" or "1h30m"')
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


class Policy(Value, frozen=True, kw_only=True):
    """Seconds, ratios and plain numbers. Modes are of the spec alone; the installation's ceiling is in the Snapshot."""

    reweight_mode: Mode
    restart_mode: Mode
    desired: DesiredType
    explicit_shares: dict[str, float]
    tolerance_ratio: float  # 1.3: a pod may have 1.3 times its share
    max_age_seconds: float
    min_requests_per_pod: float
    max_utilization: float  # 0..1, predicted, of any receiver
    min_ready_ratio: float
    restarts_per_hour: int
    pod_cooldown_seconds: float
    workload_cooldown_seconds: float
    min_write_interval_seconds: float
    restart_when: RestartWhen
    drain_timeout_seconds: float
    eviction_deadline_seconds: float
    replacement_timeout_seconds: float
    ramp_window_seconds: float
    keep_isolated: bool
    guard: Guard
    probation_seconds: float
    # From a written weight to traffic that follows it: a busy proxy throttles its updates (Traefik: 2 s, lab.md).
    actuator_lag_seconds: float = 2.5

    @classmethod
    def of(cls, spec: BalancerSpec) -> Policy:
        """Raises InputError naming the field that cannot be resolved."""
        guardrails, restart = spec.guardrails, spec.restart
        return cls(
            reweight_mode=strictest(spec.mode, spec.actions.reweight),
            restart_mode=strictest(spec.mode, spec.actions.restart),
            desired=spec.desired.type,
            explicit_shares=_shares(spec.desired.shares),
            tolerance_ratio=1 + spec.desired.tolerance_percent / 100,
            max_age_seconds=seconds(spec.signals.max_age, "spec.signals.maxAge"),
            min_requests_per_pod=float(spec.signals.min_requests_per_pod),
            max_utilization=guardrails.max_utilization_percent / 100,
            min_ready_ratio=guardrails.min_ready_percent / 100,
            restarts_per_hour=guardrails.restarts_per_hour,
            pod_cooldown_seconds=seconds(guardrails.pod_cooldown, "spec.guardrails.podCooldown"),
            workload_cooldown_seconds=seconds(guardrails.workload_cooldown, "spec.guardrails.workloadCooldown"),
            min_write_interval_seconds=seconds(guardrails.min_write_interval, "spec.guardrails.minWriteInterval"),
            restart_when=restart.when,
            drain_timeout_seconds=seconds(restart.drain_timeout, "spec.restart.drainTimeout"),
            eviction_deadline_seconds=seconds(restart.eviction_deadline, "spec.restart.evictionDeadline"),
            replacement_timeout_seconds=seconds(restart.replacement_timeout, "spec.restart.replacementTimeout"),
            ramp_window_seconds=seconds(restart.ramp_window, "spec.restart.rampWindow"),
            keep_isolated=restart.keep_isolated,
            guard=spec.guard,
            probation_seconds=seconds(spec.guard.probation, "spec.guard.probation"),
        )


def _shares(shares: Iterable[Share]) -> dict[str, float]:
    """By backend. What the API server refuses is refused here too: a spec may come from a file."""
    by_backend: dict[str, float] = {}
    for share in shares:
        if share.backend in by_backend:
            raise InputError(f"spec.desired.shares: {share.backend} is named twice; give each backend one share")
        if not (math.isfinite(share.weight) and share.weight >= 0):
            raise InputError(
                f"spec.desired.shares: the share of {share.backend} is {share.weight}; it must be a number from 0 up"
            )
        by_backend[share.backend] = float(share.weight)
    return by_backend


_STRICTNESS = (Mode.Observe, Mode.Approve, Mode.Auto)


def strictest(*modes: Mode | None) -> Mode:
    """The strictest of the modes that are set; Auto where none is."""
    return min((mode for mode in modes if mode is not None), key=_STRICTNESS.index, default=Mode.Auto)
