"""The load balancer: does what it is told a little late, and not always exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evenload.model.snapshot import RouteWrite

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Balancer:
    """Weights by backend as commanded, and the shares they come to. Its faults are attributes that events set."""

    names: tuple[str, ...]
    weights: dict[str, int]
    gain: Floats  # what a backend gets over what its weight asks for
    lag_seconds: tuple[float, float] = (0.0, 2.0)
    stuck_ratio: float = 0.0  # of the traffic, bound to where it once went (cookies, long connections)
    stuck_shares: Floats | None = None
    misread: Callable[[Floats, str], Floats] | None = None  # what it makes of new weights by a manager
    last_write: RouteWrite | None = None
    writes: int = 0
    _coming: list[tuple[float, Floats]] = field(default_factory=list)
    _in_force: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self._in_force = self._vector(self.weights)

    def leave_out(self, name: str) -> int:
        """Before anything happens: this backend is not in the route yet. The weight that it had."""
        weight = self.weights.pop(name)
        self._in_force = self._vector(self.weights)
        return weight

    def command(
        self,
        weights: Mapping[str, int],
        manager: str,
        now: float,
        rng: np.random.Generator,
        elsewhere: tuple[str, ...] = (),
    ) -> None:
        """New weights by `manager`, and what else that write changed; they hold once the balancer gets round to it."""
        self.last_write = RouteWrite(manager=manager, time=now, before=dict(self.weights), elsewhere=elsewhere)
        self.weights = dict(weights)
        self.writes += 1
        asked = self._vector(weights)
        read = asked if self.misread is None else self.misread(asked, manager)
        self._coming.append((now + rng.uniform(*self.lag_seconds), read))

    def shares(self, now: float) -> Floats:
        """The share of arrivals each backend is sent now; all zero if every weight is."""
        self._catch_up(now)
        asked = _normal(self._in_force * self.gain)
        if self.stuck_shares is None:
            return asked
        return (1 - self.stuck_ratio) * asked + self.stuck_ratio * self.stuck_shares

    def _catch_up(self, now: float) -> None:
        while self._coming and self._coming[0][0] <= now:
            self._in_force = self._coming.pop(0)[1]

    def _vector(self, weights: Mapping[str, int]) -> Floats:
        return np.array([max(0.0, float(weights.get(name, 0))) for name in self.names])


def _normal(parts: Floats) -> Floats:
    total = parts.sum()
    return parts / total if total > 0 else parts
