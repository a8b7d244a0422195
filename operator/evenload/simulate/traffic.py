"""How many requests arrive: open loop, because users do not wait for each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

DAY_SECONDS = 86_400.0


@dataclass(slots=True, kw_only=True)
class Traffic:
    """A rate in requests a second, with a daily wave, surges and bursts over it."""

    rate_rps: float
    daily_ratio: float = 1.0  # the busiest moment over the quietest
    burstiness: float = 0.0  # standard deviation of ln(rate); 0 is Poisson alone
    burst_seconds: float = 20.0  # how long a burst keeps its mood
    factor: float = 1.0  # surges and ramps set it
    ramp_per_second: float = 0.0
    _mood: float = field(default=0.0, repr=False)

    def arrivals(self, now: float, step_seconds: float, rng: np.random.Generator) -> int:
        """Requests that arrive in the step that starts now."""
        self.factor = max(0.0, self.factor + self.ramp_per_second * step_seconds)
        return int(rng.poisson(self.rate_at(now) * self._burst(step_seconds, rng) * step_seconds))

    def rate_at(self, now: float) -> float:
        """Expected requests a second, bursts left out."""
        swing = (self.daily_ratio - 1) / (self.daily_ratio + 1)
        return self.rate_rps * self.factor * (1 + swing * math.sin(2 * math.pi * now / DAY_SECONDS))

    def _burst(self, step_seconds: float, rng: np.random.Generator) -> float:
        """exp of an Ornstein-Uhlenbeck process, of mean 1."""
        if not self.burstiness:
            return 1.0
        memory = math.exp(-step_seconds / self.burst_seconds)
        self._mood = memory * self._mood + math.sqrt(1 - memory**2) * self.burstiness * rng.standard_normal()
        return math.exp(self._mood - self.burstiness**2 / 2)
