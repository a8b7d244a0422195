"""What the balancer makes of each weight: a gain, ln(share / commanded share), by backend (algorithms section 3).

One scalar Kalman filter a backend. A balancer that follows its weights has gains near 0, one that ignores them has some
far from it, and those may jump. A window of counts is longer than a tick, so after a jump it still tells of the time
before; what came since the last tick tells of now, with more noise and without an idea of when exactly the balancer
followed our last write. Until the window lies behind the jump, both are used, each for what it is worth.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evenload.model.fleet import Bools, Fleet, Floats, some
from evenload.model.vectors import median

DRIFT_VARIANCE = 0.03**2  # a tick: gains move, slowly
MODEL_VARIANCE = 0.02**2
MOVING_DOUBT = 0.25  # of how far the weights moved within the window: the lag is not known to the second
LATELY_MOVING_DOUBT = 0.25  # the same, within the shorter time since the last tick
LATELY_MOST_VARIANCE = 0.06  # with more noise of its own, what came since the last tick tells nothing
MOVING_VARIANCE = 0.1  # noise beyond this is of weights that just moved, or of hardly any requests
STRADDLING_VARIANCE = 0.5**2  # a window that holds requests from before a jump tells only part of it
JUMP_VARIANCE = 0.3**2  # what is told of a gain on the tick it jumped on may be as far off
UNKNOWN_VARIANCE = 1.0  # of a gain nobody has measured yet
SURPRISE_SIGMAS = 3.0  # beyond it, believe that the gain jumped
CERTAIN_SIGMAS = 3.0  # a gain so far from 0 is no chance among a few; among more backends somebody's is, so it takes
CERTAIN_FAMILY_ERROR = 0.0135  # ... as much as makes this the chance of any (Bonferroni; 3 sigmas for ten)
UPPER_SIGMAS = 1.4  # with 2, who drew traffic is left so little that it has to be given some back
LEAST_GAIN = math.log(1.3)
_LEAST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class Measured:
    """Gains by backend as one stretch of time shows them, and the variance of that; NaN where it shows nothing."""

    gain: Floats
    noise: Floats

    def among(self, which: Bools) -> Measured:
        """Of these backends only."""
        return Measured(self.gain[which], self.noise[which])

    def mixed(self, other: Measured) -> Measured:
        """Both, each for what it is worth; this one alone where the other shows nothing."""
        both = ~np.isnan(other.gain)
        own, others = 1 / np.where(both, self.noise, 1.0), 1 / np.where(both, other.noise, 1.0)
        gain = (own * self.gain + others * np.where(both, other.gain, 0.0)) / (own + others)
        return Measured(np.where(both, gain, self.gain), np.where(both, 1 / (own + others), self.noise))


class Gains:
    """Of one Balancer's backends. Bounded memory; lost in a crash, they are measured again."""

    def __init__(self) -> None:
        self.backends: tuple[str, ...] = ()
        self.gain: Floats = np.empty(0)
        self.variance: Floats = np.empty(0)
        self.averaged: Floats = np.empty(0)  # commanded shares, over the window
        self._surprise: Floats = np.empty(0)  # which way the last tick surprised, by backend: -1, 0, 1
        self._jumped_at: Floats = np.empty(0)  # when a gain was last believed to have jumped
        self._history: deque[tuple[float, Floats]] = deque(maxlen=64)  # since when which shares are commanded
        self._last: tuple[float, Floats] | None = None  # the last tick and its counts, where all were told

    def start(self, fleet: Fleet) -> None:
        """Anew, for these backends."""
        self.backends = fleet.backends
        size = len(fleet.backends)
        self.gain, self.variance = np.zeros(size), np.full(size, UNKNOWN_VARIANCE)
        self._surprise, self._jumped_at = np.zeros(size), np.full(size, -np.inf)
        self._history.clear()
        self._last = None

    def observe(
        self, fleet: Fleet, time: float, window: float, lag: float, *, changed_at: float, drawing: frozenset[str]
    ) -> None:
        """One tick of trustworthy traffic of the backends it was started for; see `Law.observe`."""
        self._note(fleet, time, changed_at, window + lag)
        self.averaged, expected = self._average(time - lag - window, time - lag)
        judged = (self.averaged > 0) & (fleet.ready_by_backend > 0) & (fleet.commanded > 0) & fleet.told_by_backend
        if np.count_nonzero(judged) >= 2 and fleet.total_requests:
            whole = self._whole(fleet, expected, judged)
            straddling = self._jumped_at[judged] > time - lag - window
            if some(straddling | self._surprising(judged, whole)):
                part = self._part(whole, self._lately(fleet, time, window, lag).among(judged))
                told = np.array([name in drawing for name in fleet.backends], dtype=bool)[judged]
                jumped = self._leap(judged, whole, part, straddling, told)
                self._jumped_at[judged] = np.where(jumped, time, self._jumped_at[judged])
            else:
                self._surprise[judged] = 0.0
                news, variance = whole.gain - self.gain[judged], self.variance[judged] + DRIFT_VARIANCE
                self._move(judged, news, variance, whole.noise)
        self._last = (time, fleet.requests_by_backend) if fleet.told_by_backend.all() else None

    def _note(self, fleet: Fleet, time: float, changed_at: float, needed: float) -> None:
        if not self._history or not np.array_equal(self._history[-1][1], fleet.commanded):
            told = self._history and self._history[-1][0] < changed_at <= time
            self._history.append((changed_at if told else time, fleet.commanded))
        while len(self._history) > 1 and self._history[1][0] < time - needed:
            self._history.popleft()

    def _average(self, start: float, end: float) -> tuple[Floats, Floats]:
        """Over this time: shares commanded, and shares expected by the gains known so far.

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

    def _whole(self, fleet: Fleet, expected: Floats, judged: Bools) -> Measured:
        """By the whole window, of the `judged` backends, against the median one."""
        counts = np.maximum(fleet.requests_by_backend[judged], 0.5)
        seen = np.log(counts / (counts.sum() * expected[judged])) + self.gain[judged]
        moving = MOVING_DOUBT * np.log(self.averaged[judged] / fleet.commanded[judged])
        return Measured(seen - median(seen), 1 / counts + MODEL_VARIANCE + moving**2)

    def _lately(self, fleet: Fleet, time: float, window: float, lag: float) -> Measured:
        """By what came since the last tick: what the window gained, and the oldest part of the last one, which it lost.

        Against all others together, since hardly any requests are left to each.
        """
        counts, nothing = fleet.requests_by_backend, np.full(len(fleet.backends), np.nan)
        passed = time - self._last[0] if self._last is not None else 0.0
        if self._last is None or not 0 < passed < window or not fleet.told_by_backend.all():
            return Measured(nothing, nothing)
        before = self._last[1]
        averaged, expected = self._average(time - lag - passed, time - lag)
        new, doubt = counts - before * (1 - passed / window), counts + before
        others, rest = new.sum() - new, expected.sum() - expected
        known = (new > 0) & (others > 0) & (expected > 0) & (rest > 0) & (averaged > 0) & (fleet.commanded > 0)
        new, others, rest, expected = (np.where(known, values, np.nan) for values in (new, others, rest, expected))
        moving = LATELY_MOVING_DOUBT * np.log(averaged / np.where(known, fleet.commanded, np.nan))
        noise = doubt / new**2 + (doubt.sum() - doubt) / others**2 + MODEL_VARIANCE
        told = np.where(noise < LATELY_MOST_VARIANCE, np.log(new / others * rest / expected) + self.gain, np.nan)
        return Measured(told, noise + moving**2)

    def _surprising(self, judged: Bools, measured: Measured) -> Bools:
        """Whether each of the `judged` backends is farther off than chance takes it."""
        surprising: Bools = np.abs(measured.gain - self.gain[judged]) > self._usual(judged, measured)
        return surprising

    def _usual(self, judged: Bools, measured: Measured) -> Floats:
        return SURPRISE_SIGMAS * np.sqrt(self.variance[judged] + DRIFT_VARIANCE + measured.noise)

    def _part(self, whole: Measured, lately: Measured) -> Measured:
        """For a window that straddles a jump: what it shows and what its end shows, each for what it is worth."""
        return Measured(whole.gain, whole.noise + STRADDLING_VARIANCE).mixed(lately)

    def _leap(self, judged: Bools, whole: Measured, part: Measured, straddling: Bools, drawing: Bools) -> Bools:
        """Move the gains on when some surprise; whether each of the `judged` backends is believed to have jumped.

        While weights move, a surprise is more likely a lag we got wrong than a gain that jumped; and one alone is more
        likely a scrape that was missed, unless the diagnosis knows better.
        """
        gain, variance = self.gain[judged], self.variance[judged] + DRIFT_VARIANCE
        measured, before = _chosen(straddling, part, whole), self._surprise[judged]
        news, usual = measured.gain - gain, self._usual(judged, measured)
        signs = np.where(np.abs(news) > usual, np.sign(news), 0.0)
        witnessed = (signs == before) | (drawing & (signs > 0))
        jumped: Bools = (signs != 0) & witnessed & (whole.noise < MOVING_VARIANCE)
        self._surprise[judged] = signs
        measured = _chosen(jumped, part, measured)
        news = np.where(jumped, measured.gain - gain, np.clip(news, -usual, usual))
        self._move(judged, news, np.where(jumped, variance + news**2 / 2, variance), measured.noise)
        self.variance[judged] = np.maximum(self.variance[judged], np.where(jumped, JUMP_VARIANCE, 0.0))
        return jumped

    def _move(self, judged: Bools, news: Floats, variance: Floats, noise: Floats) -> None:
        """Kalman's step."""
        trust = variance / (variance + noise)
        self.gain[judged] += trust * news
        self.variance[judged] = (1 - trust) * variance

    @property
    def certain(self) -> Floats:
        """The gains that are beyond doubt; 0 for the others.

        To give a backend more than its share takes more: that it draws too little for sure, or chance makes hot spots.
        """
        doubt = self.doubt
        most = np.where(self.gain > 0, np.maximum(LEAST_GAIN, doubt), LEAST_GAIN + doubt)
        return np.where(np.abs(self.gain) > most, self.gain, 0.0)

    @property
    def doubt(self) -> Floats:
        """How far from 0 chance may take each gain, with as many backends as there are."""
        sigmas = max(CERTAIN_SIGMAS, NormalDist().inv_cdf(1 - CERTAIN_FAMILY_ERROR / max(self.gain.size, 1)))
        return sigmas * np.sqrt(self.variance)

    @property
    def certain_at_most(self) -> Floats:
        """The same, for those above 0 the upper bound."""
        certain = self.certain
        return np.where(certain > 0, certain + UPPER_SIGMAS * np.sqrt(self.variance), certain)

    def bent(self, weights: Mapping[str, float]) -> dict[str, float]:
        """What the balancer makes of these weights."""
        gains = dict(zip(self.backends, np.exp(self.gain).tolist(), strict=True))
        return {name: weight * gains.get(name, 1.0) for name, weight in weights.items()}


def _chosen(which: Bools, one: Measured, other: Measured) -> Measured:
    return Measured(np.where(which, one.gain, other.gain), np.where(which, one.noise, other.noise))
