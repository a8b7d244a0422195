"""The weight law: estimate how the balancer bends the weights, then lean against it (algorithms section 3).

The gains are estimated (`gains`) and inverted: w ~ target x e^-gain x penalty. Laws that only push shares back
(proportional, PI) settle three times slower, or never, or churn when nothing is wrong.
"""

from __future__ import annotations

import math

import numpy as np

from evenload.model.fleet import Bools, Fleet, Floats, some
from evenload.plan.gains import Gains

LEAST_DEAD_BAND = 0.10
DEAD_BAND_SIGMAS = 2.5
RELEASE_RATIO = 0.5  # of the dead band: where correcting stops once it began
STEP_LIMIT = math.log(2.0)
EMERGENCY_STEP_LIMIT = math.log(16.0)
EMERGENCY_RATIO = 2.0
SLOW_RATIO, RECOVERED_RATIO = 1.5, 1.2  # of the median latency
MOST_CUT, LEAST_CUT, RECOVERY, LEAST_PENALTY = 0.7, 0.25, 1.05, 0.05
PATIENCE_SECONDS = 30.0  # times 2 for the first cut, 4 for the second ...
INEFFECTIVE_TICKS = 5
INEFFECTIVE_MOVE = math.log(1.5)  # weights moved at least so far before traffic may be said not to follow
INEFFECTIVE_PROGRESS = 0.5
_LEAST_SHARE = 1e-6


class Law:
    """Gains and penalties of one Balancer's backends. Bounded memory; lost in a crash, it is measured again."""

    def __init__(self) -> None:
        self.gains = Gains()
        self.penalty: Floats = np.empty(0)
        self._cuts: Floats = np.empty(0)
        self._patience: Floats = np.empty(0)
        self._began: tuple[Floats, Floats] | None = None  # log odds: commanded when correcting began, most seen since
        self._ticks = 0

    def observe(
        self,
        fleet: Fleet,
        time: float,
        window: float,
        lag: float,
        *,
        changed_at: float = -math.inf,
        drawing: frozenset[str] = frozenset(),
    ) -> None:
        """One tick of trustworthy traffic.

        `changed_at`: when the weights became what they are, where that is told; `drawing`: backends that the diagnosis
        says to draw traffic whatever their weight, so that a jump up there needs no second witness.
        """
        if fleet.backends != self.gains.backends:
            self._start(fleet)
        self.gains.observe(fleet, time, window, lag, changed_at=changed_at, drawing=drawing)

    def _start(self, fleet: Fleet) -> None:
        self.gains.start(fleet)
        size = len(fleet.backends)
        self.penalty, self._cuts, self._patience = np.ones(size), np.zeros(size), np.full(size, -np.inf)
        self._began = None

    def penalise(self, time: float, slowness: Floats) -> None:
        """By backend, how many times the median latency it answers in; NaN: leave it as it is.

        Called only with a window that lies after the last change of weights. What was given back too early is given
        back later next time, or a pod that is slow under load alone would swing for ever.
        """
        slow = slowness > SLOW_RATIO
        cut = np.clip(RECOVERED_RATIO / np.where(slow, slowness, 1.0), LEAST_CUT, MOST_CUT)
        patient = time >= self._patience
        back = (slowness < RECOVERED_RATIO) & patient
        self._cuts = self._cuts + slow
        self._patience = np.where(slow, time + PATIENCE_SECONDS * 2.0 ** np.minimum(self._cuts, 6), self._patience)
        changed = self.penalty * np.where(slow, cut, np.where(back, RECOVERY, 1.0))
        self.penalty = np.clip(changed, LEAST_PENALTY, 1.0)

    def forgive(self) -> None:
        """The weights do not lean: whatever was penalised is not, or not any more."""
        self.penalty = np.ones(self.penalty.size)

    def adopt(self, fleet: Fleet, targets: Floats) -> None:
        """Take over weights that lean for slow pods, as another operator left them: their lean is the penalty."""
        if fleet.backends == self.gains.backends:
            return
        self._start(fleet)
        lean = np.where(targets > 0, fleet.commanded / np.maximum(targets, _LEAST_SHARE), 1.0)
        self.penalty = np.clip(lean / max(float(lean.max()), _LEAST_SHARE), LEAST_PENALTY, 1.0)

    def known_gains(self, fleet: Fleet) -> Floats:
        """By backend, ln of what traffic makes of its weight; 0 where it was not measured yet."""
        return self.gains.gain if fleet.backends == self.gains.backends else np.zeros(len(fleet.backends))

    @property
    def leans(self) -> bool:
        """Whether any backend is penalised."""
        return some(self.penalty < 1.0)

    def leaning(self, fleet: Fleet, targets: Floats) -> Floats:
        """Target shares as the penalties bend them, sum as before."""
        if not self.leans or fleet.backends != self.gains.backends:
            return targets
        bent: Floats = targets * self.penalty
        leaning: Floats = bent * (targets.sum() / max(float(bent.sum()), _LEAST_SHARE))
        return leaning

    def wanted(
        self, fleet: Fleet, targets: Floats, gains: Floats, *, drowning: bool, correcting: bool
    ) -> Floats | None:
        """Commanded shares to write next, or None within the dead band.

        `gains`: ln, by backend, what to lean against; `drowning`: whether the skew overloads anybody.
        """
        if fleet.backends != self.gains.backends:
            return None
        movable = (targets > 0) & (fleet.commanded > 0)
        goal = np.where(movable, targets * np.exp(-gains) * self.penalty, 0.0)
        total = float(goal.sum())
        if movable.sum() < 2 or total <= 0:
            return None
        gap = np.log(goal[movable] / total / fleet.commanded[movable])
        band = max(LEAST_DEAD_BAND, DEAD_BAND_SIGMAS * math.sqrt(float(self.gains.variance[movable].max())))
        if float(np.abs(gap).max()) <= band * (RELEASE_RATIO if correcting else 1.0):
            return None
        step = fleet.commanded.copy()
        limit = self._limit(fleet, drowning=drowning)
        step[movable] *= np.exp(np.clip(gap, -limit, limit))
        shares: Floats = step / step.sum()
        return shares

    def _limit(self, fleet: Fleet, *, drowning: bool) -> float:
        known = self.gains.averaged > 0
        ratio = float((fleet.shares[known] / self.gains.averaged[known]).max(initial=0.0))
        if not drowning or ratio <= EMERGENCY_RATIO:
            return STEP_LIMIT
        return max(EMERGENCY_STEP_LIMIT, math.log(ratio))  # what draws a hundred times its share, as far at once

    def ineffective(self, fleet: Fleet, hot: Bools, *, correcting: bool) -> bool:
        """Whether the weights of `hot` backends were cut for 5 ticks and their traffic did not follow."""
        seen, asked = _log_odds(fleet.shares), _log_odds(self.gains.averaged)
        if not correcting or self._began is None:
            self._began, self._ticks = (asked, seen), 0
            return False
        self._ticks += 1
        # What was seen when correcting began may have been the jump in part only.
        self._began = (self._began[0], np.maximum(self._began[1], seen))
        moved, followed = (self._began[0] - asked)[hot], (self._began[1] - seen)[hot]
        far = moved > INEFFECTIVE_MOVE
        stuck = followed < INEFFECTIVE_PROGRESS * moved
        return self._ticks >= INEFFECTIVE_TICKS and bool((far & stuck).any())


def _log_odds(shares: Floats) -> Floats:
    """A weight cut by a factor cuts a backend's odds by it; its share much less while it has most of the traffic."""
    known = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    odds: Floats = np.log(known / (1 - known))
    return odds
