"""The weight law: estimate how the balancer bends the weights, then lean against it (algorithms section 3).

What traffic does with a weight is a gain, ln(share / commanded share); a balancer that ignores weights has gains far
from 0. They are tracked by one scalar Kalman filter a backend and inverted: w ~ target x e^-gain x penalty. Laws that
only push shares back (proportional, PI) settle three times slower, or never, or churn when nothing is wrong.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

from evenload.model.fleet import Bools, Fleet, Floats, some

DRIFT_VARIANCE = 0.03**2  # a tick: gains move, slowly
MODEL_VARIANCE = 0.02**2
MOVING_DOUBT = 0.25  # of how far the weights moved within the window: the lag is not known to the second
MOVING_VARIANCE = 0.1  # noise beyond this is of weights that just moved, or of hardly any requests
STRADDLING_VARIANCE = 0.3**2  # the window that shows a jump holds requests from before it: it tells only part of it
UNKNOWN_VARIANCE = 1.0  # of a gain nobody has measured yet
SURPRISE_SIGMAS = 3.0  # beyond it, believe that the gain jumped
LEAST_DEAD_BAND = 0.10
DEAD_BAND_SIGMAS = 2.5
RELEASE_RATIO = 0.5  # of the dead band: where correcting stops once it began
LEAST_GAIN = math.log(1.3)
STEP_LIMIT = math.log(2.0)
EMERGENCY_STEP_LIMIT = math.log(4.0)
EMERGENCY_RATIO, EMERGENCY_UTILIZATION = 2.0, 0.85
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
        self._backends: tuple[str, ...] = ()
        self.gain: Floats = np.empty(0)
        self.variance: Floats = np.empty(0)
        self.penalty: Floats = np.empty(0)
        self._surprise: Floats = np.empty(0)  # which way the last tick surprised, by backend: -1, 0, 1
        self._cuts: Floats = np.empty(0)
        self._patience: Floats = np.empty(0)
        self._history: deque[tuple[float, Floats]] = deque(maxlen=64)  # since when which shares are commanded
        self._averaged: Floats = np.empty(0)
        self._began: tuple[Floats, Floats] | None = None  # log odds, commanded and seen, when correcting began
        self._ticks = 0

    def observe(self, fleet: Fleet, time: float, window: float, lag: float, *, changed_at: float = -math.inf) -> None:
        """One tick of trustworthy traffic. `changed_at`: when the weights became what they are, where that is told."""
        if fleet.backends != self._backends:
            self._start(fleet)
        self._note(fleet, time, changed_at, window + lag)
        self._averaged, expected = self._average(time - lag - window, time - lag)
        self._update(fleet, expected)

    def _start(self, fleet: Fleet) -> None:
        self._backends = fleet.backends
        size = len(fleet.backends)
        self.gain, self.variance, self.penalty = np.zeros(size), np.full(size, UNKNOWN_VARIANCE), np.ones(size)
        self._surprise = np.zeros(size)
        self._cuts, self._patience = np.zeros(size), np.full(size, -np.inf)
        self._history.clear()
        self._began = None

    def _note(self, fleet: Fleet, time: float, changed_at: float, needed: float) -> None:
        if not self._history or not np.array_equal(self._history[-1][1], fleet.commanded):
            told = self._history and self._history[-1][0] < changed_at <= time
            self._history.append((changed_at if told else time, fleet.commanded))
        while len(self._history) > 1 and self._history[1][0] < time - needed:
            self._history.popleft()

    def _average(self, start: float, end: float) -> tuple[Floats, Floats]:
        """Over the window that the counts are of: shares commanded, and shares expected by the gains known so far.

        The second is no function of the first: a backend that draws traffic to itself bends each moment's shares in its
        own way. What was first seen held before, too.
        """
        if len(self._history) == 1:
            commanded = self._history[0][1]
            return commanded, commanded * np.exp(self.gain)
        times = [start, *(min(max(time, start), end) for time, _ in list(self._history)[1:]), end]
        spans = np.diff(np.array(times))
        known = np.array([shares for _, shares in self._history])
        bent = known * np.exp(self.gain)
        bent /= np.maximum(bent.sum(axis=1, keepdims=True), _LEAST_SHARE)
        total = float(spans.sum())
        return spans @ known / total, spans @ bent / total

    def _update(self, fleet: Fleet, expected: Floats) -> None:
        judged = (self._averaged > 0) & (fleet.ready_by_backend > 0) & (fleet.commanded > 0) & fleet.told_by_backend
        if np.count_nonzero(judged) < 2 or not fleet.total_requests:
            return
        counts = np.maximum(fleet.requests_by_backend[judged], 0.5)
        seen = np.log(counts / (counts.sum() * expected[judged])) + self.gain[judged]
        moving = MOVING_DOUBT * np.log(self._averaged[judged] / fleet.commanded[judged])
        self._filter(judged, seen - _median(seen), 1 / counts + MODEL_VARIANCE + moving**2)

    def _filter(self, judged: Bools, measured: Floats, noise: Floats) -> None:
        gain, variance = self.gain[judged], self.variance[judged] + DRIFT_VARIANCE
        news, least = measured - gain, np.zeros(gain.size)
        before, self._surprise = self._surprise, np.zeros(self.gain.size)
        usual = SURPRISE_SIGMAS * np.sqrt(variance + noise)
        surprised = np.abs(news) > usual
        if some(surprised):
            # While weights move, a surprise is more likely a lag we got wrong than a gain that jumped; and one alone is
            # more likely a scrape that was missed.
            signs = np.where(surprised, np.sign(news), 0.0)
            jumped = (signs != 0) & (signs == before[judged]) & (noise < MOVING_VARIANCE)
            self._surprise[judged] = signs
            variance = np.where(jumped, variance + news**2 / 2, variance)
            least[jumped] = STRADDLING_VARIANCE
            news = np.where(jumped, news, np.clip(news, -usual, usual))
        trust = variance / (variance + noise)
        self.gain[judged] = gain + trust * news
        self.variance[judged] = np.maximum((1 - trust) * variance, least)

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
        if fleet.backends == self._backends:
            return
        self._start(fleet)
        lean = np.where(targets > 0, fleet.commanded / np.maximum(targets, _LEAST_SHARE), 1.0)
        self.penalty = np.clip(lean / max(float(lean.max()), _LEAST_SHARE), LEAST_PENALTY, 1.0)

    def gains(self, fleet: Fleet) -> Floats:
        """By backend, ln of what traffic makes of its weight; 0 where it was not measured yet."""
        return self.gain if fleet.backends == self._backends else np.zeros(len(fleet.backends))

    @property
    def leans(self) -> bool:
        """Whether any backend is penalised."""
        return some(self.penalty < 1.0)

    @property
    def certain(self) -> Floats:
        """The gains that are beyond doubt; 0 for the others."""
        return np.where(np.abs(self.gain) > np.maximum(LEAST_GAIN, 3 * np.sqrt(self.variance)), self.gain, 0.0)

    def leaning(self, fleet: Fleet, targets: Floats) -> Floats:
        """Target shares as the penalties bend them, sum as before."""
        if not self.leans or fleet.backends != self._backends:
            return targets
        bent: Floats = targets * self.penalty
        leaning: Floats = bent * (targets.sum() / max(float(bent.sum()), _LEAST_SHARE))
        return leaning

    def wanted(
        self, fleet: Fleet, targets: Floats, gains: Floats, *, hottest: float, correcting: bool
    ) -> Floats | None:
        """Commanded shares to write next, or None within the dead band.

        `gains`: ln, by backend, what to lean against; `hottest`: the highest CPU use, 0..1.
        """
        if fleet.backends != self._backends:
            return None
        movable = (targets > 0) & (fleet.commanded > 0)
        goal = np.where(movable, targets * np.exp(-gains) * self.penalty, 0.0)
        total = float(goal.sum())
        if movable.sum() < 2 or total <= 0:
            return None
        gap = np.log(goal[movable] / total / fleet.commanded[movable])
        band = max(LEAST_DEAD_BAND, DEAD_BAND_SIGMAS * math.sqrt(float(self.variance[movable].max())))
        if float(np.abs(gap).max()) <= band * (RELEASE_RATIO if correcting else 1.0):
            return None
        step = fleet.commanded.copy()
        step[movable] *= np.exp(np.clip(gap, -self._limit(fleet, hottest), self._limit(fleet, hottest)))
        shares: Floats = step / step.sum()
        return shares

    def bent(self, weights: Mapping[str, float]) -> dict[str, float]:
        """What the balancer makes of these weights, by the gains measured."""
        gains = dict(zip(self._backends, np.exp(self.gain).tolist(), strict=True))
        return {name: weight * gains.get(name, 1.0) for name, weight in weights.items()}

    def _limit(self, fleet: Fleet, hottest: float) -> float:
        known = self._averaged > 0
        ratio = float((fleet.shares[known] / self._averaged[known]).max(initial=0.0))
        urgent = ratio > EMERGENCY_RATIO and hottest > EMERGENCY_UTILIZATION
        return EMERGENCY_STEP_LIMIT if urgent else STEP_LIMIT

    def ineffective(self, fleet: Fleet, hot: Bools, *, correcting: bool) -> bool:
        """Whether the weights of `hot` backends were cut for 5 ticks and their traffic did not follow."""
        seen, asked = _log_odds(fleet.shares), _log_odds(self._averaged)
        if not correcting or self._began is None:
            self._began, self._ticks = (asked, seen), 0
            return False
        self._ticks += 1
        moved, followed = (self._began[0] - asked)[hot], (self._began[1] - seen)[hot]
        far = moved > INEFFECTIVE_MOVE
        stuck = followed < INEFFECTIVE_PROGRESS * moved
        return self._ticks >= INEFFECTIVE_TICKS and bool((far & stuck).any())


def _log_odds(shares: Floats) -> Floats:
    """A weight cut by a factor cuts a backend's odds by it; its share much less while it has most of the traffic."""
    known = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    odds: Floats = np.log(known / (1 - known))
    return odds


def _median(values: Floats) -> float:
    ordered = np.sort(values)
    middle = values.size // 2
    return float(ordered[middle] if values.size % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
